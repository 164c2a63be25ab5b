"""What one trial gets of the machines."""

import pytest

from losstune.config.load import load_params
from losstune.execution.resources import TrialResources, resources_of
from tests.paths import REPOSITORY

RESOURCES = load_params(REPOSITORY / "params.yaml").resources
SHARED_GPU = TrialResources(cpus=1, gpus=0.25)


@pytest.mark.parametrize(
    ("device", "setting", "expected"),
    [
        ("cpu", "auto", TrialResources(cpus=1, gpus=0, most=256)),
        ("cpu", 2, TrialResources(cpus=1, gpus=0, most=256)),
        ("cuda", "auto", TrialResources(cpus=1, gpus=1, most=64)),
        ("cuda", 2, TrialResources(cpus=1, gpus=1, most=2)),
    ],
)
def test_one_worker_trains_a_pack_on_a_core_or_a_gpu(device, setting, expected):
    resources = RESOURCES.model_copy(update={"trials_per_gpu": setting})
    assert resources_of(device, resources) == expected


@pytest.mark.parametrize(
    ("device", "setting", "gpus"), [("cpu", "auto", 0), ("cpu", 4, 0), ("cuda", "auto", 1), ("cuda", 4, 0.25)]
)
def test_processes_with_a_loop_of_the_users_own_share_a_gpu(device, setting, gpus):
    resources = RESOURCES.model_copy(update={"trials_per_gpu": setting})
    assert resources_of(device, resources, own_loop=True) == TrialResources(cpus=1, gpus=gpus, most=1)


@pytest.mark.parametrize(
    ("nodes", "cpus"),
    [
        ([(16, 1)], 1),  # four trials, four cores of sixteen
        ([(4, 1), (64, 8)], 1),
        ([(8, 4)], 0.5),  # sixteen trials must fit on eight cores
        ([(6, 8), (16, 1)], 0.18),  # 32 trials on six cores: 0.1875 each, rounded down
        ([(64, 0)], 1),  # nodes without a GPU have no say
        ([], 1),
    ],
)
def test_a_node_of_few_cores_can_still_fill_its_gpus(nodes, cpus):
    fitted = SHARED_GPU.fitted(nodes)
    assert fitted == TrialResources(cpus=cpus, gpus=0.25)
    for node_cpus, node_gpus in nodes:
        assert fitted.cpus * node_gpus / fitted.gpus <= node_cpus


def test_on_cores_alone_there_is_nothing_to_fit():
    assert TrialResources(cpus=1, gpus=0).fitted([(1, 8)]) == TrialResources(cpus=1, gpus=0)


def test_alone_nothing_else_fits_beside_it():
    assert SHARED_GPU.alone([(16, 1)]) == TrialResources(cpus=1, gpus=1.0)
    assert TrialResources(cpus=1, gpus=0).alone([(2, 0), (8, 0), (4, 0)]) == TrialResources(cpus=8, gpus=0)
