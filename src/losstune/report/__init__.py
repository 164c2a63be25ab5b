"""Rendering: results as a page, figures, tables and terminal text."""
