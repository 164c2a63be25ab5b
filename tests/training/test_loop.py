"""The training loop, checked against a plain loop in the textbook's words, and its streams against each other."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from losstune.core.seeds import derive_seed
from losstune.losses.registry import get
from losstune.losses.spec import BoundLoss
from losstune.models import build_model
from losstune.training.augmentation import flip_and_crop
from losstune.training.device_data import DeviceData
from losstune.training.loop import train
from losstune.training.optimisation import Optimizer
from tests.small import digits_arrays, small_task


def run(task, arrays=None, loss=None, rungs=()):
    loss = loss or get(task.configuration.loss).bind(task.configuration.hyperparameters)
    return list(train(task, arrays or digits_arrays(), loss, rungs))


def textbook_loop(task, arrays):
    """Cross-entropy, AdamW and a cosine schedule as PyTorch ships them; gives the network and its training losses."""
    seed = task.seeds[0]
    torch.manual_seed(derive_seed(seed, "initialisation"))
    network = build_model(task.model, arrays.train_images.shape[1:], arrays.num_classes)
    order = torch.Generator().manual_seed(derive_seed(seed, "order"))
    images = (torch.from_numpy(arrays.train_images).float() - arrays.mean[0]) / arrays.std[0]
    labels = torch.from_numpy(arrays.train_labels)
    decay = task.configuration.weight_decay
    groups = [
        {"params": [p for p in network.parameters() if p.dim() > 1], "weight_decay": decay},
        {"params": [p for p in network.parameters() if p.dim() <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=task.configuration.learning_rate, fused=False, foreach=False)
    num_batches = len(labels) // task.training.batch_size
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, task.training.epochs * num_batches)
    losses = []
    for _ in range(task.training.epochs):
        network.train()
        total = 0.0
        for index in torch.randperm(len(labels), generator=order).split(task.training.batch_size)[:num_batches]:
            loss = nn.functional.cross_entropy(network(images[index]), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        losses.append(total / num_batches)
    return network.eval(), losses


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_it_trains_as_the_textbook_loop_does(model):
    arrays = digits_arrays()
    task = small_task(model=model, learning_rate=3e-3, test=True, keep_weights=True)
    network, losses = textbook_loop(task, arrays)
    ((result,),) = run(task)
    assert result.status == "finished"
    assert [epoch.train_loss for epoch in result.curve] == pytest.approx(losses, rel=2e-3)
    weights = load(result.weights)
    for name, expected in network.state_dict().items():
        torch.testing.assert_close(weights[name], expected, rtol=2e-2, atol=2e-3)


def test_scores_are_those_of_the_weights():
    arrays = digits_arrays()
    task = small_task(epochs=10, test=True, keep_weights=True)
    ((result,),) = run(task)
    network = build_model(task.model, (1, 8, 8), 10)
    network.load_state_dict(load(result.weights))
    network.eval()
    for images, labels, scores in (
        (arrays.validation_images, arrays.validation_labels, result.validation),
        (arrays.test_images, arrays.test_labels, result.test),
    ):
        inputs = (torch.from_numpy(images).float() - arrays.mean[0]) / arrays.std[0]
        probabilities = network(inputs).double().softmax(1).detach().numpy()
        assert scores["accuracy"] == pytest.approx(accuracy_score(labels, probabilities.argmax(1)))
        assert scores["nll"] == pytest.approx(log_loss(labels, probabilities, labels=range(10)), rel=1e-4)
    expected = confusion_matrix(arrays.test_labels, probabilities.argmax(1), labels=range(10))
    np.testing.assert_array_equal(np.array(result.confusion), expected)
    assert result.curve[-1].validation == result.validation
    assert result.validation["accuracy"] > 0.8


@pytest.mark.parametrize("model", ["mlp", "cnn", "resnet"])
def test_the_same_task_gives_the_same_outcome_to_the_bit(model):
    task = small_task(model=model, epochs=2, test=True, keep_weights=True, augmentation="crop")
    torch.manual_seed(99)
    first = run(task)
    torch.rand(7)
    assert run(task) == first


def test_the_caller_keeps_its_random_state_and_threads():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    num_threads = torch.get_num_threads()
    run(small_task(epochs=1))
    assert torch.equal(torch.rand(4), expected)
    assert torch.get_num_threads() == num_threads


def test_every_source_of_randomness_has_a_stream_of_its_own(monkeypatch):
    """Of initialisation and order the textbook's loop says so; this is of what it doesn't have."""
    streams, draws = set(), []

    def recorded(images, generator):
        streams.add(generator.initial_seed())
        draws.append(torch.initial_seed())
        return flip_and_crop("crop")(images, generator)

    monkeypatch.setattr("losstune.training.training.augmentation_of", lambda setting, data: recorded)
    run(small_task(model="cnn", epochs=1, augmentation="crop", seeds=(5,)))
    assert streams == {derive_seed(5, "augmentation")}
    assert {*draws} == {derive_seed(5, "dropout")}


@pytest.mark.parametrize("missing", ["test_images", "test_labels"])
def test_a_task_with_test_scores_needs_a_test_split(missing):
    arrays = replace(digits_arrays(), **{missing: None}, digest=f"no {missing}")
    with pytest.raises(ValueError, match=r"^a task asks for test scores, but was given no test split$"):
        run(small_task(epochs=1, test=True), arrays)


def test_several_seeds_give_what_each_gives_alone():
    (together,) = run(small_task(seeds=(1, 2, 3), model="cnn", epochs=2))
    for seed, result in zip((1, 2, 3), together, strict=True):
        ((alone,),) = run(small_task(seeds=(seed,), model="cnn", epochs=2))
        assert result == alone
    assert len({result.curve[-1].train_loss for result in together}) == 3


def test_equal_losses_under_equal_seeds_are_the_same_to_the_bit():
    identical = [
        run(small_task(loss, model="cnn", test=True, keep_weights=True))[0][0]
        for loss in ("cross_entropy", "kl_divergence")
    ]
    assert identical[0] == identical[1]


def skewed_arrays():
    arrays = digits_arrays()
    kept = arrays.train_labels < 2
    kept[::9] = True  # two classes are frequent, eight rare
    return replace(
        arrays, train_images=arrays.train_images[kept], train_labels=arrays.train_labels[kept], digest="skewed"
    )


def test_a_loss_of_the_class_prior_is_told_the_training_splits_counts():
    arrays = skewed_arrays()
    seen = []

    def function(logits_NC, target_N, tau, counts_C):
        seen.append(counts_C)
        return get("logit_adjusted").function(logits_NC, target_N, tau, counts_C)

    task = small_task(epochs=1)
    train_one = BoundLoss(replace(get("logit_adjusted"), function=function), {"tau": 1.0})
    *_, (result,) = train(task, arrays, train_one)
    assert result.status == "finished"
    assert seen[0].tolist() == np.bincount(arrays.train_labels, minlength=10).tolist()


def test_outputs_without_the_prior_decide_where_all_classes_count_the_same():
    task, loss = small_task("logit_adjusted", epochs=3), get("logit_adjusted").bind()
    scores = [
        run(task, skewed_arrays(), replace(loss, spec=replace(loss.spec, balanced_outputs=balanced)))[0][0].validation
        for balanced in (False, True)
    ]
    # The weights are the same: but for the decisions nothing differs.
    assert scores[1]["balanced_accuracy"] > scores[0]["balanced_accuracy"] + 0.02
    assert all(scores[0][name] == scores[1][name] for name in scores[0] if name != "balanced_accuracy")


def test_a_loss_on_cosines_gets_them():
    seen = []

    def function(logits_NC, target_N, s, m):
        seen.append(logits_NC.detach())
        return get("cosface").function(logits_NC, target_N, s, m)

    loss = BoundLoss(replace(get("cosface"), function=function), {"s": 20.0, "m": 0.35})
    *_, (result,) = train(small_task(epochs=12, learning_rate=1e-2), digits_arrays(), loss)
    assert max(logits_NC.abs().max().item() for logits_NC in seen) <= 1 + 1e-5
    assert result.validation["accuracy"] > 0.8


def test_one_sigmoid_per_class_starts_from_the_rare_positive():
    seen = []

    def function(logits_NC, target_N):
        seen.append(logits_NC.detach())
        return get("sigmoid_bce").function(logits_NC, target_N)

    loss = BoundLoss(replace(get("sigmoid_bce"), function=function))
    plain = BoundLoss(replace(get("sigmoid_bce"), function=function, initial_bias=None))
    for bound in (loss, plain):
        list(train(small_task(epochs=1), digits_arrays(), bound))
    moved = seen[0].mean() - seen[len(seen) // 2].mean()
    assert moved.item() == pytest.approx(-math.log(9), abs=0.3)


def test_rungs_show_the_way_and_the_end_is_the_same():
    straight = run(small_task(epochs=6))
    by_rungs = run(small_task(epochs=6), rungs=(2, 4, 6))
    assert [results[0].status for results in by_rungs] == ["stopped", "stopped", "finished"]
    assert [len(results[0].curve) for results in by_rungs] == [2, 4, 6]
    assert by_rungs[-1] == straight[-1]
    assert by_rungs[0][0].validation == straight[0][0].curve[1].validation


def _loss(function):
    spec = get("cross_entropy")
    return BoundLoss(
        type(spec)(
            name="broken",
            function=function,
            link=spec.link,
            summary="",
            formula="",
            citation=spec.citation,
            properties=spec.properties,
        )
    )


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_diverges_with_the_worst_scores(value):
    calls = []

    def function(logits_NC, target):
        calls.append(1)
        losses = nn.functional.cross_entropy(logits_NC, target, reduction="none")
        return losses + value if len(calls) > 15 else losses

    (result,) = run(small_task(epochs=50, test=True), loss=_loss(function))[-1]
    assert result.status == "diverged"
    assert result.cause == f"the training loss became {value} in epoch 2"
    assert len(result.curve) == 1
    for scores in (result.validation, result.test):
        assert (scores["accuracy"], scores["nll"]) == (0.0, math.inf)
    assert len(calls) == 20  # the epochs after it are not trained


def test_weights_that_overflow_diverge():
    (result,) = run(small_task(epochs=20, learning_rate=1e30, optimizer="sgd", schedule="constant"))[-1]
    assert result.status == "diverged"
    assert "epoch 1" in result.cause


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_schedule_is_linear_then_cosine(optimizer):
    task = small_task(epochs=8, warmup_fraction=0.25, learning_rate=0.1, optimizer=optimizer)
    ((result,),) = run(task)
    rates = [epoch.learning_rate for epoch in result.curve]
    num_batches = 320 // 32
    expected = []
    for epoch in range(1, 9):
        step = epoch * num_batches - 1
        if step < 20:
            expected.append(0.1 * (step + 1) / 20)
        else:
            expected.append(0.05 * (1 + math.cos(math.pi * (step - 20) / 60)))
    assert rates == pytest.approx(expected)


def test_weight_decay_pulls_the_matrices():
    free, decayed = (
        load(run(small_task(epochs=4, keep_weights=True, weight_decay=decay))[0][0].weights) for decay in (0.0, 5.0)
    )
    matrices = [name for name, tensor in free.items() if tensor.dim() > 1]
    assert matrices
    assert all(decayed[name].norm() < 0.8 * free[name].norm() for name in matrices)


def test_features_train_as_the_pixels_do_that_they_are():
    images = digits_arrays()
    flat = {
        name: getattr(images, name).reshape(len(getattr(images, name)), -1).astype(np.float32)
        for name in ("train_images", "validation_images", "test_images")
    }
    features = replace(images, **flat, mean=images.mean * 64, std=images.std * 64, digest="features")
    assert run(small_task(test=True), features) == run(small_task(test=True), images)


def test_large_data_is_normalised_batch_by_batch_to_the_same_effect(monkeypatch):
    expected = run(small_task(model="cnn", test=True))
    monkeypatch.setattr("losstune.training.device_data.FLOAT_CACHE_BYTES", 0)
    monkeypatch.setattr("losstune.training.device_data.DeviceData._latest", None)
    assert run(small_task(model="cnn", test=True)) == expected
    monkeypatch.setattr("losstune.training.device_data.DeviceData._latest", None)


def test_bfloat16_trains(monkeypatch):
    ((result,),) = run(small_task(model="cnn", epochs=8, precision="bfloat16", test=True))
    assert result.status == "finished"
    assert result.test["accuracy"] > 0.5


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_half_batches_with_a_common_step_train_as_whole_ones(optimizer):
    settings = {"epochs": 4, "optimizer": optimizer, "keep_weights": True, "schedule": "one_cycle"}
    (whole,) = run(small_task(**settings, batch_size=32))[-1]
    (halves,) = run(small_task(**settings, batch_size=16, accumulation=2))[-1]
    expected = load(whole.weights)
    for name, weight in load(halves.weights).items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-3, atol=1e-4)
    for one, other in zip(whole.curve, halves.curve, strict=True):
        assert one.learning_rate == other.learning_rate
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-4)


def test_batches_without_a_step_are_left_out():
    # 320 samples are 10 batches: 3 steps of 3 batches, or one step of all.
    steps = {3: 3, 10: 1, 99: 1}
    for accumulation, num_steps in steps.items():
        task = small_task(epochs=2, accumulation=accumulation, schedule="cosine", learning_rate=0.1)
        ((result,),) = run(task)
        last = 2 * num_steps - 1
        expected = 0.05 * (1 + math.cos(math.pi * last / (2 * num_steps)))
        assert result.curve[-1].learning_rate == pytest.approx(expected)


def test_the_average_of_the_weights_is_scored_and_kept():
    arrays = digits_arrays()
    task = small_task(epochs=6, ema=0.05, learning_rate=3e-3, test=True, keep_weights=True)
    (result,), (plain,) = run(task)[-1], run(replace(task, training=small_task(epochs=6).training))[-1]
    assert [epoch.train_loss for epoch in result.curve] == [epoch.train_loss for epoch in plain.curve]
    network = build_model(task.model, (1, 8, 8), 10)
    network.load_state_dict(load(result.weights))
    inputs = (torch.from_numpy(arrays.test_images).float() - arrays.mean[0]) / arrays.std[0]
    found = accuracy_score(arrays.test_labels, network.eval()(inputs).argmax(1))
    assert result.test["accuracy"] == pytest.approx(found)


def test_the_average_is_that_of_torch_over_the_steps(monkeypatch):
    averages, weights = [], []

    class Recording(Optimizer):
        def __init__(self, network, *args):
            super().__init__(network, *args)
            self.network = network
            averages.append(AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.08), use_buffers=True))

        def zero_grad(self):  # after a step
            super().zero_grad()
            averages[-1].update_parameters(self.network)
            weights.append(None)

    monkeypatch.setattr("losstune.training.training.Optimizer", Recording)
    ((result,),) = run(small_task(model="cnn", epochs=2, ema=0.08, keep_weights=True))
    assert len(weights) == 20
    expected = averages[0].module.state_dict()
    for name, weight in load(result.weights).items():
        torch.testing.assert_close(weight, expected[name])


def test_patience_ends_a_training_that_gets_no_better():
    # Steps of this size change no score.
    task = small_task(epochs=9, patience=2, learning_rate=1e-20, test=True)
    outcomes = run(task, rungs=(1, 3, 6))
    (result,) = outcomes[-1]
    assert result.status == "finished"
    assert len(result.curve) == 3
    # It ended in the epoch of the second rung.
    assert [len(results[0].curve) for results in outcomes] == [1, 3]


def test_the_weights_of_the_best_epoch_are_scored_and_kept():
    arrays = digits_arrays()
    # Large steps at the end make the last epochs worse.
    settings = {"epochs": 8, "learning_rate": 0.3, "optimizer": "sgd", "schedule": "constant", "keep_weights": True}
    task = small_task(**settings, patience=8, seeds=(4,), test=True)
    (result,), (plain,) = run(task)[-1], run(small_task(**settings, seeds=(4,), test=True))[-1]
    assert result.curve == plain.curve
    best = max(result.curve, key=lambda epoch: epoch.validation["accuracy"])
    assert best.epoch < 8, "the test needs a training that gets worse"
    assert result.validation == best.validation
    network = build_model(task.model, (1, 8, 8), 10)
    network.load_state_dict(load(result.weights))
    for images, labels, scores in (
        (arrays.validation_images, arrays.validation_labels, result.validation),
        (arrays.test_images, arrays.test_labels, result.test),
    ):
        inputs = (torch.from_numpy(images).float() - arrays.mean[0]) / arrays.std[0]
        assert scores["accuracy"] == pytest.approx(accuracy_score(labels, network.eval()(inputs).argmax(1)))


def test_each_seed_has_a_patience_of_its_own():
    alone = [run(small_task(epochs=12, patience=1, seeds=(seed,)))[-1][0] for seed in (1, 2, 3)]
    assert run(small_task(epochs=12, patience=1, seeds=(1, 2, 3)))[-1] == alone
    assert len({len(result.curve) for result in alone}) > 1, "the test needs trainings of different lengths"


def test_balanced_batches_are_the_same_for_every_loss(monkeypatch):
    drawn, real = [], DeviceData.train_batches

    def batches(data, order, size, number):
        for index, inputs in real(data, order, size, number):
            drawn.append(index.tolist())
            yield index, inputs

    monkeypatch.setattr(DeviceData, "train_batches", batches)
    for loss in ("cross_entropy", "focal"):
        run(small_task(loss, sampling="balanced", hyperparameters=dict(get(loss).defaults)))
    assert drawn[:30] == drawn[30:]
    assert len({*drawn[0], *drawn[1], *drawn[2]}) < 96, "with replacement"
