"""A Git repository with a fabricated study, whose states a test commits one after the other."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from losstune.stages.study import check_names
from losstune.study.registration import registration_of, write_registration
from losstune.study.search import Space
from losstune.verdict.results import Results
from tests.report.studies import DATA, Study, make_study

TEST_DIGEST = "7e" * 32
NUM_BLOCKS = 16
LEVELS = {"cross_entropy": 0.970, "kl_divergence": 0.971, "focal": 0.960, "gce": 0.968}

SOURCES = {
    "__init__.py": '"""A package."""\n__version__ = "0.1.0"\n',
    "training/__init__.py": "",
    "training/metrics.py": "def accuracy(hits, all):\n    return hits / all\n",
    "training/loop.py": "from losstune.training.metrics import accuracy\n\n\ndef train():\n    return accuracy(1, 2)\n",
    "report/__init__.py": "",
    "report/page.py": "from losstune.training import loop\n\nTITLE = 'report'\n",
    "losses/__init__.py": "",
    "losses/spec.py": "class LossSpec: ...\n",
    "losses/cross_entropy.py": "from losstune.losses.spec import LossSpec\n\nSPEC = LossSpec()\n",
    "losses/focal.py": "from losstune.losses.spec import LossSpec\n\nGAMMA = 2.0\n",
}


def git(folder: Path, *arguments: str) -> str:
    """Run Git as nobody in particular, at a time that stands still."""
    environment = os.environ | {
        "GIT_AUTHOR_DATE": "2026-11-24T12:00:00+00:00",
        "GIT_COMMITTER_DATE": "2026-11-24T12:00:00+00:00",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    user = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    done = subprocess.run(
        ["git", *user, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def block_scores(levels=None, *, seed=0, spread=0.002, shift=0.0) -> dict[str, list[float]]:
    """Accuracies of every loss's blocks: its level, what the losses share in a block, and a part of its own."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(0.0, spread, NUM_BLOCKS)
    return {
        loss: (level + shift + shared + rng.normal(0.0, spread / 4, NUM_BLOCKS)).round(6).tolist()
        for loss, level in (levels or LEVELS).items()
    }


@dataclass
class Repo:
    """The folder of a study that Git knows."""

    folder: Path

    def write(
        self,
        scores: dict[str, list[float]],
        *,
        seed=20260,
        digest=DATA.digest,
        test_digest=TEST_DIGEST,
        metric="accuracy",
        params=None,
        spaces=None,
        terms=None,
    ) -> Results:
        """Write results, registration, manifest and params of a study with these block scores."""
        study = make_study(scores, metric=metric)
        for section, settings in (params or {}).items():
            section_now = getattr(study.params, section)
            study.params = study.params.model_copy(update={section: section_now.model_copy(update=settings)})
        study.params = study.params.model_copy(update={"study": study.params.study.model_copy(update={"seed": seed})})
        return self.write_study(study, digest=digest, test_digest=test_digest, terms=(spaces or {}) | (terms or {}))

    def write_study(self, study: Study, *, digest=DATA.digest, test_digest=TEST_DIGEST, terms=None) -> Results:
        """Write results, registration, manifest and params of this study, with some terms added."""
        found: dict[str, Space] = check_names(study.params)
        registration = registration_of(study.params, digest, found)
        registration = registration.model_copy(update={"terms": registration.terms | (terms or {})})
        results = study.results().model_copy(
            update={"protocol": registration.protocol, "data": DATA.model_copy(update={"digest": digest})}
        )
        (self.folder / "results.json").write_text(results.model_dump_json(indent=1) + "\n")
        write_registration(self.folder / "results/confirm/registration.json", registration)
        self.put("data/prepared/manifest.json", json.dumps({"digest": digest, "test_digest": test_digest}))
        with (self.folder / "params.yaml").open("w") as file:
            YAML(typ="safe", pure=True).dump(study.params.model_dump(mode="json"), file)
        return results

    def put(self, path: str, text: str) -> None:
        """Write a file."""
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)

    def put_sources(self, **edited: str) -> None:
        """Write the package, with some of its files edited; `__` in a name stands for a slash."""
        for name, text in (
            SOURCES | {key.replace("__", "/", 1) + ".py": value for key, value in edited.items()}
        ).items():
            self.put(f"src/losstune/{name}", text)

    def commit(self, message: str, tag: str) -> str:
        """Commit all there is, under a tag; return the SHA."""
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-qm", message)
        git(self.folder, "tag", tag)
        return git(self.folder, "rev-parse", "HEAD")
