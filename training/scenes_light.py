"""Under which light an eye from outside is seen: room, flash, infrared, a fundus camera's, a slit lamp's."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from training.scene_parts import Plane, bump, place_by_share

Light = Callable[[Plane, Plane, Plane, np.random.Generator], Plane]


def room(rgb: Plane, x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Return the scene in daylight or lamplight from one side."""
    turn, fall = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.45)
    reach = max(float(np.abs(x).max()), 1.0)
    field = 1 + np.float32(fall / reach) * (x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn)))
    tint = np.array([rng.uniform(0.9, 1.1), 1.0, rng.uniform(0.65, 1.15)], np.float32)
    return np.asarray(rgb * field[..., None] * (tint * np.float32(rng.uniform(0.5, 1.25))))


def flash(rgb: Plane, x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Return the scene under a ring flash: bright in the middle, dark around."""
    reach = max(float(np.abs(x).max()), 1.0) * rng.uniform(0.5, 1.3)
    field = rng.uniform(0, 0.4) + rng.uniform(0.8, 1.4) * bump(cv2.magnitude(x, y), reach)
    return np.asarray(rgb * field[..., None])


def infrared(rgb: Plane, x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Return the scene in grey, or in the pale violet that some sensors give infrared."""
    shares = np.array([rng.uniform(0.4, 0.9), rng.uniform(0.1, 0.5), rng.uniform(0, 0.3)], np.float32)
    grey = rgb @ (shares / shares.sum())
    tint = np.ones(3) if rng.random() < 0.75 else np.array([0.95, 0.8, 1.0])
    lit = grey[..., None] * (tint.astype(np.float32) * np.float32(rng.uniform(0.5, 1.3)))
    return flash(lit, x, y, rng) if rng.random() < 0.5 else lit


def fundus_camera(rgb: Plane, x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Return the scene in a fundus camera's orange, as when it stands too far away."""
    tint = np.array([rng.uniform(0.8, 1.25), rng.uniform(0.35, 0.8), rng.uniform(0.1, 0.6)], np.float32)
    lit = rgb * tint
    return flash(lit, x, y, rng) if rng.random() < 0.6 else lit


def slit_lamp(rgb: Plane, x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Return the scene in a slit lamp's beam: a bright band, the cornea's section beside it, dim around."""
    place, half = rng.uniform(-0.8, 0.8), rng.uniform(0.03, 0.45)
    dome = np.sqrt(np.clip(1.4 - y * y, 0, None))  # of the cornea
    section = np.asarray(x - np.float32(place) - np.float32(rng.uniform(-0.5, 0.5)) * dome, np.float32)
    height = bump(y, rng.uniform(0.8, 3))
    beam = np.clip((half - np.abs(x - np.float32(place))) / 0.05 + 0.5, 0, 1) * height
    field = rng.uniform(0.03, 0.5) + rng.uniform(0.8, 1.5) * beam
    lit = rgb * np.asarray(field, np.float32)[..., None]
    haze = np.clip((half * 0.6 - np.abs(section)) / 0.06 + 0.5, 0, 1) * height * (np.abs(y) < 1.18)
    arc = np.array([150, 175, 200], np.float32) * np.float32(rng.uniform(0.2, 0.9))
    return np.asarray(lit + haze[..., None] * arc, np.float32)


def cobalt(rgb: Plane, x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Return the scene in blue light, the tear film green with fluorescein."""
    grey = rgb.mean(2)
    blue = grey[..., None] * np.array([0.1, 0.3, rng.uniform(0.8, 1.3)], np.float32)
    dye = np.array([20, 190, 60], np.float32) * np.float32(rng.uniform(0.1, 0.7))
    return np.asarray(blue + dye * (grey / 255 * bump(y - 0.3, 0.8))[..., None])


def barrier_filter(rgb: Plane, x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Return the scene behind the yellow filter that is put in for fluorescein, in white light."""
    tint = np.array([rng.uniform(0.7, 1.2), rng.uniform(0.7, 1.1), rng.uniform(0, 0.2)], np.float32)
    return room(rgb * tint, x, y, rng)


# Each light with its share of the eyes.
LIGHTS: tuple[tuple[Light, float], ...] = (
    (room, 0.24),
    (flash, 0.17),
    (infrared, 0.15),
    (fundus_camera, 0.23),
    (slit_lamp, 0.13),
    (cobalt, 0.04),
    (barrier_filter, 0.04),
)


def lit(rgb: Plane, x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Return the picture (S, S, 3) in one of LIGHTS; x and y (S, S) are in radii from the iris's centre."""
    light, _ = LIGHTS[place_by_share([share for _, share in LIGHTS], rng)]
    return light(rgb, x, y, rng)
