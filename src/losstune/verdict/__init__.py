"""Decisions: from records to the numbers of ``results.json`` and the verdict. Draws no figures."""
