"""Write the database of verdicts that losstune ships, from the results of this repository's studies.

    python benchmarks/verdicts.py            # writes src/losstune/advice/verdicts.jsonl
    python benchmarks/verdicts.py --check    # exits with 1 if the file is not what it would write

It reads every study in Git: its `results.json`, its registration and the manifest of its data. Commit them first.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from losstune.advice.database import SHIPPED, text_of
from losstune.advice.of_study import BASELINE
from losstune.core.git import run_git
from losstune.core.metric import METRICS
from losstune.data import prepared
from losstune.stages.advice_add import verdicts_in
from losstune.stages.layout import PREPARED, RESULTS

REPOSITORY = Path(__file__).resolve().parent.parent


def tracked() -> list[Path]:
    """Return the studies in Git, relative to the repository: those with results and the manifest of their data."""
    names = run_git(REPOSITORY, "ls-files").decode().splitlines()
    folders = sorted(Path(name).parent for name in names if Path(name).name == RESULTS.name)
    known = [folder for folder in folders if str(folder / PREPARED / prepared.MANIFEST) in names]
    return [folder for folder in known if _is_comparable(REPOSITORY / folder)]


def _is_comparable(folder: Path) -> bool:
    """Return whether the study compares with cross-entropy in a metric of losstune's, and repeats no other study.

    Some studies of packs do not. Only studies with a claim were repeated, and their data sets would count twice.
    """
    if "_again-" in folder.name:
        return False
    results = json.loads((folder / RESULTS).read_bytes())
    return results["baseline"] == BASELINE and results["metric"] in METRICS


def main() -> None:
    folders = tracked()
    names = [str(folder / RESULTS) for folder in folders]
    if changed := run_git(REPOSITORY, "status", "--porcelain", "--", *names).decode().strip():
        sys.exit(f"verdicts.py: commit these results first: {changed}")
    text = text_of(verdict for folder in folders for verdict in verdicts_in(REPOSITORY / folder))
    if "--check" in sys.argv:
        sys.exit(int(text != SHIPPED.read_text(encoding="utf-8")))
    SHIPPED.write_text(text, encoding="utf-8")
    print(f"{len(text.splitlines())} verdicts of {len(folders)} studies")


if __name__ == "__main__":
    main()
