import dataclasses
import subprocess
import sys
import types

import pytest
import torch

from losstune import losses
from losstune.core.errors import LosstuneError
from losstune.losses import registry as registry_module
from losstune.losses.registry import find, get, identical_to, registry
from tests.losses.cases import batch, each_spec, gradient

DEFAULT_SCREEN = {
    *("apl", "bi_tempered", "cross_entropy", "entmax", "focal", "gce", "js", "kl_divergence"),
    *("label_smoothing", "logit_norm", "poly1", "sigmoid_bce", "square", "squentropy", "tsallis_score"),
}


def test_holds_the_default_screen_sorted():
    assert set(registry()) >= DEFAULT_SCREEN
    assert list(registry()) == sorted(registry())


def test_importing_the_package_imports_no_loss_and_no_torch():
    code = "import sys, losstune.losses; print([name for name in sys.modules if name in sys.argv or 'losses.' in name])"
    found = subprocess.run([sys.executable, "-c", code, "torch"], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_cannot_be_changed():
    with pytest.raises(TypeError):
        registry()["mine"] = registry()["focal"]


@each_spec
def test_name_is_that_of_the_module(spec):
    assert spec.function.__module__ == f"losstune.losses.{spec.name}"


@each_spec
def test_equals_names_a_loss_that_is_identical_on_hard_labels(spec):
    if spec.equals is None:
        return
    equal_loss = get(spec.equals)
    assert equal_loss.equals is None
    logits_NC, target_N = batch(dtype=torch.float32, scale=10)
    assert torch.equal(spec.bind()(logits_NC, target_N), equal_loss.bind()(logits_NC, target_N))
    assert torch.equal(gradient(spec.bind(), logits_NC, target_N), gradient(equal_loss.bind(), logits_NC, target_N))


def test_losses_that_do_not_name_each_other_differ():
    # Two names for one loss would let it win twice as easily by chance.
    # Some far out, where a clipped loss leaves the one that it is near the middle.
    pairs = zip(batch(64), batch(64, scale=12.0), strict=True)
    logits_NC, target_N = (torch.cat(pair) for pair in pairs)
    counts_C = torch.tensor(
        [900, 400, 100, 40, 9]
    )  # where classes are equally frequent, three losses are cross-entropy
    values = {
        s.name: s.bind().with_counts(counts_C)(logits_NC, target_N)
        for s in registry().values()
        if s.equals is None and s.head not in {"dropout", "decayed"}  # what they add is in the last layer
    }
    names = sorted(values)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            # Centred and scaled, for an offset or a factor makes no other loss.
            ratio = torch.corrcoef(torch.stack([values[first], values[second]]))[0, 1]
            assert ratio < 1 - 1e-9, (first, second)


@each_spec
def test_an_alias_leads_to_its_loss_and_claims_no_name_of_another(spec):
    for alias in spec.aliases:
        assert alias.name not in registry()
        assert find(alias.name) == (spec, alias)
        assert losses.get(alias.name).spec is spec
        spec.bind(alias.hyperparameters)


def test_an_alias_brings_its_hyperparameters():
    assert losses.get("balanced_softmax").hyperparameters == {"tau": 1.0}
    with pytest.raises(ValueError, match=r"balanced_softmax is logit_adjusted at tau=1\.0; found tau=2\.0"):
        losses.get("balanced_softmax", tau=2.0)


def test_two_losses_of_one_alias_are_an_error(monkeypatch):
    adjusted = get("logit_adjusted")
    equal_loss = dataclasses.replace(get("focal"), aliases=adjusted.aliases)
    monkeypatch.setattr(registry_module, "registry", lambda: {"focal": equal_loss, "logit_adjusted": adjusted})
    with pytest.raises(LosstuneError, match="'balanced_softmax' names two losses"):
        registry_module.aliases.__wrapped__()


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(LosstuneError, match=r"unknown loss 'crossentropy'; did you mean 'cross_entropy'\?"):
        get("crossentropy")


def test_two_modules_of_one_name_are_an_error(monkeypatch):
    modules = [types.SimpleNamespace(name="focal", ispkg=False), types.SimpleNamespace(name="focal_again", ispkg=False)]
    monkeypatch.setattr(registry_module.pkgutil, "iter_modules", lambda path: modules)
    module = types.SimpleNamespace(SPEC=get("focal"))
    monkeypatch.setattr(registry_module.importlib, "import_module", lambda name: module)
    with pytest.raises(LosstuneError, match=r"focal_again: the name 'focal' is taken by another"):
        registry.__wrapped__()


def test_a_module_beside_the_others_is_all_it_takes(tmp_path, monkeypatch):
    (tmp_path / "half_cross_entropy.py").write_text(
        "from dataclasses import replace\n"
        "from losstune.losses.cross_entropy import SPEC as FULL, cross_entropy\n"
        "def half(logits_NC, target):\n"
        "    return cross_entropy(logits_NC, target) / 2\n"
        "SPEC = replace(FULL, name='half_cross_entropy', function=half)\n"
    )
    monkeypatch.setattr(losses, "__path__", [*losses.__path__, str(tmp_path)])
    found = registry.__wrapped__()
    assert set(found) == {*registry(), "half_cross_entropy"}
    logits_NC, target_N = batch()
    halves_N = found["half_cross_entropy"].bind()(logits_NC, target_N)
    torch.testing.assert_close(2 * halves_N, get("cross_entropy").bind()(logits_NC, target_N))


@pytest.mark.parametrize(
    ("loss", "among", "equal_loss"),
    [
        ("cross_entropy", ["focal", "kl_divergence"], "kl_divergence"),
        ("kl_divergence", ["focal", "cross_entropy"], "cross_entropy"),
        ("cross_entropy", ["cross_entropy", "focal"], None),
        ("focal", ["cross_entropy", "kl_divergence"], None),
        ("focal", [], None),
    ],
)
def test_twin(loss, among, equal_loss):
    assert identical_to(loss, among) == equal_loss


def test_losses_that_equal_a_third_are_twins_whether_or_not_it_is_there():
    equals = {"kl_divergence": "cross_entropy", "another": "cross_entropy"}
    assert identical_to("kl_divergence", ["focal", "another"], equals) == "another"
    assert identical_to("another", ["kl_divergence", "cross_entropy"], equals) == "kl_divergence"
    assert identical_to("cross_entropy", ["another", "kl_divergence"], equals) == "another"
