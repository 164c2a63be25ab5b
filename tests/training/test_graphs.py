"""A capture, on a stand-in for CUDA that records what it is asked for; tests/training/test_gpu.py has the real one."""

import inspect
from contextlib import contextmanager

import pytest
import torch

from losstune.training.graphs import Called, Captured


class Stream:
    def __init__(self, log, name):
        self.log, self.name = log, name

    def wait_stream(self, stream):
        self.log.append(f"{self.name} waits for {stream.name}")


@pytest.fixture
def cuda(monkeypatch):
    """Records forks, joins and what runs where; a replay runs nothing."""
    log = []

    class Graph:
        def replay(self):
            log.append("replay")

    @contextmanager
    def graph(cuda_graph, pool=None, stream=None, capture_error_mode="global"):
        log.append(f"capture on {stream.name} in pool {pool}, {capture_error_mode}")
        yield
        log.append("captured")

    @contextmanager
    def on(stream):
        log.append(f"on {stream.name}")
        yield

    assert inspect.signature(torch.cuda.graph.__init__).parameters.keys() >= inspect.signature(graph).parameters.keys()
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: Stream(log, "origin"))
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "stream", on)
    return log


def test_each_function_is_captured_on_its_stream_between_a_fork_and_a_join(cuda):
    values = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])]
    repeated = Captured([lambda: values[0], lambda: values[1]], [Stream(cuda, "a"), Stream(cuda, "b")], pool="p")
    assert cuda == [
        "capture on origin in pool p, thread_local",
        "a waits for origin",
        "on a",
        "b waits for origin",
        "on b",
        "origin waits for a",
        "origin waits for b",
        "captured",
    ]
    assert torch.equal(repeated(), torch.stack(values))
    assert cuda[-1] == "replay"


def test_functions_that_return_nothing_give_nothing(cuda):
    calls = []
    assert Captured([lambda: calls.append(1)], [Stream(cuda, "a")], pool="p")() is None
    assert calls == [1]
    assert Called([lambda: calls.append(2)])() is None
    assert Called([lambda: calls.append(3)])() is None
    assert calls == [1, 2, 3]


def test_called_functions_are_called_each_time():
    values = iter(torch.arange(4.0))
    repeated = Called([lambda: next(values), lambda: next(values)])
    assert repeated().tolist() == [0.0, 1.0]
    assert repeated().tolist() == [2.0, 3.0]
