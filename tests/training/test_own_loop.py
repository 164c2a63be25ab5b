"""A training loop of the user's own: it gives what losstune's own loop gives, and a mistake is one clear line."""

import random
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load

from losstune.config.settings import ModelSettings, OwnSettings
from losstune.core.errors import LosstuneError
from losstune.core.metric import STANDARD
from losstune.losses.registry import get
from losstune.models import build_model
from losstune.study.jobs import train_timed
from losstune.training import loop, own_loop
from losstune.training.task import without_samples
from tests.paths import REPOSITORY
from tests.small import digits_arrays, small_task

PLAIN = """
import torch
from losstune import Job, Logits, Result

def outputs(model, samples):
    with torch.no_grad():
        return Logits(model.eval()(samples.inputs))

def train(job: Job) -> Result:
    model = job.build_model()
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": job.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=job.learning_rate, fused=True)
    num_batches = len(job.train) // job.batch_size
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, job.epochs * num_batches)
    order = job.generator("order")
    for epoch in range(1, job.epochs + 1):
        total = 0.0
        model.train()
        for index in torch.randperm(len(job.train), generator=order).split(job.batch_size)[:num_batches]:
            inputs, labels = job.train[index]
            loss = job.criterion(model(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() / num_batches
        job.report(epoch, outputs(model, job.validation), train_loss=total)
    return Result(
        validation=outputs(model, job.validation),
        test=outputs(model, job.test) if job.score_test else None,
        weights=model.state_dict(),
    )
"""

