import pytest

from losstune.core.errors import LosstuneError
from losstune.losses.registry import identical_losses, registry
from losstune.losses.tools.sets import CONTROL, SETS, losses_of


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_a_study_with_its_control(name):
    losses = losses_of(name)
    assert losses[:2] == CONTROL
    assert len(set(losses)) == len(losses) >= 5
    assert set(losses) <= registry().keys()
    assert identical_losses(losses, CONTROL[0]) == {CONTROL[1]: CONTROL[0]}


def test_a_screen_is_a_dozen_losses_of_all_families_that_need_no_head_and_no_frequencies():
    specs = [registry()[name] for name in losses_of("screen")]
    assert len(specs) == 12
    assert {spec.head for spec in specs} == {"linear"}
    assert not any(spec.needs_counts for spec in specs)
    families = {spec.family for spec in registry().values()} - {"angular", "class prior", "other"}
    assert {spec.family for spec in specs} == families


def test_the_robust_losses_are_bounded_and_every_symmetric_loss_is_one():
    losses = set(losses_of("robust"))
    assert {"gce", "mae", "nce", "apl", "js", "taylor_ce"} <= losses
    assert {name for name, spec in registry().items() if spec.properties.symmetric} <= losses
    unbounded = {name for name in losses if registry()[name].properties.bound is None}
    assert unbounded == {*CONTROL, "label_smoothing"}


def test_every_loss_that_knows_the_frequencies_is_for_rare_classes():
    losses = set(losses_of("imbalanced"))
    assert {name for name, spec in registry().items() if spec.family == "class prior"} <= losses
    assert {name for name, spec in registry().items() if spec.needs_counts} <= losses


def test_all_is_the_catalogue():
    assert set(losses_of("all")) == set(registry())


def test_an_unknown_set_is_a_mistake():
    with pytest.raises(LosstuneError, match=r"^--losses: found 'rubust', expected one of screen, .*; did you mean 'r"):
        losses_of("rubust")
