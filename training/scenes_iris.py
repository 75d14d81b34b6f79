"""An eye's front as `training.scenes_eye` draws it: iris, pupil, conjunctival vessels, reflexes, a lens.

Lengths are in radii of the iris (about 5.85 mm), positions from its centre.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.scene_parts import SUBPIXEL_BITS, Colour, Plane, blend, bump, ramp, wandering_paths

# Brown to grey irises in a neutral light, sRGB levels.
IRIS_COLOURS = (
    (52, 32, 22),
    (88, 56, 32),
    (122, 84, 44),
    (118, 104, 62),
    (98, 118, 92),
    (88, 124, 158),
    (138, 154, 168),
)
RINGS, SPOKES = 96, 512  # of the iris's texture in polar coordinates
OUTERMOST = 1.1  # radius of the texture's last ring
PUPILS = ("black", "reflex", "cataract")


def _around(rings: int, spokes: int, rng: np.random.Generator) -> Plane:
    """Return noise (RINGS, SPOKES) in 0..1 that closes over the angle."""
    seeds = np.pad(rng.random((rings, spokes), dtype=np.float32), ((0, 0), (2, 2)), mode="wrap")
    margin = 2 * SPOKES // spokes
    wide = cv2.resize(seeds, (SPOKES + 2 * margin, RINGS), interpolation=cv2.INTER_LINEAR)
    return np.asarray(wide[:, margin : margin + SPOKES])


def iris_texture(pupil: float, rng: np.random.Generator) -> Plane:
    """Return (RINGS, SPOKES, 3): radial fibres, crypts, collarette, furrows, freckles, a dark limbal ring."""
    r = np.linspace(0, OUTERMOST, RINGS, dtype=np.float32)[:, None]
    depth = np.clip((r - pupil) / (1 - pupil), 0, 1)  # 0 at the pupil, 1 at the limbus
    fibres = 0.45 * _around(5, 256, rng) + 0.35 * _around(8, 128, rng) + 0.2 * _around(4, 32, rng)
    light = 1 + rng.uniform(0.5, 2.2) * (fibres - 0.5)
    crypts = ramp(_around(7, 32, rng) - np.float32(rng.uniform(0.75, 0.95)), 0.15)
    light *= 1 - rng.uniform(0, 0.6) * crypts * (depth > 0.1)
    collarette = rng.uniform(0.2, 0.45) + 0.12 * (_around(1, 32, rng) - 0.5)
    light += rng.uniform(0, 0.5) * bump(depth - collarette, 0.05)
    light *= 1 - rng.uniform(0, 0.15) * np.sin(depth * rng.uniform(20, 45)) * (depth > 0.5)  # furrows
    light *= 1 - rng.uniform(0.2, 0.8) * ramp(r - 0.93, rng.uniform(0.06, 0.25))
    light *= 1 - rng.uniform(0, 0.7) * bump(depth, 0.04)  # the pupil's ruff
    place = int(rng.integers(len(IRIS_COLOURS)))
    outer = np.array(IRIS_COLOURS[place]) * rng.uniform(0.75, 1.25, 3)
    inner = np.array(IRIS_COLOURS[max(0, place - int(rng.integers(0, 4)))]) * rng.uniform(0.8, 1.3, 3)
    share = ramp(depth - collarette + 0.2 * (fibres - 0.5), 0.25)[..., None]
    colour = (inner * (1 - share) + outer * share).astype(np.float32) * light[..., None]
    freckles = ramp(_around(12, 64, rng) - np.float32(rng.uniform(0.9, 1.3)), 0.05)
    return np.asarray(colour * (1 - 0.6 * freckles[..., None]), np.float32)


def draw_iris(
    rgb: Plane, x: Plane, y: Plane, pupil: float, kind: str, softness: float, rng: np.random.Generator
) -> None:
    """Draw the iris and a pupil of the given radius on ``rgb`` in place; ``kind`` is one of PUPILS."""
    r = cv2.magnitude(x, y)
    angle = cv2.phase(x, y) * np.float32(SPOKES / (2 * np.pi))
    rings = np.minimum(r, OUTERMOST) * np.float32((RINGS - 1) / OUTERMOST)
    coloured = cv2.remap(
        iris_texture(pupil, rng), angle, rings, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    if kind == "reflex" and rng.random() < 0.5:  # retro-illumination: the iris is a silhouette
        coloured = coloured * np.float32(rng.uniform(0.08, 0.5))
    blend(rgb, coloured, ramp(1 - r, softness + rng.uniform(0.02, 0.15)))
    off_x, off_y = rng.normal(0, 0.03, 2)
    stretch = rng.uniform(0.92, 1.08)
    from_centre = cv2.magnitude((x - np.float32(off_x)) * np.float32(stretch), y - np.float32(off_y))
    inside = ramp(pupil - from_centre, softness + 0.02)
    blend(rgb, np.full(3, rng.uniform(2, 25)), inside)
    if kind == "reflex":
        _draw_reflex(rgb, x, y, inside, pupil, rng)
    elif kind == "cataract":
        grey = rng.uniform(90, 215) * np.array([1.0, rng.uniform(0.85, 1.0), rng.uniform(0.6, 1.0)])
        cloud = rng.uniform(0.4, 0.95) * (0.6 + 0.4 * bump(from_centre, pupil * 0.7))
        blend(rgb, grey, inside * cloud * (1 - 0.6 * _spokes(x, y, pupil, rng)))


def _draw_reflex(
    rgb: Plane, x: Plane, y: Plane, inside: Plane, pupil: float, rng: np.random.Generator
) -> None:
    """Draw the fundus's light in the pupil, perhaps as a crescent, with the shadows of opacities in it."""
    glow = np.array([rng.uniform(120, 255), rng.uniform(30, 150), rng.uniform(10, 70)])
    side_x, side_y = rng.normal(0, pupil, 2)
    lit = bump(cv2.magnitude(x - np.float32(side_x), y - np.float32(side_y)), pupil * rng.uniform(0.8, 2))
    blend(rgb, glow, inside * lit * (1 - _spokes(x, y, pupil, rng)))


