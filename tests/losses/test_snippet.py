"""A loss copied as text is that loss, and needs nothing of the package."""

from __future__ import annotations

import ast

import torch

from losstune.losses.snippet import snippet
from tests.losses.cases import batch, each_spec, gradient


@each_spec
def test_the_text_is_plain_pytorch_and_the_same_function(spec):
    text = snippet(spec)
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).partition(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported <= {"__future__", "collections", "functools", "math", "typing", "torch"}
    namespace = {"__name__": "copied"}
    exec(compile(text, "copied", "exec"), namespace)
    copied = namespace[spec.function.__name__]
    logits_NC, target_N = batch()
    counts = {"counts_C": torch.tensor([9.0, 7.0, 5.0, 3.0, 1.0])} if spec.needs_counts else {}
    loss = spec.bind().with_counts(torch.tensor([9.0, 7.0, 5.0, 3.0, 1.0]))

    def again(z, y):
        return copied(z, y, **spec.defaults, **counts)

    assert torch.equal(again(logits_NC, target_N), loss(logits_NC, target_N))
    assert torch.equal(gradient(again, logits_NC, target_N), gradient(loss, logits_NC, target_N))


@each_spec
def test_the_text_ends_in_how_it_is_called(spec):
    last = snippet(spec).splitlines()[-1]
    assert last.startswith(f"# loss = {spec.function.__name__}(logits, target")
    for name, value in spec.defaults.items():
        assert f"{name}={value!r}" in last
