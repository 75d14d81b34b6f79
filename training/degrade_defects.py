"""The physics of each defect: from linear light, support and severity to what the camera gets instead.

A defect is a function of a `Scene` that returns a `Result`. Planes on the quarter grid are (q, q) with q = S
// 4; their names end in ``_small``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from training.degrade_light import (
    BoolArray,
    FloatArray,
    blur,
    disc_kernel,
    enlarge,
    filtered,
    line_kernel,
    quarter,
)
from training.degrade_shapes import field_coordinates, smooth_noise, soft_step

# What blur leaves of the vessels' band: 1 / (1 + (size / half)^power); size and half as a share of S. Source:
# a fit to visibility_loss on 17 clean crops of the training split (DRIVE, CHASE_DB1, HRF, LES-AV), within
# 0.05.
DEFOCUS_HALF, DEFOCUS_POWER = 0.0083, 2.6
MOTION_HALF, MOTION_POWER = 0.0215, 2.1


@dataclass
class Scene:
    """What a defect works on."""

    light: FloatArray  # (S, S, 3) linear
    visible: BoolArray  # (S, S)
    support_small: FloatArray  # where the defect is, 0..1
    severity: float
    rng: np.random.Generator
    local: bool

    @property
    def side(self) -> int:
        """Side of the crop in pixels."""
        return int(self.light.shape[0])

    def support(self) -> FloatArray:
        """Return the support (S, S, 1) at full size."""
        return enlarge(self.support_small, self.side)[..., None]

    @cached_property
    def green_small(self) -> FloatArray:
        """The clean green light (q, q) averaged over 0.02 S in the field: no single vessel prints through."""
        share = quarter(self.visible)
        planes = blur(np.dstack([quarter(self.light[..., 1]) * share, share]), 0.02 * self.side / 4)
        return np.asarray(planes[..., 0] / np.maximum(planes[..., 1], 1e-3), np.float32)

    @cached_property
    def median_green(self) -> float:
        """Median of the clean green light inside the field, at least 0.01."""
        green = self.light[::4, ::4, 1][self.visible[::4, ::4]]
        return max(float(np.median(green)), 0.01)


@dataclass
class Result:
    """Linear light after the defect, and on the quarter grid what `_strength` needs to know of it."""

    light: FloatArray  # (S, S, 3), may exceed 1
    passed_small: FloatArray | float  # share of the vessels' light that passed: transmission x blur
    green_small: FloatArray  # what became of the scene's green_small
    noise_small: FloatArray | float = 0.0  # rms in linear light


def _within_field(scene: Scene, image: FloatArray, blurred: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Return ``image`` blurred as if the retina went on outside the field: the field stop stays sharp."""
    weight = scene.visible.astype(np.float32)
    mixed = blurred(np.dstack([image * weight[..., None], weight]))
    return np.asarray(mixed[..., :3] / np.maximum(mixed[..., 3:], 1e-3))


def _blurred(scene: Scene, kernel_of: Callable[[float], FloatArray], size_px: float, left: float) -> Result:
    blurred = _within_field(scene, scene.light, lambda image: filtered(image, kernel_of, size_px))
    light = scene.light + scene.support() * (blurred - scene.light)
    return Result(light, 1.0 - scene.support_small * (1.0 - left), scene.green_small)


def _defocus(scene: Scene) -> Result:
    """Disc kernel on linear light; radius 0.0015 S to 0.032 S, quadratic in severity."""
    radius = 0.0015 + 0.0305 * scene.severity**2
    left = 1.0 / (1.0 + (radius / DEFOCUS_HALF) ** DEFOCUS_POWER)
    return _blurred(scene, disc_kernel, 2 * radius * scene.side, left)


def _motion(scene: Scene) -> Result:
    """Line kernel on linear light; length 0.006 S to 0.10 S, quadratic in severity."""
    length = 0.006 + 0.094 * scene.severity**2
    angle = scene.rng.uniform(0, math.pi)
    left = 1.0 / (1.0 + (length / MOTION_HALF) ** MOTION_POWER)
    return _blurred(scene, lambda size_px: line_kernel(size_px, angle), length * scene.side, left)


