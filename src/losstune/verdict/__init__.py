"""Decisions: from records to the numbers of ``results.json`` and the verdict. Nothing is drawn here."""
