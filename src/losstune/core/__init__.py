"""Foundations: errors, files, records, seeds, labels, Git, progress. Imports no other package of losstune."""