def _spokes(x: Plane, y: Plane, pupil: float, rng: np.random.Generator) -> Plane:
    """Return wedges of cortical opacity from the rim inwards, in 0..1; none in half of the draws."""
    angle = np.linspace(0, 2 * np.pi, SPOKES, dtype=np.float32)
    waves = [np.sin(angle * int(rng.integers(1, 12)) + rng.uniform(0, 6)) for _ in range(4)]
    table = ramp(np.sum(waves, 0, dtype=np.float32) - np.float32(rng.uniform(0.3, 1.5)), 0.6)
    wedges = table[(cv2.phase(x, y) * np.float32((SPOKES - 1) / (2 * np.pi))).astype(np.int32)]
    strength = rng.uniform(0.3, 0.9) if rng.random() < 0.5 else 0.0
    from_rim = ramp(cv2.magnitude(x, y) - np.float32(pupil * rng.uniform(0, 0.8)), 0.3 * pupil)
    return np.asarray(wedges * from_rim * np.float32(strength))


def conjunctival_vessels(count: int, reach: float, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Return trunks (n, 24, 2) and two generations of branches, from the lids' side towards the limbus.

    ``reach``: how far from the iris's centre the trunks start.
    """
    bearing = rng.uniform(0, 2 * np.pi, count)
    bearing = np.arctan2(np.sin(bearing) * rng.uniform(0.3, 1), np.cos(bearing))  # more at the sides
    starts = np.stack([np.cos(bearing), np.sin(bearing)], 1) * (reach * rng.uniform(0.6, 1.1, (count, 1)))
    headings = np.arctan2(-starts[:, 1], -starts[:, 0]) + rng.normal(0, 0.6, count)
    generations = [wandering_paths(starts, headings, 24, 0.07 * rng.uniform(0.6, 1.3), rng)]
    for steps in (14, 8):
        parent = generations[-1]
        which, where = (
            rng.integers(0, len(parent), 2 * count),
            rng.integers(1, parent.shape[1] - 1, 2 * count),
        )
        along = parent[which, where + 1] - parent[which, where]
        turned = np.arctan2(along[:, 1], along[:, 0]) + rng.choice([-1, 1], 2 * count) * rng.uniform(
            0.3, 1.1, 2 * count
        )
        generations.append(wandering_paths(parent[which, where], turned, steps, 0.06, rng))
    return generations


def draw_flash(rgb: Plane, x: Plane, y: Plane, softness: float, rng: np.random.Generator) -> None:
    """Draw one light's image on the cornea in place: a spot, a window, a slit, or a ring of one or many."""
    off_x, off_y = rng.uniform(-0.6, 0.6, 2)
    x, y = x - np.float32(off_x), y - np.float32(off_y)
    side, kind = rng.uniform(0.04, 0.22), int(rng.integers(6))
    r = cv2.magnitude(x, y)
    if kind == 0:
        share = ramp(side - r, softness)
    elif kind == 1:  # a window with its bars
        share = ramp(np.minimum(side - np.abs(x), 1.4 * side - np.abs(y)), softness)
        share = share * ramp(np.minimum(np.abs(x), np.abs(y)) - side * 0.06, softness)
    elif kind == 2:  # a slit or a tube
        share = ramp(np.minimum(side * 0.25 - np.abs(x + 0.4 * y * y), 2.5 * side - np.abs(y)), softness)
    elif kind == 3:
        radius = rng.uniform(0.15, 0.5)
        share = ramp(side * 0.3 - np.abs(r - radius), softness)
    elif kind == 4:  # light-emitting diodes in a ring
        radius, number = rng.uniform(0.15, 0.5), int(rng.integers(4, 16))
        share = ramp(side * 0.25 - np.abs(r - radius), softness) * ramp(
            np.asarray(np.cos(cv2.phase(x, y) * number), np.float32) - 0.4, 0.5
        )
    else:  # a soft box
        share = bump(r, side * 1.3)
    halo = rng.uniform(0, 0.3) * bump(r, 2.5 * side)
    tint: Colour = rng.uniform(215, 255, 3)
    blend(rgb, tint, np.maximum(share * np.float32(rng.uniform(0.7, 1)), halo))


def vessel_share(shape: tuple[int, int], generations_px: list[NDArray[np.float64]], width_px: float) -> Plane:
    """Return (S, S) in 0..1 of vessels whose paths are in pixels, each generation thinner and fainter."""
    share = np.zeros(shape, np.uint8)
    for number, paths in reversed(list(enumerate(generations_px))):
        points = list(np.rint(np.clip(paths, -9999, 9999) * (1 << SUBPIXEL_BITS)).astype(np.int32))
        width = max(1, round(width_px / 1.5**number))
        strength = min(1.0, 0.35 + width_px / 1.5**number * 0.5)
        cv2.polylines(share, points, False, 255 * strength, width, cv2.LINE_AA, SUBPIXEL_BITS)
    return share.astype(np.float32) / 255
