"""Figures of a score against labels, without scikit-learn: for a site's calibration and for the training.

Scores: higher is better quality; labels: True is the good class. AUROC is computed from ranks, because the
bootstrap needs thousands of them; the tests hold the figures against scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

FOLDS = 5
BOOTSTRAP_RUNS = 2000
SEED = 20260801

BoolArray = NDArray[np.bool_]
DoubleArray = NDArray[np.float64]


def checked(good: ArrayLike, score: ArrayLike) -> tuple[BoolArray, DoubleArray]:
    """Return both as arrays (N,).

    Raises:
        ValueError: the shapes differ, or a score is NaN.
    """
    labels, values = np.asarray(good, bool), np.asarray(score, np.float64)
    if labels.ndim != 1 or labels.shape != values.shape:
        raise ValueError(f"good has shape {labels.shape}, score {values.shape}, expected the same (N,)")
    if np.isnan(values).any():
        raise ValueError(f"score has {int(np.isnan(values).sum())} NaN, expected a number for every picture")
    return labels, values


def average_ranks(values: DoubleArray) -> DoubleArray:
    """Return the rank 1..N of each of ``values`` (N,); ties share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[inverse]


def auroc(good: ArrayLike, score: ArrayLike) -> float:
    """Return the chance 0..1 that a good item scores above a bad one, ties counting half.

    Raises:
        ValueError: one class is empty, a score is NaN, or the shapes differ.

    Source: Mann-Whitney U; Hanley and McNeil, Radiology 143, 1982.
    """
    labels, values = checked(good, score)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if positives == 0 or negatives == 0:
        raise ValueError(f"good has {positives} True and {negatives} False, expected some of both")
    above = average_ranks(values)[labels].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def auroc_interval(
    good: ArrayLike, score: ArrayLike, groups: Sequence[str], *, runs: int = BOOTSTRAP_RUNS, seed: int = SEED
) -> tuple[float, float]:
    """Return the 95 % interval of the AUROC: whole groups (patients) are drawn with replacement.

    Draws without both classes are drawn again. Source: percentile bootstrap, Efron and Tibshirani 1993,
    chapter 13.

    Raises:
        ValueError: as for ``auroc``, or ``groups`` has another length.
    """
    labels, values = checked(good, score)
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
    return interval(np.asarray(results))


def confusion(good: ArrayLike, predicted_good: ArrayLike) -> DoubleArray:
    """Return counts (4,): good ones passed and refused, bad ones passed and refused."""
    labels, predicted = np.asarray(good, bool), np.asarray(predicted_good, bool)
    return np.bincount(2 * ~labels + ~predicted, minlength=4).astype(np.float64)


def specificity_of(counts: DoubleArray) -> DoubleArray:
    """Return the share of good ones that pass, of ``confusion`` counts (..., 4)."""
    return np.asarray(counts[..., 0] / (counts[..., 0] + counts[..., 1]))


def sensitivity_of(counts: DoubleArray) -> DoubleArray:
    """Return the share of bad ones that are refused, of ``confusion`` counts (..., 4)."""
    return np.asarray(counts[..., 3] / (counts[..., 2] + counts[..., 3]))


def balanced_accuracy_of(counts: DoubleArray) -> DoubleArray:
    """Return the mean of both shares, of ``confusion`` counts (..., 4)."""
    return np.asarray((sensitivity_of(counts) + specificity_of(counts)) / 2)


def matthews_of(counts: DoubleArray) -> DoubleArray:
    """Return Matthews' correlation coefficient of ``confusion`` counts (..., 4), 0 where it has no value.

    Source: Matthews, Biochimica et Biophysica Acta 405, 1975.
    """
    good_passed, good_refused, bad_passed, bad_refused = np.moveaxis(counts, -1, 0)
    above = good_passed * bad_refused - good_refused * bad_passed
    below = np.sqrt(
        (good_passed + good_refused)
        * (bad_passed + bad_refused)
        * (good_passed + bad_passed)
        * (good_refused + bad_refused)
    )
    return np.asarray(np.where(below > 0, above / np.where(below > 0, below, 1.0), 0.0))


