"""Procedural scenes that are no retina: skin, print, charts, landscapes, noise, a lens without a picture.

Eyes from outside are drawn by training.scenes_eye.

A scene is a function of a side in pixels and a generator that returns rgb uint8 (S, S, 3).
"""

from __future__ import annotations

import string
from collections.abc import Callable

import cv2
import numpy as np

from training.data import ByteArray
from training.scene_parts import (
    Plane,
    bent_hairs,
    cool_colour,
    draw_lines,
    levels,
    skin_tone,
    smooth,
    wandering_paths,
)

Scene = Callable[[int, np.random.Generator], ByteArray]

_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
)


def texture(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return smooth random colours, from broad patches to fine grain, never red as a whole."""
    planes = [smooth(size_px, int(rng.integers(2, 60)), rng) for _ in range(3)]
    reach, base = rng.uniform(20, 200), cool_colour(0, 200, rng)
    return levels(np.dstack(planes) * np.float32(reach) + base.astype(np.float32))


def noise(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return noise about a grey or a colour, dark ones more often: from half a level to full scale.

    Uniform or normal, of one channel or three, of grains from a pixel to several; or a sensor's in the dark,
    where it is as large as the level itself.
    """
    grain_px = 1.0 if rng.random() < 0.6 else rng.uniform(1, 6)
    side = max(4, round(size_px / grain_px))
    shape = (side, side, 1 if rng.random() < 0.4 else 3)
    highest = 50 if rng.random() < 0.55 else 255
    colour = cool_colour(0, highest, rng)
    reach = np.float32(10 ** rng.uniform(-0.3, 2.1))
    if rng.random() < 0.3:
        colour = cool_colour(2, 25, rng)
        reach = np.float32(colour.mean() * rng.uniform(0.1, 1))
    if rng.random() < 0.3:
        grain = (rng.random(shape, dtype=np.float32) * 2 - 1) * reach
    else:
        grain = rng.standard_normal(shape, dtype=np.float32) * reach
    if side != size_px:
        grain = cv2.resize(grain, (size_px, size_px), interpolation=cv2.INTER_LINEAR).reshape(
            size_px, size_px, shape[2]
        )
    return levels(grain + colour.astype(np.float32))


def glow(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return what a covered or an open lens shows: one level, a dim glow, or a gradient, without structure.

    Grey, white, blue or green, never red or orange: those are what a dark or blurred retina is.
    """
    if rng.random() < 0.12:  # no light at all, or all that the sensor takes
        return np.full((size_px, size_px, 3), rng.choice([0, 255]), np.uint8)
    y, x = np.mgrid[:size_px, :size_px].astype(np.float32) / size_px - 0.5
    colour = cool_colour(0, 255, rng) * rng.choice([0.1, 0.35, 1.0])
    kind, fall = int(rng.integers(3)), np.float32(rng.uniform(0.1, 1))
    field = np.ones((size_px, size_px), np.float32)
    if kind == 1:
        off_x, off_y = rng.normal(0, 0.25, 2)
        distance = cv2.magnitude(x - np.float32(off_x), y - np.float32(off_y))
        field = 1 - fall * np.clip(distance / np.float32(rng.uniform(0.3, 1)), 0, 1) ** rng.uniform(1, 4)
        field = 1 - field if rng.random() < 0.2 else field  # light that leaks in at the rim
    elif kind == 2:
        turn = rng.uniform(0, 2 * np.pi)
        field = 1 - fall * (0.5 + x * np.float32(np.cos(turn)) * 0.7 + y * np.float32(np.sin(turn)) * 0.7)
    grain = rng.standard_normal((size_px, size_px, 1), dtype=np.float32)
    return levels(field[..., None] * colour.astype(np.float32) + grain * np.float32(rng.uniform(0, 2)))


def skin(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return skin from near: its tone, shading, pores, creases and hairs."""
    shade = 0.7 + 0.5 * smooth(size_px, int(rng.integers(2, 6)), rng) + 0.1 * smooth(size_px, 90, rng)
    grain = rng.standard_normal((size_px, size_px, 1), dtype=np.float32) * np.float32(3)
    tone = skin_tone(rng)
    rgb = levels(tone.astype(np.float32) * shade[..., None] + grain)
    count, run = int(rng.integers(2, 14)), rng.uniform(0, 2 * np.pi)  # creases run alike
    creases = wandering_paths(
        rng.uniform(0, size_px, (count, 2)), run + rng.normal(0, 0.3, count), 20, 0.03 * size_px, rng
    )
    for crease in creases:
        draw_lines(rgb, crease[None], tone * rng.uniform(0.45, 0.8), int(rng.integers(1, 4)))
    count = int(rng.integers(5, 60))
    roots = np.stack([rng.uniform(0, size_px, count), rng.uniform(0, size_px, count)], 1)
    tips = roots + rng.normal(0, 0.08 * size_px, 2) + rng.normal(0, 0.03 * size_px, (count, 2))
    hairs = bent_hairs(roots, tips, rng.normal(0, 0.02 * size_px, (count, 2)))
    draw_lines(rgb, hairs, tone * rng.uniform(0.1, 0.5), int(rng.integers(1, 3)))
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.4, 1.5)))


