"""How well a score can be read as a probability: a logistic fit and its reliability. The map is untouched."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from efiqa._metrics import BoolArray, DoubleArray

MAX_BINS, MIN_IN_BIN = 10, 10
_STEPS, _HALVINGS, _STILL = 100, 40, 1e-10  # Newton's; it needs about ten


@dataclass(frozen=True)
class Bin:
    """Pictures of like probability: how many, the mean predicted, and the share found, with 95 % limits."""

    count: int
    predicted: float
    observed: float
    low: float
    high: float


def fit_logistic(good: BoolArray, scores: DoubleArray) -> Callable[[DoubleArray], DoubleArray]:
    """Return the function score -> probability of ``good``, logistic in the score.

    Targets are a little inside 0 and 1, so that the fit stays finite where the classes do not overlap.
    Source: Platt, Advances in Large Margin Classifiers, 1999, section 2.2; solved by Newton's method.
    """
    count, centre, spread = int(good.sum()), float(scores.mean()), float(scores.std()) or 1.0
    target = np.where(good, (count + 1) / (count + 2), 1 / (len(good) - count + 2))
    design = np.stack([np.ones(len(scores)), (scores - centre) / spread], axis=1)

    def loss(weights: DoubleArray) -> float:
        value = design @ weights
        return float((np.logaddexp(0, value) - target * value).sum())

    weights = np.zeros(2)
    for _ in range(_STEPS):
        chance = _sigmoid(design @ weights)
        gradient = design.T @ (chance - target)
        curvature = (design.T * (chance * (1 - chance))) @ design + 1e-9 * np.eye(2)  # equal scores have none
        step = np.linalg.solve(curvature, gradient)
        length = next(
            (0.5**k for k in range(_HALVINGS) if loss(weights - 0.5**k * step) < loss(weights)), 0.0
        )
        weights = weights - length * step
        if length * np.abs(step).max() < _STILL:
            break
    return lambda values: _sigmoid(weights[0] + weights[1] * (values - centre) / spread)


def reliability(good: BoolArray, probability: DoubleArray) -> tuple[Bin, ...]:
    """Return bins of about equally many pictures, from the least probable to the most.

    At most 10, of at least 10 pictures each where there are so many.
    """
    order = np.argsort(probability, kind="stable")
    parts = np.array_split(order, max(1, min(MAX_BINS, len(order) // MIN_IN_BIN)))
    return tuple(
        Bin(len(part), float(probability[part].mean()), float(good[part].mean()), *_wilson(good[part]))
        for part in parts
    )


def _wilson(hits: BoolArray) -> tuple[float, float]:
    """Return the 95 % limits of a share. Source: Wilson, J. Am. Stat. Assoc. 22, 1927."""
    n, z = len(hits), 1.959964
    share = float(hits.mean())
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def _sigmoid(value: DoubleArray) -> DoubleArray:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * value)))