LINEAR = """
import torch
from losstune import Job, Result, Stopped

def train(job, scale=1.0, log=None):
    model = torch.nn.Linear(64, job.num_classes)
    optimizer = torch.optim.SGD(model.parameters(), lr=job.learning_rate)
    accuracy = lambda part: (model(part.inputs.flatten(1)).argmax(1) == part.labels).float().mean().item()
    for epoch in range(1, job.epochs + 1):
        for index in torch.randperm(len(job.train)).split(job.batch_size):
            inputs, labels = job.train[index]
            optimizer.zero_grad()
            job.criterion(scale * model(inputs.flatten(1)), labels).backward()
            optimizer.step()
        REPORT
    RETURN
"""
REPORT = "job.report(epoch, accuracy(job.validation))"
RETURN = "return Result(validation=accuracy(job.validation), test=accuracy(job.test) if job.score_test else None)"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes a loop and returns a task that trains with it."""
    monkeypatch.chdir(tmp_path)

    def written(text, *, options=None, **settings):
        (tmp_path / "mine.py").write_text(text)
        task = small_task(**settings)
        own = OwnSettings(name="mine.py:train", options=options or {})
        return replace(task, training=task.training.model_copy(update={"loop": own}))

    return written


def linear(report=REPORT, back=RETURN):
    return LINEAR.replace("REPORT", report).replace("RETURN", back)


def run(task, arrays=None, rungs=()):
    loss = get(task.configuration.loss).bind(task.configuration.hyperparameters)
    return list(own_loop.train(task, arrays or digits_arrays(), loss, rungs))


@pytest.mark.parametrize(("loss", "model"), [("cross_entropy", "mlp"), ("focal", "cnn"), ("class_balanced", "mlp")])
def test_a_loop_that_repeats_the_steps_of_losstune_gives_its_results(write, loss, model):
    task = write(PLAIN, loss=loss, model=model, epochs=4, test=True, keep_weights=True)
    ((found,),) = run(task)
    plain = replace(task, training=task.training.model_copy(update={"loop": None}))
    ((expected,),) = loop.train(plain, digits_arrays(), get(loss).bind())
    assert found.status == "finished"
    assert found.num_parameters == expected.num_parameters
    for name in STANDARD:
        assert found.validation[name] == pytest.approx(expected.validation[name], rel=1e-3), name
        assert found.test[name] == pytest.approx(expected.test[name], rel=1e-3), name
    assert [epoch.train_loss for epoch in found.curve] == pytest.approx(
        [epoch.train_loss for epoch in expected.curve], rel=1e-3
    )
    assert found.confusion == expected.confusion
    assert found.predictions == expected.predictions
    assert found.temperature == pytest.approx(expected.temperature, rel=1e-3)
    for way, fit in found.calibration.items():
        assert fit.nll == pytest.approx(expected.calibration[way].nll, rel=1e-3), way
    assert len(found.weights) > 1000


@pytest.mark.parametrize("freeze", ["none", "backbone", ("0", "1")])
def test_a_loop_starts_from_pretrained_weights_and_leaves_frozen_layers_alone(write, freeze):
    torch.manual_seed(5)
    model = ModelSettings(name="cnn", width=16, depth=1)
    weights = {name: value.numpy() for name, value in build_model(model, (1, 8, 8), 10).state_dict().items()}
    task = write(PLAIN, model="cnn", epochs=2, keep_weights=True)
    task = replace(task, model=model.model_copy(update={"freeze": freeze}))
    arrays = replace(digits_arrays(), weights=weights)
    ((found,),) = run(task, arrays)
    plain = replace(task, training=task.training.model_copy(update={"loop": None}))
    ((expected,),) = loop.train(plain, arrays, get("cross_entropy").bind())
    assert found.num_parameters == expected.num_parameters
    assert [epoch.train_loss for epoch in found.curve] == pytest.approx(
        [epoch.train_loss for epoch in expected.curve], rel=1e-3
    )
    trained = load(found.weights)
    for name in ("0.weight", "1.running_mean"):
        assert torch.equal(trained[name], torch.from_numpy(weights[name])) == (freeze != "none"), name


def test_a_loop_may_return_scores_alone(write):
    ((found,),) = run(write(linear(), test=True))
    assert found.status == "finished"
    assert found.validation.keys() == found.test.keys() == {"accuracy"}
    assert [epoch.validation["accuracy"] for epoch in found.curve][-1] == found.validation["accuracy"] > 0.3
    assert found.confusion is found.predictions is found.calibration is None


def test_the_same_seed_gives_the_same_result_and_another_one_another(write):
    task = write(linear(), seeds=(5,))
    torch.manual_seed(17)
    states = torch.get_rng_state(), random.getstate()
    first = run(task)
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == random.getstate()
    torch.rand(3)
    assert str(run(task)) == str(first)
    assert str(run(replace(task, seeds=(6,)))) != str(first)


def test_several_seeds_give_what_each_gives_alone(write):
    together = run(write(linear(), seeds=(5, 6)), rungs=(1,))
    alone = [run(write(linear(), seeds=(seed,)))[0] for seed in (5, 6)]
    assert str(together) == str([[alone[0][0], alone[1][0]]])


RUNGS = (1, 2)


def test_the_caller_decides_at_each_rung(write):
    task = write(linear(), epochs=4, test=True)
    results = run(task, rungs=RUNGS)
    assert [result.status for (result,) in results] == ["stopped", "stopped", "finished"]
    assert [len(result.curve) for (result,) in results] == [1, 2, 4]
    assert results[1][0].validation == results[1][0].curve[-1].validation
    assert results[1][0].test is None
    ((undisturbed,),) = run(task)
    assert str(results[2][0]) == str(undisturbed)


CLEANS_UP = """
        try:
            REPORT
        except Stopped:
            open(log, "a").write(f"stopped in {epoch}, ")
            raise
"""
SWALLOWS = """
        try:
            REPORT
        except BaseException as error:
            open(log, "a").write(f"{type(error).__name__} in {epoch}, ")
