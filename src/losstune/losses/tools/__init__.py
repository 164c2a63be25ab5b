"""Tools for losses: the contract tests, the search for identical losses, figures, the catalogue as text."""
