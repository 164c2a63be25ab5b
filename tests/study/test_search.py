"""Proposals: within their ranges, the same whatever runs beside them, and spread out as promised."""

import math
import random
from dataclasses import replace

import numpy as np
import optuna
import pytest
import torch
from scipy.stats import qmc

from losstune.config.metrics import MetricSettings
from losstune.config.schema import LossRangeSettings, RangeSettings, SearchSpaceSettings
from losstune.config.tune import TuneSettings
from losstune.core.errors import LosstuneError
from losstune.core.seeds import derive_seed
from losstune.losses.ranges import Choice, Domain, FloatRange, IntRange
from losstune.losses.registry import get
from losstune.study.search import (
    GENERATION,
    SHARED_DIMENSIONS,
    _distribution,
    centred,
    depends_on,
    propose,
    propose_shared,
    space_of,
)
from tests.factories import make_record

LEARNING_RATE = RangeSettings(low=1e-5, high=1e-1, scale="log", default=1e-3)
WEIGHT_DECAY = RangeSettings(low=1e-5, high=1e-1, scale="log", default=1e-2)


def settings(sampler="sobol"):
    return TuneSettings(
        trials_per_loss=12,
        sampler=sampler,
        scheduler="fifo",
        asha={"grace_epochs": 1, "reduction_factor": 2},
        metric="accuracy",
    )


def space(loss="focal", **own):
    replaced = {loss: own} if own else {}
    return space_of(
        get(loss), SearchSpaceSettings(learning_rate=LEARNING_RATE, weight_decay=WEIGHT_DECAY, losses=replaced)
    )


def record_of(configuration, index, accuracy):
    record = make_record(stage="tune", index=index, accuracy=accuracy)
    return record.model_copy(update={"configuration": configuration})


@pytest.mark.parametrize("sampler", ["sobol", "random", "tpe"])
@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "apl", "bi_tempered"])
def test_every_proposal_lies_in_its_range(sampler, loss):
    searched, history = space(loss), []
    for index in range(20):
        configuration = propose(searched, index, history[: depends_on(index, settings(sampler))], settings(sampler), 7)
        point = configuration.hyperparameters | {
            "learning_rate": configuration.learning_rate,
            "weight_decay": configuration.weight_decay,
        }
        assert all(span.contains(point[name]) for name, span in searched.ranges.items())
        history.append(record_of(configuration, index, index / 20))


@pytest.mark.parametrize("sampler", ["sobol", "random", "tpe"])
def test_the_first_trial_is_the_published_defaults(sampler):
    first = propose(space("focal"), 0, [], settings(sampler), 7)
    assert (first.learning_rate, first.weight_decay, first.hyperparameters) == (1e-3, 1e-2, {"gamma": 2.0})


def test_sobol_points_are_scipys_and_a_longer_study_begins_with_the_shorter_one():
    searched = space("focal")
    units = []
    for index in range(1, 17):
        configuration = propose(searched, index, [], settings(), 7)
        units.append(
            [
                (np.log10(configuration.learning_rate) + 5) / 4,
                (np.log10(configuration.weight_decay) + 5) / 4,
                configuration.hyperparameters["gamma"] / 5,
            ]
        )
    # Sixteen points of a scrambled Sobol sequence fall one into each sixteenth of every axis; random ones don't.
    for column in np.array(units).T:
        assert sorted(np.floor(column * 16).astype(int)) == list(range(16))
    assert qmc.discrepancy(np.array(units)) < 0.02


def lies_at(found, units):
    """Whether it is focal at these coordinates: rate and decay from 1e-5 to 1e-1, gamma from 0 to 5."""
    rate, decay, gamma = units
    point = found.learning_rate, found.weight_decay, found.hyperparameters["gamma"]
    return found.loss == "focal" and point == pytest.approx((10 ** (4 * rate - 5), 10 ** (4 * decay - 5), 5 * gamma))


