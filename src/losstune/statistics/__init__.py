"""Estimates with intervals, tests, and power: arrays in, numbers out.

Imports no other package of losstune. Random draws come from a generator that the caller passes.
``import scipy`` loads a part of it, such as ``scipy.stats``, on first use: most commands need none.
"""

from losstune.statistics.block_effects import BlockFit, fit_blocks
from losstune.statistics.calibration import debiased_ece, ece
from losstune.statistics.moderation import Variance, moderated
from losstune.statistics.paired import (
    Estimate,
    PairedDifference,
    effect_size,
    holm,
    mean_with_interval,
    median_with_interval,
    paired_difference,
    probability_better,
    sign_flip_interval,
    sign_flip_p_value,
    wilcoxon_p_value,
    wilson_interval,
)
from losstune.statistics.planning import (
    blocks_to_differ,
    blocks_to_match,
    normal_quantile,
    smallest_difference,
    smallest_margin,
)
from losstune.statistics.pooled import Expected, Pool, PooledDifference, PooledStudy
from losstune.statistics.pooling import Order, allocate, deleted_weights, jackknife_form, search_weights
from losstune.statistics.replication import (
    SearchError,
    search_errors,
    search_interval,
    search_p_value,
    searches_to_differ,
    searches_to_match,
)
from losstune.statistics.search import expected_best, overtakes
from losstune.statistics.sequential import (
    anytime_difference,
    e_value_one_sided,
    e_value_two_sided,
    first_decision,
    num_control_blocks,
    sign_bounds,
)
from losstune.statistics.similar import Effects, Prediction, Spread, cover_best, fit_spread, predict
from losstune.statistics.variance import Components, components_of_variance
from losstune.statistics.weighted import weighted_mean_with_interval

__all__ = [
    "BlockFit",
    "Components",
    "Effects",
    "Estimate",
    "Expected",
    "Order",
    "PairedDifference",
    "Pool",
    "PooledDifference",
    "PooledStudy",
    "Prediction",
    "SearchError",
    "Spread",
    "Variance",
    "allocate",
    "anytime_difference",
    "blocks_to_differ",
    "blocks_to_match",
    "components_of_variance",
    "cover_best",
    "debiased_ece",
    "deleted_weights",
    "e_value_one_sided",
    "e_value_two_sided",
    "ece",
    "effect_size",
    "expected_best",
    "first_decision",
    "fit_blocks",
    "fit_spread",
    "holm",
    "jackknife_form",
    "mean_with_interval",
    "median_with_interval",
    "moderated",
    "normal_quantile",
    "num_control_blocks",
    "overtakes",
    "paired_difference",
    "predict",
    "probability_better",
    "search_errors",
    "search_interval",
    "search_p_value",
    "search_weights",
    "searches_to_differ",
    "searches_to_match",
    "sign_bounds",
    "sign_flip_interval",
    "sign_flip_p_value",
    "smallest_difference",
    "smallest_margin",
    "weighted_mean_with_interval",
    "wilcoxon_p_value",
    "wilson_interval",
]
