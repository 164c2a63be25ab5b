"""Data larger than the memory that a process may have."""

import os
import subprocess
import sys

import pytest

from tests.paths import REPOSITORY

PROGRAM = """
import resource, sys
from pathlib import Path
import numpy as np
import torch
from losstune.data.prepared import read_development, write
from losstune.data.raw import RawData
from losstune.data.splits import Splits
from losstune.losses import get
from losstune.training.loop import train
from losstune.training.task import Arrays
from tests.small import digits_arrays, small_task

NUM, SIDE = 24_000, 90
torch.set_num_threads(1)
task = small_task(epochs=1, batch_size=64)
list(train(task, digits_arrays(), get("cross_entropy")))  # so that all code is loaded before memory is limited
folder = Path(sys.argv[1])
images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (NUM, 3, SIDE, SIDE))
for start in range(0, NUM, 1000):
    images[start : start + 1000] = np.random.default_rng(start).integers(0, 256, (1000, 3, SIDE, SIDE), np.uint8)
del images
labels = np.arange(NUM) % 10

# Private memory that can be written: what is allocated, but no mapped file.
used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")) * 1024
size = (folder / "images.npy").stat().st_size
resource.setrlimit(resource.RLIMIT_DATA, (used + size // 3,) * 2)
mapped = np.load(folder / "images.npy", mmap_mode="r")
try:
    np.array(mapped)
    raise SystemExit("the limit does not hold")
except MemoryError:
    pass
raw = RawData(mapped, labels, tuple("abcdefghij"))
splits = Splits(np.arange(20_000), np.arange(20_000, 23_000), np.arange(23_000, NUM))
manifest = write(folder / "prepared", raw, splits, name="large")
data = read_development(folder / "prepared", verify=True)
arrays = Arrays(
    train_images=data.train_images, train_labels=data.train_labels, validation_images=data.validation_images,
    validation_labels=data.validation_labels, mean=manifest.mean, std=manifest.std, num_classes=10, digest="large",
)
((result,),) = train(task, arrays, get("cross_entropy"))
print(size // 2**20, result.status)
"""


@pytest.mark.integration
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_data_larger_than_memory_is_prepared_and_trained_on(tmp_path):
    # Else the allocator keeps batches that were freed, and counts as a user of memory itself.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["556", "finished"]
