"""Real but small work for tests: a few hundred handwritten digits and networks that train in milliseconds."""

from functools import cache

import numpy as np
from sklearn.datasets import load_digits

from losstune.config.settings import ModelSettings, TrainingSettings
from losstune.core.records import Configuration
from losstune.training.task import Arrays, Task


@cache
def digits_arrays(num_train=320, num_validation=160, num_test=160):
    digits = load_digits()
    images = digits.images.astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    first, second = num_train, num_train + num_validation
    third = second + num_test
    return Arrays(
        train_images=images[:first],
        train_labels=labels[:first],
        validation_images=images[first:second],
        validation_labels=labels[first:second],
        test_images=images[second:third],
        test_labels=labels[second:third],
        mean=(float(images[:first].mean()),),
        std=(float(images[:first].std()),),
        num_classes=10,
        digest=f"digits {num_train} {num_validation} {num_test}",
    )


def small_task(
    loss="cross_entropy",
    *,
    seeds=(1,),
    model="mlp",
    hyperparameters=None,
    learning_rate=1e-2,
    weight_decay=1e-3,
    **settings,
):
    task = {name: settings.pop(name) for name in ("test", "keep_weights", "metrics", "score") if name in settings}
    training = {
        "epochs": 3,
        "batch_size": 32,
        "optimizer": "adamw",
        "momentum": 0.9,
        "schedule": "cosine",
        "warmup_fraction": 0.0,
        "augmentation": "none",
        "precision": "float32",
    }
    return Task(
        configuration=Configuration(
            loss=loss, hyperparameters=hyperparameters or {}, learning_rate=learning_rate, weight_decay=weight_decay
        ),
        seeds=seeds,
        model=ModelSettings(name=model, width=16, depth=1),
        training=TrainingSettings(**(training | settings)),
        device="cpu",
        **task,
    )
