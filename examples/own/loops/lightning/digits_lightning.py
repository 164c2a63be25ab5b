"""Handwritten digits with a LightningModule: a training loop for losstune."""

import logging
import warnings

import lightning
import torch
from torch.utils.data import DataLoader

from losstune import Job, Logits, Result

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning")


class Digits(lightning.LightningModule):
    """The user's module, with the loss and the optimiser's settings of the job."""

    def __init__(self, job: Job):
        super().__init__()
        self.job = job
        layers = [torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)]
        self.network = torch.nn.Sequential(*layers)
        self.outputs = []

    def forward(self, images):
        return self.network(images)

    def training_step(self, batch, index):
        images, labels = batch
        return self.job.criterion(self(images), labels)

    def validation_step(self, batch, index):
        self.outputs.append(self(batch[0]))

    def on_validation_epoch_end(self):
        self.job.report(self.current_epoch + 1, Logits(torch.cat(self.outputs)))
        self.outputs.clear()

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.job.learning_rate, weight_decay=self.job.weight_decay)


def train(job: Job) -> Result:
    module = Digits(job)
    trainer = lightning.Trainer(
        max_epochs=job.epochs,
        accelerator="gpu" if job.device == "cuda" else "cpu",
        devices=1,
        num_sanity_val_steps=0,  # its outputs would be reported
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(
        module,
        DataLoader(job.train, batch_size=job.batch_size, shuffle=True),
        DataLoader(job.validation, batch_size=256),
    )
    module.eval()
    with torch.no_grad():
        return Result(
            validation=Logits(module(job.validation.inputs)),
            test=Logits(module(job.test.inputs)) if job.score_test else None,
            num_parameters=sum(item.numel() for item in module.parameters()),
            weights=module.network.state_dict(),
        )
