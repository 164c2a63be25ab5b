"""``dvc repro`` prints DVC's own lines and losstune's, and no library's."""

from __future__ import annotations

import json
import re

import pytest

from tests.test_dvc_repro import make_checkout, repro, reproduced
from tests.test_pipeline import SMALL

pytestmark = pytest.mark.integration

DVCS = r"""
WARNING: 'data/raw' is empty\.
Running stage '\w+':
> losstune \w+
(Generating|Updating) lock file 'dvc\.lock'
To track the changes with git, run:
\tgit add .*
To enable auto staging, run:
\tdvc config core\.autostage true
Use `dvc push` to send your updates to remote storage\.
"""
OURS = r"""
digits: [\d,]+ train, .* digest \w{12}
10 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9\.
features: not used, because .*
(tune|confirm): kept 0, to train \d+
(tune|confirm): \d+ trainings (to go|in [\d:]+)
(tune|confirm) \d+/\d+, \d+%, [\d:]+ elapsed, about [\d:]+ left, .*
confirm: registered as \w{12}
"""
EXPECTED = re.compile("|".join(line for line in (DVCS + OURS).splitlines() if line))
REPORT = "Full report: report/report.html"


@pytest.mark.parametrize("executor", ["inline", "ray"])
def test_a_study_prints_nothing_that_a_library_says(executor, tmp_path, tmp_path_factory):
    if executor == "inline":
        folder, said = reproduced(tmp_path_factory)
    else:
        folder = make_checkout(tmp_path, SMALL | {"resources.executor": executor, "tracking.enabled": True})
        said = repro(folder)
    before, report, rest = said.partition(REPORT)
    assert report, said
    # The report prints its table and its sentences at once, and ends with the verdict.
    shown, lock, after = rest.partition("Updating lock file")
    sentence = json.loads((folder / "results.json").read_text())["verdict"]["sentence"]
    assert " ".join(shown.split()).endswith(" ".join(sentence.split()))
    lines = [line for line in (before + lock + after).splitlines() if line.strip()]
    assert [line for line in lines if not EXPECTED.fullmatch(line)] == []
