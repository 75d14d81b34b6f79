"""From which probability on a picture is refused as no fundus: chosen on the pool and on drawn scenes.

No picture that is assessed is looked at: the real ones are the pool's, of any quality, as they are and as
other cameras might have shown them (training.views), half of these degraded on top, but not HOPELESS; the
others are scenes of training.not_fundus. Both are drawn with seeds that training did not use.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from training.camera import captured_crop
from training.data import ByteArray, CropSet, FloatArray
from training.degrade import random_degradation
from training.eye_photographs import Eye
from training.not_fundus import random_scene
from training.progress import track
from training.pseudo_labels import crop_on_grid, to_grid
from training.student import LogitsOf
from training.student_samples import NOT_A_FUNDUS
from training.views import normalised, rendered_view

PICTURES = 800  # of the pool, spread evenly, each twice, and as many scenes
DEGRADED_SHARE = 0.5  # of the views
HOPELESS = 0.8  # of the anatomy; where more is hidden, a retina looks like none, and refusing it is no error
REFUSED_REAL = 0.005  # of the pool's pictures and views at most, where the scenes allow it
SCENES_MISSED = 0.01
LIMITS = (0.5, 0.95)  # below, a picture that is more likely a fundus would be refused

DoubleArray = NDArray[np.float64]
Shown = tuple[ByteArray, FloatArray]  # a crop (S, S, 3), black outside, and its cells' visible share (g, g)


@dataclass(frozen=True)
class RefusalLimit:
    """The probability, and the shares of real pictures and of scenes that it refuses."""

    min_probability: float
    real_refused: float
    scenes_refused: float


def by_another_camera(pool: CropSet, index: int, size_px: int, grid: int, seed: int) -> Iterator[Shown]:
    """Yield a picture of the pool as another camera might have shown it, or nothing if that is HOPELESS."""
    rng = np.random.default_rng([seed, index])
    _, rgb, visible = rendered_view(pool, index, size_px, rng)
    if rng.random() < DEGRADED_SHARE:
        damaged = random_degradation(rgb, visible, rng)
        if damaged.hidden[visible].mean() > HOPELESS:
            return
        rgb = damaged.rgb
    yield captured_crop(rgb, visible, rng), to_grid(visible, grid)


def scenes(count: int, size_px: int, grid: int, seed: int, eyes: Sequence[Eye]) -> Iterator[Shown]:
    """Yield ``count`` pictures that are no retina; ``eyes``: in photographs, for `random_scene`."""
    for number in track(range(count), "scenes"):
        rng = np.random.default_rng([seed, number])
        rgb, visible = random_scene(size_px, rng, eyes)
        yield captured_crop(rgb, visible, rng), to_grid(visible, grid)


@torch.no_grad()
def not_fundus_logit(model: LogitsOf, rgb: ByteArray, weights: FloatArray) -> float:
    """Return the mean over the field, weights (g, g), of that channel's logits for a crop (S, S, 3)."""
    logits = model(normalised(rgb)[None])[0, NOT_A_FUNDUS].numpy()
    return float((logits * weights).sum() / weights.sum())


def best_refusal_limit(real: DoubleArray, scenes: DoubleArray) -> RefusalLimit:
    """Return the limit between the logits of real pictures (n,) and of scenes (m,).

    It lies midway, as a logit, between the quantiles of REFUSED_REAL and SCENES_MISSED, and within LIMITS.
    Where real pictures and scenes overlap, the real ones decide.
    """
    highest_real, lowest_scene = np.quantile(real, 1 - REFUSED_REAL), np.quantile(scenes, SCENES_MISSED)
    logit = max(highest_real, (highest_real + lowest_scene) / 2)
    probability = math.ceil(1000 * float(np.clip(1 / (1 + np.exp(-logit)), *LIMITS))) / 1000
    limit = np.log(probability / (1 - probability))
    return RefusalLimit(probability, float((real >= limit).mean()), float((scenes >= limit).mean()))


def refusal_limit(
    model: LogitsOf, pool: CropSet, size_px: int, grid: int, seed: int, eyes: Sequence[Eye] = ()
) -> RefusalLimit:
    """Return the limit for ``model`` on inputs of ``size_px``, whose answer has ``grid`` cells a side.

    ``eyes``: in photographs, as `random_scene` takes them.
    """
    real = []
    for index in track(range(0, len(pool), max(1, len(pool) // PICTURES)), "real pictures"):
        rgb, _, weights = crop_on_grid(pool, index, size_px, grid)
        real.append(not_fundus_logit(model, rgb, weights))
        real += [
            not_fundus_logit(model, *shown) for shown in by_another_camera(pool, index, size_px, grid, seed)
        ]
    others = [not_fundus_logit(model, *shown) for shown in scenes(len(real), size_px, grid, seed, eyes)]
    return best_refusal_limit(np.array(real), np.array(others))
