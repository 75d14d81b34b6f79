"""Views of cached crops: as another camera, another framing, or another field would have shown them.

A view is a function of a generator alone. Nothing here hides anatomy: what does is in training.degrade. What
a camera adds behind its optics, over any defect, is in training.camera.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import albumentations as A
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from training.backbone import LITE0_MEAN, LITE0_STD
from training.data import BoolArray, ByteArray, CropSet, FloatArray, resize_crop
from training.pseudo_labels import shrink

CAST_SHARE = 0.3  # of pictures that get colours of no camera
CAST_GREEN, CAST_BLUE = (0.25, 1.05), (0.0, 1.0)  # mean level of green to red's, and of blue to green's
COLOURED_SHARE = 0.5  # of pictures, where other pictures' colours are given: in those of one of them
GAINS = (0.02, 4.0)  # of a channel, to reach them: more is noise
BRIGHTEST = 99.5  # percentile of a channel that may not clip
GREY_SHARE = 0.1  # of pictures: as a camera of one channel gives them
RED_FREE_SHARE = 0.5  # of these: the green light alone
NARROW = (0.5, 0.8)  # of the crop's side: a camera of 25 to 40 degrees
SQUEEZE = (0.7, 0.95)  # of a side: as where a picture was made square by a program


def normalised(rgb: ByteArray) -> torch.Tensor:
    """Return (3, S, S) as the contract's preprocessing would."""
    x = torch.from_numpy(rgb).permute(2, 0, 1).float() / 255
    return (x - torch.tensor(LITE0_MEAN).view(3, 1, 1)) / torch.tensor(LITE0_STD).view(3, 1, 1)


