"""A training loop of the user's own: it gives what losstune's own loop gives, and a mistake is one clear line."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from losstune.config.settings import OwnSettings
from losstune.losses.registry import get
from losstune.study.jobs import train_timed
from losstune.training import loop, own_loop
from losstune.training.metrics import METRICS
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
    for name in METRICS:
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


def test_a_loop_may_return_scores_alone(write):
    ((found,),) = run(write(linear(), test=True))
    assert found.status == "finished"
    assert found.validation.keys() == found.test.keys() == {"accuracy"}
    assert [epoch.validation["accuracy"] for epoch in found.curve][-1] == found.validation["accuracy"] > 0.3
    assert found.confusion is found.predictions is found.calibration is None


def test_the_same_seed_gives_the_same_result_and_another_one_another(write):
    task = write(linear(), seeds=(5,))
    torch.manual_seed(17)
    state = torch.get_rng_state(), np.random.get_state()[1].tolist()
    first = run(task)
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1] == np.random.get_state()[1].tolist()
    torch.rand(3)
    assert str(run(task)) == str(first)
    assert str(run(replace(task, seeds=(6,)))) != str(first)


def test_several_seeds_give_what_each_gives_alone(write):
    together = run(write(linear(), seeds=(5, 6)), rungs=(1,))
    alone = [run(write(linear(), seeds=(seed,)))[0] for seed in (5, 6)]
    assert str(together) == str([[alone[0][0], alone[1][0]]])
