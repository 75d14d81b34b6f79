"""Procedural scenes that are no retina: an eye from outside, skin, print, charts, landscapes, noise.

A scene is a function of a side in pixels and a generator that returns rgb uint8 (S, S, 3).
"""

from __future__ import annotations

import string
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data import ByteArray

Plane = NDArray[np.float32]
Scene = Callable[[int, np.random.Generator], ByteArray]

_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
)


def _smooth(size_px: int, cells: int, rng: np.random.Generator) -> Plane:
    noise = rng.random((cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(noise, (size_px, size_px), interpolation=cv2.INTER_CUBIC), np.float32)


def _levels(rgb: NDArray[np.floating]) -> ByteArray:
    return np.clip(rgb, 0, 255).astype(np.uint8)


def _skin_tone(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.array([rng.uniform(90, 240), rng.uniform(55, 190), rng.uniform(40, 170)])


def texture(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return smooth random colours, from broad patches to fine grain."""
    planes = [_smooth(size_px, int(rng.integers(2, 60)), rng) for _ in range(3)]
    return _levels(np.dstack(planes) * rng.uniform(20, 200) + rng.uniform(0, 200, 3))


def noise(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return noise about one grey or colour: uniform or normal, of one channel or three, weak to full."""
    shape = (size_px, size_px, 1 if rng.random() < 0.4 else 3)
    base = rng.uniform(0, 255, 3) if rng.random() < 0.4 else np.full(3, rng.uniform(0, 255))
    if rng.random() < 0.5:
        grain = rng.uniform(-1, 1, shape) * rng.uniform(2, 255)
    else:
        grain = rng.standard_normal(shape) * 10 ** rng.uniform(0, 2)
    return _levels(base + grain)


def outer_eye(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return an eye from outside: skin, sclera between two lids, iris with radial fibres, pupil, reflexes."""
    y, x = np.mgrid[:size_px, :size_px].astype(np.float32) / size_px - 0.5
    zoom = rng.uniform(0.35, 1.2)  # below 1: the iris fills the frame
    x, y = (x - rng.uniform(-0.2, 0.2)) * zoom, (y - rng.uniform(-0.2, 0.2)) * zoom
    shade = 0.8 + 0.4 * _smooth(size_px, 6, rng) + 0.1 * _smooth(size_px, 80, rng)
    rgb = _skin_tone(rng) * shade[..., None]
    width, height = rng.uniform(0.35, 0.8), rng.uniform(0.12, 0.5)
    bow = rng.uniform(-0.15, 0.15) * np.clip(1 - (x / width) ** 2, 0, 1)
    opening = np.abs(y - bow) < height * np.clip(1 - (x / width) ** 2, 0, 1)
    sclera = np.array([rng.uniform(170, 240)] * 3) * np.array(
        [1.0, rng.uniform(0.85, 1), rng.uniform(0.8, 1)]
    )
    rgb = np.where(opening[..., None], sclera * (0.9 + 0.2 * _smooth(size_px, 8, rng))[..., None], rgb)
    rgb = _with_sclera_vessels(rgb, opening, rng)
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
    drawn = _levels(rgb)
    _draw_hairs(drawn, int(rng.integers(0, 40)), rng)
    return np.asarray(cv2.GaussianBlur(drawn, (0, 0), rng.uniform(0.5, 3)))


def _with_sclera_vessels(
    rgb: NDArray[np.floating], opening: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.floating]:
    size_px = rgb.shape[0]
    canvas = np.zeros((size_px, size_px), np.uint8)
    for _ in range(int(rng.integers(0, 12))):
        steps = rng.normal(0, size_px * 0.03, (14, 2)).cumsum(0) + rng.uniform(0, size_px, 2)
        cv2.polylines(canvas, [steps.astype(np.int32)], False, 255, 1, cv2.LINE_AA)
    share = (canvas / 255.0 * opening * rng.uniform(0.2, 0.8))[..., None]
    return np.asarray(rgb * (1 - share) + np.array([190.0, 60.0, 50.0]) * share)


def _draw_hairs(rgb: ByteArray, count: int, rng: np.random.Generator) -> None:
    size_px = rgb.shape[0]
    root, reach = rng.uniform(0, 1), rng.uniform(0.05, 0.25)
    for _ in range(count):
        start = np.array([rng.uniform(0, 1), root + rng.normal(0, 0.03)])
        tip = start + np.array([rng.normal(0, 0.08), rng.choice([-1, 1]) * reach * rng.uniform(0.5, 1)])
        points = (np.stack([start, (start + tip) / 2 + rng.normal(0, 0.02, 2), tip]) * size_px).astype(
            np.int32
        )
        dark = int(rng.uniform(5, 60))
        cv2.polylines(rgb, [points], False, (dark, dark, dark), int(rng.integers(1, 3)), cv2.LINE_AA)


def skin(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return skin from near: its tone, shading, pores, creases and perhaps hairs."""
    shade = 0.7 + 0.5 * _smooth(size_px, int(rng.integers(2, 6)), rng) + 0.1 * _smooth(size_px, 90, rng)
    rgb = _levels(_skin_tone(rng) * shade[..., None] + rng.normal(0, 3, (size_px, size_px, 1)))
    for _ in range(int(rng.integers(0, 12))):
        path = rng.normal(0, size_px * 0.04, (10, 2)).cumsum(0) + rng.uniform(0, size_px, 2)
        tone = [int(each * 0.75) for each in rgb[size_px // 2, size_px // 2]]
        cv2.polylines(rgb, [path.astype(np.int32)], False, tone, int(rng.integers(1, 4)), cv2.LINE_AA)
    _draw_hairs(rgb, int(rng.integers(0, 60)), rng)
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.4, 2)))


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
    return _levels(turned * (0.7 + 0.4 * _smooth(size_px, 3, rng))[..., None])


def chart(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return a test chart: checks, rays, rings or bars, in two colours."""
    y, x = np.mgrid[:size_px, :size_px].astype(np.float32) / size_px - 0.5
    x, y = x - rng.uniform(-0.2, 0.2), y - rng.uniform(-0.2, 0.2)
    turn, pitch = rng.uniform(0, np.pi), rng.uniform(3, 40)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    kinds = (
        np.sin(2 * np.pi * pitch * along) * np.sin(2 * np.pi * pitch * across),
        np.sin(np.arctan2(y, x) * int(pitch)),
        np.sin(2 * np.pi * pitch * np.hypot(x, y)),
        np.sin(2 * np.pi * pitch * along),
        np.maximum(np.sin(2 * np.pi * pitch * along), np.sin(2 * np.pi * pitch * across)) - 0.9,
    )
    share = (kinds[int(rng.integers(len(kinds)))] > 0)[..., None].astype(np.float32)
    first, second = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
    if rng.random() < 0.5:
        first, second = np.full(3, rng.uniform(0, 80)), np.full(3, rng.uniform(150, 255))
    return _levels(first * (1 - share) + second * share + rng.normal(0, 3, (size_px, size_px, 3)))


def landscape(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return sky over ridges, each with its own colour and grain."""
    height = np.linspace(0, 1, size_px, dtype=np.float32)[:, None, None]
    zenith, low = rng.uniform(40, 220, 3), rng.uniform(120, 255, 3)
    rgb = np.broadcast_to(zenith * (1 - height) + low * height, (size_px, size_px, 3)).copy()
    rows = np.arange(size_px)[:, None]
    top = rng.uniform(0.2, 0.6)
    for _ in range(int(rng.integers(1, 5))):
        ridge = (top + 0.15 * (_smooth(size_px, int(rng.integers(4, 20)), rng)[0] - 0.5)) * size_px
        grain = 0.6 + 0.8 * _smooth(size_px, int(rng.integers(20, 120)), rng)
        rgb = np.where((rows > ridge)[..., None], rng.uniform(20, 180, 3) * grain[..., None], rgb)
        top += rng.uniform(0.08, 0.25)
    return _levels(rgb)


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
    shade = 0.7 + 0.6 * _smooth(size_px, 4, rng)
    return _levels(rgb * shade[..., None] + rng.normal(0, 4, (size_px, size_px, 3)))


SCENES: tuple[Scene, ...] = (
    outer_eye,
    outer_eye,
    outer_eye,
    skin,
    texture,
    noise,
    printed_page,
    chart,
    landscape,
    objects,
)
