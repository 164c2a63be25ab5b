"""Where does a piece of a photograph come from? A small data set of colour images that ships with scikit-learn."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_sample_images

SIDE, NUM_PIECES = 8, 2000

images, labels = [], []
for number, photo in enumerate(load_sample_images().images):
    height, width = (size // SIDE for size in photo.shape[:2])
    grid = photo[: height * SIDE, : width * SIDE].reshape(height, SIDE, width, SIDE, 3)
    images.append(grid.swapaxes(1, 2).reshape(-1, SIDE, SIDE, 3))
    rows = np.repeat(np.arange(height), width)
    labels.append(2 * number + (rows >= height // 2))
chosen = np.random.default_rng(0).permutation(sum(map(len, images)))[:NUM_PIECES]
Path("data").mkdir(exist_ok=True)
np.savez(
    "data/photos.npz",
    images=np.concatenate(images)[chosen],
    labels=np.concatenate(labels)[chosen],
    class_names=np.array(["temple, upper half", "temple, lower half", "flower, upper half", "flower, lower half"]),
)
print(f"{NUM_PIECES:,} pieces of {SIDE}x{SIDE} pixels")
