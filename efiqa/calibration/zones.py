"""How much centre, middle and periphery of the field count in the score, fitted to a site's labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from efiqa import _core, _metrics
from efiqa._metrics import DoubleArray
from efiqa.contract import OperatingPoint, ZoneWeights
from efiqa.report import QualityReport

Grid = NDArray[np.float32]  # (h, w)
EQUAL = ZoneWeights(1, 1, 1)
# Of a zone's weight to what it was. A zone that counted for nothing would be one that nobody looks at.
RATIOS = (0.25, 0.5, 1.0, 2.0, 4.0)
SMALLEST = 0.01  # that a contract allows, the greatest being 1
# In AUROC, for each halving or doubling: what a few labels may give by chance.
COST = 0.002


@dataclass(frozen=True)
class Zones:
    """Of N pictures, each zone's visible area (N, 3), in cells of the map, and the part of it that is bad.

    ``most`` (N,): the greatest score that a picture's landmarks allow.
    """

    area: DoubleArray
    bad: DoubleArray
    most: DoubleArray

    @classmethod
    def of(cls, reports: Sequence[QualityReport], point: OperatingPoint) -> Zones:
        """Return the zones of reports with a score, whose landmarks count as at ``point``."""
        sums = np.array([_sums(report) for report in reports])  # (N, 2, 3)
        margins = point.macula_margin, point.optic_disc_margin
        most = [
            greatest_score(each.map, each.weights, (each.macula, each.optic_disc), margins)
            for each in reports
        ]
        return cls(sums[:, 0], sums[:, 1], np.array(most))

    def of_pictures(self, chosen: NDArray[np.bool_]) -> Zones:
        """Return those of the pictures ``chosen`` (N,)."""
        return Zones(self.area[chosen], self.bad[chosen], self.most[chosen])

    def scores(self, weights: ZoneWeights) -> DoubleArray:
        """Return the scores (N,) with ``weights``: float32 as the core's, to its rounding."""
        counted = np.array([weights.center, weights.middle, weights.periphery])
        scores = np.minimum(1 - (self.bad @ counted) / (self.area @ counted), self.most)
        return np.asarray(scores, np.float32).astype(np.float64)


def fit_zone_weights(levels: NDArray[np.int64], zones: Zones, present: ZoneWeights = EQUAL) -> ZoneWeights:
    """Return the weights whose scores rank ``levels`` (N,), 0 the worst, best: the mean AUROC of all cuts.

    Centre and periphery are tried at RATIOS of what they are at ``present``, against the middle, and each
    halving or doubling has to be worth its COST.
    """
    cuts = [levels > level for level in range(int(levels.max()))]

    def worth(ratios: tuple[float, float]) -> float:
        scores = zones.scores(_changed(present, *ratios))
        area = np.mean([_metrics.auroc(good, scores) for good in cuts])
        return float(area) - COST * float(np.abs(np.log2(ratios)).sum())

    return _changed(present, *max(product(RATIOS, RATIOS), key=worth))


def _changed(weights: ZoneWeights, center: float, periphery: float) -> ZoneWeights:
    counted = np.array([weights.center * center, weights.middle, weights.periphery * periphery])
    return ZoneWeights(*map(float, np.maximum(counted / counted.max(), SMALLEST)))


def seen_of(landmark: Grid | None, map_: Grid, weights: Grid, *, needed: bool = False) -> float:
    """Return the share of a ``landmark`` that can be seen; 1 where the model does not tell.

    Of a report's macula or optic disc, its map and weights. Cells count by the square of their probability of
    being of it. One that is not shown counts as seen, or, if ``needed``, as hidden. The core bounds a score
    by this (csrc/grid_report.cpp).
    """
    if landmark is None:
        return 1.0
    counted = _counted(landmark, weights)
    least = _core.MIN_LANDMARK_SHARE * weights.astype(np.float64).sum()
    if counted.sum() < least and not needed:
        return 1.0
    visible = weights > 0
    return float(((1 - map_[visible]) * counted[visible]).sum() / max(counted.sum(), least))


def needs_disc(macula: Grid | None, weights: Grid) -> bool:
    """Return whether a disc that is not found is not there: the macula is found for certain, or not at all.

    Of a report's macula, None where the model does not tell, and weights.
    """
    if macula is None:
        return True
    counted = _counted(macula, weights)
    least = _core.MIN_LANDMARK_SHARE * weights.astype(np.float64).sum()
    return bool(counted.sum() < least or macula[weights > 0].max() >= np.float32(_core.SURE_MACULA))


def _counted(landmark: Grid, weights: Grid) -> DoubleArray:
    """Return by how much each cell (h, w) counts in what is seen of ``landmark``."""
    probability = np.where(weights > 0, landmark, 0).astype(np.float64)
    return np.asarray(weights * np.square(probability), np.float64)


def greatest_score(
    map_: Grid, weights: Grid, landmarks: Sequence[Grid | None], margins: tuple[float, float]
) -> float:
    """Return the greatest score that macula and disc, the ``landmarks``, allow with these ``margins``."""
    macula, disc = landmarks
    return min(
        seen_of(macula, map_, weights) + margins[0],
        seen_of(disc, map_, weights, needed=needs_disc(macula, weights)) + margins[1],
    )


def _sums(report: QualityReport) -> list[DoubleArray]:
    """Return each zone's visible area (3,), and the part of it that is bad (3,)."""
    height, width = report.map.shape
    zone = _core.grid_zones(width, height).ravel()
    weights = report.weights.astype(np.float64)
    bad = np.where(report.weights > 0, report.map, 0).astype(np.float64) * weights
    return [np.bincount(zone, each.ravel(), 3).astype(np.float64) for each in (weights, bad)]
