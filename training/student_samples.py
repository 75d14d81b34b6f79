"""What the student sees: views of pictures as they are, degraded by known amounts, or of no retina.

A sample is a function of a generator alone, so that training can be resumed and repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import albumentations as A
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from training.backbone import LITE0_MEAN, LITE0_STD
from training.data import BoolArray, ByteArray, CropSet, FloatArray, resize_crop
from training.degrade import (
    KINDS,
    REASONS,
    Degraded,
    colour_cast,
    combined_strength,
    degrade,
    random_degradation,
)
from training.degrade_shapes import random_support
from training.loop import LoopSettings, Sample
from training.not_fundus import random_scene
from training.pseudo_labels import shrink, to_grid
from training.settings import settings

REASON_CHANNELS = ("under_exposed", "over_exposed", "defocus", "haze", "occlusion")
CHANNELS = ("anatomy_not_visible", *REASON_CHANNELS, "not_a_fundus")  # of the output, in the contract's words


@settings
class StudentSettings:
    """Shares of samples: ``degraded_share`` and ``not_fundus_share``; the rest are plain pictures.

    Of the degraded ones ``annotated_share`` are of the vessel sets, the others of the best ``clean_share`` of
    the pool; ``second_defect_share`` have two defects. ``prior_correction``: how much of the log-odds that
    the positive weight gave to the teacher's map is taken back: 0 none, 1 all, which leaves a probability.
    ``loop`` teaches all of it; ``refine`` then what is hard (`hard_samples`), and there
    ``refine_spot_share`` of the defects are spots of the macula's size. The weights are those of the loss's
    terms beside the map's cross-entropy. ``frozen_blocks`` first blocks of the backbone keep their ImageNet
    weights: they run at strides 2 and 4, where the gradient of a depthwise convolution costs more than all
    the rest on a CPU.
    """

    size_px: int
    grid: int
    width: int
    clean_share: float
    degraded_share: float
    annotated_share: float
    second_defect_share: float
    not_fundus_share: float
    prior_correction: float
    map_weight: float
    score_weight: float
    reason_weight: float
    not_fundus_weight: float
    frozen_blocks: int
    loop: LoopSettings
    refine_spot_share: float
    refine: LoopSettings


# What the first phase takes for one another or misses, on the training split: dark blobs for shadows, thin
# haze for defocus.
HARD_KINDS = (*KINDS, "under_exposed", "under_exposed", "haze", "occlusion")
SPOT_KINDS = ("under_exposed", "under_exposed", "haze", "defocus")
CAST_SHARE = 0.2  # of pictures that get another camera's colours
CLEAN_KEPT = 0.12  # of pictures to degrade that stay as they are: most photographs have no defect


def normalised(rgb: ByteArray) -> torch.Tensor:
    """Return (3, S, S) as the contract's preprocessing would."""
    x = torch.from_numpy(rgb).permute(2, 0, 1).float() / 255
    return (x - torch.tensor(LITE0_MEAN).view(3, 1, 1)) / torch.tensor(LITE0_STD).view(3, 1, 1)


def harmless() -> A.Compose:
    """Return changes of colour and coding that hide no vessel: a camera's rendering, mild noise, JPEG."""
    return A.Compose(
        [
            A.RandomBrightnessContrast(0.15, 0.15, p=0.5),
            A.HueSaturationValue(8, 25, 0, p=0.5),
            A.RGBShift(12, 8, 12, p=0.3),
            A.RandomGamma((85, 120), p=0.3),
            A.ImageCompression(quality_range=(55, 95), p=0.3),
            A.GaussNoise(std_range=(0.003, 0.012), p=0.2),
        ]
    )