"""


@pytest.mark.parametrize(
    ("report", "written"),
    [(CLEANS_UP, "stopped in 2, "), (SWALLOWS, "Stopped in 2, Stopped in 3, Stopped in 4, ")],
    ids=["cleans up", "swallows it"],
)
def test_a_loop_that_is_stopped_ends(write, tmp_path, report, written):
    log = tmp_path / "log"
    task = write(linear(report.replace("REPORT", REPORT).strip()), options={"log": str(log)}, epochs=4)
    progress = own_loop.train(task, digits_arrays(), get("cross_entropy").bind(), (2,))
    (result,) = next(progress)
    assert result.status == "stopped"
    progress.close()
    assert log.read_text() == written
    ((again,),) = run(task)  # the next training is not disturbed
    assert again.status == "finished"


@pytest.mark.parametrize("score", ["nan", "inf"])
@pytest.mark.parametrize("handler", ["", "except"])
def test_a_score_that_is_not_finite_is_a_divergence(write, score, handler):
    report = f"job.report(epoch, accuracy(job.validation) if epoch < 2 else float('{score}'))"
    if handler:
        report = f"try:\n            {report}\n        except BaseException:\n            pass"
    ((result,),) = run(write(linear(report), test=True))
    assert result.status == "diverged"
    assert result.cause == f"the validation score became {score} in epoch 2"
    assert result.validation["accuracy"] == result.test["accuracy"] == 0.0
    assert len(result.curve) == 1


NOT_FINITE = {
    "validation": "return Result(validation=float('nan'))",
    "test": "return Result(validation=0.5, test=torch.full((160, 10), float('nan')))",
}


@pytest.mark.parametrize("split", NOT_FINITE)
def test_a_final_score_that_is_not_finite_is_a_divergence(write, split):
    ((result,),) = run(write(linear(back=NOT_FINITE[split]), test=split == "test"))
    assert result.status == "diverged"
    assert result.cause.startswith(f"the {split} score became ")


def test_an_exception_is_a_failed_training_with_its_cause(write):
    task = write(linear("raise RuntimeError('the disk of the loop is full')"), test=True)
    (timed,) = train_timed(task, digits_arrays(), ())
    assert timed.results[0].status == "failed"
    assert timed.results[0].cause == "RuntimeError: the disk of the loop is full"
    assert timed.results[0].test["accuracy"] == 0.0


FIXED = "return Result(validation=0.5, test=0.5)"
PROBABILITIES = "torch.full((160, 10), 0.1)"
MISTAKES = {
    "returns nothing": (REPORT, "pass", "returned nothing, expected a losstune.Result"),
    "returns a number": (REPORT, "return 0.5", "returned a float, expected a losstune.Result"),
    "no validation score": (
        REPORT,
        "return Result(validation=None, test=0.5)",
        "returned no validation score, expected a score or probabilities",
    ),
    "no test score": (
        REPORT,
        "return Result(validation=0.5)",
        "returned no test score, expected one, as job.score_test is true: Result(validation=..., test=...)",
    ),
    "never reports": ("pass", FIXED, "reported 0 of 3 epochs; expected job.report(epoch, score) after each of job.epo"),
    "stops early by itself": ("job.report(epoch, 0.5)\n        break", FIXED, "reported 1 of 3 epochs; expected job."),
    "reports from epoch 0": ("job.report(epoch - 1, 0.5)", FIXED, "reported epoch 0, expected epoch 1: one report aft"),
    "reports every second": ("job.report(2 * epoch, 0.5)", FIXED, "reported epoch 2, expected epoch 1: one report aft"),
    "reports too often": (
        "job.report(epoch, 0.5)\n        if epoch == 3: job.report(4, 0.5)",
        FIXED,
        "reported epoch 4 after the last one, 3; expected job.epochs reports",
    ),
    "reports a text": (
        "job.report(epoch, '0.5')",
        FIXED,
        "reported in epoch 1 a str as the validation score, expected a number, class probabilities (N, C), or",
    ),
    "reports nothing": ("job.report(epoch, None)", FIXED, "reported in epoch 1 nothing as the validation score"),
    "reports classes": (
        "job.report(epoch, torch.zeros(160, dtype=torch.int64))",
        FIXED,
        "reported in epoch 1 int64 of shape (160,) for the validation split, expected a number, or probabilities of "
        "shape (160, 10)",
    ),
    "too few samples": (
        REPORT,
        "return Result(validation=torch.full((32, 10), 0.1), test=0.5)",
        "returned float32 of shape (32, 10) for the validation split, expected a number, or probabilities of shape (16",
    ),
    "no probabilities": (
        REPORT,
        f"return Result(validation={PROBABILITIES}, test=3 * {PROBABILITIES})",
        "returned probabilities of the test split that are none: row 0 sums to 3, expected non-negative rows that sum "
        "to 1, such as those of job.probabilities(logits)",
    ),
    "a mistake is caught": (
        "try:\n            job.report(7, 0.5)\n        except Exception:\n            pass",
        FIXED,
        "reported epoch 7, expected epoch 1: one report after each epoch, from 1",
    ),
    "a mistake becomes another": (
        "try:\n            job.report(7, 0.5)\n        except Exception:\n            raise KeyError('x')",
        FIXED,
        "reported epoch 7, expected epoch 1: one report after each epoch, from 1",
    ),
    "reports in a thread": (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "        ThreadPoolExecutor().submit(job.report, epoch, 0.5).result()",
        FIXED,
        "calls job.report in another thread, expected the thread that called the loop",
    ),
    "changes the data": (
        f"job.train.inputs.mul_(0.5)\n        {REPORT}",
        FIXED,
        "changes the job's data in place, which other trainings use; copy it",
    ),
    "weights of another kind": (
        REPORT,
        "return Result(validation=0.5, test=0.5, weights=model)",
        "returned weights that are not model.state_dict()",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(write, mistake):
    report, back, expected = MISTAKES[mistake]
    task = write(linear(report, back), test=True, keep_weights=True)
    with pytest.raises(LosstuneError) as caught:
        run(task)
    assert str(caught.value).startswith(f"training.loop: mine.py:train {expected}")
    assert "\n" not in str(caught.value)
    (timed,) = train_timed(task, digits_arrays(), ())
    assert timed.results[0].status == "failed"
    assert str(caught.value)[:150] in timed.results[0].cause


def test_the_search_must_not_score_the_test_split(write):
    with pytest.raises(LosstuneError, match=r"returned a test score although job.score_test is false; the search must"):
        run(write(linear(back=FIXED)))


def test_a_loop_that_does_not_take_the_job_or_an_option_is_told_how(write):
    with pytest.raises(LosstuneError, match=r"^training.loop: mine.py:train can't be called with job: too many posit"):
        run(write("def train(): ..."))
    with pytest.raises(LosstuneError, match=r"can't be called with job, size: got an unexpected keyword argument 'si"):
        run(write(linear(), options={"size": 3}))


def test_options_are_arguments_of_the_loop(write):
    assert str(run(write(linear(), options={"scale": 0.1}))) != str(run(write(linear())))


def test_a_loss_with_a_last_layer_of_its_own_needs_it(write):
    with pytest.raises(
        LosstuneError, match=r"arcface needs a last layer of its own; pass the network through job.adap"
    ):
        run(write(linear(), loss="arcface"))
    network = "torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, job.num_classes))"
    adapted = linear().replace("torch.nn.Linear(64, job.num_classes)", f"job.adapt_head({network})")
    ((result,),) = run(write(adapted, loss="arcface"))
    assert result.status == "finished"


def test_probabilities_of_another_link_give_no_softmax_calibration(write):
    back = (
        "outputs = lambda part: job.probabilities(model(part.inputs.flatten(1)))\n"
        "    return Result(validation=outputs(job.validation), test=outputs(job.test))"
    )
    ways = {}
    for loss in ("cross_entropy", "sigmoid_bce"):
        ((result,),) = run(write(linear(back=back), loss=loss, test=True))
        ways[loss] = set(result.calibration)
        assert result.test.keys() == set(STANDARD)
    assert ways == {"cross_entropy": {"softmax", "link", "scaled"}, "sigmoid_bce": {"link"}}


FILES_LOOP = """
from losstune import Result

