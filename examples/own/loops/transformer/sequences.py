"""Sequences of tokens with a tiny transformer and Hugging Face's Trainer: a training loop for losstune.

The class of a sequence is the token that follows the first marker in it. Nothing is downloaded.
"""

import tempfile

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from losstune import Job, Result

LENGTH, CLASSES, MARKER, TOKENS = 12, 4, 4, 12


def make(path="sequences.npz", number=480, seed=0):
    """Draw sequences (N, L) and their classes (N,)."""
    rng = np.random.default_rng(seed)
    tokens, labels = rng.integers(MARKER + 1, TOKENS, (number, LENGTH)), rng.integers(0, CLASSES, number)
    places = rng.integers(0, LENGTH - 1, number)
    tokens[np.arange(number), places], tokens[np.arange(number), places + 1] = MARKER, labels
    np.savez_compressed(path, tokens=tokens, labels=labels)


class Split(Dataset):
    """Sequences as the Trainer takes them."""

    def __init__(self, tokens, labels):
        self.tokens, self.labels = torch.from_numpy(tokens), torch.from_numpy(labels)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return {"input_ids": self.tokens[index], "labels": self.labels[index]}


class Report(TrainerCallback):
    """Reports the accuracy after each epoch."""

    def __init__(self, job, split):
        self.job, self.split = job, split

    def on_epoch_end(self, arguments, state, control, model=None, **others):
        self.job.report(round(state.epoch), accuracy(model, self.split))


@torch.no_grad()
def accuracy(model, split):
    model.eval()
    found = model(split.tokens.to(model.device)).logits.argmax(1).cpu()
    model.train()
    return (found == split.labels).double().mean().item()


def train(job: Job) -> Result:
    with np.load(job.data_root) as data:
        tokens, labels = data["tokens"], data["labels"]
    # The splits are the loop's duty. The test split is used in the confirmation only.
    splits = [Split(tokens[part], labels[part]) for part in (slice(0, 240), slice(240, 360), slice(360, 480))]
    config = BertConfig(
        vocab_size=TOKENS,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=LENGTH,
        num_labels=CLASSES,
    )
    model = BertForSequenceClassification(config)

    def compute_loss(outputs, target, num_items_in_batch=None):
        return job.criterion(outputs.logits, target)

    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model,
            TrainingArguments(
                folder,
                num_train_epochs=job.epochs,
                learning_rate=job.learning_rate,
                weight_decay=job.weight_decay,
                per_device_train_batch_size=job.batch_size,
                seed=job.seed,
                use_cpu=job.device == "cpu",
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
            ),
            train_dataset=splits[0],
            compute_loss_func=compute_loss,
            callbacks=[Report(job, splits[1])],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return Result(
        validation=accuracy(model, splits[1]),
        test=accuracy(model, splits[2]) if job.score_test else None,
        num_parameters=model.num_parameters(),
    )


if __name__ == "__main__":
    make()
