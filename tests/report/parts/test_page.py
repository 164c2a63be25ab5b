import pytest

from losstune.report.parts import page


@pytest.mark.parametrize(
    ("text", "expected"),
    [("-0.10", "−0.10"), ("[-0.10, +0.50]", "[−0.10, +0.50]"), ("5e-05", "5e-05"), ("resnet-8", "resnet-8")],
)
def test_minus(text, expected):
    assert page._minus(text) == expected
