"""The command line: one file for each group of commands. :mod:`losstune.cli.main` joins them."""
