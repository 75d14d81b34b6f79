"""Stage 3: pseudo-labels. A cell is bad when VUAD misses vessels in nearly all of its pixels.

Source: EFIQA, MIDL 2026: anomalous where |f(S)| > threshold; a patch is bad when at least ``share`` of its
pixels are. Output: ``pseudo/labels.npz`` and ``pseudo.json``, ``pseudo.png``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from lightning.fabric import Fabric
from numpy.typing import NDArray

from training import figures, vuad
from training.data import BoolArray, ByteArray, CropSet, FloatArray, resize_crop
from training.settings import settings


@settings
class PseudoSettings:
    """``threshold`` on |f(S)|; ``share`` of a cell's visible pixels; ``grid`` cells a side."""

    threshold: float
    share: float
    grid: int


@dataclass(frozen=True)
class Labels:
    """The pseudo-labels of N pictures, cell by cell."""

    bad: BoolArray  # (N, g, g)
    weights: FloatArray  # (N, g, g) visible share
    area: FloatArray  # (N,) share of the visible pixels that are anomalous

    @property
    def valid(self) -> BoolArray:
        """Return which cells count, (N, g, g): those with more than half inside the field of view."""
        return self.weights > 0.5

    @classmethod
    def load(cls, out: Path) -> Labels:
        """Return the labels that ``run`` wrote to the run folder ``out``."""
        stored = np.load(out / "pseudo" / "labels.npz")
        return cls(stored["bad"], stored["weights"], stored["area"])


def to_grid(values: NDArray[np.generic], grid: int) -> FloatArray:
    """Return the area mean (grid, grid) of values (S, S)."""
    return cv2.resize(values.astype(np.float32), (grid, grid), interpolation=cv2.INTER_AREA)


def shrink(visible: NDArray[np.generic], size_px: int) -> NDArray[np.bool_]:
    """Return a visible mask (S, S) at another side."""
    return to_grid(visible, size_px) > 0.5


def rim_cells(weights: FloatArray) -> BoolArray:
    """Return the outermost ring of the cells (h, w) that lie in the field, in part or whole."""
    inside = (weights > 0).astype(np.uint8)
    core = cv2.erode(np.pad(inside, 1), np.ones((3, 3), np.uint8))[1:-1, 1:-1]
    return np.asarray((inside > 0) & (core == 0))


def cells_within(
    centre: tuple[float, float], radius: float, side_px: int, grid: tuple[int, ...]
) -> BoolArray:
    """Return which cells of ``grid`` (h, w), laid over a square of ``side_px``, have their middle in a disc.

    ``centre`` (x, y) and ``radius`` of the disc are in pixels of that square.
    """
    y, x = ((np.arange(count) + 0.5) * side_px / count for count in grid)
    return np.asarray(np.hypot(x[None, :] - centre[0], y[:, None] - centre[1]) <= radius)


def badness(maps: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the means (N,) of maps (N, g, g) over the field, weights (N, g, g)."""
    return np.asarray((maps * weights).sum((1, 2)) / weights.sum((1, 2)), np.float32)


def crop_on_grid(
    crops: CropSet, index: int, size_px: int, grid: int
) -> tuple[ByteArray, BoolArray, FloatArray]:
    """Return a crop (S, S, 3) at ``size_px``, what is visible (S, S), and the cells' visible share (g, g)."""
    rgb = resize_crop(np.ascontiguousarray(crops.rgb[index]), size_px)
    visible = shrink(crops.visible[index], size_px)
    return rgb, visible, to_grid(visible, grid)


def cell_labels(
    missing: FloatArray, visible: ByteArray, settings: PseudoSettings
) -> tuple[FloatArray, FloatArray]:
    """Return the anomalous share (N, g, g) of each cell's visible pixels, and the cells' visible share."""
    anomalous, weights = [], []
    for values, seen in zip(missing, visible, strict=True):
        weight = to_grid(seen, settings.grid)
        bad = to_grid((values > settings.threshold) * seen, settings.grid)
        anomalous.append(bad / np.maximum(weight, 1e-6))
        weights.append(weight)
    return np.stack(anomalous).astype(np.float32), np.stack(weights).astype(np.float32)


def run(fabric: Fabric, settings: PseudoSettings, pool: CropSet, out: Path) -> None:
    """Label every cell of the pool and write the stage's files."""
    folder = out / "pseudo"
    folder.mkdir(parents=True, exist_ok=True)
    model = vuad.load(out / "vuad.pt")
    maps = np.load(out / "vessels" / "pool.npy")
    visible = vuad.small_visible(pool, model.size_px)
    missing = vuad.anomaly(model, maps, visible, fabric)
    anomalous, weights = cell_labels(missing, visible, settings)
    valid = weights > 0.5
    bad = (anomalous >= settings.share) & valid
    area = (missing > settings.threshold).sum((1, 2)) / np.maximum(visible.sum((1, 2)), 1)
    if not fabric.is_global_zero:
        return
    np.savez(folder / "labels.npz", anomalous=anomalous, weights=weights, bad=bad, area=area)
    summary = {
        "cells": int(valid.sum()),
        "bad_share": float(bad.sum() / valid.sum()),
        "median_bad_area": float(np.median(area)),
    }
    (out / "pseudo.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(f"pseudo-labels: {summary['bad_share']:.3f} of {summary['cells']} cells are bad", flush=True)
    order = np.argsort(area)
    picked = order[np.linspace(0, len(order) - 1, 12).astype(int)]
    rows = [
        ([pool.rgb[k], maps[k] / 255, figures.blend(pool.rgb[k], bad[k])], f"bad area {area[k]:.2f}")
        for k in picked
    ]
    figures.sheet(out / "pseudo.png", rows)
