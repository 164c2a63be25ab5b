"""Write the database of verdicts that losstune ships, from the results of this repository's studies.

    python benchmarks/verdicts.py            # writes src/losstune/advice/verdicts.jsonl
    python benchmarks/verdicts.py --check    # exits with 1 if the file is not what it would write

It reads every `results.json` that Git tracks, outside of tests/, so the results are to be committed first.
"""

from __future__ import annotations

import sys
from pathlib import Path

from losstune.advice.database import SHIPPED, text_of
from losstune.core.git import run_git
from losstune.stages.advice_add import verdicts_in

REPOSITORY = Path(__file__).resolve().parent.parent


def tracked() -> list[str]:
    """Return the files with results that Git tracks, relative to the repository."""
    names = run_git(REPOSITORY, "ls-files", "results.json", "*/results.json").decode().splitlines()
    return sorted(name for name in names if not name.startswith("tests/"))


def main() -> None:
    names = tracked()
    if changed := run_git(REPOSITORY, "status", "--porcelain", "--", *names).decode().strip():
        sys.exit(f"verdicts.py: commit these results first: {changed}")
    folders = [REPOSITORY / Path(name).parent for name in names]
    text = text_of(verdict for folder in folders for verdict in verdicts_in(folder))
    if "--check" in sys.argv:
        sys.exit(int(text != SHIPPED.read_text(encoding="utf-8")))
    SHIPPED.write_text(text, encoding="utf-8")
    print(f"{len(text.splitlines())} verdicts of {len(folders)} studies")


if __name__ == "__main__":
    main()
