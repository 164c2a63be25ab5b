import json
import math

import pytest

from losstune.verdict.numbers import Score


@pytest.mark.parametrize(
    ("value", "text"), [(math.inf, '"Infinity"'), (-math.inf, '"-Infinity"'), (0.25, "0.25"), (-0.25, "-0.25")]
)
def test_infinity_is_text_that_reads_back_as_the_number(value, text):
    written = Score(mean=value, low=None, high=1.0).model_dump_json()
    assert written == f'{{"mean":{text},"low":null,"high":1.0}}'
    json.loads(written, parse_constant=pytest.fail)
    assert Score.model_validate_json(written).mean == value
