"""The command line: a file for each group of commands, and :mod:`losstune.cli.main` that holds them together."""
