"""A loss of the catalogue in Hugging Face's Trainer. Needs ``pip install transformers accelerate``.

``compute_loss_func`` takes the place of the model's own loss. A tiny BERT, untrained, learns which of three words
a sentence holds.
"""

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from losstune.losses import get

criterion = get("label_smoothing", eps=0.1).as_module()


def compute_loss(outputs, labels, num_items_in_batch=None):
    return criterion(outputs.logits, labels)


def sentences(num_samples: int, seed: int) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(3, 30, (num_samples, 8), generator=generator)
    labels = torch.randint(3, (num_samples,), generator=generator)
    words[torch.arange(num_samples), torch.randint(8, (num_samples,), generator=generator)] = labels
    return [{"input_ids": row, "labels": label} for row, label in zip(words, labels, strict=True)]


def accuracy(prediction) -> dict[str, float]:
    return {"accuracy": float((prediction.predictions.argmax(1) == prediction.label_ids).mean())}


if __name__ == "__main__":
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, num_labels=3
    )
    trainer = Trainer(
        model=BertForSequenceClassification(config),
        args=TrainingArguments(
            output_dir="hugging-face-output",
            num_train_epochs=8,
            per_device_train_batch_size=32,
            learning_rate=3e-3,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=sentences(1000, seed=1),
        eval_dataset=sentences(300, seed=2),
        compute_loss_func=compute_loss,
        compute_metrics=accuracy,
    )
    trainer.train()
    print(f"accuracy {trainer.evaluate()['eval_accuracy']:.3f}")