@pytest.mark.parametrize("search", [0, 3])
def test_proposals_are_the_librarys_on_the_stream_that_is_written_out_here(search):
    """Whoever changes a stream makes every finished study propose, and train, other points."""
    searched = space("focal")
    sequence = qmc.Sobol(3, scramble=True, rng=derive_seed(7, "search", "focal", search) % 2**32)
    for index, units in enumerate(sequence.random_base2(5), start=1):
        assert lies_at(propose(searched, index, [], settings(), 7, search), units)
        generator = random.Random(derive_seed(7, "search", "focal", search, index))
        units = [generator.random() for _ in range(3)]
        assert lies_at(propose(searched, index, [], settings("random"), 7, search), units)
        # Until there is a history, TPE takes the quasi-random points.
        if index < GENERATION:
            expected = propose(searched, index, [], settings(), 7, search)
            assert propose(searched, index, [], settings("tpe"), 7, search) == expected


def test_tpe_is_optunas_told_of_the_metric_and_of_nothing_else():
    searched = space("focal")
    tune = settings("tpe").model_copy(update={"metric": "macro_f1"})
    history = [
        record_of(propose(searched, index, [], settings(), 7), index, 0.5).model_copy(
            update={"validation": {"accuracy": 0.5, "macro_f1": (index * 37 % 11) / 11}}
        )
        for index in range(8)
    ]
    sampler = optuna.samplers.TPESampler(
        n_startup_trials=1, multivariate=True, seed=derive_seed(7, "tpe", "focal", 2, 9) % 2**32
    )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    distributions = {
        "learning_rate": optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True),
        "weight_decay": optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True),
        "gamma": optuna.distributions.FloatDistribution(0.0, 5.0),
    }
    for record in history:
        found = record.configuration
        params = {
            "learning_rate": found.learning_rate, "weight_decay": found.weight_decay, **found.hyperparameters,
        }  # fmt: skip
        trial = optuna.trial.create_trial(
            params=params, distributions=distributions, value=record.validation["macro_f1"]
        )
        study.add_trial(trial)
    expected = study.ask(distributions).params
    found = propose(searched, 9, history, tune, 7, 2)
    assert (found.learning_rate, found.weight_decay) == (expected["learning_rate"], expected["weight_decay"])
    assert found.hyperparameters == {"gamma": expected["gamma"]}


@pytest.mark.parametrize("diverged", [[], [2, 5]])
def test_tpe_minimises_a_cost_as_it_maximises_its_mirror_image(diverged):
    """A diverged trial has no finite cost, and is the worst all the same."""
    searched = space("focal")
    proposals = []
    for minimize in (True, False):
        metric = MetricSettings(name="my_metrics.py:cost", minimize=minimize)
        history = []
        for index in range(8):
            score = metric.measure.worst if index in diverged else (1 if minimize else -1) * (index * 37 % 11)
            record = record_of(propose(searched, index, [], settings(), 7), index, 0.5)
            history.append(record.model_copy(update={"validation": {"cost": float(score)}}))
        tune = settings("tpe").model_copy(update={"metric": metric})
        proposals.append([propose(searched, index, history, tune, 7, 2) for index in range(8, 12)])
    assert proposals[0] == proposals[1]


@pytest.mark.parametrize(
    ("loss", "name", "expected"),
    [
        ("taylor_ce", "order", optuna.distributions.IntDistribution(1, 10)),
        ("apl", "alpha", optuna.distributions.CategoricalDistribution),
        ("focal", "gamma", optuna.distributions.FloatDistribution(0.0, 5.0)),
        ("focal", "learning_rate", optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True)),
    ],
)
def test_optuna_is_told_each_kind_of_range(loss, name, expected):
    span = space(loss).ranges[name]
    if isinstance(span, Choice):
        expected = expected(span.values)
    assert _distribution(span) == expected


def test_losses_and_seeds_have_streams_of_their_own():
    def points(loss, seed):
        return [propose(space(loss), index, [], settings(), seed).learning_rate for index in range(1, 9)]

    assert points("cross_entropy", 0) == points("cross_entropy", 0)
    # The A/A control rests on it: two names of one loss are tuned independently.
    assert set(points("cross_entropy", 0)).isdisjoint(points("kl_divergence", 0))
    assert set(points("cross_entropy", 0)).isdisjoint(points("cross_entropy", 1))


