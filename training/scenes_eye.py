"""Eyes from outside: what a fundus camera shows when it is too far away, or another camera takes.

Near and far, open and closed, one eye or two, seen in the lights of `training.scenes_light`. Lengths are in
radii of the iris; a lid's opening is about 5.1 of them wide (30 mm against 11.7 mm across the iris).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data import ByteArray
from training.scene_parts import (
    Plane,
    bent_hairs,
    blend,
    bump,
    draw_lines,
    fine_contrast,
    levels,
    place_by_share,
    ramp,
    skin_tone,
    smooth,
    wandering_paths,
)
from training.scenes_iris import PUPILS, conjunctival_vessels, draw_flash, draw_iris, vessel_share
from training.scenes_light import lit

Points = NDArray[np.float64]
HALF_OPENING = 2.56
BETWEEN_EYES = 10.8  # 63 mm between the pupils
WIDEST_REFLEX = 0.55  # of the frame: a red pupil that filled it would be a blurred retina

REDDISH = 1.35  # mean red over mean green
LEAST_RED = 40.0  # mean level of a reddish picture: darker, and a dark retina looks alike
LEAST_CONTRAST = 0.1  # of a reddish picture without an iris: plainer, and a bad retina looks alike
ATTEMPTS = 8  # at such a picture


@dataclass(frozen=True)
class View:
    """Coordinates (S, S) of a picture about an eye's opening, and how they come back to pixels."""

    x: Plane
    y: Plane
    centre_px: Points
    turn: float
    px_per_radius: float
    mirror: float = 1.0

    def pixels(self, points: NDArray[np.floating]) -> Points:
        """Return where points (..., 2) of the eye lie in the picture."""
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        x, y = points[..., 0] * self.mirror, points[..., 1]
        turned = np.stack([cos * x - sin * y, sin * x + cos * y], -1)
        return np.asarray(self.centre_px + turned * self.px_per_radius)


def view_of(size_px: int, span: float, centre: Points, turn: float, mirror: float = 1.0) -> View:
    """Return the view that is ``span`` radii wide, the eye at ``centre`` (2,) in radii from the middle."""
    scale = size_px / span
    centre_px = size_px / 2 + centre * scale
    axis = np.arange(size_px, dtype=np.float32) + np.float32(0.5)
    right = ((axis - np.float32(centre_px[0])) / np.float32(scale))[None, :]
    down = ((axis - np.float32(centre_px[1])) / np.float32(scale))[:, None]
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    return View(
        (cos * right + sin * down) * np.float32(mirror),
        cos * down - sin * right,
        centre_px,
        turn,
        scale,
        mirror,
    )


