"""Write the database of verdicts that losstune ships, from the results of this repository's studies.

    python benchmarks/verdicts.py            # writes src/losstune/advice/verdicts.jsonl
    python benchmarks/verdicts.py --check    # exits with 1 if the file is not what it would write

It reads every study in Git: its `results.json`, its registration and the manifest of its data. Commit them first.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from losstune.advice.database import SHIPPED, text_of
from losstune.advice.of_study import IncomparableError
from losstune.advice.records import PastVerdict
from losstune.core.git import run_git
from losstune.data import prepared
from losstune.stages.advice_add import verdicts_in
from losstune.stages.layout import PREPARED, RESULTS

REPOSITORY = Path(__file__).resolve().parent.parent
REPETITION = "_again-"
"""In the name of a study that studies/real/again.py wrote."""


def tracked() -> list[Path]:
    """Return the studies in Git, relative to the repository: those with results and the manifest of their data.

    Repetitions are left out: only studies with a claim were repeated, and their data sets would count twice.
    """
    names = run_git(REPOSITORY, "ls-files").decode().splitlines()
    folders = sorted(Path(name).parent for name in names if Path(name).name == RESULTS.name)
    known = [folder for folder in folders if str(folder / PREPARED / prepared.MANIFEST) in names]
    return [folder for folder in known if REPETITION not in folder.name]


def verdicts_of_each(folders: Iterable[Path]) -> Iterator[list[PastVerdict]]:
    """Yield the verdicts of each study. A study of a pack may compare with another loss, or in a metric of its own."""
    for folder in folders:
        with contextlib.suppress(IncomparableError):
            yield verdicts_in(folder)


def main() -> None:
    folders = tracked()
    names = [str(folder / RESULTS) for folder in folders]
    if changed := run_git(REPOSITORY, "status", "--porcelain", "--", *names).decode().strip():
        sys.exit(f"verdicts.py: commit these results first: {changed}")
    found = list(verdicts_of_each(REPOSITORY / folder for folder in folders))
    text = text_of(itertools.chain.from_iterable(found))
    if "--check" in sys.argv:
        sys.exit(int(text != SHIPPED.read_text(encoding="utf-8")))
    SHIPPED.write_text(text, encoding="utf-8")
    print(f"{len(text.splitlines())} verdicts of {len(found)} studies")


if __name__ == "__main__":
    main()