def test_tpe_follows_its_history_and_nothing_else():
    searched, tune = space("cross_entropy"), settings("tpe")

    def run(target):
        history = []
        for index in range(40):
            configuration = propose(searched, index, history[: depends_on(index, tune)], tune, 3)
            score = 1 - abs(np.log10(configuration.learning_rate) - target) / 5
            history.append(record_of(configuration, index, score))
        return history

    low, high = run(-4.5), run(-1.5)
    rates = [np.mean([np.log10(record.configuration.learning_rate) for record in found[20:]]) for found in (low, high)]
    assert rates[0] < -3.7
    assert rates[1] > -2.3
    assert [record.configuration for record in run(-4.5)] == [record.configuration for record in low]


def test_tpe_waits_for_whole_generations_and_the_others_for_nothing():
    assert [depends_on(index, settings("tpe")) for index in range(3 * GENERATION)] == (
        [0] * GENERATION + [GENERATION] * GENERATION + [2 * GENERATION] * GENERATION
    )
    assert {depends_on(index, settings("sobol")) for index in range(100)} == {0}


def test_a_hyperparameter_can_be_fixed_or_given_another_range():
    fixed = space("focal", gamma=1.5)
    assert "gamma" not in fixed.ranges
    assert all(propose(fixed, index, [], settings(), 0).hyperparameters == {"gamma": 1.5} for index in range(4))
    # The published default, 2, moves to the nearer end.
    for low, high, first in ((3.0, 4.0, 3.0), (0.5, 1.0, 1.0), (1.0, 4.0, 2.0)):
        narrowed = space("focal", gamma=LossRangeSettings(low=low, high=high))
        assert narrowed.ranges["gamma"] == FloatRange(low, high, "linear")
        assert propose(narrowed, 0, [], settings(), 0).hyperparameters == {"gamma": first}
    logarithmic = space("tsallis_score", beta=LossRangeSettings(low=0.5, high=2.0))
    assert logarithmic.ranges["beta"] == FloatRange(0.5, 2.0, "log")
    widened = space("apl", alpha=LossRangeSettings(low=0.5, high=2.0))
    assert isinstance(space("apl").ranges["alpha"], Choice)
    assert widened.ranges["alpha"] == FloatRange(0.5, 2.0)


@pytest.mark.parametrize("value", [3, 3.0])
def test_a_whole_hyperparameter_stays_whole_however_it_is_written(value):
    """Records are named by their configuration's JSON, in which 3 and 3.0 differ."""
    found = space("taylor_ce", order=value).fixed["order"]
    assert (found, type(found)) == (3, int)
    found = space("gce", q=1).fixed["q"]
    assert (found, type(found)) == (1.0, float)
    narrowed = space("taylor_ce", order=LossRangeSettings(low=value, high=5.0))
    assert narrowed.ranges["order"] == IntRange(3, 5)
    assert (narrowed.defaults["order"], type(narrowed.defaults["order"])) == (3, int)


@pytest.mark.parametrize(
    ("loss", "own", "message"),
    [
        (
            "focal",
            {"gama": 1.0},
            "search_space.losses.focal: unknown hyperparameter 'gama'; did you mean 'gamma'? (focal has gamma)",
        ),
        (
            "logit_norm",
            {"tau": LossRangeSettings(low=0.0, high=1.0)},
            "search_space.losses.logit_norm.tau.low: found 0, expected a number > 0",
        ),
        ("gce", {"q": 1.5}, "search_space.losses.gce.q: found 1.5, expected a number in [0, 1]"),
        ("focal", {"gamma": -1}, "search_space.losses.focal.gamma: found -1, expected a number >= 0"),
        (
            "entmax",
            {"alpha": LossRangeSettings(low=1.5, high=4.0)},
            "search_space.losses.entmax.alpha.high: found 4, expected a number in (1, 3]",
        ),
        (
            "taylor_ce",
            {"order": LossRangeSettings(low=1.0, high=2.5)},
            "search_space.losses.taylor_ce.order.high: found 2.5, expected a whole number >= 1",
        ),
        (
            "cross_entropy",
            {"gamma": 1.0},
            "search_space.losses.cross_entropy: unknown hyperparameter 'gamma' (cross_entropy has none)",
        ),
        # Defined at 0, where it is the log-loss, but 0 has no logarithm.
        (
            "tsallis_score",
            {"beta": LossRangeSettings(low=0.0, high=1.0)},
            "search_space.losses.tsallis_score.beta: a log range needs low > 0, found 0.0",
        ),
    ],
)
def test_a_wrong_replacement_is_explained(loss, own, message):
    with pytest.raises(LosstuneError) as caught:
        space(loss, **own)
    assert str(caught.value) == message


