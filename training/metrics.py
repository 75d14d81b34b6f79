"""Figures of a score against labels. Scores: higher is better quality; labels: True is the good class.

What a site's calibration needs as well, without this extra, is in ``efiqa._metrics``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from efiqa._metrics import (
    FOLDS,
    SEED,
    auroc,
    auroc_interval,
    average_ranks,
    balanced_accuracy,
    best_threshold,
    checked,
    group_folds,
    matthews,
)

__all__ = [
    "FOLDS", "SEED", "Calibrated", "auprc", "auroc", "auroc_interval", "balanced_accuracy", "best_threshold",
    "calibrated", "dice", "group_folds", "matthews", "patient_of", "ranks_correlation",
    "told_apart",
]  # fmt: skip

_EYEPACS = re.compile(r"(?:EYEPACS_)?(\d+)_(?:left|right)", re.IGNORECASE)


def patient_of(name: str) -> str:
    """Return the group of a picture: the two eyes of an EyePACS patient share it, others stand alone."""
    stem = name.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0]
    match = _EYEPACS.fullmatch(stem)
    return f"eyepacs_{match.group(1)}" if match else name


def told_apart(better: ArrayLike, worse: ArrayLike) -> float:
    """Return the AUROC 0..1 of the scores ``better`` (N,) against the scores ``worse`` (M,).

    Raises:
        ValueError: as for ``auroc``.
    """
    truth = np.r_[np.ones(np.size(better), bool), np.zeros(np.size(worse), bool)]
    return auroc(truth, np.r_[better, worse])


def auprc(good: ArrayLike, score: ArrayLike) -> float:
    """Return the average precision 0..1 at finding the BAD class, the one that an alarm is for.

    Raises:
        ValueError: as for ``auroc``.
    """
    from sklearn.metrics import average_precision_score

    labels, values = checked(good, score)
    auroc(labels, values)
    return float(average_precision_score(~labels, -values))


def dice(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return 2 |A and B| / (|A| + |B|) of two masks of the same shape; 1 when both are empty."""
    first, second = np.asarray(truth, bool), np.asarray(predicted, bool)
    if first.shape != second.shape:
        raise ValueError(f"truth has shape {first.shape}, predicted {second.shape}, expected the same")
    total = int(first.sum()) + int(second.sum())
    return 1.0 if total == 0 else 2.0 * int((first & second).sum()) / total


@dataclass(frozen=True)
class Calibrated:
    """Figures at thresholds that were fitted on the other folds; ``threshold`` is their mean."""

    balanced_accuracy: float
    matthews: float
    threshold: float


def calibrated(good: ArrayLike, score: ArrayLike, groups: list[str], *, seed: int = SEED) -> Calibrated:
    """Return balanced accuracy and MCC, each fold judged at the best threshold of the other four.

    This is the paper's protocol: labels of the same set are used for the threshold, and only for that.
    Source: EFIQA, MIDL 2026, Table 1.

    Raises:
        ValueError: as for ``auroc``, or a class has too few groups to be in four folds.
    """
    labels, values = checked(good, score)
    fold = group_folds(labels, groups, seed=seed)
    predicted = np.zeros(len(labels), bool)
    thresholds = []
    for index in range(FOLDS):
        inside = fold == index
        thresholds.append(best_threshold(labels[~inside], values[~inside]))
        predicted[inside] = values[inside] >= thresholds[-1]
    return Calibrated(
        balanced_accuracy(labels, predicted), matthews(labels, predicted), float(np.mean(thresholds))
    )


def ranks_correlation(first: ArrayLike, second: ArrayLike) -> float:
    """Return Spearman's rank correlation, -1..1; 0 when either is constant."""
    a, b = average_ranks(np.asarray(first, np.float64)), average_ranks(np.asarray(second, np.float64))
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
