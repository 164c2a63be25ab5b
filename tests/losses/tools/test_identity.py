"""The detector finds every alias by itself, and none that isn't one."""

from __future__ import annotations

import pytest
import torch

from losstune.losses import get
from losstune.losses.registry import registry
from losstune.losses.tools.identity import equivalence_classes, identical_pairs, relation

COUNTS = {3: torch.tensor([70, 9, 2]), 5: torch.tensor([900, 400, 100, 40, 9])}


def catalogue():
    def told(spec):
        # Where classes are equally frequent, the losses of the class prior are cross-entropy.
        return lambda z, y: spec.bind().with_counts(COUNTS[z.shape[1]])(z, y)

    # Another last layer makes another loss, whatever the function of its outputs.
    return {name: told(spec) for name, spec in registry().items() if spec.head == "linear"}


def p_of(z):
    return z.softmax(1)


def true(values_NC, y):
    return values_NC.gather(1, y[:, None])[:, 0]


def one_hot(z, y):
    return torch.nn.functional.one_hot(y, z.shape[1]).to(z.dtype)


def log_p(z, y):
    return true(z.log_softmax(1), y)


def keras_poisson(z, y):
    p = p_of(z)
    return (p - one_hot(z, y) * z.log_softmax(1)).mean(1)


def sparsemax(z, y):
    ordered = z.sort(1, descending=True).values
    sums = ordered.cumsum(1)
    sizes = torch.arange(1, z.shape[1] + 1)
    size = (1 + sizes * ordered > sums).sum(1)
    threshold = (true(sums, size - 1) - 1) / size
    p = (z - threshold[:, None]).relu()
    return (p * z).sum(1) - p.square().sum(1) / 2 + 0.5 - true(z, y)


# Name of another loss as published, its formula, ours, and temperature, scale and offset with 3 classes.
ALIASES = [
    ("Cauchy-Schwarz", lambda z, y: p_of(z).norm(dim=1).log() - log_p(z, y), get("cross_entropy"), 2, 0.5, 0),
    ("Keras Poisson", keras_poisson, get("cross_entropy"), 1, 1 / 3, 1 / 3),
    ("cosine similarity", lambda z, y: -true(p_of(z), y) / p_of(z).norm(dim=1), get("spherical"), 1, 1, -1),
    ("Huber", lambda z, y: (p_of(z) - one_hot(z, y)).square().sum(1) / 2, get("brier"), 1, 0.5, 0),
    (
        "squared Hellinger",
        lambda z, y: (p_of(z).sqrt() - one_hot(z, y)).square().sum(1) / 2,
        get("gce", q=0.5),
        1,
        0.5,
        0,
    ),
    ("alpha-loss", lambda z, y: 3 / 2 * (1 - (log_p(z, y) * 2 / 3).exp()), get("gce", q=2 / 3), 1, 1, 0),
    ("Amari", lambda z, y: (1 - (log_p(z, y) * 0.6).exp()) / (0.4 * 0.6), get("gce", q=0.6), 1, 1 / 0.4, 0),
    ("Renyi", lambda z, y: ((1 - 3.0) * log_p(z, y)) / 2.0, get("cross_entropy"), 1, 1, 0),
    ("total variation", lambda z, y: (p_of(z) - one_hot(z, y)).abs().sum(1) / 2, get("mae"), 1, 1, 0),
    ("TV as a Taylor series", get("taylor_ce", order=1), get("mae"), 1, 1, 0),
    ("SCE", get("sce", alpha=2.0, beta=1.5), get("poly1", eps=3.0), 1, 2, 0),
    ("spherical", get("spherical"), get("gce", q=0.5), 2, 0.5, 0),
    ("spherical of order 3", get("spherical", alpha=3.0), get("gce", q=2 / 3), 3, 2 / 3, 0),
    ("Tsallis at 1", get("tsallis_score", beta=1.0), get("brier"), 1, 1, 0),
    ("entmax at 2", sparsemax, get("entmax", alpha=2.0), 1, 1, 0),
    ("no smoothing", get("label_smoothing", eps=0.0), get("cross_entropy"), 1, 1, 0),
    ("KL", get("kl_divergence"), get("cross_entropy"), 1, 1, 0),
    ("an odd temperature", lambda z, y: -log_p(1.7 * z, y), get("cross_entropy"), 1.7, 1, 0),
    ("cosface without margin", get("cosface", m=0.0, s=6.0), get("cross_entropy"), 6, 1, 0),
]


@pytest.mark.parametrize(
    ("name", "other", "ours", "temperature", "scale", "offset"), ALIASES, ids=lambda p: str(p)[:24]
)
def test_finds_every_alias_and_its_numbers(name, other, ours, temperature, scale, offset):
    found = relation(other, ours)
    assert found is not None, name
    assert found.temperature == pytest.approx(temperature, rel=1e-5)
    assert found.scale[3] == pytest.approx(scale, rel=1e-4)
    assert found.offset[3] == pytest.approx(offset, abs=1e-4)


def test_finds_in_the_catalogue_the_control_and_no_other():
    groups = [set(group) for group in equivalence_classes(catalogue()) if len(group) > 1]
    assert groups == [{"cross_entropy", "kl_divergence"}]


def test_pearson_chi2_is_exponential_before_that_goes_on_linearly():
    def chi2(z, y):
        return ((one_hot(z, y) - p_of(z)).square() / p_of(z)).sum(1)

    found = relation(chi2, get("exponential"))
    assert found is not None
    assert not found.everywhere
    assert str(found) == "L(z)"
    # As published, without the linear tail, they are one everywhere.
    found = relation(chi2, lambda z, y: (-log_p(z, y)).expm1())
    assert found is not None
    assert found.everywhere


def test_a_cap_far_out_is_told_from_none():
    found = relation(lambda z, y: (-log_p(z, y)).clamp_max(20.0), get("cross_entropy"))
    assert found is not None
    assert not found.everywhere
    assert relation(lambda z, y: (-log_p(z, y)).clamp_max(5.0), get("cross_entropy")) is None


def test_a_temperature_may_depend_on_the_number_of_classes_of_a_study():
    entmax, with_prior = get("entmax", alpha=1.5), get("fdiv_fy", alpha=1.5)
    assert relation(with_prior, entmax) is None
    found = relation(with_prior, entmax, (10,))
    assert found is not None
    assert found.temperature == pytest.approx(10**-0.5, rel=1e-5)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (get("cross_entropy"), get("keras_kl_divergence")),
        (get("phuber_ce"), get("cross_entropy")),
        (get("exponential"), get("cross_entropy")),
        (get("gce", q=0.7), get("gce", q=0.69)),
        (get("focal", gamma=0.01), get("cross_entropy")),
        (get("z_loss"), get("cross_entropy")),
        (get("cross_entropy"), lambda z, y: torch.zeros(len(y), dtype=z.dtype)),
    ],
)
def test_near_is_not_the_same(one, other):
    assert relation(one, other) is None


def test_declared_twins_are_left_out():
    losses = {name: get(name) for name in ("cross_entropy", "kl_divergence", "focal")}
    assert [pair[:2] for pair in identical_pairs(losses)] == [("cross_entropy", "kl_divergence")]
    assert identical_pairs(losses, [("kl_divergence", "cross_entropy")]) == []


def test_a_relation_reads_as_a_formula():
    assert str(relation(get("spherical"), get("gce", q=0.5))) == "0.5 L(2 z)"
    assert str(relation(keras_poisson, get("cross_entropy"))) == "0.3333 L(z) + 0.3333"