def balanced_accuracy(good: ArrayLike, predicted_good: ArrayLike) -> float:
    """Return the mean of sensitivity and specificity, 0..1."""
    return float(balanced_accuracy_of(confusion(good, predicted_good)))


def matthews(good: ArrayLike, predicted_good: ArrayLike) -> float:
    """Return Matthews' correlation coefficient, -1..1, 0 when a class is never predicted."""
    return float(matthews_of(confusion(good, predicted_good)))


def confusion_draws(
    good: ArrayLike,
    predicted_good: ArrayLike,
    groups: Sequence[str],
    *,
    runs: int = BOOTSTRAP_RUNS,
    seed: int = SEED,
) -> DoubleArray:
    """Return ``confusion`` counts (runs, 4) of whole groups (patients) drawn with replacement.

    Draws without both classes are drawn again, as in ``auroc_interval``.

    Raises:
        ValueError: one class is empty.
    """
    labels = np.asarray(good, bool)
    if labels.all() or not labels.any():
        raise ValueError(f"good has {labels.sum()} True of {len(labels)}, expected some of both")
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    count = int(group.max()) + 1
    cell = 2 * ~labels + ~np.asarray(predicted_good, bool)
    per_group = np.bincount(4 * group + cell, minlength=4 * count).reshape(count, 4)
    rng = np.random.default_rng(seed)
    draws = np.empty((runs, 4))
    done = 0
    while done < runs:
        draws[done] = np.bincount(rng.integers(count, size=count), minlength=count) @ per_group
        done += bool(draws[done, :2].any() and draws[done, 2:].any())
    return draws


def interval(values: DoubleArray) -> tuple[float, float]:
    """Return the middle 95 % of drawn ``values`` (runs,)."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def best_threshold(good: ArrayLike, score: ArrayLike) -> float:
    """Return the threshold of best balanced accuracy for ``score >= threshold``, half way between scores.

    Of equally good ones the middle one is taken, so that a wide gap is split evenly.

    Raises:
        ValueError: as for ``auroc``.
    """
    labels, values = checked(good, score)
    auroc(labels, values)
    distinct = np.unique(values)
    cuts = np.r_[distinct[0], (distinct[1:] + distinct[:-1]) / 2]
    above_good = 1.0 - np.searchsorted(np.sort(values[labels]), cuts) / labels.sum()
    below_bad = np.searchsorted(np.sort(values[~labels]), cuts) / (~labels).sum()
    accuracy = (above_good + below_bad) / 2
    best = np.flatnonzero(accuracy == accuracy.max())
    return float(cuts[best[len(best) // 2]])


def group_folds(
    labels: ArrayLike, groups: Sequence[str], *, folds: int = FOLDS, seed: int = SEED
) -> NDArray[np.int64]:
    """Return the fold 0..folds-1 of each item: whole groups, classes spread evenly, fixed by the seed.

    ``labels`` (N,): False or 0 is the worst class. Groups are taken in random order, those with items of the
    worst classes first, and go to the fold that is shortest of their worst class.
    """
    classes = np.asarray(labels).astype(np.int64)
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    count = max(2, int(classes.max()) + 1)
    held = np.bincount(group * count + classes, minlength=len(names) * count).reshape(-1, count)
    worst = np.argmax(held > 0, axis=1)
    order = np.random.default_rng(seed).permutation(len(names))
    for column in range(count - 2, -1, -1):  # the last sort, of the worst class, counts most
        order = order[np.argsort(-held[order, column], kind="stable")]
    load = np.zeros((folds, count))
    fold_of = np.zeros(len(names), np.int64)
    for index in order:
        key = [tuple(row) for row in np.roll(load, -worst[index], axis=1)]
        fold_of[index] = min(range(folds), key=key.__getitem__)
        load[fold_of[index]] += held[index]
    return np.asarray(fold_of[group])
