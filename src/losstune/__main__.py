"""``python -m losstune`` is the command line."""

from losstune.cli.main import main

main()
