"""Train the backbone of the model `frozen`: a small ResNet, on five classes of CIFAR-10.

    python backbone.py      # some two minutes on one core; the same bytes on the same kind of machine

No study of its features is about these five classes. No weights are downloaded.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from data import HERE, write
from losstune.config.load import parse_params
from losstune.core.records import Configuration
from losstune.losses.registry import get
from losstune.stages import prepare
from losstune.stages.study import open_study, read_arrays
from losstune.stages.workers import find_device
from losstune.training.loop import train
from losstune.training.task import Task

SEED = 27

params = parse_params(
    {
        "study": {"seed": SEED},
        "data": {"name": "npz", "root": str(HERE / "data" / "cifar10_known.npz"), "validation_fraction": 0.05},
        "model": {"name": "resnet9", "width": 16},
        "training": {"epochs": 10, "batch_size": 128, "augmentation": "flip_crop", "precision": "float32"},
        "losses": ["cross_entropy"],
        "resources": {"device": "cpu"},
        "tracking": {"enabled": False},
    }
)
work = Path(tempfile.mkdtemp())
try:
    prepare.run(params, work, work)
    study = open_study(params, work, work, find_device)
    task = Task(
        configuration=Configuration(loss="cross_entropy", hyperparameters={}, learning_rate=2e-3, weight_decay=1e-2),
        seeds=(SEED,),
        model=params.model,
        training=study.params.training,
        device=study.device,
        test=True,
        keep_weights=True,
    )
    ((result,),) = train(task, read_arrays(study, with_test=True), get("cross_entropy").bind({}))
finally:
    shutil.rmtree(work)
assert result.test is not None
assert result.weights is not None
print(f"test accuracy on the five classes {result.test['accuracy']:.4f}")
write("models/frozen/backbone.safetensors", result.weights)
