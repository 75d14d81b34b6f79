"""Where a defect lies: soft random supports on a quarter of the crop's grid, lengths in field radii."""

import math

import cv2
import numpy as np

from training.degrade_light import BoolArray, FloatArray, quarter

SHAPES = ("blob", "spot", "half", "sector", "ring", "crescent", "lid")
MIN_SHARE, MAX_SHARE = 0.015, 0.7  # of the visible field; a smaller or larger support is drawn again
_DRAWS = 6


def smooth_noise(side: int, cells: int, rng: np.random.Generator) -> FloatArray:
    """Return (side, side) of smooth noise of zero mean and about unit variance, ``cells`` bumps wide."""
    seeds = rng.standard_normal((cells + 3, cells + 3), dtype=np.float32)
    wide = cv2.resize(seeds, None, fx=side / cells, fy=side / cells, interpolation=cv2.INTER_CUBIC)
    start = (wide.shape[0] - side) // 2
    return np.asarray(wide[start : start + side, start : start + side])


def field_coordinates(visible: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return x, y (q, q) in radii from the visible field's centre (y down), and each cell's visible share.

    Raises:
        ValueError: ``visible`` is not a square with at least one visible pixel.
    """
    if visible.ndim != 2 or visible.shape[0] != visible.shape[1]:
        raise ValueError(f"visible has shape {visible.shape}, expected a square (S, S)")
    share = quarter(visible)
    rows, columns = np.flatnonzero(share.max(1) > 0), np.flatnonzero(share.max(0) > 0)
    if rows.size == 0:
        raise ValueError("visible has no true pixel, expected a field of view")
    center_y, center_x = (rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2
    radius = max(rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1) / 2
    axis = np.arange(share.shape[0], dtype=np.float32)
    x = np.broadcast_to((axis[None, :] - center_x) / radius, share.shape).astype(np.float32)
    y = np.broadcast_to((axis[:, None] - center_y) / radius, share.shape).astype(np.float32)
    return x, y, share


def soft_step(distance: FloatArray, width: float) -> FloatArray:
    """Return 1 well inside (``distance`` < 0) and 0 well outside, a smooth ramp of ``width`` about 0."""
    ramp = np.clip(0.5 - distance / max(width, 1e-6), 0.0, 1.0)
    return (ramp * ramp * (3.0 - 2.0 * ramp)).astype(np.float32)


def round_support(side_px: int, center: tuple[float, float], radius_px: float) -> FloatArray:
    """Return a soft round support (q, q), q = ``side_px`` // 4, about ``center`` (x, y) in crop pixels.

    It is 1/2 at ``radius_px`` and falls from 1 to 0 over half of it.
    """
    axis = 4 * np.arange(side_px // 4, dtype=np.float32) + 2
    distance = np.hypot(axis[None, :] - center[0], axis[:, None] - center[1])
    return soft_step((distance / radius_px - 1).astype(np.float32), 0.5)


def signed_distance(shape: str, x: FloatArray, y: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return a random instance of ``shape`` as a distance in field radii, negative inside.

    Raises:
        ValueError: ``shape`` is not one of SHAPES.
    """
    if shape not in SHAPES:
        raise ValueError(f"shape is {shape!r}, expected one of {', '.join(SHAPES)}")
    angle = rng.uniform(0, 2 * math.pi)
    along, across = x * math.cos(angle) + y * math.sin(angle), -x * math.sin(angle) + y * math.cos(angle)
    if shape == "blob":
        reach = rng.uniform(0.0, 0.85)
        stretch = rng.uniform(0.55, 1.0)
        return np.hypot(along - reach, across / stretch) - rng.uniform(0.22, 0.6)
    if shape == "spot":  # as large as the macula: about one disc diameter, anywhere
        return np.hypot(along - rng.uniform(0.0, 0.8), across / rng.uniform(0.75, 1.0)) - rng.uniform(
            0.16, 0.3
        )
    if shape == "half":
        return rng.uniform(-0.35, 0.6) - along
    if shape == "sector":  # from a point near the centre, 50 to 150 degrees wide
        half_width = rng.uniform(0.45, 1.3)
        ahead = along + rng.uniform(0.0, 0.5)
        return (np.hypot(ahead, across) * (np.abs(np.arctan2(across, ahead)) - half_width)).astype(np.float32)
    if shape == "ring":  # the periphery
        return rng.uniform(0.5, 0.8) - np.hypot(x, y)
    if shape == "crescent":  # outside a disc that is shifted away from it
        radius = rng.uniform(0.9, 1.5)
        return radius - np.hypot(along + radius - rng.uniform(0.3, 0.85), across)
    top = 1.0 if rng.random() < 0.6 else -1.0  # lid: the upper one more often, its margin an arc
    return top * y + rng.uniform(0.15, 0.75) + rng.uniform(-0.3, 0.3) * (x - rng.uniform(-0.3, 0.3)) ** 2


def random_support(
    visible: BoolArray, rng: np.random.Generator, *, shapes: tuple[str, ...] = SHAPES
) -> tuple[FloatArray, str]:
    """Return a smooth support (q, q) in 0..1 on the quarter grid (q = S // 4) and the name of its shape.

    Of a few draws, the first one whose mean over the visible field is within MIN_SHARE..MAX_SHARE is taken,
    else the last.
    """
    x, y, share = field_coordinates(visible)
    for _ in range(_DRAWS):
        shape = shapes[int(rng.integers(len(shapes)))]
        bumps, ramp = ((0.0, 0.05), (0.08, 0.2)) if shape == "spot" else ((0.0, 0.12), (0.12, 0.5))
        distance = signed_distance(shape, x, y, rng)
        distance = distance + rng.uniform(*bumps) * smooth_noise(x.shape[0], 5, rng)
        support = soft_step(distance, rng.uniform(*ramp))
        covered = float((support * share).sum() / share.sum())
        if MIN_SHARE <= covered <= MAX_SHARE:
            break
    return support, shape
