from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from losstune.losses.ranges import Choice, Domain, FloatRange, IntRange

RANGES = [
    FloatRange(-1.0, 6.0),
    FloatRange(1e-6, 1e3, "log"),
    FloatRange(0.1, 0.3),
    FloatRange(0.7, 1.9, "log"),
    IntRange(-2, 5),
    Choice((0.1, 1, 10)),
]
each_range = pytest.mark.parametrize("range_", RANGES, ids=repr)
units = st.floats(0, 1)


@each_range
@given(unit=units)
def test_every_unit_falls_inside(range_, unit):
    assert range_.contains(range_.from_unit(unit))


@each_range
def test_ends_are_reached(range_):
    low, high = (range_.values[0], range_.values[-1]) if isinstance(range_, Choice) else (range_.low, range_.high)
    assert range_.from_unit(0.0) == pytest.approx(low, rel=1e-12)
    assert range_.from_unit(1.0) == pytest.approx(high, rel=1e-12)


@each_range
@given(first=units, second=units)
def test_is_monotone(range_, first, second):
    low, high = sorted([first, second])
    assert range_.from_unit(low) <= range_.from_unit(high)


@given(low=st.floats(1e-12, 1e6), factor=st.floats(1.0001, 1e9), unit=units)
def test_log_range_is_even_in_the_logarithm(low, factor, unit):
    value = FloatRange(low, low * factor, "log").from_unit(unit)
    assert math.log(value) == pytest.approx(math.log(low) + unit * math.log(factor), abs=1e-9)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_uniform_units_give_the_named_distribution(scale):
    values = np.array([FloatRange(0.01, 10.0, scale).from_unit(u) for u in np.random.default_rng(0).random(2000)])
    shares = (values - 0.01) / 9.99 if scale == "linear" else np.log(values / 0.01) / np.log(1000)
    assert kstest(shares, "uniform").pvalue > 0.01


@pytest.mark.parametrize(("range_", "count"), [(IntRange(1, 10), 10), (Choice((0.1, 1, 10, 100)), 4)])
def test_every_value_of_a_list_is_equally_likely(range_, count):
    values = [range_.from_unit((i + 0.5) / 1000) for i in range(1000)]
    tally = {value: values.count(value) for value in values}
    assert len(tally) == count
    assert max(tally.values()) - min(tally.values()) <= 1
    assert all(isinstance(value, int) for value in values) == isinstance(range_, IntRange)


def test_contains():
    assert FloatRange(0.0, 1.0).contains(0.0)
    assert FloatRange(0.0, 1.0).contains(1)
    assert not FloatRange(0.0, 1.0).contains(1.0000001)
    assert not FloatRange(0.0, 1.0).contains(math.nan)
    assert IntRange(1, 3).contains(3)
    assert not IntRange(1, 3).contains(2.5)
    assert not IntRange(1, 3).contains(4)
    assert Choice((0.1, 1)).contains(1.0)
    assert not Choice((0.1, 1)).contains(0.5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FloatRange(1.0, 1.0), "needs low < high, found"),
        (lambda: FloatRange(2.0, 1.0), r"found \[2\.0, 1\.0\]"),
        (lambda: FloatRange(0.0, math.inf), "finite bounds"),
        (lambda: FloatRange(math.nan, 1.0), "finite bounds"),
        (lambda: FloatRange(0.0, 1.0, "log"), "low > 0, found 0"),
        (lambda: IntRange(3, 3), "needs low < high"),
        (lambda: Choice((1,)), "at least two different values"),
        (lambda: Choice((1, 1.0)), "at least two different values"),
    ],
)
def test_what_is_no_range_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("domain", "inside", "outside", "text"),
    [
        (Domain(), [-1e300, 0, 1e300], [math.inf, -math.inf, math.nan], "a finite number"),
        (Domain(0.0), [0, 0.0, 1e300], [-1e-300, math.inf, math.nan], "a number >= 0"),
        (Domain(0.0, excludes_low=True), [1e-300, 7], [0, -0.0, -1], "a number > 0"),
        (Domain(high=2.0), [2, -1e300], [2.0001, -math.inf], "a number <= 2"),
        (Domain(high=2.0, excludes_high=True), [1.9999], [2], "a number < 2"),
        (Domain(0.0, 1.0), [0, 0.5, 1], [-0.1, 1.1, math.nan], "a number in [0, 1]"),
        (Domain(0.0, 1.0, excludes_low=True), [1e-9, 1], [0, 1.1], "a number in (0, 1]"),
        (Domain(0.0, 1.0, excludes_high=True), [0, 0.99], [1, -0.1], "a number in [0, 1)"),
        (Domain(1.0, whole=True), [1, 3.0], [2.5, 0, math.inf, math.nan], "a whole number >= 1"),
        (Domain(whole=True), [-3, 0], [0.5], "a whole number"),
    ],
)
def test_domain(domain, inside, outside, text):
    assert all(domain.contains(value) for value in inside)
    assert not any(domain.contains(value) for value in outside)
    assert str(domain) == text


@pytest.mark.parametrize(
    ("range_", "text"),
    [
        (FloatRange(0.0, 5.0), "0 to 5"),
        (FloatRange(0.01, 1.0, "log"), "0.01 to 1, log"),
        (IntRange(1, 10), "1 to 10, whole"),
        (Choice((0.1, 1.0, 10.0)), "0.1, 1 or 10"),
        (Choice((1, 2)), "1 or 2"),
    ],
)
def test_reads_as_a_person_would_write_it(range_, text):
    assert str(range_) == text
