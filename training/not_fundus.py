"""Pictures that are not of a retina, for which the truth is that no anatomy is visible anywhere.

Drawn from the photographs that scikit-image and scikit-learn ship (crops, blurred, tinted like skin or an
iris) and from the procedural scenes of training.scenes. Never from a set that is assessed.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from training.data import BoolArray, ByteArray
from training.scenes import SCENES

# What scikit-image carries in its package but retina and microaneurysms, which are retinas.
PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "camera",
    "cell",
    "chelsea",
    "clock",
    "coffee",
    "coins",
    "colorwheel",
    "grass",
    "gravel",
    "horse",
    "hubble_deep_field",
    "immunohistochemistry",
    "logo",
    "moon",
    "page",
    "rocket",
    "shepp_logan_phantom",
    "text",
)
PHOTOGRAPH_SHARE = 0.4
WHOLE_SHARE = 0.35  # of photographs: the frame as a camera would give it
GREATEST_BLUR = 0.02  # of the side, where the light is a fundus camera's: more, and a bad fundus looks alike


def _three_channels(picture: np.ndarray) -> ByteArray:
    levels = picture if picture.dtype == np.uint8 else np.asarray(picture, np.float64) * 255
    planes = np.dstack([levels] * 3) if levels.ndim == 2 else levels[..., :3]
    return np.ascontiguousarray(planes, np.uint8)


@lru_cache(maxsize=1)
def photographs() -> tuple[ByteArray, ...]:
    """Return the packages' sample photographs, RGB (H, W, 3)."""
    import skimage.data
    from sklearn.datasets import load_sample_images

    found = [getattr(skimage.data, name)() for name in PHOTOGRAPHS]
    found += [skimage.data.stereo_motorcycle()[0], *load_sample_images().images]
    return tuple(_three_channels(each) for each in found)


def random_scene(size_px: int, rng: np.random.Generator) -> tuple[ByteArray, BoolArray]:
    """Return rgb (S, S, 3), black outside, and the visible mask (S, S): a circle or a rectangle."""
    if rng.random() < PHOTOGRAPH_SHARE:
        rgb, visible = _photograph(size_px, rng)
    else:
        scene = SCENES[int(rng.integers(len(SCENES)))]
        rgb, visible = scene(size_px, rng), _visible(size_px, rng)
    camera_light = bool(rng.random() < 0.4)
    if camera_light:  # reddish, falling off
        tint = np.array([rng.uniform(0.7, 1.0), rng.uniform(0.3, 0.8), rng.uniform(0.15, 0.7)])
        rgb = np.clip(rgb * tint, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        reach = GREATEST_BLUR * (0.4 if camera_light else 1.0)
        rgb = cv2.GaussianBlur(rgb, (0, 0), size_px * rng.uniform(0.002, reach))
    return np.where(visible[..., None], rgb, 0).astype(np.uint8), visible


def _visible(size_px: int, rng: np.random.Generator) -> BoolArray:
    y, x = np.mgrid[:size_px, :size_px] / size_px - 0.5
    if rng.random() < 0.5:
        return np.hypot(x, y) <= 0.5
    return (np.abs(y) <= rng.uniform(0.3, 0.5)) & (np.abs(x) <= 0.5)


def _photograph(size_px: int, rng: np.random.Generator) -> tuple[ByteArray, BoolArray]:
    every = photographs()
    picture = every[int(rng.integers(len(every)))]
    if rng.random() < WHOLE_SHARE:
        return _whole(picture, size_px)
    side = int(min(picture.shape[:2]) * rng.uniform(0.25, 1.0))
    y = int(rng.integers(picture.shape[0] - side + 1))
    x = int(rng.integers(picture.shape[1] - side + 1))
    crop = np.rot90(picture[y : y + side, x : x + side], int(rng.integers(4)))
    resized = cv2.resize(np.ascontiguousarray(crop), (size_px, size_px), interpolation=cv2.INTER_AREA)
    return resized, _visible(size_px, rng)


def _whole(picture: ByteArray, size_px: int) -> tuple[ByteArray, BoolArray]:
    """Return the picture as the crop of a frame without a dark border shows it: black above and below."""
    scale = size_px / max(picture.shape[:2])
    height, width = (max(1, round(each * scale)) for each in picture.shape[:2])
    top, left = (size_px - height) // 2, (size_px - width) // 2
    rgb, visible = np.zeros((size_px, size_px, 3), np.uint8), np.zeros((size_px, size_px), bool)
    inside = np.s_[top : top + height, left : left + width]
    rgb[inside] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    visible[inside] = True
    return rgb, visible
