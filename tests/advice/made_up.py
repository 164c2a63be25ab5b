"""Made-up verdicts."""

from losstune.advice.records import Data, Noise, PastVerdict, Winner


def data(name="birds", **changes):
    facts = {"name": name, "digest": f"digest of {name}", "kind": "image", "num_classes": 10, "num_train": 1000}
    return Data.model_validate(facts | {"imbalance": 1.0} | changes)


def noise(rate, kind="symmetric"):
    return Noise(kind=kind, rate=rate, basis="measured")


def verdict(loss="gce", study="a study", points=0.0, error=0.2, **changes):
    """What a study says of a loss: its difference and standard error, in points of accuracy."""
    values = {
        "source": study,
        "protocol": f"protocol of {study}",
        "data": data(),
        "model": "cnn",
        "optimizer": "adamw",
        "loss": loss,
        "part": "candidate",
        "metric": "accuracy",
        "rope": 0.005,
        "difference": points / 100,
        "low": (points - 2 * error) / 100,
        "high": (points + 2 * error) / 100,
        "error": error / 100,
        "decision": "better" if points > 0.5 else "worse" if points < -0.5 else "equivalent",
        "winner": winner(),
    }
    return PastVerdict(**(values | changes))


def winner(learning_rate=1e-3, weight_decay=1e-2, **hyperparameters):
    return Winner(hyperparameters=hyperparameters, learning_rate=learning_rate, weight_decay=weight_decay)