def _dimmed(scene: Scene, transmission_small: FloatArray) -> Result:
    """Light is lost; the optics' bluish stray light stays; shot and read noise show."""
    stray = np.array([0.7, 0.9, 1.1], np.float32) * scene.rng.uniform(0.001, 0.004)
    passed = enlarge(transmission_small, scene.side)[..., None]
    light = scene.light * passed + stray * (1.0 - passed)
    green = scene.green_small * transmission_small + stray[1] * (1.0 - transmission_small)
    noise = np.sqrt(scene.rng.uniform(0.0006, 0.002) ** 2 + scene.rng.uniform(1e-5, 4e-5) * green)
    return Result(light, transmission_small, green, (noise * (1.0 - transmission_small)).astype(np.float32))


def _darkest(scene: Scene, brightest: float = 0.012) -> float:
    """Return the gain that takes the picture's median green towards ``brightest`` as severity goes to 1."""
    return min(1.0, brightest / scene.median_green) ** scene.severity * 0.15**scene.severity


def _under_exposed(scene: Scene) -> Result:
    """Gain falls geometrically with severity, to a median green of 0.0018 (6 grey levels) at severity 1."""
    return _dimmed(scene, 1.0 - (1.0 - _darkest(scene)) * scene.support_small)


def _low_illumination_vignette(scene: Scene) -> Result:
    """Shadow of the pupil: the lit disc is shifted (local: dark crescent) or too small (global: dark rim)."""
    x, y, _ = field_coordinates(scene.visible)
    rng, severity = scene.rng, scene.severity
    angle = rng.uniform(0, 2 * math.pi)
    shift = rng.uniform(0.45, 1.1) if scene.local else rng.uniform(0.0, 0.25)
    lit = rng.uniform(0.9, 1.25) if scene.local else 1.15 - 0.85 * severity
    away = np.hypot(x - shift * math.cos(angle), y - shift * math.sin(angle))
    shadow = 1.0 - soft_step(away - lit, rng.uniform(0.35, 0.8))
    return _dimmed(scene, 1.0 - (1.0 - _darkest(scene)) * shadow)


def _over_exposed(scene: Scene) -> Result:
    """Gain rises geometrically, at most to a median green of 4 times full scale, under the sensor's shoulder.

    The shoulder is (1 - exp(-k g L)) / k for light L and gain g, with k going from 0 (a straight line) to 1.
    Stray light in the optics, up to half the median, grows with it: overexposed fields are pale, not only
    bright.
    """
    median = scene.median_green
    reach = (0.4 + 0.6 * scene.severity) * scene.support_small
    stray = scene.rng.uniform(0.2, 0.5) * median * reach
    gain = np.maximum((4.0 / median) ** reach, 1.0).astype(np.float32)
    bend = np.clip(2.0 * reach, 0.001, 1.0).astype(np.float32)  # 1 before anything clips hard
    lit = scene.light + enlarge(stray, scene.side)[..., None]
    light = (1.0 - np.exp(-lit * enlarge(gain * bend, scene.side)[..., None])) / enlarge(bend, scene.side)[
        ..., None
    ]
    kept = np.exp(-gain * bend * (scene.green_small + stray))
    return Result(light.astype(np.float32), gain * kept, (1.0 - kept) / bend)


def _glare(scene: Scene) -> Result:
    """Reflex of the flash: light 0.006 to 3 of full scale, geometric in severity, whitish, wide halo."""
    rng, severity = scene.rng, scene.severity
    peak = 0.006 * 500.0**severity
    halo = blur(scene.support_small, 0.06 * scene.side / 4)
    added = peak * (0.75 * scene.support_small**2 + 0.25 * halo * halo)
    warm = rng.uniform(-1.0, 1.0)
    tint = np.array([1.0 + 0.10 * warm, 1.0, 0.92 - 0.22 * warm], np.float32)
    light = scene.light + enlarge(added.astype(np.float32), scene.side)[..., None] * tint
    return Result(light, 1.0, scene.green_small + added)