@dataclass(frozen=True)
class Look:
    """An eye: its lids' reach above and below, its gaze (2,), and its pupil.

    ``everted``: how much of the lower lid's inside shows, when a finger pulls it down.
    """

    upper: float
    lower: float
    tilt: float
    width: float
    gaze: Points
    pupil: float
    kind: str
    lashes: int
    vessels: int
    everted: float = 0.0

    def lids(self, x: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Return the height of the upper and of the lower lid's edge at ``x`` (y points down)."""
        beside = np.clip(np.abs(x / self.width), 0, 1)
        upper = self.tilt * x - self.upper * (1 - beside * beside * (0.6 + 0.4 * beside))
        return upper, self.tilt * x + self.lower * (1 - beside * beside)


def random_look(rng: np.random.Generator, span: float, openness: float = 1.0) -> Look:
    """Return an eye; ``openness`` 0 is closed, 1 usual, 2 held open. ``span``: of the view, in radii."""
    pupil = rng.uniform(0.17, 0.72)
    kind = PUPILS[place_by_share((0.62, 0.24, 0.14), rng)]
    if kind == "reflex":
        pupil = min(rng.uniform(0.3, 0.75), WIDEST_REFLEX * span / 2)  # wide: the room is dark
    closed = openness == 0
    return Look(
        upper=-0.6 if closed else openness * rng.uniform(0.5, 1.05),
        lower=0.6 if closed else openness * rng.uniform(0.6, 1.1),
        tilt=rng.normal(0, 0.05),
        width=HALF_OPENING * rng.uniform(0.9, 1.15),
        gaze=rng.normal(0, 1, 2) * (0.45, 0.2),
        pupil=pupil,
        kind=kind,
        lashes=int(rng.integers(15 if closed else 0, 90)),
        vessels=int(rng.integers(2, 45)),
    )


def averted_look(rng: np.random.Generator, span: float) -> Look:
    """Return an eye that looks so far to a side that its white fills the opening."""
    way, far = rng.uniform(0, 2 * np.pi), rng.uniform(1.6, 3.2)
    return replace(
        random_look(rng, span, rng.uniform(0.8, 2.0)),
        gaze=far * np.array([np.cos(way), 0.7 * np.sin(way)]),
        vessels=int(rng.integers(15, 90)),
    )


def pulled_look(rng: np.random.Generator, span: float) -> Look:
    """Return an eye that looks up or aside, its lower lid pulled down so that its red inside shows."""
    return replace(
        random_look(rng, span, rng.uniform(0.6, 1.5)),
        gaze=np.array([rng.normal(0, 1), -rng.uniform(0.3, 2.4)]),
        lower=rng.uniform(1.2, 2.8),
        everted=rng.uniform(0.4, 1.7),
        lashes=int(rng.integers(30, 120)),
        vessels=int(rng.integers(5, 70)),
    )


def draw_skin(size_px: int, rng: np.random.Generator) -> Plane:
    """Return skin with its shading, blotches and pores."""
    shade = 0.75 + 0.35 * smooth(size_px, 4, rng) + 0.12 * smooth(size_px, 30, rng)
    shade += np.float32(rng.uniform(0, 0.16)) * (smooth(size_px, 110, rng) - np.float32(0.5))
    return np.asarray(skin_tone(rng).astype(np.float32) * shade[..., None], np.float32)


def draw_eye(rgb: Plane, view: View, look: Look, rng: np.random.Generator) -> None:
    """Draw one eye with its lids, lashes and brow on skin, ``rgb`` (S, S, 3), in place."""
    softness = 1.5 / view.px_per_radius
    upper, lower = (np.asarray(each, np.float32) for each in look.lids(view.x))
    above, below = view.y - upper, lower - view.y
    inside = np.minimum(np.minimum(above, below), np.float32(0.5) * (np.float32(look.width) - np.abs(view.x)))
    _draw_folds(rgb, view, above, inside, rng)
    opening = ramp(inside, 2 * softness)
    if look.upper > 0:
        ball = _eyeball(rgb.shape[0], view, look, inside, above, softness, rng)
        blend(rgb, ball, opening)
        if look.everted:
            _draw_inner_lid(rgb, view, look, below, opening, rng)
        edge = bump(inside, 0.05) * (np.abs(view.x) < look.width)
        blend(rgb, rgb.mean((0, 1)) * (1.0, 0.72, 0.68), edge * np.float32(rng.uniform(0.2, 0.8)))
        wet = bump(below - np.float32(0.06), 0.02) * opening * np.float32(rng.uniform(0, 0.8))
        blend(rgb, np.full(3, 240.0), wet * (smooth(rgb.shape[0], 24, rng) > 0.55))
    else:
        line = bump(above, 0.05) * (np.abs(view.x) < look.width)
        blend(rgb, np.array([50.0, 32, 26]), line * np.float32(rng.uniform(0.4, 0.9)))
    _draw_lashes(rgb, view, look, rng)
    _draw_brow(rgb, view, rng)


def _draw_folds(rgb: Plane, view: View, above: Plane, inside: Plane, rng: np.random.Generator) -> None:
    """Darken the socket, the fold above the upper lid and the wrinkles about the opening."""
    out = np.maximum(-inside, 0)
    beside = bump(view.x, 3.2)
    dark = rng.uniform(0, 0.3) * bump(out - 0.7, 0.7) * beside
    fold = rng.uniform(0.35, 1.0) + 0.06 * view.x
    dark += rng.uniform(0.1, 0.55) * bump(above + fold, rng.uniform(0.04, 0.12)) * beside
    waves = np.sin(out * rng.uniform(9, 22) + 5 * smooth(rgb.shape[0], 5, rng))
    dark += np.float32(rng.uniform(0, 0.09)) * waves * np.exp(-0.7 * out)
    rgb *= 1 - np.clip(dark, -0.2, 0.85)[..., None]


def _draw_inner_lid(
    rgb: Plane, view: View, look: Look, below: Plane, opening: Plane, rng: np.random.Generator
) -> None:
    """Draw the lower lid's inside as high as it is everted: moist, red, its vessels towards the margin."""
    size_px = rgb.shape[0]
    beside = np.clip(np.abs(view.x / np.float32(look.width)), 0, 1)
    height = np.float32(look.everted) * (1 - beside * beside)
    height = height * (np.float32(0.85) + np.float32(0.3) * smooth(size_px, 6, rng))
    red = rng.uniform(110, 215) * np.array([1.0, rng.uniform(0.22, 0.55), rng.uniform(0.2, 0.5)])
    shade = np.float32(0.75) + np.float32(0.4) * smooth(size_px, 9, rng)
    share = ramp(height - below, rng.uniform(0.05, 0.3)) * opening
    blend(rgb, red.astype(np.float32) * shade[..., None], share)
    count = int(rng.integers(10, 90))
    x = rng.uniform(-0.9, 0.9, count) * look.width
    starts = np.stack([x, look.lids(x)[1] - rng.uniform(0.2, 1, count) * look.everted], 1)
    headings = np.pi / 2 + rng.normal(0, 0.5, count)
    paths = view.pixels(wandering_paths(starts, headings, 16, 0.05, rng))
    vessels = vessel_share(share.shape, [paths], rng.uniform(0.01, 0.03) * view.px_per_radius)
    blend(rgb, 0.6 * red, vessels * share * np.float32(rng.uniform(0.2, 0.9)))
    moist = ramp(smooth(size_px, int(rng.integers(20, 60)), rng) - np.float32(rng.uniform(0.85, 1.0)), 0.1)
    blend(rgb, np.full(3, 245.0), moist * share)


def _eyeball(
    size_px: int,
    view: View,
    look: Look,
    inside: Plane,
    above: Plane,
    softness: float,
    rng: np.random.Generator,
) -> Plane:
    """Return sclera with vessels and caruncle, iris, pupil and reflexes, as if there were no lids."""
    x, y = view.x - np.float32(look.gaze[0]), view.y - np.float32(look.gaze[1])
    white = rng.uniform(150, 240) * np.array([1.0, rng.uniform(0.82, 0.98), rng.uniform(0.72, 1.0)])
    r = cv2.magnitude(x, y)
    shade = (1.05 - 0.06 * r) * (0.94 + 0.12 * smooth(size_px, 7, rng))
    ball = np.asarray(white.astype(np.float32) * shade[..., None], np.float32)
    red = np.array([rng.uniform(130, 200), rng.uniform(30, 80), 45.0])
    paths = conjunctival_vessels(look.vessels, 2.4, rng)
    in_view = [view.pixels(each + look.gaze) for each in paths]
    width_px = rng.uniform(0.015, 0.05) * view.px_per_radius
    vessels = vessel_share(r.shape, in_view, width_px) * ramp(r - np.float32(1.12), 0.25)
    blend(ball, red, np.float32(rng.uniform(0, 0.25)) * ramp(r - np.float32(1.4), 1.5))
    blend(ball, red, vessels * np.float32(rng.uniform(0.25, 0.9)))
    nose = cv2.magnitude((view.x + np.float32(look.width * 0.95)) * np.float32(0.7), view.y)
    blend(ball, np.array([205.0, 120, 110]), ramp(np.float32(0.28) - nose, 0.12))
    draw_iris(ball, x, y, look.pupil, look.kind, softness, rng)
    if rng.random() < 0.12:  # the edge of a contact lens
        lens = bump(r - np.float32(rng.uniform(1.08, 1.25)), 0.015)
        blend(ball, np.full(3, rng.choice([60.0, 245.0])), lens * np.float32(rng.uniform(0.2, 0.6)))
    shadow = rng.uniform(0.1, 0.55) * np.exp(-np.clip(above, 0, None) / 0.25)
    ball *= 1 - (shadow + 0.2 * np.exp(-np.clip(inside, 0, None) / 0.2))[..., None]
    for _ in range(int(rng.integers(0, 4))):
        draw_flash(ball, x, y, softness, rng)
    return ball


def _draw_lashes(rgb: Plane, view: View, look: Look, rng: np.random.Generator) -> None:
    dark = rng.uniform(8, 60) * np.array([1.0, rng.uniform(0.7, 1.0), rng.uniform(0.6, 1.0)])
    closed = look.upper < 0
    for number, count, way, longest in ((0, look.lashes, -1, 1.1), (1, look.lashes // 2, 1, 0.5)):
        if count == 0 or (closed and number == 1):
            continue
        x = rng.uniform(-0.9, 0.97, count) * look.width
        roots = np.stack([x, look.lids(x)[number]], 1)
        if closed:
            way = 1
        length = longest * rng.uniform(0.4, 1, (count, 1))
        lean = np.stack([0.45 * x + rng.normal(0, 0.3, count), np.full(count, float(way))], 1)
        tips = roots + length * lean / np.linalg.norm(lean, axis=1, keepdims=True)
        bend = np.stack([rng.normal(0, 0.05, count), np.full(count, -0.2 * way)], 1) * length
        thickness = max(1, round(view.px_per_radius * rng.uniform(0.012, 0.035)))
        hairs = view.pixels(bent_hairs(roots, tips, bend))
        draw_lines(rgb, hairs, dark, max(1, thickness // 2))
        draw_lines(rgb, hairs[:, :4], dark, thickness)  # thicker at the root


def _draw_brow(rgb: Plane, view: View, rng: np.random.Generator) -> None:
    height = -rng.uniform(2.2, 3.4)
    if view.pixels(np.array([0.0, height]))[1] < -view.px_per_radius or rng.random() < 0.1:
        return
    count = int(rng.integers(80, 260))
    x = rng.uniform(-3.2, 3.6, count)
    y = height + 0.07 * x * x - 0.1 * x + rng.normal(0, 0.18, count)
    roots = np.stack([x, y], 1)
    tips = roots + np.stack([rng.uniform(0.2, 0.8, count), rng.normal(-0.1, 0.2, count)], 1)
    dark = rng.uniform(10, 90) * np.array([1.0, rng.uniform(0.7, 0.95), rng.uniform(0.5, 0.9)])
    thickness = max(1, round(view.px_per_radius * 0.025))
    hairs = bent_hairs(roots, tips, rng.normal(0, 0.05, (count, 2)))
    draw_lines(rgb, view.pixels(hairs), dark, thickness)


def _finished(size_px: int, rgb: Plane, view: View, span: float, rng: np.random.Generator) -> ByteArray:
    """Return the picture (S, S, 3), S = ``size_px``, in some light, with blur and sensor noise."""
    picture = lit(rgb, view.x, view.y, rng)
    mean = picture.mean((0, 1))
    reddish = bool(mean[0] > REDDISH * mean[1])  # a dark or blurred one would be a bad fundus
    if rng.random() < 0.2:
        picture = picture * np.float32(rng.uniform(0.12, 0.6))
    if reddish:
        picture = picture * np.float32(max(1.0, LEAST_RED / max(float(picture[..., 0].mean()), 1.0)))
    if rgb.shape[0] != size_px:
        picture = cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    broad = not reddish and rng.random() < 0.25
    blur = size_px * (rng.uniform(0.006, 0.02) if broad else rng.uniform(0.0005, 0.004))
    picture = cv2.GaussianBlur(picture, (0, 0), min(blur, size_px / span * 0.2))
    grain = rng.standard_normal((size_px, size_px, 1), dtype=np.float32) * np.float32(rng.uniform(0, 5))
    return levels(picture + grain)


def _drawn_side(size_px: int, rng: np.random.Generator) -> int:
    """Return the side to draw at, to be enlarged: most photographs are not sharp to a pixel."""
    return round(size_px * rng.choice([0.5, 0.67, 1.0], p=[0.35, 0.4, 0.25]))


def _one_eye(size_px: int, span: float, look: Look, rng: np.random.Generator) -> ByteArray:
    centre = rng.normal(0, 0.1, 2) * min(span, 8.0)
    turn = rng.normal(0, 0.15) if rng.random() < 0.85 else rng.uniform(-np.pi, np.pi)
    side_px = _drawn_side(size_px, rng)
    view = view_of(side_px, span, centre, turn, rng.choice([-1.0, 1.0]))
    rgb = draw_skin(side_px, rng)
    draw_eye(rgb, view, look, rng)
    return _finished(size_px, rgb, view, span, rng)


def outer_eye(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return an eye with its lids and some of the face about it."""
    span = 3.5 * 3.2 ** rng.random()
    return _one_eye(size_px, span, random_look(rng, span, rng.uniform(0.5, 1.3)), rng)


def iris_close_up(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return an eye so near that its iris fills most of the frame."""
    span = rng.uniform(1.5, 3.5)
    return _one_eye(size_px, span, random_look(rng, span, rng.uniform(0.9, 2.2)), rng)


def closed_eye(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return a closed eye, or all but closed, from near or far."""
    span, openness = rng.uniform(2.5, 9), 0.0 if rng.random() < 0.7 else rng.uniform(0.1, 0.4)
    return _one_eye(size_px, span, random_look(rng, span, openness), rng)


def averted_eye(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return the white of an eye that looks aside, with its vessels, from near."""
    return _eye_with_structure(size_px, (1.6, 5.5), averted_look, rng)


def pulled_lid(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return an eye whose lower lid a finger pulls down, from near."""
    return _eye_with_structure(size_px, (2.5, 6.5), pulled_look, rng)


def _eye_with_structure(
    size_px: int,
    spans: tuple[float, float],
    look_of: Callable[[np.random.Generator, float], Look],
    rng: np.random.Generator,
) -> ByteArray:
    """Return an eye, drawn again while it is reddish and plain as only a bad retina may be."""
    for _ in range(ATTEMPTS):
        span = rng.uniform(*spans)
        drawn = _one_eye(size_px, span, look_of(rng, span), rng)
        red, green, _ = drawn.mean((0, 1))
        if red <= REDDISH * green or fine_contrast(drawn) > LEAST_CONTRAST:
            break
    return drawn


def eye_pair(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return both eyes of a face, or one and the bridge of the nose."""
    span, turn = rng.uniform(8, 18), rng.normal(0, 0.1)
    middle = rng.normal(0, 1, 2) * (2.0, 1.0)
    side_px = _drawn_side(size_px, rng)
    rgb, look = draw_skin(side_px, rng), random_look(rng, span, rng.uniform(0.6, 1.1))
    nose = view_of(side_px, span, middle, turn)
    bridge = bump(np.abs(nose.x) - np.float32(1.3), 0.7) * ramp(nose.y + np.float32(0.5), 3)
    rgb *= 1 - np.float32(rng.uniform(0, 0.35)) * bridge[..., None]
    away = np.array([np.cos(turn), np.sin(turn)]) * (BETWEEN_EYES / 2)
    seed = int(rng.integers(2**32))  # both eyes are alike
    for side in (-1.0, 1.0):
        view = view_of(side_px, span, middle + side * away, turn, side)
        draw_eye(rgb, view, look, np.random.default_rng(seed))
    return _finished(size_px, rgb, nose, span, rng)


EyeScene = Callable[[int, np.random.Generator], ByteArray]
# Each kind with its share.
EYES: tuple[tuple[EyeScene, float], ...] = (
    (outer_eye, 0.33),
    (iris_close_up, 0.24),
    (averted_eye, 0.12),
    (pulled_lid, 0.09),
    (closed_eye, 0.12),
    (eye_pair, 0.10),
)


def random_eye(size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return one of EYES, rgb (S, S, 3)."""
    draw, _ = EYES[place_by_share([share for _, share in EYES], rng)]
    return draw(size_px, rng)
