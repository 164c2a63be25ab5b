"""Each row of the page ``docs/drop-in.md``: what torch does, what losstune does, and what the page says."""

from __future__ import annotations

import pytest
import torch

from losstune.losses.registry import registry
from tests.losses.parity import CASES, PAGE, definitions, table


@pytest.fixture
def names():
    torch.manual_seed(0)
    found: dict[str, object] = {}
    exec(definitions(PAGE.read_text(encoding="utf-8")), found)
    return found


def test_the_page_has_the_cases():
    assert table(PAGE.read_text(encoding="utf-8")) == "".join(case.row() for case in CASES)
    assert len({case.id for case in CASES}) == len(CASES)


def test_the_page_names_the_losses_with_an_exception():
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    for names in (
        [name for name, spec in registry().items() if spec.soft_targets and not spec.linear_in_target],
        [name for name, spec in registry().items() if spec.needs_counts],
        [name for name, spec in registry().items() if spec.head == "normalised"],
    ):
        listed = [f"`{name}`" for name in names]
        joined = (", ".join(listed), f"{', '.join(listed[:-1])} and {listed[-1]}")
        assert any(words in text for words in joined), names


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_page_says_what_happens(case, names):
    if case.torch_raises:
        with pytest.raises((RuntimeError, IndexError, ValueError)):
            eval(case.torch, names)
    elif case.torch:
        eval(case.torch, names)
    if case.error:
        with pytest.raises((ValueError, TypeError)) as caught:
            eval(case.ours, names)
        assert str(caught.value).startswith(case.error)
        assert "\n" not in str(caught.value)
        return
    torch.testing.assert_close(
        eval(case.ours, names), eval(case.equals or case.torch, names), rtol=1e-6, atol=1e-6, equal_nan=True
    )
