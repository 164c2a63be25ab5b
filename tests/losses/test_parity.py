"""Each row of the page ``docs/drop-in.md``: what torch does, what losstune does, and what the page says."""

from __future__ import annotations

import pytest
import torch

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
