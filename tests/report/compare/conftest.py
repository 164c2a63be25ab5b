"""A history of seven commits, each of which changes one thing."""

from __future__ import annotations

import pytest

from tests.report.compare.repo import Repo, block_scores, git

NOISY_DIGEST = "a1" * 32


@pytest.fixture
def repo(tmp_path) -> Repo:
    """One study, tagged base."""
    repo = Repo(tmp_path)
    git(tmp_path, "init", "-q", "-b", "main")
    repo.put_sources()
    repo.write(block_scores())
    repo.commit("A study", "base")
    return repo


@pytest.fixture(scope="session")
def history_repo(tmp_path_factory) -> Repo:
    """Tags name the states: base, refactor, range, seeds, noise, default, metric."""
    repo = Repo(tmp_path_factory.mktemp("history"))
    git(repo.folder, "init", "-q", "-b", "main")
    repo.put_sources()
    repo.write(block_scores())
    repo.commit("A study", "base")
    # Comments, a docstring, and a module that no training rests on.
    repo.put_sources(
        training__metrics='"""How good."""\n\n\ndef accuracy(hits, all):\n    # 0 to 1.\n    return hits / all\n',
        report__page="from losstune.training import loop\n\nTITLE = 'the report'\n",
    )
    repo.commit("Say what accuracy is", "refactor")
    repo.put_sources()
    spaces = {f"spaces.{loss}.learning_rate": "0.0001 to 0.01, log, first 0.001" for loss in block_scores()}
    repo.write(block_scores(shift=0.003, spread=0.0021), spaces=spaces)
    repo.commit("A narrower range of learning rates", "range")
    repo.write(block_scores(seed=1), seed=7)
    repo.commit("Other seeds", "seeds")
    repo.write(block_scores(seed=2, shift=-0.05), digest=NOISY_DIGEST, params={"data": {"label_noise": 0.2}})
    repo.commit("A fifth of the training labels wrong", "noise")
    scores = block_scores()
    scores["focal"] = [round(value + 0.02, 6) for value in scores["focal"]]
    repo.put_sources(losses__focal="from losstune.losses.spec import LossSpec\n\nGAMMA = 3.0\n")
    repo.write(scores, terms={"spaces.focal.gamma": "0 to 5, first 3"})
    repo.commit("focal begins at another gamma", "default")
    repo.put_sources()
    repo.write(block_scores(), metric="macro_f1")
    repo.commit("Judge by macro-F1", "metric")
    return repo