@lru_cache(maxsize=1)
def _harmless() -> A.Compose:
    """Return changes of colour that hide no vessel: a camera's rendering."""
    return A.Compose(
        [
            A.RandomBrightnessContrast(0.15, 0.15, p=0.5),
            A.HueSaturationValue(8, 35, 0, p=0.5),
            A.RGBShift(12, 8, 12, p=0.3),
            A.RandomGamma((85, 120), p=0.3),
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
    rectangle: tuple[int, int, int, int] | None = None  # x0, y0, x1, y1: what a rectangular frame would show
    round_stop: bool = False  # only the window's inscribed circle shows, as a camera of a narrower field
    squeeze: float = 1.0  # of the window's height, before it is turned; black above and below

    def of(self, plane: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the view of a plane (S, S) or (S, S, C) of the crop's own side."""
        size = plane.shape[0]
        out = np.zeros((self.side, self.side, *plane.shape[2:]), plane.dtype)
        left, top, right, bottom = self.rectangle or (0, 0, size, size)
        x0, y0 = max(self.x, left, 0), max(self.y, top, 0)
        x1, y1 = min(self.x + self.side, right, size), min(self.y + self.side, bottom, size)
        out[y0 - self.y : y1 - self.y, x0 - self.x : x1 - self.x] = plane[y0:y1, x0:x1]
        if self.round_stop:
            across = np.arange(self.side) - (self.side - 1) / 2
            out[np.hypot(across[None, :], across[:, None]) > self.side / 2] = 0
        if self.squeeze != 1:
            top, height = self._squeezed_rows()
            low = cv2.resize(out, (self.side, height), interpolation=cv2.INTER_AREA)
            out[:] = 0
            out[top : top + height] = low
        out = np.rot90(out, self.quarter_turns)
        return np.ascontiguousarray(out[:, ::-1] if self.mirror else out)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Return where the crop's point (x, y), in pixels from its top left corner, lies in the view."""
        x, y = x - self.x, y - self.y
        if self.squeeze != 1:
            top, height = self._squeezed_rows()
            y = top + y * height / self.side
        for _ in range(self.quarter_turns % 4):
            x, y = y, self.side - x
        return (self.side - x if self.mirror else x), y

    def _squeezed_rows(self) -> tuple[int, int]:
        """Return the first row that shows anything, and how many rows do."""
        height = round(self.side * self.squeeze)
        return (self.side - height) // 2, height


def random_view(size: int, rng: np.random.Generator, *, squeezed_share: float = 0.0) -> View:
    """Return a view of a crop of side ``size``: whole, closer, of a narrower field, or without a border.

    ``squeezed_share`` of them are out of proportion.
    """
    view = _random_window(size, rng)
    if squeezed_share and rng.random() < squeezed_share:
        view = replace(view, squeeze=rng.uniform(*SQUEEZE))
    return view


def _random_window(size: int, rng: np.random.Generator) -> View:
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
    choice = rng.random()
    if choice < 0.42:
        return View(0, 0, size, turns, mirror)
    if choice < 0.7:
        round_stop = choice >= 0.58
        side = int(size * rng.uniform(*(NARROW if round_stop else (0.75, 1.05))))
        x, y = (int(rng.uniform(-0.1, 0.1) * size + (size - side) / 2) for _ in range(2))
        return View(x, y, side, turns, mirror, round_stop=round_stop)
    # A rectangle inside the circle, 4:3 to 1:1, its longer side across or upright.
    long = rng.uniform(0.55, 0.85) * size
    short = long * rng.uniform(0.7, 1.0)
    width, height = (long, short) if rng.random() < 0.5 else (short, long)
    x0 = int((size - width) / 2 + rng.uniform(-0.08, 0.08) * size)
    y0 = int((size - height) / 2 + rng.uniform(-0.08, 0.08) * size)
    x1, y1, side = x0 + int(width), y0 + int(height), int(long)
    return View((x0 + x1 - side) // 2, (y0 + y1 - side) // 2, side, turns, mirror, (x0, y0, x1, y1))


def chromaticity(rgb: ByteArray, visible: BoolArray) -> FloatArray:
    """Return each channel's share (3,) of the light of ``rgb`` (H, W, 3) where it is ``visible``."""
    total = rgb[visible].sum(0, dtype=np.float64)
    return np.asarray((total + 1) / (total + 1).sum(), np.float32)  # no light at all is grey


def chromaticities(crops: CropSet, *, step: int = 8) -> FloatArray:
    """Return those (N, 3) of crops, of every ``step``-th pixel."""
    return np.stack(
        [
            chromaticity(rgb[::step, ::step], visible[::step, ::step] > 0)
            for rgb, visible in zip(crops.rgb, crops.visible, strict=True)
        ]
    )


def random_chromaticity(rng: np.random.Generator) -> FloatArray:
    """Return colours (3,) of no camera: from a deep red to yellow and white, with blue light or without."""
    green = rng.uniform(*CAST_GREEN)
    levels = np.array([1.0, green, green * rng.uniform(*CAST_BLUE)], np.float32)
    return np.asarray(levels / levels.sum(), np.float32)


def in_colours_of(rgb: ByteArray, visible: BoolArray, wanted: FloatArray) -> ByteArray:
    """Return ``rgb`` (H, W, 3) as bright as it is, or darker where it would clip, of chromaticity ``wanted``.

    A camera's colours say nothing of what can be seen, but whoever learns from pictures of several cameras
    learns first which of them a picture is from.
    """
    gains = np.clip(wanted / chromaticity(rgb, visible), *GAINS)
    light = rgb[visible]
    if not light.size:
        return rgb
    gains *= light.sum() / max(float((light.mean(0) * gains).sum() * len(light)), 1.0)
    brightest = float((np.percentile(light, BRIGHTEST, axis=0) * gains).max())
    return np.clip(rgb * (gains * min(1.0, 255 / max(brightest, 1.0))), 0, 255).astype(np.uint8)


def rendered_view(
    crops: CropSet,
    index: int,
    size_px: int,
    rng: np.random.Generator,
    colours: FloatArray | None = None,
    *,
    squeezed_share: float = 0.0,
) -> tuple[View, ByteArray, BoolArray]:
    """Return a random view of a crop, its pixels (S, S, 3) in another rendering, and what is visible (S, S).

    S is ``size_px``. ``colours``: chromaticities (n, 3) of other pictures; ``squeezed_share`` as for
    `random_view`. Pixels that are not visible may hold anything.
    """
    view = random_view(crops.rgb[index].shape[0], rng, squeezed_share=squeezed_share)
    rgb = resize_crop(view.of(crops.rgb[index]), size_px)
    visible = shrink(view.of(crops.visible[index]), size_px)
    return view, rendered(rgb, visible, rng, colours), visible


def rendered(
    rgb: ByteArray, visible: BoolArray, rng: np.random.Generator, colours: FloatArray | None = None
) -> ByteArray:
    """Return ``rgb`` (S, S, 3) as another camera might render it: colours, or one channel.

    ``colours``: chromaticities (n, 3) of other pictures. Pixels that are not ``visible`` may hold anything.
    """
    _harmless().set_random_seed(int(rng.integers(2**31)))
    rgb = _harmless()(image=rgb)["image"]
    if colours is not None and rng.random() < COLOURED_SHARE:
        rgb = in_colours_of(rgb, visible, colours[rng.integers(len(colours))])
    if rng.random() < CAST_SHARE:
        rgb = in_colours_of(rgb, visible, random_chromaticity(rng))
    if rng.random() < GREY_SHARE:
        rgb = of_one_channel(rgb, red_free=rng.random() < RED_FREE_SHARE)
    return np.ascontiguousarray(rgb)


def of_one_channel(rgb: ByteArray, *, red_free: bool) -> ByteArray:
    """Return ``rgb`` (H, W, 3) as a camera of one channel gives it, three times: its green light, or all."""
    grey = rgb[..., 1] if red_free else cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return np.repeat(grey[..., None], 3, 2)
