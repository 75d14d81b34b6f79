"""Stage 9: the rim of the map, levelled.

Cells at the rim of the field see less of it, and what they see ends there: on clean pictures a map is higher
in the outermost ring than inside. By how much, as one number of logits, is measured on clean pictures of the
vessel sets' training split in fields of all shapes, and taken off.

Output: ``levelled.pt``, the whole student; ``rim.json``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import expit, logit

from training.camera import captured_crop
from training.data import CropSet, FloatArray
from training.map_answer import MAPPED
from training.progress import track
from training.pseudo_labels import badness, rim_cells, to_grid
from training.student import Student, load_student, predict, save_student, widened
from training.views import rendered_view

LEVELLED = "levelled.pt"
VIEWS = 4  # of each picture
LEVEL_ENOUGH = 1.05  # times the inside: a rim up to here stays, since looking for it costs time
GREATEST = 3.0  # logits


@dataclass(frozen=True)
class RimLevel:
    """By how much the rim's logits are lowered, and the map's mean there over that inside, before."""

    logits: float
    ratio: float


def rim_level(maps: FloatArray, weights: FloatArray) -> RimLevel:
    """Return the level of maps (N, g, g) of clean pictures with cells' weights (N, g, g).

    Lowered by it, the rim's mean over all pictures is that of the inside; a rim that is lower, or level
    enough, stays.
    """
    rims = np.stack([rim_cells(each) for each in weights])
    inside, logits = badness(maps, weights * ~rims).mean(), logit(maps)

    def ratio(lowered: float) -> float:
        return float(badness(expit(logits - lowered), weights * rims).mean() / inside)

    before = ratio(0.0)
    if before <= LEVEL_ENOUGH:
        return RimLevel(0.0, before)
    return RimLevel(float(brentq(lambda lowered: ratio(lowered) - 1, 0.0, GREATEST)), before)


@torch.no_grad()
def levelled(student: Student, logits: float) -> Student:
    """Return ``student`` with its map ``logits`` lower at the rim; one that looks for no rim if that is 0."""
    if logits == 0:
        return student
    wide = widened(student, replace(student.shape, rim=True))
    wide.head.weight[0, -1] = -logits
    return wide


def run(clean: CropSet, size_px: int, grid: int, out: Path, seed: int) -> None:
    """Level the rim of the student in ``out`` by views of ``clean`` pictures; write the stage's files."""
    student = load_student(out / MAPPED)
    maps, weights = [], []
    for index in track(range(len(clean)), "rim"):
        rng = np.random.default_rng([seed, index])
        views = [rendered_view(clean, index, size_px, rng) for _ in range(VIEWS)]
        taken = [captured_crop(rgb, visible, rng) for _, rgb, visible in views]
        maps.append(predict(student, np.stack(taken)))
        weights.append(np.stack([to_grid(visible, grid) for _, _, visible in views]))
    level = rim_level(np.concatenate(maps), np.concatenate(weights))
    save_student(levelled(student, level.logits), size_px, out / LEVELLED)
    (out / "rim.json").write_text(json.dumps(asdict(level), indent=2) + "\n")
    print(f"rim: {level.ratio:.3f} times the inside, lowered by {level.logits:.3f} logits", flush=True)
