"""What is read of a study's results, and what is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from losstune.core.errors import LosstuneError
from losstune.report.across.cells import read_cells
from tests.report.across.studies import random_scores, write_cells, write_study
from tests.report.studies import make_study

SCORES = random_scores(1)[0]


def refusal(folders) -> str:
    with pytest.raises(LosstuneError) as told:
        read_cells(folders)
    assert "\n" not in str(told.value)
    return str(told.value)


def test_a_cell_is_named_by_its_folder_or_its_path_where_two_are_alike(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, path in enumerate(("a/run", "b/run", "b/other")):
        write_study(tmp_path / path, SCORES, digest=str(number))
    relative = [Path("a/run"), Path("b/run"), Path("b/other")]
    assert [cell.name for cell in read_cells(relative)] == ["a/run", "b/run", "other"]
    monkeypatch.chdir(tmp_path / "b" / "other")
    names = [cell.name for cell in read_cells([Path("../run"), Path(".")])]
    assert names == ["run", "digits-cnn"], "a clone may have any name, so the study's own one counts"


def test_the_results_that_a_report_writes_are_read(tmp_path):
    results = make_study({"cross_entropy": [0.9] * 6, "kl_divergence": [0.9] * 6, "focal": [0.91] * 6}).results()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        values = results.model_copy(update={"model": name}).model_dump(mode="json")
        (tmp_path / name / "results.json").write_text(json.dumps(values))
    first, _ = read_cells([tmp_path / "a", tmp_path / "b"])
    assert [result.loss for result in first.study.losses] == ["cross_entropy", "kl_divergence", "focal"]
    assert [result.part for result in first.study.losses] == ["baseline", "control", "candidate"]
    assert [block["accuracy"] for block in first.study.losses[2].blocks] == [0.91] * 6
    assert first.study.losses[1].equals == "cross_entropy"


def test_a_missing_folder_is_told_with_the_nearest(tmp_path):
    write_study(tmp_path / "digits-cnn", SCORES)
    message = refusal([tmp_path / "digits-cn", tmp_path / "digits-cnn"])
    assert message == (
        f"{tmp_path}/digits-cn: no such folder, expected one with a study's results.json; did you mean 'digits-cnn'?"
    )


def test_missing_and_damaged_results(tmp_path):
    (good,) = write_cells(tmp_path, random_scores(1))
    bad = tmp_path / "bad"
    bad.mkdir()
    path = bad / "results.json"
    assert refusal([good, bad]) == f"{path}: no such file; `losstune report` writes it"
    for text, problem in (
        ("{", "not a study's results (Expecting property name"),
        ("[]", "not a study's results (list indices must be"),
        ('{"a": 1}', "not a study's results (no 'results_version')"),
        ('{"results_version": 1}', "found results_version 1, expected "),
    ):
        path.write_text(text)
        assert refusal([good, bad]).startswith(f"{path}: {problem}")
    values = json.loads((good / "results.json").read_text())
    values["losses"][1]["difference"]["mean"] = "much"
    path.write_text(json.dumps(values))
    assert refusal([good, bad]).startswith(f"{path}: damaged (losses.1.difference.mean: Input should be a valid number")


def test_results_without_what_is_compared_are_damaged(tmp_path):
    good, bad = write_cells(tmp_path, random_scores(2))
    path = bad / "results.json"
    values = json.loads(path.read_text())
    for blocks, problem in (
        ([], "no blocks of the baseline cross_entropy"),
        ([{"nll": 0.1}], "a block of cross_entropy has no accuracy"),
        ([{"accuracy": "Infinity"}], "a block of cross_entropy has no accuracy"),
    ):
        values["losses"][0]["blocks"] = blocks
        path.write_text(json.dumps(values))
        assert refusal([good, bad]) == f"{path}: damaged ({problem}); `losstune report` writes it again"


def test_one_study_is_no_comparison(tmp_path):
    assert refusal(write_cells(tmp_path, random_scores(1))) == "found 1 study, expected two or more to compare"
    assert refusal([]) == "found 0 studies, expected two or more to compare"


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"metric": "macro_f1"}, "found metric macro_f1, expected accuracy"),
        ({"baseline": "focal"}, "found baseline focal, expected cross_entropy"),
        ({"alpha": 0.1}, "found alpha 0.1, expected 0.05"),
    ],
)
def test_another_question_is_refused(tmp_path, settings, found):
    one = write_study(tmp_path / "one", SCORES)
    other = write_study(tmp_path / "other", SCORES, digest="60", identical={}, **settings)
    message = f"{other}/results.json: {found} as in {one}; other studies are not comparable"
    assert refusal([one, other]) == message


def test_the_same_data_and_model_twice_is_refused(tmp_path):
    one = write_study(tmp_path / "one", SCORES)
    other = write_study(tmp_path / "other", SCORES)
    assert refusal([one, other]) == (
        f"{other}/results.json: found the same data and model as in {one} (digits with the cnn), expected each once, "
        "or it would count twice"
    )
    write_study(tmp_path / "other", SCORES, model="mlp")
    assert len(read_cells([one, other])) == 2


def test_cells_that_rest_on_the_same_samples_are_known_by_the_datas_name(tmp_path):
    folders = [
        write_study(tmp_path / str(number), SCORES, data=data, digest=digest)
        for number, (data, digest) in enumerate(
            [
                ("digits", "1"),
                ("digits", "2"),
                ("npz", "3"),
                ("npz", "4"),
                ("table", "6"),
                ("table", "7"),
                ("MNIST", "5"),
            ]
        )
    ]
    assert len({cell.source for cell in read_cells(folders)}) == 6
