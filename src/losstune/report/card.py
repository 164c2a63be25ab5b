"""The model card: what to know before using a model of the study."""

from __future__ import annotations

from losstune.core.records import Record
from losstune.verdict.results import Results


def model_card(results: Results, record: Record, *, objective: str, link: str, takes: str) -> str:
    """Return the card of the model that `record` trained, as Markdown.

    Args:
        results: Results of the study.
        record: The block that trained the model.
        objective: The loss with its hyperparameters.
        link: Sentence on how the loss maps the network's outputs to probabilities.
        takes: Description of the model's input.
    """
    configuration, data = record.configuration, results.data
    loss = configuration.loss
    roles = [
        role
        for role, holder in (("the verdict's choice", results.verdict.loss), ("the baseline", results.baseline))
        if holder == loss
    ]
    means = next((result.scores for result in results.losses if result.loss == loss), {})
    scores = [
        f"| {name} | {value:.4f} | " + (f"{means[name].mean:.4f} |" if name in means else "|")
        for name, value in sorted((record.test or {}).items())
    ]
    classes = ", ".join(data.class_names[:20]) + (", …" if len(data.class_names) > 20 else "")
    means_of = "expected result of its search" if results.is_pooled else "mean of its loss's blocks"
    lines = [
        f"# {results.model} trained with {loss} on {data.name}",
        "",
        f"In its study it is {' and '.join(roles) or 'one of the losses compared'}. {results.verdict.sentence}",
        "",
        f"- **Input**: {takes}; the model normalises them itself.",
        f"- **Output**: probabilities of {len(data.class_names)} classes, in this order: {classes}. {link}",
        f"- **Trained with**: {objective}, learning rate {configuration.learning_rate:.3g}, weight decay "
        f"{configuration.weight_decay:.3g}, "
        + "".join(f"{name} {value:.3g}, " for name, value in configuration.settings.items())
        + f"seed {record.seed}, on {data.num_train:,} samples; chosen on "
        f"{data.num_validation:,} others.",
        f"- **Data**: {data.name}, digest `{data.digest[:16]}`"
        + "".join(f"; {detail}" for detail in data.details)
        + f"; registered as `{results.protocol[:12]}`.",
        _which(results, record),
        "- **Limits**: not tested on inputs from other sources than the data set."
        + "".join(f" {warning}" for warning in results.warnings),
        "",
        f"| on {data.num_test:,} test samples | this model | {means_of} |",
        "|-|-|-|",
        *scores,
    ]
    return "\n".join(lines) + "\n"


def _which(results: Results, record: Record) -> str:
    if not results.is_pooled:
        return f"- **Block**: {record.number}, the first and not the best one. Expect the mean scores."
    return (
        f"- **Block**: {record.index}, the first and not the best one of the configuration that wins more "
        "searches within the pool than any other. Expect the mean scores."
    )