def _haze(scene: Scene) -> Result:
    """Clouded media: 0.96 severity of the light is lost; part is scattered (wide blur), a veil is added."""
    rng = scene.rng
    uneven = 1.0 + 0.15 * smooth_noise(scene.support_small.shape[0], 4, rng)
    thick = np.clip(0.96 * scene.severity * scene.support_small * np.clip(uneven, 0.6, 1.3), 0.0, 0.985)
    thick = thick.astype(np.float32)
    scattered = _within_field(scene, scene.light, lambda image: blur(image, 0.05 * scene.side))
    mean = scene.light[::4, ::4][scene.visible[::4, ::4]].mean(0)  # (3,)
    grey = float(mean @ np.array([0.3, 0.6, 0.1], np.float32))
    tint = np.array([1.0, rng.uniform(0.75, 1.0), rng.uniform(0.45, 1.0)], np.float32)
    veil = rng.uniform(0.9, 2.2) * ((1 - (mix := rng.uniform(0.3, 0.9))) * mean + mix * grey * tint * 1.3)
    share = rng.uniform(0.25, 0.6)  # of the lost light that is scattered forward
    thickness = enlarge(thick, scene.side)[..., None]
    light = scene.light + thickness * (share * scattered + (1 - share) * veil - scene.light)
    # Scattered light is about as bright as the place it comes to.
    green = scene.green_small * (1 - thick * (1 - share)) + thick * (1 - share) * veil[1]
    return Result(light.astype(np.float32), 1.0 - thick, green)


def _lashes(scene: Scene, top: float) -> FloatArray:
    """Return (q, q) 0..1 of out-of-focus lashes that hang from the upper (``top`` 1) or lower (-1) edge."""
    rng, small = scene.rng, scene.support_small.shape[0]
    canvas = np.zeros((small, small), np.float32)
    for _ in range(int(rng.integers(5, 14))):
        start = rng.uniform(-0.1, 1.1)
        reach, bend = rng.uniform(0.2, 0.55), rng.uniform(-0.25, 0.25)
        step = np.linspace(0, 1, 12)
        xs, ys = start + bend * step + (start - 0.5) * 0.4 * step**2, reach * step
        ys = ys if top > 0 else 1.0 - ys
        points = np.stack([xs * small, ys * small], 1)
        path = np.rint(points * 8).astype(np.int32)  # 3 bits of sub-pixel position
        cv2.polylines(canvas, [path], False, 1.0, int(rng.integers(1, 3)), cv2.LINE_AA, 3)
    return np.clip(blur(canvas, small * rng.uniform(0.008, 0.02)) * 1.6, 0, 1).astype(np.float32)


def _occlusion(scene: Scene) -> Result:
    """Lid, lashes or an edge before the pupil stop sqrt(severity) of the light; skin adds a little."""
    rng = scene.rng
    cover = scene.support_small
    if rng.random() < 0.5:
        _, y, _ = field_coordinates(scene.visible)
        top = 1.0 if float((cover * y).sum()) <= 0 else -1.0
        cover = np.maximum(cover, 0.85 * _lashes(scene, top))
    skin = np.array([1.0, rng.uniform(0.45, 0.75), rng.uniform(0.25, 0.6)], np.float32)
    skin *= 10 ** rng.uniform(-3.0, -0.6)  # most lids are in the dark; some catch the flash
    stopped = ((scene.severity * 0.985) ** 0.5 * cover).astype(np.float32)
    opacity = enlarge(stopped, scene.side)[..., None]
    green = scene.green_small * (1.0 - stopped) + skin[1] * stopped
    return Result(scene.light * (1.0 - opacity) + opacity * skin, 1.0 - stopped, green)


def _noise(scene: Scene) -> Result:
    """Sensor gain: read noise up to 0.03, shot noise variance up to 0.008 of light, quadratic in severity."""
    level = scene.severity**2
    sigma = np.sqrt((0.03 * level) ** 2 + 0.008 * level**2 * scene.green_small) * scene.support_small
    return Result(scene.light, 1.0, scene.green_small, sigma.astype(np.float32))


DEFECTS: dict[str, Callable[[Scene], Result]] = {
    "defocus": _defocus,
    "motion": _motion,
    "under_exposed": _under_exposed,
    "over_exposed": _over_exposed,
    "glare": _glare,
    "haze": _haze,
    "occlusion": _occlusion,
    "low_illumination_vignette": _low_illumination_vignette,
    "noise": _noise,
}
LOCAL_SHAPES = {
    # Dark from the rim inwards is a shadow, and with that an occlusion.
    "under_exposed": ("blob", "spot"),
    "glare": ("crescent", "crescent", "blob", "ring"),
    "over_exposed": ("crescent", "blob", "half", "ring"),
    "occlusion": ("lid", "lid", "lid", "half"),
}
OWN_PLACE = ("low_illumination_vignette",)  # not where the support is
