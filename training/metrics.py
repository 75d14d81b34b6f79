"""Figures of a score against labels. Scores: higher is better quality; labels: True is the good class.

AUROC is computed from ranks here, because the bootstrap needs thousands of them; the test holds it against
scikit-learn. Everything else standard is scikit-learn's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FOLDS = 5
BOOTSTRAP_RUNS = 2000
SEED = 20260801
_EYEPACS = re.compile(r"(?:EYEPACS_)?(\d+)_(?:left|right)", re.IGNORECASE)

BoolArray = NDArray[np.bool_]
DoubleArray = NDArray[np.float64]


def patient_of(name: str) -> str:
    """Return the group of a picture: the two eyes of an EyePACS patient share it, others stand alone."""
    stem = name.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0]
    match = _EYEPACS.fullmatch(stem)
    return f"eyepacs_{match.group(1)}" if match else name


def _checked(good: ArrayLike, score: ArrayLike) -> tuple[BoolArray, DoubleArray]:
    labels, values = np.asarray(good, bool), np.asarray(score, np.float64)
    if labels.ndim != 1 or labels.shape != values.shape:
        raise ValueError(f"good has shape {labels.shape}, score {values.shape}, expected the same (N,)")
    if np.isnan(values).any():
        raise ValueError(f"score has {int(np.isnan(values).sum())} NaN, expected a number for every picture")
    return labels, values


def _ranks(values: DoubleArray) -> DoubleArray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[inverse]  # ties share the mean of their ranks


def auroc(good: ArrayLike, score: ArrayLike) -> float:
    """Return the chance 0..1 that a good item scores above a bad one, ties counting half.

    Raises:
        ValueError: one class is empty, a score is NaN, or the shapes differ.

    Source: Mann-Whitney U; Hanley and McNeil, Radiology 143, 1982.
    """
    labels, values = _checked(good, score)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if positives == 0 or negatives == 0:
        raise ValueError(f"good has {positives} True and {negatives} False, expected some of both")
    above = _ranks(values)[labels].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def auroc_interval(
    good: ArrayLike, score: ArrayLike, groups: list[str], *, runs: int = BOOTSTRAP_RUNS, seed: int = SEED
) -> tuple[float, float]:
    """Return the 95 % interval of the AUROC: whole groups (patients) are drawn with replacement.

    Draws without both classes are drawn again. Source: percentile bootstrap, Efron and Tibshirani 1993,
    chapter 13.

    Raises:
        ValueError: as for ``auroc``, or ``groups`` has another length.
    """
    labels, values = _checked(good, score)
    auroc(labels, values)  # both classes are there
    if len(groups) != len(labels):
        raise ValueError(f"groups has {len(groups)} entries, expected {len(labels)}")
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    count = int(group.max()) + 1
    # Each item is repeated as often as its group was drawn: weighted ranks need no copy of the items.
    order = np.argsort(values, kind="stable")
    step = np.r_[True, np.diff(values[order]) != 0].cumsum() - 1  # index among distinct scores
    sorted_good, sorted_group = labels[order], group[order]
    rng = np.random.default_rng(seed)
    results: list[float] = []
    while len(results) < runs:
        weight = np.bincount(rng.integers(count, size=count), minlength=count)[sorted_group]
        positive = np.bincount(step, weight * sorted_good)
        negative = np.bincount(step, weight * ~sorted_good)
        if positive.sum() == 0 or negative.sum() == 0:
            continue
        below = np.cumsum(negative) - negative
        wins = (positive * (below + 0.5 * negative)).sum()
        results.append(float(wins / (positive.sum() * negative.sum())))
    low, high = np.quantile(results, [0.025, 0.975])
    return float(low), float(high)


def auprc(good: ArrayLike, score: ArrayLike) -> float:
    """Return the average precision 0..1 at finding the BAD class, the one that an alarm is for.

    Raises:
        ValueError: as for ``auroc``.
    """
    from sklearn.metrics import average_precision_score

    labels, values = _checked(good, score)
    auroc(labels, values)
    return float(average_precision_score(~labels, -values))


def balanced_accuracy(good: ArrayLike, predicted_good: ArrayLike) -> float:
    """Return the mean of sensitivity and specificity, 0..1."""
    labels, predicted = np.asarray(good, bool), np.asarray(predicted_good, bool)
    return float((predicted[labels].mean() + (~predicted[~labels]).mean()) / 2)


def matthews(good: ArrayLike, predicted_good: ArrayLike) -> float:
    """Return Matthews' correlation coefficient, -1..1, 0 when a class is never predicted."""
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(np.asarray(good, bool), np.asarray(predicted_good, bool)))


def dice(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Return 2 |A and B| / (|A| + |B|) of two masks of the same shape; 1 when both are empty."""
    first, second = np.asarray(truth, bool), np.asarray(predicted, bool)
    if first.shape != second.shape:
        raise ValueError(f"truth has shape {first.shape}, predicted {second.shape}, expected the same")
    total = int(first.sum()) + int(second.sum())
    return 1.0 if total == 0 else 2.0 * int((first & second).sum()) / total


def best_threshold(good: ArrayLike, score: ArrayLike) -> float:
    """Return the threshold of best balanced accuracy for ``score >= threshold``, half way between scores.

    Of equally good ones the middle one is taken, so that a wide gap is split evenly.

    Raises:
        ValueError: as for ``auroc``.
    """
    labels, values = _checked(good, score)
    auroc(labels, values)
    distinct = np.unique(values)
    cuts = np.r_[distinct[0], (distinct[1:] + distinct[:-1]) / 2]
    above_good = 1.0 - np.searchsorted(np.sort(values[labels]), cuts) / labels.sum()
    below_bad = np.searchsorted(np.sort(values[~labels]), cuts) / (~labels).sum()
    accuracy = (above_good + below_bad) / 2
    best = np.flatnonzero(accuracy == accuracy.max())
    return float(cuts[best[len(best) // 2]])


def group_folds(
    good: ArrayLike, groups: list[str], *, folds: int = FOLDS, seed: int = SEED
) -> NDArray[np.int64]:
    """Return the fold 0..folds-1 of each item: whole groups, classes spread evenly, fixed by the seed.

    Groups are taken in random order, those with a bad item first, and go to the fold that is shortest of
    their class.
    """
    labels = np.asarray(good, bool)
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    bad = np.bincount(group, ~labels, minlength=len(names))
    size = np.bincount(group, minlength=len(names))
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-bad[order], kind="stable")]
    load = np.zeros((folds, 2))
    fold_of = np.zeros(len(names), np.int64)
    for index in order:
        key = [tuple(row) for row in (load if bad[index] else load[:, ::-1])]
        fold_of[index] = min(range(folds), key=key.__getitem__)
        load[fold_of[index]] += (bad[index], size[index] - bad[index])
    return fold_of[group]


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
    labels, values = _checked(good, score)
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
    a, b = _ranks(np.asarray(first, np.float64)), _ranks(np.asarray(second, np.float64))
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
