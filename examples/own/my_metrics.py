"""A metric of your own: the mean cost of decisions, some of which a person reviews."""

import math

import numpy as np


def reviewed_cost(probabilities, labels, costs, review=math.inf):
    """Return the mean cost of a sample; lower is better.

    A sample is decided as the class whose expected cost is lowest, or goes to a person who finds the true class, if
    that costs less (Chow 1970, *On optimum recognition error and reject tradeoff*).

    Args:
        probabilities: Class probabilities (N, K).
        labels: True classes (N,).
        costs: Cost of each decision, ``costs[true][decided]``, K rows of K numbers.
        review: Cost of a review.
    """
    costs = np.asarray(costs, dtype=float)
    expected = probabilities @ costs
    spent = costs[labels, expected.argmin(axis=1)]
    return np.where(expected.min(axis=1) <= review, spent, review).mean()
