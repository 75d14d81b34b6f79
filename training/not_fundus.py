"""Pictures that are not of a retina, for which the truth is that no anatomy is visible anywhere.

Drawn from the photographs that scikit-image and scikit-learn ship (crops, blurred, tinted like skin or an
iris) and from procedural scenes: gradients, textures, an eye from outside.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from training.data import BoolArray, ByteArray

PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "camera",
    "chelsea",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "page",
    "rocket",
)


@lru_cache(maxsize=1)
def _photographs() -> tuple[ByteArray, ...]:
    import skimage.data
    from sklearn.datasets import load_sample_images

    found = [np.asarray(getattr(skimage.data, name)()) for name in PHOTOGRAPHS]
    found = [np.dstack([each] * 3) if each.ndim == 2 else each[..., :3] for each in found]
    return tuple(np.ascontiguousarray(each, np.uint8) for each in [*found, *load_sample_images().images])


def random_scene(size_px: int, rng: np.random.Generator) -> tuple[ByteArray, BoolArray]:
    """Return rgb (S, S, 3), black outside, and the visible mask (S, S): a circle or a rectangle."""
    maker = (_photograph, _photograph, _outer_eye, _outer_eye, _texture)[int(rng.integers(5))]
    rgb = maker(size_px, rng)
    if rng.random() < 0.5:  # the camera's light: reddish, falling off
        tint = np.array([rng.uniform(0.7, 1.0), rng.uniform(0.3, 0.8), rng.uniform(0.15, 0.7)])
        rgb = np.clip(rgb * tint, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(1, 8))
    y, x = np.mgrid[:size_px, :size_px] / size_px - 0.5
    if rng.random() < 0.5:
        visible = np.hypot(x, y) <= 0.5
    else:
        visible = (np.abs(y) <= rng.uniform(0.35, 0.5)) & (np.abs(x) <= 0.5)
    return np.where(visible[..., None], rgb, 0).astype(np.uint8), visible


def _photograph(size_px: int, rng: np.random.Generator) -> ByteArray:
    picture = _photographs()[int(rng.integers(len(_photographs())))]
    side = int(min(picture.shape[:2]) * rng.uniform(0.25, 1.0))
    y = int(rng.integers(picture.shape[0] - side + 1))
    x = int(rng.integers(picture.shape[1] - side + 1))
    crop = np.rot90(picture[y : y + side, x : x + side], int(rng.integers(4)))
    return cv2.resize(np.ascontiguousarray(crop), (size_px, size_px), interpolation=cv2.INTER_AREA)


def _smooth(size_px: int, cells: int, rng: np.random.Generator) -> np.ndarray:
    noise = rng.random((cells, cells)).astype(np.float32)
    return cv2.resize(noise, (size_px, size_px), interpolation=cv2.INTER_CUBIC)


def _texture(size_px: int, rng: np.random.Generator) -> ByteArray:
    planes = [_smooth(size_px, int(rng.integers(2, 60)), rng) for _ in range(3)]
    base = rng.uniform(0, 200, 3)
    return np.clip(np.dstack(planes) * rng.uniform(20, 200) + base, 0, 255).astype(np.uint8)


def _outer_eye(size_px: int, rng: np.random.Generator) -> ByteArray:
    """An eye from outside: skin, sclera between two lids, iris with radial fibres, pupil, reflexes."""
    y, x = np.mgrid[:size_px, :size_px].astype(np.float32) / size_px - 0.5
    x, y = x - rng.uniform(-0.2, 0.2), y - rng.uniform(-0.2, 0.2)
    skin = np.array([rng.uniform(120, 230), rng.uniform(80, 170), rng.uniform(60, 150)])
    shade = 0.8 + 0.4 * _smooth(size_px, 6, rng) + 0.1 * _smooth(size_px, 80, rng)
    rgb = skin * shade[..., None]
    width, height = rng.uniform(0.35, 0.8), rng.uniform(0.12, 0.5)
    opening = np.abs(y) < height * np.clip(1 - (x / width) ** 2, 0, 1)
    sclera = np.array([rng.uniform(170, 240)] * 3) * np.array([1.0, 0.92, 0.9])
    rgb = np.where(opening[..., None], sclera * (0.9 + 0.2 * _smooth(size_px, 8, rng))[..., None], rgb)
    radius = rng.uniform(0.12, 0.35)
    distance, angle = np.hypot(x, y), np.arctan2(y, x)
    fibres = 0.75 + 0.25 * np.sin(angle * rng.integers(20, 60) + 6 * _smooth(size_px, 12, rng))
    iris = np.array([rng.uniform(30, 150), rng.uniform(30, 130), rng.uniform(20, 150)])
    rgb = np.where((opening & (distance < radius))[..., None], iris * fibres[..., None], rgb)
    pupil = opening & (distance < radius * rng.uniform(0.25, 0.75))
    glow = np.array([rng.uniform(5, 160), rng.uniform(5, 60), rng.uniform(5, 40)])  # black, or red reflex
    rgb = np.where(pupil[..., None], glow, rgb)
    for _ in range(int(rng.integers(0, 4))):
        spot = np.hypot(x - rng.uniform(-0.15, 0.15), y - rng.uniform(-0.15, 0.15))
        rgb = np.where((spot < rng.uniform(0.01, 0.04))[..., None], 250.0, rgb)
    return cv2.GaussianBlur(np.clip(rgb, 0, 255).astype(np.uint8), (0, 0), rng.uniform(0.5, 3))
