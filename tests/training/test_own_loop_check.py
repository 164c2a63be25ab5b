"""What is said about a training loop before anything trains."""

from dataclasses import replace

import pytest

from losstune.core.errors import LosstuneError
from losstune.losses.registry import get
from losstune.training.own_loop_check import check_loop, try_loop
from losstune.training.task import without_samples
from tests.small import digits_arrays
from tests.training.test_own_loop import FILES_LOOP, PLAIN, REPORT, RETURN, linear, write

__all__ = ["write"]  # a fixture


@pytest.fixture
def arrays():
    return replace(digits_arrays(), test_images=None, test_labels=None, digest="no test split")


def check(task, arrays):
    return check_loop(task, arrays, get(task.configuration.loss).bind(task.configuration.hyperparameters))


@pytest.mark.parametrize("text", [PLAIN, linear()], ids=["outputs", "scores"])
def test_nothing_is_said_of_a_good_loop(write, arrays, text):
    assert check(write(text, batch_size=512, epochs=7), arrays) == []


def test_a_loop_that_seeds_itself_is_found(write, arrays):
    (note,) = check(write(linear().replace("    model =", "    torch.manual_seed(3)\n    model =", 1)), arrays)
    assert note.startswith("mine.py:train: 3 seeds give the same score; if it sets a seed of its own,")


def test_a_loop_that_draws_elsewhere_is_found(write, arrays):
    elsewhere = "    generator = torch.Generator()\n    torch.manual_seed(generator.seed())\n"
    text = linear().replace("    model =", f"{elsewhere}    model =", 1).replace("_(1)", "")
    (note,) = check(write(text), arrays)
    assert note.startswith("mine.py:train: the same seed gives different scores, so no result can be repeated,")


def test_a_loop_that_raises_is_told_with_its_line(write, arrays):
    with pytest.raises(
        LosstuneError, match=r"^training.loop: mine.py:train raises in mine.py, line 15: ValueError: no$"
    ):
        check(write(linear("raise ValueError('no')")), arrays)


def test_a_loop_without_a_test_score_is_found_before_the_confirmation(write, arrays):
    with pytest.raises(LosstuneError, match="returned no test score, expected one"):
        check(write(linear(back="return Result(validation=0.5)")), arrays)


def test_a_loop_that_diverges_is_told(write, arrays):
    (note,) = check(write(linear(REPORT.replace("accuracy(job.validation)", "float('nan')"))), arrays)
    assert note == "mine.py:train diverged on a few samples: the validation score became nan in epoch 1"


def test_a_loop_knows_that_it_is_tried(write, arrays):
    body = "assert job.is_check and job.epochs == 1 and len(job.train) <= 64 and job.batch_size <= 32\n    "
    assert check(write(linear(back=body + RETURN)), arrays) == []


def test_a_loop_that_reads_its_data_itself_scores_no_test_split(write, tmp_path):
    (tmp_path / "values.txt").write_text("0.1 0.2 0.3")
    text = FILES_LOOP.replace("values = ", "assert not job.score_test; values = ")
    task = replace(write(text), score="mean_iou")
    result = try_loop(task, without_samples(0, "digest", str(tmp_path)), get("cross_entropy").bind())
    assert result.validation == {"mean_iou": 0.3}
