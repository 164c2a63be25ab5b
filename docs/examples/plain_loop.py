"""A loss of the catalogue in a plain PyTorch loop: in place of ``nn.CrossEntropyLoss``, and nothing else changes."""

import torch
from sklearn.datasets import load_digits
from torch import nn

from losstune.losses import get

torch.manual_seed(0)
digits = load_digits()
images, labels = torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
loss = get("focal", gamma=2.0)
criterion = loss.as_module(reduction="mean")
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
for _ in range(20):
    for batch in torch.randperm(1400).split(64):
        optimizer.zero_grad()
        criterion(model(images[batch]), labels[batch]).backward()
        optimizer.step()
with torch.no_grad():
    # Through the loss's own link, and not through softmax, which is underconfident after a focal loss.
    probabilities = loss.probabilities(model(images[1400:]))
print(criterion)
print(f"accuracy {(probabilities.argmax(1) == labels[1400:]).float().mean():.3f}")
