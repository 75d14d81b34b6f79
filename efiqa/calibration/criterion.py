"""A site's criterion on top of scores: limits by an objective, and what they are worth out of fold.

No picture is judged by limits, or by weights of zones, that it helped to fit: each fold of patients gets
those of the other folds. What is handed on is fitted on all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from efiqa import _metrics
from efiqa._metrics import BoolArray, DoubleArray
from efiqa.calibration.probability import Bin, fit_logistic, reliability
from efiqa.calibration.zones import EQUAL, Zones, fit_zone_weights
from efiqa.contract import OperatingPoint, ZoneWeights
from efiqa.errors import LabelError

IntArray = NDArray[np.int64]
VERDICTS = ("good", "usable", "reject")
UNFITTED = OperatingPoint(0, 0)
_WHOLE = 1e-9  # a share of pictures that is a whole number of them but for rounding


@dataclass(frozen=True)
class Estimate:
    """A figure 0..1 (MCC: -1..1) and its 95 % bootstrap interval, whole patients drawn."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Cut:
    """Between ``below`` and ``above``: the limit, fitted on all, and the figures, out of fold.

    ``auroc`` is of the score, in which nothing is fitted but the zones' weights, if asked for: then it is out
    of fold, too. ``sensitivity`` is the share of ``below`` under the
    limit, ``specificity`` that of ``above`` not under it. ``bins`` hold the logistic fit's probability of
    ``above`` against what was found, and ``calibration_error`` is their mean distance.
    """

    below: str
    above: str
    limit: float
    auroc: Estimate
    balanced_accuracy: Estimate
    matthews: Estimate
    sensitivity: Estimate
    specificity: Estimate
    bins: tuple[Bin, ...]
    calibration_error: float


@dataclass(frozen=True)
class Criterion:
    """The limits, the cuts from worst to best, and the verdict of each picture out of fold."""

    point: OperatingPoint
    cuts: tuple[Cut, ...]
    verdicts: tuple[str, ...]


@dataclass(frozen=True)
class Scores:
    """Scores (N,) to fit on: for all pictures together, and for all but those of each fold."""

    final: DoubleArray
    without_fold: tuple[DoubleArray, ...]
    fold: IntArray  # (N,) that a picture is in

    @property
    def held_out(self) -> DoubleArray:
        """The score (N,) of each picture that it had no part in."""
        return np.stack(self.without_fold)[self.fold, np.arange(len(self.fold))]


def fit_criterion(
    levels: IntArray,
    scores: DoubleArray | Zones,
    patients: Sequence[str],
    classes: Sequence[str],
    *,
    folds: int,
    seed: int,
    min_sensitivity: float | None = None,
    present: OperatingPoint = UNFITTED,
) -> Criterion:
    """Return the criterion that ``levels`` (N,), 0 the worst of ``classes``, ask of ``scores`` (N,).

    Limits have the best balanced accuracy, or with ``min_sensitivity`` are the lowest that keep it.
    ``present``: the operating point that the scores were made with; by default one at which all counts the
    same. Of Zones the zones' weights are fitted first, those that rank the levels best, beginning with its.

    Raises:
        LabelError: a class has too few patients, the score says nothing about the labels, or no limit keeps
            ``min_sensitivity`` and lets a picture pass.
    """
    _check_enough(levels, patients, classes, folds)
    fold = _metrics.group_folds(levels, patients, folds=folds, seed=seed)
    weights, fitted = _fit_scores(levels, scores, fold, classes, present.zone_weights)
    cuts, passed = [], []
    for level in range(len(classes) - 1):
        good = levels > level
        names = _names_of_cut(classes, level)
        cut, passes = _fit_cut(good, fitted, patients, names, seed=seed, min_sensitivity=min_sensitivity)
        cuts.append(cut)
        passed.append(passes)
    usable = passed[0]
    good = passed[-1] & usable
    verdicts = tuple(VERDICTS[int(i)] for i in np.where(good, 0, np.where(usable, 1, 2)))
    low = cuts[0].limit
    # What is refused may not be good: where labels put the limits the other way round, the lower one yields.
    point = replace(
        present, good_min_score=max(low, cuts[-1].limit), usable_min_score=low, zone_weights=weights
    )
    return Criterion(point, tuple(cuts), verdicts)


def limit_of(good: BoolArray, scores: DoubleArray, min_sensitivity: float | None) -> float:
    """Return the limit for ``score >= limit``: of best balanced accuracy, or the lowest that keeps the share.

    ``min_sensitivity``: share of the bad ones under the limit, at least. Where all scores are needed for it,
    the limit lies above all of them.
    """
    if min_sensitivity is None:
        return _metrics.best_threshold(good, scores)
    bad = np.sort(scores[~good])
    last = bad[max(1, math.ceil(min_sensitivity * len(bad) - _WHOLE)) - 1]
    above = scores[scores > last]
    return float((last + above.min()) / 2) if len(above) else float(np.nextafter(last, np.inf))


