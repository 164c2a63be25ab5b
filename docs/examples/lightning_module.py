"""A loss of the catalogue in a LightningModule. Needs ``pip install lightning``; losstune does not need it."""

import lightning
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from losstune.losses import get


class Digits(lightning.LightningModule):
    def __init__(self, loss: str, **hyperparameters: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        self.criterion = get(loss, **hyperparameters).as_module()

    def training_step(self, batch, index):
        images, labels = batch
        return self.criterion(self.model(images), labels)

    def validation_step(self, batch, index):
        images, labels = batch
        self.log("accuracy", (self.model(images).argmax(1) == labels).float().mean())

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


if __name__ == "__main__":
    lightning.seed_everything(0)
    digits = load_digits()
    images = torch.tensor(digits.data, dtype=torch.float32) / 16
    data = TensorDataset(images, torch.tensor(digits.target))
    train, validation = torch.utils.data.random_split(data, [1400, 397])
    trainer = lightning.Trainer(
        max_epochs=15, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    module = Digits("gce", q=0.7)
    trainer.fit(module, DataLoader(train, 64, shuffle=True), DataLoader(validation, 397))
    print(f"accuracy {trainer.callback_metrics['accuracy']:.3f}")
