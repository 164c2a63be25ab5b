from __future__ import annotations

from losstune.stages.report import promoted
from losstune.study.ledger import Ledger
from losstune.study.shared_ledger import weights_name
from tests.report.studies import make_study
from tests.verdict.test_pipeline import GATED


def test_the_model_to_use_is_of_the_search_that_validation_prefers(tmp_path):
    study, ledger = make_study(GATED), Ledger(tmp_path)
    # The second search of focal ends higher in validation than the first, that of cross-entropy no higher.
    study.tune = [
        record.model_copy(update={"validation": record.validation | {"accuracy": 0.95}})
        if (record.configuration.loss, record.number) == ("focal", "1.1")
        else record
        for record in study.tune
    ]
    for record in study.confirm:
        if record.role == "block" and record.index == 0:
            path = ledger.folder.parent / weights_name(record.key)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    found = promoted(study.results(), study.confirm, ledger)
    assert {role: (r.configuration.loss, r.number) for role, r in found.items()} == {
        "champion": ("focal", "1.0"),
        "baseline": ("cross_entropy", "0.0"),
    }