@dataclass(frozen=True)
class View:
    """A square window of a cached crop, turned and flipped. Windows may reach outside (black there)."""

    x: int
    y: int
    side: int
    quarter_turns: int
    mirror: bool
    rectangle: tuple[int, int, int, int] | None  # x0, y0, x1, y1: what a rectangular frame would show

    def of(self, plane: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the view of a plane (S, S) or (S, S, C) of the crop's own side."""
        size = plane.shape[0]
        out = np.zeros((self.side, self.side, *plane.shape[2:]), plane.dtype)
        left, top, right, bottom = self.rectangle or (0, 0, size, size)
        x0, y0 = max(self.x, left, 0), max(self.y, top, 0)
        x1, y1 = min(self.x + self.side, right, size), min(self.y + self.side, bottom, size)
        out[y0 - self.y : y1 - self.y, x0 - self.x : x1 - self.x] = plane[y0:y1, x0:x1]
        out = np.rot90(out, self.quarter_turns)
        return np.ascontiguousarray(out[:, ::-1] if self.mirror else out)


def random_view(size: int, rng: np.random.Generator) -> View:
    """Return a view: mostly the whole crop, some closer ones, some as a frame without dark border shows."""
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
    choice = rng.random()
    if choice < 0.5:
        return View(0, 0, size, turns, mirror, None)
    if choice < 0.75:  # a little closer or off-centre
        side = int(size * rng.uniform(0.75, 1.05))
        x, y = (int(rng.uniform(-0.1, 0.1) * size + (size - side) / 2) for _ in range(2))
        return View(x, y, side, turns, mirror, None)
    # A rectangle inside the circle, 4:3 to 1:1, its longer side across or upright.
    long = rng.uniform(0.55, 0.85) * size
    short = long * rng.uniform(0.7, 1.0)
    width, height = (long, short) if rng.random() < 0.5 else (short, long)
    x0 = int((size - width) / 2 + rng.uniform(-0.08, 0.08) * size)
    y0 = int((size - height) / 2 + rng.uniform(-0.08, 0.08) * size)
    x1, y1, side = x0 + int(width), y0 + int(height), int(long)
    return View((x0 + x1 - side) // 2, (y0 + y1 - side) // 2, side, turns, mirror, (x0, y0, x1, y1))


def lowered(maps: FloatArray, log_odds: float) -> FloatArray:
    """Return the probabilities ``maps`` with their log-odds lowered by ``log_odds``."""
    kept = maps * np.exp(-log_odds)
    return np.asarray(kept / (kept + 1 - maps), np.float32)


def filled_outside(maps: FloatArray, weights: FloatArray) -> FloatArray:
    """Return maps (N, g, g) whose cells outside the field take the nearest inner cell's value.

    A teacher says anything there, and a resampled map would bring it in over the rim.
    """
    filled = maps.copy()
    for values, weight in zip(filled, weights, strict=True):
        outside = weight <= 0.5
        if not outside.all():
            nearest = ndimage.distance_transform_edt(outside, return_distances=False, return_indices=True)
            values[...] = values[tuple(nearest)]
    return filled


@dataclass(frozen=True)
class Teaching:
    """Pictures to draw from: the pool with the teacher's map (N, g, g) of each, and the vessel sets."""

    pool: CropSet
    teacher: FloatArray
    badness: FloatArray  # (N,) mean of the map over the field
    annotated: CropSet


class StudentSamples:
    """Draws samples of the kinds of pictures.

    A sample is image (3, S, S), target (1, g, g) in 0..1, weight (1, g, g), reasons (5, g, g) in 0..1,
    whether these are known (1,), and whether it is no fundus (1,).
    """

    def __init__(
        self,
        teaching: Teaching,
        settings: StudentSettings,
        *,
        kinds: tuple[str, ...] = KINDS,
        spot_share: float = 0.0,
    ) -> None:
        self._from = teaching
        self._kinds = kinds
        self._spot_share = spot_share
        self._settings = settings
        order = np.argsort(teaching.badness)
        self._clean = order[: max(1, int(settings.clean_share * len(order)))]
        self._harmless = harmless()

    def __call__(self, rng: np.random.Generator, progress: float) -> Sample:
        """Return one sample."""
        kind, settings = rng.random(), self._settings
        if kind < settings.not_fundus_share:
            return self._not_fundus(rng)
        if kind >= settings.not_fundus_share + settings.degraded_share:
            return self._picture(rng)
        return self._degraded(rng)

    def _view(
        self, crops: CropSet, index: int, rng: np.random.Generator
    ) -> tuple[View, ByteArray, BoolArray]:
        """Return a random view of a crop, its pixels (S, S, 3) in another rendering, and what is visible."""
        size_px = self._settings.size_px
        view = random_view(crops.rgb[index].shape[0], rng)
        rgb = resize_crop(view.of(crops.rgb[index]), size_px)
        self._harmless.set_random_seed(int(rng.integers(2**31)))
        rgb = self._harmless(image=rgb)["image"]
        if rng.random() < CAST_SHARE:
            rgb = colour_cast(rgb, rng)
        return view, np.ascontiguousarray(rgb), shrink(view.of(crops.visible[index]), size_px)

    def _taught(self, index: int, view: View) -> FloatArray:
        """Return the teacher's map (g, g) of a view of a picture of the pool."""
        side = self._from.pool.rgb[index].shape[0]
        enlarged = cv2.resize(self._from.teacher[index], (side, side), interpolation=cv2.INTER_LINEAR)
        return to_grid(view.of(enlarged), self._settings.grid)

    def _picture(self, rng: np.random.Generator) -> Sample:
        index = int(rng.integers(len(self._from.pool)))
        view, rgb, visible = self._view(self._from.pool, index, rng)
        return self._sample(rgb, visible, self._taught(index, view))

    def _degraded(self, rng: np.random.Generator) -> Sample:
        settings = self._settings
        if rng.random() < settings.annotated_share:
            index = int(rng.integers(len(self._from.annotated)))
            _, rgb, visible = self._view(self._from.annotated, index, rng)
            target = np.zeros((settings.grid, settings.grid), np.float32)
        else:
            index = int(rng.choice(self._clean))
            view, rgb, visible = self._view(self._from.pool, index, rng)
            target = self._taught(index, view)
        share = np.maximum(to_grid(visible, settings.grid), 1e-6)
        reasons = np.zeros((len(REASON_CHANNELS), settings.grid, settings.grid), np.float32)
        defects = 0 if rng.random() < CLEAN_KEPT else 2 if rng.random() < settings.second_defect_share else 1
        for _ in range(defects):
            damaged = self._damaged(rgb, visible, rng)
            lost = np.clip(to_grid(damaged.hidden, settings.grid) / share, 0, 1)
            cause = reasons[REASON_CHANNELS.index(REASONS[damaged.kind])]
            cause[:] = combined_strength(cause, lost)
            rgb, target = damaged.rgb, combined_strength(target, lost)
        return self._sample(rgb, visible, target, reasons=reasons)

    def _damaged(self, rgb: ByteArray, visible: BoolArray, rng: np.random.Generator) -> Degraded:
        if self._spot_share and rng.random() < self._spot_share:
            kind = SPOT_KINDS[int(rng.integers(len(SPOT_KINDS)))]
            support, _ = random_support(visible, rng, shapes=("spot",))
            return degrade(rgb, visible, kind, rng.uniform(0.5, 1.0), rng, local=True, support=support)
        return random_degradation(rgb, visible, rng, kinds=self._kinds)

    def _not_fundus(self, rng: np.random.Generator) -> Sample:
        rgb, visible = random_scene(self._settings.size_px, rng)
        nothing = np.ones((self._settings.grid,) * 2, np.float32)
        return self._sample(rgb, visible, nothing, not_fundus=True)

    def _sample(
        self,
        rgb: ByteArray,
        visible: BoolArray,
        target: FloatArray,
        *,
        reasons: FloatArray | None = None,
        not_fundus: bool = False,
    ) -> Sample:
        grid = self._settings.grid
        blank = np.where(visible[..., None], rgb, 0).astype(np.uint8)
        unknown = np.zeros((len(REASON_CHANNELS), grid, grid), np.float32)
        return {
            "image": normalised(blank),
            "target": torch.from_numpy(np.ascontiguousarray(target, np.float32))[None],
            "weight": torch.from_numpy(to_grid(visible, grid))[None],
            "reasons": torch.from_numpy(unknown if reasons is None else reasons),
            "reasons_known": torch.tensor([float(reasons is not None)]),
            "not_fundus": torch.tensor([float(not_fundus)]),
        }


def hard_samples(teaching: Teaching, settings: StudentSettings) -> StudentSamples:
    """Return the samples of the second phase: more of HARD_KINDS, of spots, and of pictures that are clean.

    The best half of what was degraded in the first phase counts as clean here, as the vessel sets do: where
    the teacher doubts the rim or the macula of such a picture, it is wrong more often than right.
    """
    order = np.argsort(teaching.badness)
    clean = order[: max(1, int(settings.clean_share * len(order) / 2))]
    teacher = teaching.teacher.copy()
    teacher[clean] = 0
    known = Teaching(teaching.pool, teacher, teaching.badness, teaching.annotated)
    halved = replace(settings, clean_share=settings.clean_share / 2)
    return StudentSamples(known, halved, kinds=HARD_KINDS, spot_share=settings.refine_spot_share)
