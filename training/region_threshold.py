"""From which probability on a cell of the map belongs to a bad region: chosen on known defects.

Clean pictures of the vessel sets' training split get local defects whose truth is known; the threshold is the
one whose regions overlap them best, by the mean Dice of the pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.data import CropSet, FloatArray
from training.degrade import degrade
from training.metrics import dice
from training.progress import track
from training.pseudo_labels import crop_on_grid, to_grid
from training.student import LogitsOf, predict

KINDS = ("defocus", "under_exposed", "glare", "haze", "occlusion")
SEVERITY = (0.7, 1.0)
HIDDEN = 0.5  # a cell is bad when more of its anatomy is hidden
CHOICES = np.round(np.arange(0.2, 0.62, 0.02), 2)


@dataclass(frozen=True)
class RegionThreshold:
    """The probability, the mean Dice at it, and the share of the clean pictures' cells that reach it."""

    probability: float
    dice: float
    clean_share: float


def best_threshold(cells: list[tuple[FloatArray, FloatArray]], clean: list[FloatArray]) -> RegionThreshold:
    """Return the choice for pictures of cells (hidden, probability), each (n,); ``clean``: probabilities."""
    bad = [(hidden > HIDDEN, probability) for hidden, probability in cells if (hidden > HIDDEN).any()]
    means = [np.mean([dice(truth, probability >= each) for truth, probability in bad]) for each in CHOICES]
    best = int(np.argmax(means))
    alarmed = float((np.concatenate(clean) >= CHOICES[best]).mean())
    return RegionThreshold(float(CHOICES[best]), float(means[best]), alarmed)


def region_threshold(
    model: LogitsOf, crops: CropSet, size_px: int, grid: int, count: int, seed: int
) -> RegionThreshold:
    """Return the threshold for ``model``, from ``count`` clean ``crops`` with a defect of each kind."""
    cells, clean = [], []
    rng = np.random.default_rng(seed)
    for index in track(range(min(count, len(crops))), "region threshold"):
        rgb, visible, weights = crop_on_grid(crops, index, size_px, grid)
        inside = weights > 0.5
        damaged = [degrade(rgb, visible, kind, rng.uniform(*SEVERITY), rng, local=True) for kind in KINDS]
        maps = predict(model, np.stack([rgb, *(each.rgb for each in damaged)]))
        clean.append(maps[0][inside])
        for each, found in zip(damaged, maps[1:], strict=True):
            hidden = to_grid(each.hidden, grid) / np.maximum(weights, 1e-6)
            cells.append((hidden[inside], found[inside]))
    return best_threshold(cells, clean)
