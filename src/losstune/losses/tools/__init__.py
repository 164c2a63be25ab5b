"""Tools for losses: the contract that each has to pass, the search for equivalent ones, figures, the catalogue."""
