"""Transfer of fixed features between digits: learn 0 to 4 with the loss, then tell 5 to 9 apart by their features.

As published, the search selects on the accuracy of the task that the network is trained on, so this is the validation
score. The test score is what the publication asks: the accuracy of a logistic regression on the features of the frozen
network, fitted on training samples of the other classes. Its L2 penalty is chosen by their validation samples.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from losstune.training.job import Job, Result, Samples

NUM_SOURCE = 5
PENALTIES = np.logspace(-4, 4, 9)


def network() -> nn.Sequential:
    """Return a small convolutional network with 64 features before its last layer."""
    layers: list[nn.Module] = []
    for before, after, stride in ((1, 16, 1), (16, 32, 2), (32, 64, 2)):
        layers += [nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, NUM_SOURCE))


def train(job: Job) -> Result:
    """Train on the digits 0 to 4; the test score is that of 5 to 9."""
    model = network()
    job.adapt_head(model, NUM_SOURCE)
    model.to(job.device)
    assert job.train is not None
    assert job.validation is not None
    source = (job.train.labels < NUM_SOURCE).nonzero().squeeze(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=job.learning_rate, weight_decay=job.weight_decay)
    num_steps = job.epochs * math.ceil(len(source) / job.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    score = math.nan
    for epoch in range(1, job.epochs + 1):
        model.train()
        for index in torch.split(source[torch.randperm(len(source))], job.batch_size):
            inputs, labels = job.train[index]
            optimizer.zero_grad()
            job.criterion(model(inputs), labels).backward()
            optimizer.step()
            schedule.step()
        score = source_accuracy(model, job.validation)
        job.report(epoch, score)
    return Result(
        validation=score,
        test=None if job.test is None else transfer_accuracy(model, job.train, job.validation, job.test),
        num_parameters=sum(item.numel() for item in model.parameters()),
        weights=model.state_dict(),
    )


@torch.no_grad()
def source_accuracy(model: nn.Sequential, samples: Samples) -> float:
    """Return the accuracy on the samples of 0 to 4; NaN if the training diverged."""
    is_source = samples.labels < NUM_SOURCE
    logits = model.eval()(samples.inputs[is_source])
    if not logits.isfinite().all():
        return math.nan
    return float((logits.argmax(1) == samples.labels[is_source]).double().mean())


def transfer_accuracy(model: nn.Sequential, *splits: Samples) -> float:
    """Return the accuracy of a logistic regression on the features of 5 to 9: a split each to fit, choose and score."""
    train, validation, test = (features(model, split) for split in splits)
    probes = [
        make_pipeline(StandardScaler(), LogisticRegression(C=1 / penalty, max_iter=1000)).fit(*train)
        for penalty in PENALTIES
    ]
    return float(max(probes, key=lambda probe: probe.score(*validation)).score(*test))


@torch.no_grad()
def features(model: nn.Sequential, samples: Samples) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the features before the last layer (N, 64) and the classes (N,) of the digits 5 to 9."""
    is_target = samples.labels >= NUM_SOURCE
    found = model.eval()[:-1](samples.inputs[is_target])
    return found.cpu().double().numpy(), samples.labels[is_target].cpu().numpy()