@pytest.mark.parametrize(("low", "high"), [(1.5, 3.0), (1.0, 2.5)])
def test_a_whole_range_takes_whole_bounds(low, high):
    spec = get("taylor_ce")
    (order,) = spec.hyperparameters
    spec = replace(spec, hyperparameters=(replace(order, domain=Domain(1.0)),))
    settings = SearchSpaceSettings(
        learning_rate=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
        losses={"taylor_ce": {"order": LossRangeSettings(low=low, high=high)}},
    )
    with pytest.raises(LosstuneError) as caught:
        space_of(spec, settings)
    assert str(caught.value) == (
        f"search_space.losses.taylor_ce.order: low and high must be whole numbers, found {low} and {high}"
    )


def test_a_space_is_centred_by_the_loss_scale_so_that_sgd_takes_the_same_steps():
    plain = space()
    moved = centred(plain, 4.0)
    assert moved.ranges["learning_rate"] == FloatRange(1e-5 / 4, 1e-1 / 4, "log")
    assert moved.ranges["weight_decay"] == FloatRange(4e-5, 4e-1, "log")
    assert moved.defaults["learning_rate"] == pytest.approx(1e-3 / 4)
    assert moved.defaults["weight_decay"] == pytest.approx(4e-2)
    assert (moved.loss, moved.fixed, moved.defaults["gamma"]) == ("focal", {}, 2.0)
    assert plain == space()
    assert moved.ranges["gamma"] == plain.ranges["gamma"]
    weights = []
    for scale, chosen in ((1.0, plain), (4.0, moved)):
        weight = torch.ones(3, dtype=torch.float64, requires_grad=True)
        rate, decay = chosen.defaults["learning_rate"], chosen.defaults["weight_decay"]
        optimizer = torch.optim.SGD([weight], lr=rate, weight_decay=decay, momentum=0.9)
        for _ in range(20):
            optimizer.zero_grad()
            (scale * (weight**4).sum()).backward()
            optimizer.step()
        weights.append(weight.detach())
    torch.testing.assert_close(*weights)


@pytest.mark.parametrize("scale", [0.0, math.inf, math.nan])
def test_a_loss_without_a_scale_cannot_be_centred(scale):
    with pytest.raises(LosstuneError) as caught:
        centred(space(), scale)
    assert str(caught.value) == (
        f"search_space.centre_learning_rate: focal has gradient scale {scale:g}, expected a positive number; set it to "
        "false, and set search_space.learning_rate by hand"
    )


def test_a_search_of_many_trials_draws_its_points_a_few_times_and_not_for_each(monkeypatch):
    drawn, draw = [], qmc.Sobol.random_base2

    def counting(sequence, m):
        drawn.append(m)
        return draw(sequence, m)

    monkeypatch.setattr(qmc.Sobol, "random_base2", counting)
    for index in range(200):
        propose(space(), index, [], settings(), seed=77)
    assert drawn == [5, 6, 7, 8]


MOMENTUM = RangeSettings(low=0.5, high=0.99, scale="linear", default=0.9)
EMA = RangeSettings(low=0.9, high=0.999, scale="log", default=0.99)


def with_settings(loss="focal", **ranges):
    return space_of(
        get(loss), SearchSpaceSettings(learning_rate=LEARNING_RATE, weight_decay=WEIGHT_DECAY, training=ranges)
    )


