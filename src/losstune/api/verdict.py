"""The verdict of a study, for Python and for notebooks."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console

from losstune.api.page import as_html
from losstune.core.errors import LosstuneError
from losstune.core.records import Configuration
from losstune.data import prepared
from losstune.losses.module import LossModule
from losstune.losses.registry import get
from losstune.report.scaled import is_known, scaled_scores
from losstune.report.terminal import print_report
from losstune.stages.layout import PREPARED, REPORT
from losstune.stages.report import read_results
from losstune.verdict.results import LossResult, Results

if TYPE_CHECKING:
    import pandas as pd


class Verdict:
    """The verdict of a study. In a notebook it shows itself: the sentence, the forest plot and the table.

    Attributes:
        results: All numbers, as in ``results.json``.
        folder: Folder of the study.
    """

    def __init__(self, results: Results, folder: Path, class_counts: tuple[int, ...] = ()) -> None:
        self.results = results
        self.folder = folder
        self._class_counts = class_counts

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        return self.results.verdict.sentence

    @property
    def loss(self) -> str:
        """Name of the loss to train with: the verdict's, or the baseline if there is no verdict."""
        return self.results.verdict.loss or self.results.baseline

    @property
    def report(self) -> Path:
        """The report, an HTML file that needs no other file."""
        return self.folder / REPORT

    def configuration(self, loss: str | None = None) -> Configuration:
        """Return what the search found: learning rate, weight decay and the loss's hyperparameters.

        Args:
            loss: A loss of the study; by default :attr:`loss`.

        Raises:
            LosstuneError: If the study has no such loss, or none of its trials finished.
        """
        name = loss or self.loss
        try:
            winner = self.results.of(name).winner
        except KeyError:
            known = ", ".join(result.loss for result in self.results.losses)
            raise LosstuneError(f"loss: found {name!r}, expected a loss of the study ({known})") from None
        if winner is None:
            raise LosstuneError(f"loss: found {name!r}, of which no search has a winner; the report says why")
        return winner

    def criterion(self, loss: str | None = None, **options: Any) -> LossModule:
        """Return the chosen loss with its tuned hyperparameters, in place of ``nn.CrossEntropyLoss``.

        Args:
            loss: A loss of the study; by default :attr:`loss`.
            **options: ``reduction``, ``weight`` and ``ignore_index``, as for ``nn.CrossEntropyLoss``.

        Raises:
            LosstuneError: As :meth:`configuration`.
        """
        winner = self.configuration(loss)
        bound = get(winner.loss).bind(winner.hyperparameters)
        if self._class_counts:
            bound = bound.with_counts(torch.tensor(self._class_counts))
        return bound.as_module(**options)

    def table(self) -> pd.DataFrame:
        """Return one row per loss, the best first; a value that does not exist is missing.

        The columns are the decision, the mean test score of the study's metric, the paired difference from the
        baseline with its simultaneous interval (`low`, `high`) and its p-value after Holm's correction, why the
        loss got no more trainings and the further trainings that an undecided one may need (`reason`,
        `trainings_needed`; with ``protocol: replicated`` the further blocks, `blocks_needed`), the other test
        scores by the loss's own map to probabilities, NLL, Brier score and ECE after temperature scaling
        (`scaled_nll` and so on) where the outputs are known, and the configuration that the search found.
        Scores and differences of a metric that is a fraction are fractions.
        """
        import pandas as pd

        return pd.DataFrame([self._row(result) for result in self.results.ranked()]).set_index("loss")

    def _row(self, result: LossResult) -> dict[str, Any]:
        metric, difference, winner = self.results.metric, result.difference, result.winner
        scores = {name: score.mean for name, score in result.scores.items()}
        return {
            "loss": result.loss,
            "decision": result.standing,
            metric: scores.pop(metric, None),
            "difference": difference.mean if difference else None,
            "low": difference.low if difference else None,
            "high": difference.high if difference else None,
            "p_holm": difference.p_holm if difference else None,
            **(
                {"reason": result.reason, "trainings_needed": result.trainings_needed}
                if self.results.is_pooled
                else {"blocks_needed": result.blocks_needed}
            ),
            **scores,
            **(scaled_scores(result) if is_known(self.results) else {}),
            "learning_rate": winner.learning_rate if winner else None,
            "weight_decay": winner.weight_decay if winner else None,
            **(winner.settings if winner else {}),
            "hyperparameters": winner.hyperparameters if winner else None,
        }

    def __str__(self) -> str:
        """Return the report as text, as ``losstune report`` prints it."""
        text = io.StringIO()
        print_report(self.results, {}, Console(file=text, width=120))
        return text.getvalue().rstrip()

    def __repr__(self) -> str:
        """Return the sentence."""
        return self.sentence

    def _repr_html_(self) -> str:
        # A notebook is often shared, and with it this text.
        is_here = Path.cwd() in self.report.parents
        return as_html(self.results, self.report.relative_to(Path.cwd()) if is_here else self.report)


def read_verdict(folder: Path) -> Verdict:
    """Read the verdict of the study in `folder`.

    Raises:
        LosstuneError: If no run has finished there.
    """
    results = read_results(folder)
    return Verdict(results, folder, prepared.read_manifest(folder / PREPARED).counts.train)