def train(job):
    assert job.train is job.test is job.input_shape is None
    values = [float(text) for text in (job.data_root / "values.txt").read_text().split()]
    for epoch in range(1, job.epochs + 1):
        job.report(epoch, values[epoch] + job.seed / 2**33)
    return Result(validation=values[-1], test=values[0] if job.score_test else None)
"""


def test_a_loop_may_read_its_data_itself(write, tmp_path):
    (tmp_path / "values.txt").write_text("0.1 0.2 0.3 0.4 0.5")
    task = replace(write(FILES_LOOP, test=True), score="mean_iou")
    ((result,),) = run(task, without_samples(0, "digest", str(tmp_path)))
    assert (result.status, result.validation, result.test) == ("finished", {"mean_iou": 0.5}, {"mean_iou": 0.1})
    array = FILES_LOOP.replace("validation=values[-1]", "validation=[[0.5, 0.5]]")
    with pytest.raises(LosstuneError, match="expected a number: losstune knows no labels of data that the loop reads"):
        run(replace(write(array, test=True), score="mean_iou"), without_samples(0, "digest", str(tmp_path)))
    counted = FILES_LOOP.replace("assert", "job.criterion; assert")
    with pytest.raises(LosstuneError, match="class_balanced needs the number of training samples of each class"):
        run(write(counted, loss="class_balanced"), without_samples(3, "digest", str(tmp_path)))


def test_samples_are_a_map_style_dataset(write):
    body = (
        "from torch.utils.data import DataLoader\n"
        "    assert job.train[3][0].shape == (1, 8, 8) and job.train[3][1].shape == ()\n"
        "    assert torch.equal(job.train[[3, -1]][0], torch.stack([job.train[3][0], job.train[-1][0]]))\n"
        "    inputs, labels = zip(*DataLoader(job.train, batch_size=50))\n"
        "    assert torch.equal(torch.cat(inputs), job.train.inputs)\n"
        "    assert torch.equal(torch.cat(labels), job.train.labels) and len(list(job.validation)) == 160\n    "
    )
    ((result,),) = run(write(linear(back=body + RETURN)))
    assert result.status == "finished"


def test_a_pixelwise_loss_is_the_loss_of_the_rows(write):
    body = (
        "logits, target = torch.randn(2, 10, 3, 4), torch.randint(10, (2, 3, 4))\n"
        "    rows = logits.permute(0, 2, 3, 1).reshape(-1, 10)\n"
        "    assert torch.isclose(job.criterion(logits, target), job.criterion(rows, target.flatten()))\n"
        "    same = job.probabilities(logits).permute(0, 2, 3, 1).reshape(-1, 10)\n"
        "    assert torch.allclose(same, job.probabilities(rows))\n    "
    )
    ((result,),) = run(write(linear(back=body + RETURN), loss="sigmoid_bce"))
    assert result.status == "finished"


def test_the_loop_of_the_docs_trains(write):
    page = (REPOSITORY / "docs/your-own.md").read_text(encoding="utf-8")
    (code,) = [text.partition("```")[0] for text in page.split("```python\n")[1:] if "job: Job" in text]
    ((result,),) = run(write(code, test=True))
    assert result.test["accuracy"] > 0.7


def test_a_loop_that_changes_global_state_changes_it_for_itself_alone(write):
    changed = (
        "torch.set_default_dtype(torch.float64); torch.use_deterministic_algorithms(True)\n    "
        "torch.set_grad_enabled(False); torch.set_num_threads(2)\n    "
    )
    threads = torch.get_num_threads()
    run(write(linear(back=changed + RETURN)))
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == threads