@pytest.mark.parametrize("sampler", ["sobol", "random", "tpe"])
def test_settings_of_the_training_are_searched_for_every_loss(sampler):
    searched, history = with_settings(ema=EMA, momentum=MOMENTUM), []
    assert list(searched.ranges) == ["learning_rate", "weight_decay", "ema", "momentum", "gamma"]
    for index in range(12):
        configuration = propose(searched, index, history[: depends_on(index, settings(sampler))], settings(sampler), 7)
        assert configuration.settings.keys() == {"ema", "momentum"}
        assert configuration.hyperparameters.keys() == {"gamma"}
        assert all(span.contains(configuration.values[name]) for name, span in searched.ranges.items())
        history.append(record_of(configuration, index, index / 20))
    assert history[0].configuration.settings == {"ema": 0.99, "momentum": 0.9}
    assert len({record.configuration.settings["momentum"] for record in history}) == 12


def test_centring_leaves_settings_alone():
    plain = with_settings(momentum=MOMENTUM)
    assert centred(plain, 4.0).ranges["momentum"] == plain.ranges["momentum"]
    only_decay = centred(plain, 4.0, ("weight_decay",))
    assert only_decay.ranges["learning_rate"] == plain.ranges["learning_rate"]
    assert only_decay.defaults["weight_decay"] == pytest.approx(4e-2)


def test_a_loss_with_a_hyperparameter_of_that_name_is_told():
    spec = replace(get("focal"), hyperparameters=(replace(get("focal").hyperparameters[0], name="momentum"),))
    with pytest.raises(LosstuneError, match=r"search_space.training.momentum: focal has a hyperparameter of that name"):
        space_of(spec, SearchSpaceSettings(training={"momentum": MOMENTUM}))


def unit(span, value):
    """The coordinate of a value in its range, by the formulas of a linear and of a log scale."""
    if span.scale == "log":
        return math.log(value / span.low) / math.log(span.high / span.low)
    return (value - span.low) / (span.high - span.low)


def test_all_losses_share_the_points_of_a_pool():
    for index in range(1, 12):
        found = {
            loss: propose_shared(space(loss), index, settings(), 7, 1) for loss in ("cross_entropy", "focal", "gce")
        }
        assert len({(one.learning_rate, one.weight_decay) for one in found.values()}) == 1
        own = {loss: space(loss).ranges[name] for loss, name in (("focal", "gamma"), ("gce", "q"))}
        assert unit(own["focal"], found["focal"].hyperparameters["gamma"]) == pytest.approx(
            unit(own["gce"], found["gce"].hyperparameters["q"]), abs=1e-12
        )


def test_the_points_of_a_pool_are_scipys():
    points = qmc.Sobol(SHARED_DIMENSIONS, scramble=True, rng=derive_seed(7, "pool", "shared", 1) % 2**32).random_base2(
        5
    )
    ranges = space("focal").ranges
    for index in range(1, 12):
        found = propose_shared(space("focal"), index, settings(), 7, 1).values
        assert [unit(ranges[name], found[name]) for name in ranges] == pytest.approx(
            points[index - 1][: len(ranges)].tolist(), abs=1e-9
        )


def test_searches_of_a_pool_and_streams_differ_and_begin_with_the_defaults():
    def proposed(**other):
        return [propose_shared(space(), index, settings(), **({"seed": 7, "search": 0} | other)) for index in range(8)]

    different = [proposed(), proposed(search=1), proposed(seed=8), proposed(stream="kl_divergence")]
    assert len({found[0].learning_rate for found in different}) == 1
    rates = [one.learning_rate for found in different for one in found[1:]]
    assert len(set(rates)) == len(rates)


def test_random_points_of_a_pool_are_shared_too():
    drawn = [
        propose_shared(space(loss), 3, settings("random"), 7, 0).learning_rate for loss in ("cross_entropy", "focal")
    ]
    assert drawn[0] == drawn[1]
    assert drawn[0] != propose_shared(space(), 4, settings("random"), 7, 0).learning_rate
