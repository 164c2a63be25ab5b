from __future__ import annotations

from losstune.config.schema import RangeSettings, SearchSpaceSettings
from losstune.losses.registry import get
from losstune.stages.identical_losses import identical_lines
from losstune.study.search import space_of

RANGE = RangeSettings(low=1e-4, high=1e-1, scale="log", default=1e-2)


def lines(*names, counts=(90, 90, 90), **own):
    settings = SearchSpaceSettings(learning_rate=RANGE, weight_decay=RANGE, losses=own)
    return identical_lines({name: space_of(get(name), settings) for name in names}, counts)


def test_a_study_of_different_losses_says_nothing_nor_of_its_control():
    assert lines("cross_entropy", "kl_divergence", "focal", "gce", "cosine_softmax", "sigmoid_bce") == []


def test_a_loss_that_the_study_fixes_to_be_another_is_told():
    assert lines("cross_entropy", "focal", focal={"gamma": 0}) == [
        "cross_entropy is identical to focal, L = L(z), but both count as candidates"
    ]


def test_the_class_prior_makes_a_difference_only_where_there_is_one():
    assert len(lines("cross_entropy", "logit_adjusted", "class_balanced")) == 3
    assert lines("cross_entropy", "logit_adjusted", "class_balanced", counts=(900, 90, 9)) == []


def test_scale_and_temperature_are_told():
    (line,) = lines("mae", "taylor_ce", taylor_ce={"order": 1})
    assert "mae is identical to taylor_ce, L = L(z)" in line
    (line,) = lines("spherical", "gce", gce={"q": 0.5})
    assert "spherical is identical to gce, L = 0.5 L(2 z)" in line