def printed_page(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return lines of print or writing on paper, a little turned, dark on light or light on dark."""
    paper, ink = rng.uniform(150, 255, 3), rng.uniform(0, 110, 3)
    if rng.random() < 0.25:
        paper, ink = ink, paper
    rgb = np.empty((size_px, size_px, 3), np.uint8)
    rgb[:] = paper
    font, scale = _FONTS[int(rng.integers(len(_FONTS)))], rng.uniform(0.25, 2.5) * size_px / 384
    letters = np.array(list(string.ascii_letters + string.digits + "    .,-:"))
    row = 0
    while row < size_px:
        row += int(34 * scale * rng.uniform(0.9, 1.3)) + 4
        text = "".join(rng.choice(letters, int(rng.integers(5, 60))))
        indent = int(rng.integers(0, size_px // 4))
        color = [int(each) for each in ink]
        cv2.putText(rgb, text, (indent, row), font, scale, color, max(1, int(scale * 2)), cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((size_px / 2, size_px / 2), rng.normal(0, 12), rng.uniform(1.0, 1.5))
    turned = cv2.warpAffine(rgb, turn, (size_px, size_px), borderMode=cv2.BORDER_REFLECT)
    return levels(turned * (0.7 + 0.4 * smooth(size_px, 3, rng))[..., None])


def chart(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return a test chart in two colours, of contrast from low to full.

    Checks, rays, rings, bars, a grid, dots, or groups of resolution bars; a check is 4 to 96 of 384 pixels.
    """
    share = _bar_groups(size_px, rng) if rng.random() < 0.15 else _pattern(size_px, rng)
    if rng.random() < 0.4:
        share = cv2.GaussianBlur(share, (0, 0), rng.uniform(0.4, 1.5))
    contrast = 10 ** rng.uniform(0.8, 2.41)  # 6 to 255 levels
    if contrast > 60 and rng.random() < 0.4:
        first, second = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
    else:
        first = cool_colour(0, 255 - min(contrast, 250), rng)
        second = first + contrast
    if rng.random() < 0.5:
        first, second = second, first
    grain = rng.standard_normal((size_px, size_px, 1), dtype=np.float32) * np.float32(rng.uniform(0, 4))
    return levels(first + (second - first).astype(np.float32) * share[..., None] + grain)


def _pattern(size_px: int, rng: np.random.Generator) -> Plane:
    """Return where (S, S) a regular pattern has its second colour."""
    y, x = np.mgrid[:size_px, :size_px].astype(np.float32)
    x, y = x - np.float32(rng.uniform(0, size_px)), y - np.float32(rng.uniform(0, size_px))
    turn = 0.0 if rng.random() < 0.5 else rng.uniform(0, np.pi)
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    check_px = np.float32(max(2.0, 4 * 24 ** rng.random() * size_px / 384))
    along, across = (x * cos + y * sin) / check_px, (y * cos - x * sin) / check_px
    kind = int(rng.integers(6))
    if kind == 0:
        share = (np.floor(along) + np.floor(across)) % 2
    elif kind == 1:  # rays
        share = np.sin(cv2.phase(x, y) * int(rng.integers(4, 60))) > 0
    elif kind == 2:  # rings
        share = np.floor(cv2.magnitude(along, across)) % 2
    elif kind == 3:  # bars
        share = np.floor(along) % 2
    elif kind == 4:  # lines
        share = np.minimum(along % 2, across % 2) < rng.uniform(0.15, 0.6)
    else:  # dots
        share = cv2.magnitude(along % 2 - 1, across % 2 - 1) < rng.uniform(0.25, 0.8)
    return np.asarray(share, np.float32)


def _bar_groups(size_px: int, rng: np.random.Generator) -> Plane:
    """Return where (S, S) groups of three bars lie, upright and level, ever finer, as on a lens test."""
    share = np.zeros((size_px, size_px), np.float32)
    width, top = rng.uniform(0.02, 0.06) * size_px, rng.uniform(0, 0.1) * size_px
    while width >= 1 and top < size_px:
        left = rng.uniform(0, 0.1) * size_px
        while left < size_px:
            for at in 2 * width * np.arange(3):
                _fill(share, left + at, top, width, 5 * width)
                _fill(share, left + 6 * width, top + at, 5 * width, width)
            left += 13 * width
        top, width = top + 7 * width, width * rng.uniform(0.6, 0.85)
    return share


def _fill(share: Plane, left: float, top: float, width: float, height: float) -> None:
    share[round(top) : round(top + height), round(left) : round(left + width)] = 1


def landscape(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return sky over ridges, each with its own colour and grain."""
    height = np.linspace(0, 1, size_px, dtype=np.float32)[:, None, None]
    zenith, low = rng.uniform(40, 220, 3), rng.uniform(120, 255, 3)
    rgb = np.broadcast_to(zenith * (1 - height) + low * height, (size_px, size_px, 3)).copy()
    rows = np.arange(size_px)[:, None]
    top = rng.uniform(0.2, 0.6)
    for _ in range(int(rng.integers(1, 5))):
        ridge = (top + 0.15 * (smooth(size_px, int(rng.integers(4, 20)), rng)[0] - 0.5)) * size_px
        grain = 0.6 + 0.8 * smooth(size_px, int(rng.integers(20, 120)), rng)
        rgb = np.where((rows > ridge)[..., None], rng.uniform(20, 180, 3) * grain[..., None], rgb)
        top += rng.uniform(0.08, 0.25)
    return levels(rgb)


def objects(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return shaded ellipses and boxes before a background, as on a desk or a screen."""
    rgb = np.empty((size_px, size_px, 3), np.float32)
    rgb[:] = rng.uniform(0, 255, 3)
    for _ in range(int(rng.integers(2, 25))):
        color = [float(each) for each in rng.uniform(0, 255, 3)]
        center = tuple(int(each) for each in rng.uniform(0, size_px, 2))
        reach = (rng.uniform(0.02, 0.3, 2) * size_px).astype(int) + 1
        if rng.random() < 0.5:
            cv2.ellipse(
                rgb, center, tuple(map(int, reach)), rng.uniform(0, 180), 0, 360, color, -1, cv2.LINE_AA
            )
        else:
            corner = (center[0] + int(reach[0]), center[1] + int(reach[1]))
            cv2.rectangle(rgb, center, corner, color, -1 if rng.random() < 0.7 else 2)
    shade = 0.7 + 0.6 * smooth(size_px, 4, rng)
    return levels(rgb * shade[..., None] + rng.normal(0, 4, (size_px, size_px, 3)))


# Each with its share, and whether a fundus camera's light may fall on it: what is plain would look like a
# dark or blurred retina then.
SCENES: tuple[tuple[Scene, float, bool], ...] = (
    (noise, 0.24, False),
    (glow, 0.2, False),
    (chart, 0.2, True),
    (skin, 0.1, True),
    (texture, 0.08, False),
    (printed_page, 0.07, True),
    (landscape, 0.05, True),
    (objects, 0.06, True),
)
