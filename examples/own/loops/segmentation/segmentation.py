"""Segmentation of shapes, judged by mean IoU: a training loop for losstune.

The loop reads its own data, makes its own splits, and returns scores. The losses are the catalogue's, on every pixel.
"""

import numpy as np
import torch
from torch import nn

from losstune import Job, Result

SIZE, CLASSES = 32, 3  # background, disc, square


def make(path="shapes.npz", number=160, seed=0):
    """Draw noisy images (N, 1, H, W) with a disc and a square in each, and their masks (N, H, W)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    masks = np.zeros((number, SIZE, SIZE), np.int64)
    for mask in masks:
        (y, x), size = rng.integers(6, SIZE - 6, 2), rng.integers(3, 7)
        mask[(rows - y) ** 2 + (columns - x) ** 2 <= size**2] = 1
        (y, x), size = rng.integers(4, SIZE - 4, 2), rng.integers(2, 5)
        mask[(abs(rows - y) <= size) & (abs(columns - x) <= size)] = 2
    images = np.array([0.0, 0.5, 0.8])[masks] + rng.normal(0, 0.4, masks.shape)
    np.savez_compressed(path, images=images[:, None].astype(np.float32), masks=masks)


def network():
    layers = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=2, dilation=2), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(16, CLASSES, 3, padding=1))


@torch.no_grad()
def mean_iou(model, images, masks):
    predicted = model.eval()(images).argmax(1)
    pairs = [(predicted == label, masks == label) for label in range(CLASSES)]
    return float(np.mean([((ours & true).sum() / (ours | true).sum()).item() for ours, true in pairs]))


def train(job: Job) -> Result:
    with np.load(job.data_root) as data:
        images, masks = torch.from_numpy(data["images"]), torch.from_numpy(data["masks"])
    # The splits are the loop's duty. The test images are used in the confirmation only.
    train, validation, test = (slice(0, 80), slice(80, 120), slice(120, 160))
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=job.learning_rate, weight_decay=job.weight_decay)
    for epoch in range(1, job.epochs + 1):
        model.train()
        for index in torch.randperm(80).split(job.batch_size):
            optimizer.zero_grad()
            job.criterion(model(images[train][index]), masks[train][index]).backward()
            optimizer.step()
        score = mean_iou(model, images[validation], masks[validation])
        job.report(epoch, score)
    return Result(
        validation=score,
        test=mean_iou(model, images[test], masks[test]) if job.score_test else None,
        num_parameters=sum(item.numel() for item in model.parameters()),
        weights=model.state_dict(),
    )


if __name__ == "__main__":
    make()