def short_limit(limit: float, scores: DoubleArray) -> float:
    """Return the number with the fewest decimals, from three on, that parts ``scores`` as ``limit`` does.

    Scores are float32, and so is a limit once the core has read it (csrc/contract.h).
    """
    below, above = scores[scores < limit], scores[scores >= limit]
    if not len(below) or not len(above):
        return limit
    for decimals in range(3, 10):  # float32 has nine digits at most
        rounded = round(limit, decimals)
        if below.max() < np.float32(rounded) <= above.min():
            return rounded
    return float(above.min())


def _check_enough(levels: IntArray, patients: Sequence[str], classes: Sequence[str], folds: int) -> None:
    for level, name in enumerate(classes):
        members = set(np.asarray(patients)[levels == level])
        if len(members) < folds:
            raise LabelError(
                f"label {name!r} has pictures with a score of {len(members)} different patients, expected at "
                f"least {folds}, one for each fold; label more pictures, or ask for fewer folds"
            )


def _fit_scores(
    levels: IntArray,
    scores: DoubleArray | Zones,
    fold: IntArray,
    classes: Sequence[str],
    present: ZoneWeights | None,
) -> tuple[ZoneWeights | None, Scores]:
    """Return the zones' weights, fitted to Zones, and the scores; refuse folds that lack a label."""
    rest = [fold != index for index in range(int(fold.max()) + 1)]
    for index, others in enumerate(rest):
        for level in range(len(classes) - 1):
            good = levels[others] > level
            if good.all() or not good.any():
                below, above = _names_of_cut(classes, level)
                raise LabelError(
                    f"labels {below!r} and {above!r} do not both occur outside fold {index + 1}, because too "
                    "few patients hold them; label more pictures, or ask for fewer folds"
                )
    if not isinstance(scores, Zones):
        return present, Scores(scores, (scores,) * len(rest), fold)
    start = present or EQUAL
    weights = fit_zone_weights(levels, scores, start)
    held_out = [
        scores.scores(fit_zone_weights(levels[others], scores.of_pictures(others), start)) for others in rest
    ]
    return weights, Scores(scores.scores(weights), tuple(held_out), fold)


def _names_of_cut(classes: Sequence[str], level: int) -> tuple[str, str]:
    return "+".join(classes[: level + 1]), "+".join(classes[level + 1 :])


def _fit_cut(
    good: BoolArray,
    fitted: Scores,
    patients: Sequence[str],
    names: tuple[str, str],
    *,
    seed: int,
    min_sensitivity: float | None,
) -> tuple[Cut, BoolArray]:
    """Return the cut between the two ``names``, and which pictures pass it out of fold."""
    below, above = names
    scores, held_out = fitted.final, fitted.held_out
    area = _metrics.auroc(good, held_out)
    if area <= 0.5:
        raise LabelError(
            f"labels {above!r} do not score above {below!r}: AUROC {area:.3f}, expected more than 0.5; "
            "give order from worst to best if it is the other way round"
        )
    limit = short_limit(limit_of(good, scores, min_sensitivity), scores)
    if not (scores >= limit).any():
        raise LabelError(
            f"min_sensitivity is {min_sensitivity:g}, which refuses every picture, because {below!r} has the "
            "highest score; ask for less, or look at that picture's label"
        )
    passes = np.zeros(len(scores), bool)
    probability = np.zeros(len(scores))
    for index, theirs in enumerate(fitted.without_fold):
        inside, rest = fitted.fold == index, fitted.fold != index
        passes[inside] = theirs[inside] >= limit_of(good[rest], theirs[rest], min_sensitivity)
        probability[inside] = fit_logistic(good[rest], theirs[rest])(theirs[inside])
    counts = _metrics.confusion(good, passes)
    draws = _metrics.confusion_draws(good, passes, patients, seed=seed)

    def estimate(figure: Callable[[DoubleArray], DoubleArray]) -> Estimate:
        return Estimate(float(figure(counts)), *_metrics.interval(figure(draws)))

    bins = reliability(good, probability)
    cut = Cut(
        below,
        above,
        limit,
        Estimate(area, *_metrics.auroc_interval(good, held_out, patients, seed=seed)),
        estimate(_metrics.balanced_accuracy_of),
        estimate(_metrics.matthews_of),
        estimate(_metrics.sensitivity_of),
        estimate(_metrics.specificity_of),
        bins,
        sum(each.count * abs(each.predicted - each.observed) for each in bins) / len(good),
    )
    return cut, passes
