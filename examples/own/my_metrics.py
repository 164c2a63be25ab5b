"""A metric of your own: the mean cost of the decisions that follow from a model's probabilities."""

import numpy as np


def expected_cost(probabilities, labels, costs):
    """Return the mean cost of a sample; lower is better.

    A sample is decided as the class whose expected cost is lowest, not as the most probable class (Elkan 2001, *The
    foundations of cost-sensitive learning*).

    Args:
        probabilities: Class probabilities (N, K).
        labels: True classes (N,).
        costs: Cost of each decision, ``costs[true][decided]``, K rows of K numbers.
    """
    costs = np.asarray(costs, dtype=float)
    decided = (probabilities @ costs).argmin(axis=1)
    return costs[labels, decided].mean()
