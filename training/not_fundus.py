"""Pictures that are not of a retina, for which the truth is that no anatomy is visible anywhere.

Nearly half are eyes from outside: drawn ones (training.scenes_eye) and close crops of eyes in photographs
that packages ship: scikit-image's, and those that training.eye_photographs fetches. The others are these
packages' other photographs and the scenes of training.scenes. Never from a set that is assessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from training.data import BoolArray, ByteArray, blank_outside
from training.eye_photographs import Eye
from training.scene_parts import fine_contrast, levels, place_by_share
from training.scenes import SCENES
from training.scenes_eye import LEAST_CONTRAST, REDDISH, random_eye
from training.views import (
    in_colours_of,
    of_one_channel,
    random_chromaticity,
)

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
# Eyes in them, found by hand: the photograph, x and y of the middle and the width of the eye in pixels.
EYES_IN_PHOTOGRAPHS = (
    ("astronaut", 204, 101, 24),
    ("astronaut", 247, 103, 24),
    ("astronaut", 226, 102, 70),  # both
    ("chelsea", 172, 113, 75),
    ("chelsea", 322, 132, 75),
)
EYE_SHARE = 0.45
# Of the eyes: with scikit-image's alone there are few, so the drawn ones must carry the variety.
REAL_EYE_SHARE, REAL_EYE_SHARE_OF_FETCHED = 0.12, 0.45
PHOTOGRAPH_SHARE = 0.35  # of what is no eye
WHOLE_SHARE = 0.35  # of photographs: the frame as a camera would give it
# Round stop, cut above and below, rectangle, full square: fewer of the last two than among the retinas shown
# (training.views), so that no shape speaks against a retina.
SHAPE_SHARES = (0.45, 0.3, 0.17, 0.08)
GREY_SHARE = 0.1  # as among the retinas shown (training.views)
GREATEST_BLUR = 0.02  # of the side, where the light is a fundus camera's: more, and a bad fundus looks alike


def _three_channels(picture: np.ndarray) -> ByteArray:
    values = picture if picture.dtype == np.uint8 else np.asarray(picture, np.float64) * 255
    planes = np.dstack([values] * 3) if values.ndim == 2 else values[..., :3]
    return np.ascontiguousarray(planes, np.uint8)


@lru_cache(maxsize=1)
def photographs() -> tuple[ByteArray, ...]:
    """Return the packages' sample photographs, RGB (H, W, 3)."""
    import skimage.data
    from sklearn.datasets import load_sample_images

    found = [getattr(skimage.data, name)() for name in PHOTOGRAPHS]
    found += [skimage.data.stereo_motorcycle()[0], *load_sample_images().images]
    return tuple(_three_channels(each) for each in found)


@lru_cache(maxsize=1)
def packaged_eyes() -> tuple[Eye, ...]:
    """Return the eyes in scikit-image's photographs."""
    return tuple(
        Eye(photographs()[PHOTOGRAPHS.index(name)], x, y, width) for name, x, y, width in EYES_IN_PHOTOGRAPHS
    )


def random_scene(
    size_px: int, rng: np.random.Generator, eyes: Sequence[Eye] = ()
) -> tuple[ByteArray, BoolArray]:
    """Return rgb (S, S, 3), black outside, and the visible mask (S, S), a function of the generator.

    ``eyes``: in photographs, to be shown beside scikit-image's.
    """
    if rng.random() < EYE_SHARE:
        real = rng.random() < (REAL_EYE_SHARE_OF_FETCHED if eyes else REAL_EYE_SHARE)
        every = (*packaged_eyes(), *eyes)
        drawn = every[int(rng.integers(len(every)))]
        rgb = eye_in_photograph(drawn, size_px, rng) if real else random_eye(size_px, rng)
        visible = random_field(size_px, rng)
        camera_light = real  # a drawn one has its own
    elif rng.random() < PHOTOGRAPH_SHARE:
        rgb, visible = _photograph(size_px, rng)
        camera_light = True
    else:
        draw, _, camera_light = SCENES[place_by_share([share for _, share, _ in SCENES], rng)]
        rgb, visible = draw(size_px, rng), random_field(size_px, rng)
    camera_light = camera_light and rng.random() < 0.4 and fine_contrast(rgb) > LEAST_CONTRAST
    if camera_light:
        rgb = in_colours_of(rgb, visible, random_chromaticity(rng))
    if rng.random() < 0.2:
        red, green = rgb[..., 0].mean(), rgb[..., 1].mean()
        reach = GREATEST_BLUR * (0.4 if camera_light or red > REDDISH * green else 1.0)
        rgb = cv2.GaussianBlur(rgb, (0, 0), size_px * rng.uniform(0.002, reach))
    if rng.random() < GREY_SHARE:
        rgb = of_one_channel(rgb, red_free=False)
    return blank_outside(rgb, visible), visible


def random_field(size_px: int, rng: np.random.Generator) -> BoolArray:
    """Return what is visible (S, S): a round stop, one cut above and below, a rectangle, or all."""
    axis = (np.arange(size_px, dtype=np.float32) + 0.5) / size_px - 0.5
    y, x = axis[:, None], axis[None, :]
    kind, cut = place_by_share(SHAPE_SHARES, rng), rng.uniform(0.3, 0.47)
    if kind < 2:
        return (np.hypot(x, y) <= 0.5) & (np.abs(y) <= (0.5 if kind == 0 else cut))
    return (np.abs(y) <= (cut if kind == 2 else 0.5)) & (np.abs(x) <= 0.5)


def eye_in_photograph(eye: Eye, size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return the eye enlarged (S, S, 3), from near or farther, perhaps mirrored, turned or grey."""
    scale = (
        size_px / (eye.width * rng.uniform(0.8, 2.2)) * rng.uniform(0.9, 1.1, 2) * (rng.choice([-1, 1]), 1)
    )
    turn = rng.normal(0, 0.2)
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag(scale)
    middle = np.array([eye.x, eye.y]) + rng.normal(0, 0.12, 2) * eye.width
    shift = size_px / 2 - spin @ middle
    matrix = np.column_stack([spin, shift])
    rgb = cv2.warpAffine(
        eye.picture, matrix, (size_px, size_px), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    if rng.random() < 0.2:
        rgb = np.repeat(rgb.mean(2, keepdims=True), 3, 2)
    gain = rng.uniform(0.4, 1.3) * rng.uniform(0.85, 1.15, 3)
    grain = rng.standard_normal((size_px, size_px, 1), dtype=np.float32) * np.float32(rng.uniform(0, 4))
    return levels(rgb * gain.astype(np.float32) + grain)


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
    return resized, random_field(size_px, rng)


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
