"""What the drawn scenes share: smooth planes, blends, colours that no retina has, skin's tone, and lines.

Colours are RGB in 0..255 as float32; pictures are float32 (S, S, 3) until `levels` makes bytes of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data import ByteArray

Plane = NDArray[np.float32]
Colour = NDArray[np.float64]
LEAST_SHARE = 1 / 512  # of a blend that shows: half a level
SUBPIXEL_BITS = 4  # of the points that cv2 draws

# From pale to dark skin, as sRGB levels in a neutral light.
SKIN_TONES = ((240, 205, 185), (225, 180, 150), (200, 150, 118), (160, 112, 82), (110, 74, 54), (66, 44, 34))


def smooth(size_px: int, cells: int, rng: np.random.Generator) -> Plane:
    """Return (S, S) of smooth noise, mostly in 0..1, ``cells`` bumps wide."""
    noise = rng.random((cells, cells), dtype=np.float32)
    return np.asarray(cv2.resize(noise, (size_px, size_px), interpolation=cv2.INTER_CUBIC), np.float32)


def levels(rgb: NDArray[np.floating]) -> ByteArray:
    """Return the picture as bytes, each level rounded and clipped."""
    return np.clip(rgb + 0.5, 0, 255).astype(np.uint8)


def ramp(distance: Plane, width: float) -> Plane:
    """Return 1 where ``distance`` is well above 0, 0 well below, linear over ``width`` about 0."""
    return np.clip(distance / np.float32(max(width, 1e-6)) + np.float32(0.5), 0, 1)


def bump(distance: Plane, width: float) -> Plane:
    """Return a Gaussian bell of ``distance``, 1 at 0, with the standard deviation ``width``."""
    return np.exp(np.square(distance / np.float32(width)) * np.float32(-0.5))


def blend(rgb: Plane, over: NDArray[np.floating], share: Plane) -> None:
    """Lay ``over``, a colour (3,) or a picture (S, S, 3), on ``rgb`` in place where ``share`` (S, S) is."""
    rows, columns = (np.flatnonzero(share.max(axis) > LEAST_SHARE) for axis in (1, 0))
    if rows.size == 0:
        return
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    source = np.asarray(over, np.float32)
    source = source if source.ndim == 1 else source[box]
    rgb[box] += share[box][..., None] * (source - rgb[box])


def cool_colour(low: float, high: float, rng: np.random.Generator) -> Colour:
    """Return a grey (half of the draws) or a colour whose red is well below its highest level.

    A dark or blurred retina is a plain red or orange glow, so nothing plain is drawn in these colours.
    """
    if rng.random() < 0.5:
        return np.full(3, rng.uniform(low, high))
    colour = rng.uniform(low, high, 3)
    return np.array([min(colour[0], 0.85 * max(colour[1:])), *colour[1:]])


def fine_contrast(rgb: NDArray[np.uint8]) -> float:
    """Return how strongly the grey levels differ from their surroundings' mean, as a share of the mean."""
    grey = rgb.mean(2, dtype=np.float32)
    detail = grey - cv2.blur(grey, (max(3, grey.shape[0] // 8),) * 2)
    return float(detail.std() / max(float(grey.mean()), 1.0))


def place_by_share(shares: Sequence[float], rng: np.random.Generator) -> int:
    """Return a place in ``shares``, each as often as its share; they sum to 1."""
    return int(rng.choice(len(shares), p=shares))


def skin_tone(rng: np.random.Generator) -> Colour:
    """Return a colour between two neighbours of SKIN_TONES, a little redder or paler."""
    place = rng.uniform(0, len(SKIN_TONES) - 1.001)
    first, second = np.array(SKIN_TONES[int(place)]), np.array(SKIN_TONES[int(place) + 1])
    return (first + (place % 1) * (second - first)) * rng.uniform(0.92, 1.08, 3)


def draw_lines(
    rgb: NDArray[np.generic], paths_px: NDArray[np.floating], colour: Colour, thickness_px: int
) -> None:
    """Draw paths (n, points, 2), x and y in pixels, smoothly on ``rgb`` in place."""
    if len(paths_px) == 0:
        return
    limited = np.clip(paths_px, -4 * rgb.shape[1], 5 * rgb.shape[1]) * (1 << SUBPIXEL_BITS)
    color = [float(each) for each in colour]
    points = list(np.rint(limited).astype(np.int32))
    if rgb.dtype != np.uint8:  # cv2 smooths lines on bytes alone
        share = np.zeros(rgb.shape[:2], np.uint8)
        cv2.polylines(share, points, False, 255, thickness_px, cv2.LINE_AA, SUBPIXEL_BITS)
        blend(np.asarray(rgb), colour, share.astype(np.float32) / 255)
    else:
        cv2.polylines(rgb, points, False, color, thickness_px, cv2.LINE_AA, SUBPIXEL_BITS)


def bent_hairs(
    roots: NDArray[np.floating], tips: NDArray[np.floating], bend: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return hairs (n, 6, 2) from ``roots`` to ``tips`` (n, 2), pulled towards the middle plus ``bend``."""
    t = np.linspace(0, 1, 6)[None, :, None]
    middle = (roots + tips) / 2 + bend
    return (1 - t) ** 2 * roots[:, None] + 2 * t * (1 - t) * middle[:, None] + t**2 * tips[:, None]


def wandering_paths(
    starts: NDArray[np.floating],
    headings: NDArray[np.floating],
    steps: int,
    step: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return smooth random walks (n, steps, 2) from ``starts`` (n, 2), at first along ``headings`` (n,)."""
    wander = headings[:, None] + rng.normal(0, 0.28, (len(starts), steps)).cumsum(1)
    moves = np.stack([np.cos(wander), np.sin(wander)], 2) * step
    return np.asarray(starts[:, None] + moves.cumsum(1) - moves[:, :1])
