"""Calibration error from the bins of a reliability diagram, as measured and without its bias.

Shape suffixes: K bins, each of (count, hits, sum of confidences).
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike

from losstune.statistics.paired import Array


def ece(bins_K3: ArrayLike) -> float:
    """Return the expected calibration error ``sum_k |hits_k - confidences_k| / N``, 0 to 1.

    Source:
        Guo et al. 2017, arXiv 1706.04599, eq. (3).
    """
    count_K, gap_K, _ = _bins(bins_K3)
    return float(count_K @ np.abs(gap_K) / count_K.sum())


def debiased_ece(bins_K3: ArrayLike) -> float:
    """Return the expected calibration error without its finite-sample bias, at most 1.

    Even for a perfectly calibrated model, a bin's accuracy differs from its confidence by chance. So the plain ECE is
    biased upward, more with fewer samples. If a bin's gap is normal about its value g with standard deviation
    ``s = sqrt(acc (1 - acc) / n)``, its mean absolute value is that of a folded normal distribution,
    ``s sqrt(2/pi) exp(-g^2 / 2 s^2) + g (1 - 2 Phi(-g/s))``. Its excess over |g| is the bias, which is subtracted.
    For a calibrated model the estimate may be negative, which keeps means over models unbiased.

    Source:
        Kumar, Liang & Ma 2019, *Verified uncertainty calibration*, arXiv 1909.10155, the debiased l1 estimator, in
        closed form, whereas their code draws normal numbers.
    """
    count_K, gap_K, accuracy_K = _bins(bins_K3)
    spread_K = np.sqrt(accuracy_K * (1.0 - accuracy_K) / count_K)
    size_K = np.abs(gap_K)
    varies_K = spread_K > 0.0
    ratio_K = size_K / np.where(varies_K, spread_K, 1.0)
    folded_K = spread_K * np.sqrt(2.0 / np.pi) * np.exp(-0.5 * ratio_K**2) + size_K * (
        1.0 - 2.0 * scipy.special.ndtr(-ratio_K)
    )
    bias_K = np.where(varies_K, folded_K - size_K, 0.0)
    return float(count_K @ (size_K - bias_K) / count_K.sum())


def _bins(bins_K3: ArrayLike) -> tuple[Array, Array, Array]:
    """Return count, accuracy minus confidence, and accuracy of the non-empty bins."""
    bins_K3 = np.asarray(bins_K3, dtype=np.float64)
    if bins_K3.ndim != 2 or bins_K3.shape[1] != 3 or not bins_K3[:, 0].sum() > 0:
        raise ValueError(f"expected bins (K, 3) with at least one sample, found shape {bins_K3.shape}")
    count_K, hits_K, confidence_K = bins_K3[bins_K3[:, 0] > 0].T
    return count_K, (hits_K - confidence_K) / count_K, hits_K / count_K
