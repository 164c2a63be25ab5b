"""Search for NaN and infinity with hypothesis, which chooses logits, precision and hyperparameters.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import torch
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st

from losstune.losses.spec import BoundLoss, LossSpec
from losstune.losses.tools.cases import with_class_counts
from losstune.losses.tools.contract import PRECISIONS, finite

MAX_EXAMPLES = 120
LARGEST = 1e4
SPECIAL = (0.0, -0.0, 1e-30, -1e-7, 1e-4, 1.0, 30.0, 88.0, -104.0, 200.0, -200.0, LARGEST, -LARGEST)


class _FoundError(Exception):
    pass


def hunt(spec: LossSpec) -> str | None:
    """Return the simplest case found that is not finite or below the declared minimum; None if there is none."""

    @settings(
        max_examples=MAX_EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
    )
    @given(data=st.data())
    def search(data: st.DataObject) -> None:
        loss, logits_NC, target_N = _case(spec, data)
        for good, message in finite(loss, logits_NC, target_N):
            if not good:
                raise _FoundError(f"{loss!r}, {message}")
        declared = spec.properties.minimum
        least = declared(logits_NC.shape[1], **loss.hyperparameters) if declared else 0.0
        losses_N = loss(logits_NC, target_N)
        if bool((losses_N < least - 1e-4 * (1 + losses_N.abs())).any()):
            raise _FoundError(
                f"{loss!r}, {logits_NC.dtype}: the value {losses_N.min().item():.6g} at logits {logits_NC.tolist()}, "
                f"target {target_N.tolist()}, is below the declared minimum {least:.6g}"
            )

    try:
        search()
    except _FoundError as found:
        return str(found)
    return None


def _case(spec: LossSpec, data: st.DataObject) -> tuple[BoundLoss, torch.Tensor, torch.Tensor]:
    units = {item.name: data.draw(st.floats(0, 1)) for item in spec.hyperparameters}
    loss = spec.bind({item.name: item.range.from_unit(units[item.name]) for item in spec.hyperparameters})
    num_classes = data.draw(st.sampled_from((3, 2, 5)))
    dtype = data.draw(st.sampled_from(PRECISIONS))
    logit = st.one_of(st.sampled_from(SPECIAL), st.floats(-LARGEST, LARGEST, width=16), st.floats(-20, 20, width=32))
    row = st.lists(logit, min_size=num_classes, max_size=num_classes)
    rows = data.draw(st.lists(row, min_size=1, max_size=3))
    target = data.draw(st.lists(st.integers(0, num_classes - 1), min_size=len(rows), max_size=len(rows)))
    return with_class_counts(loss, num_classes), torch.tensor(rows).to(dtype), torch.tensor(target)
