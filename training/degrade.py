"""Degradations of a clean fundus crop, local or global, with a map of how much anatomy each one hides.

A picture is taken to linear light, the physics of the defect is applied there (lens blur, light lost, light
added, light scattered, sensor noise), and the result is encoded to sRGB again. The truth that comes with it
is computed from the same physics, not from an opinion:

    strength = 1 - gain / sqrt(1 + (noise / (contrast * gain))^2), 0..1, and 0 outside the field of view

``gain`` is the share of a vessel's contrast, in sRGB grey levels, that is left at this place: (light that
still comes straight from the retina) x (what the blur passes at the vessels' scale) x (slope of the tone
curve at the new brightness / slope at the old one, 0 where the sensor clips). ``noise`` is the sensor noise
there in the vessels' band and ``contrast`` a clean vessel's. So a defect that is soft, or weak, or that
changes brightness without hiding anything, says so. `visibility_loss` measures the same quantity from the two
pictures alone; the tests hold the two against each other.

Everything is drawn from the generator that is passed in: one seed, one result.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from training.degrade_defects import DEFECTS, LOCAL_SHAPES, OWN_PLACE, Result, Scene
from training.degrade_light import (
    BoolArray,
    ByteArray,
    FloatArray,
    blur,
    enlarge,
    srgb_slope,
    to_linear,
    to_srgb,
)
from training.degrade_shapes import SHAPES, field_coordinates, random_support

KINDS = tuple(DEFECTS)
BLUR_KINDS = ("defocus", "motion")
# What a report says of each kind: its reason. Grain is what a high gain makes of too little light; what
# darkens from the rim inwards stands in the light's way, be it a lid or the pupil's edge.
REASONS = {
    "defocus": "defocus",
    "motion": "defocus",
    "under_exposed": "under_exposed",
    "noise": "under_exposed",
    "over_exposed": "over_exposed",
    "glare": "over_exposed",
    "haze": "haze",
    "occlusion": "occlusion",
    "low_illumination_vignette": "occlusion",
}
VESSEL_CONTRAST = 0.020  # rms of a clean crop's green channel in the vessels' band, sRGB 0..1
BAND_FINE, BAND_COARSE = 0.0025, 0.012  # sigmas of the vessels' band-pass as a share of S
NOISE_IN_BAND = 0.55  # share of the sensor noise's rms that the band-pass keeps at S = 384
# Source of the three: clean crops of the training split (DRIVE, CHASE_DB1, HRF, LES-AV); the contrast is
# their median.


@dataclass(frozen=True)
class Degraded:
    """A degraded crop: rgb uint8 (S, S, 3), and strength float32 (S, S): contrast lost, 0..1."""

    rgb: ByteArray
    strength: FloatArray
    kind: str
    severity: float

    @property
    def hidden(self) -> FloatArray:
        """How much anatomy cannot be found any more, (S, S) in 0..1."""
        return hidden_share(self.strength, self.kind)


def hidden_share(loss: FloatArray, kind: str) -> FloatArray:
    """Return how much anatomy cannot be found, 0..1, where the share ``loss`` of its contrast is lost.

    Blur takes the vessel's edge with the contrast: half of the one is half of the other. Under a veil or in
    the dark the edge stays, and a vessel is still found at half of its contrast. Source: the segmenter on 60
    degraded pictures of the vessel sets (train); it misses half of the vessels at a loss of about 0.5 for
    blur and 0.8 for the other kinds.
    """
    return loss if kind in BLUR_KINDS else loss**2


def _add_noise(scene: Scene, result: Result) -> None:
    if isinstance(result.noise_small, float):
        return
    side, rng = scene.side, scene.rng
    half = (side + 1) // 2
    fine = rng.standard_normal((side, side, 1), dtype=np.float32)
    colour = rng.standard_normal((half, half, 3), dtype=np.float32)
    grain = 0.8 * fine + 0.9 * cv2.resize(colour, (side, side), interpolation=cv2.INTER_LINEAR)
    result.light = result.light + enlarge(result.noise_small, side)[..., None] * grain


def _strength(scene: Scene, result: Result) -> FloatArray:
    slope_before, slope_after = srgb_slope(scene.green_small), srgb_slope(result.green_small)
    gain = np.clip(result.passed_small * slope_after / np.maximum(slope_before, 0.1), 0.0, 1.0)
    in_band = (
        NOISE_IN_BAND * 384 / scene.side
    )  # the band gets wider in pixels, so it averages over more of them
    noise = in_band * result.noise_small * slope_after
    left = gain / np.sqrt(1.0 + (noise / (VESSEL_CONTRAST * np.maximum(gain, 1e-3))) ** 2)
    strength = enlarge(np.clip(1.0 - left, 0.0, 1.0).astype(np.float32), scene.side)
    return np.where(scene.visible, strength, np.float32(0.0))


def _check(rgb: ByteArray, visible: BoolArray) -> None:
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.shape[0] != rgb.shape[1]:
        raise ValueError(f"rgb is {rgb.dtype} of shape {rgb.shape}, expected uint8 (S, S, 3)")
    if rgb.shape[0] < 64:
        raise ValueError(f"rgb has a side of {rgb.shape[0]} px, expected at least 64")
    if visible.dtype != np.bool_ or visible.shape != rgb.shape[:2]:
        raise ValueError(
            f"visible is {visible.dtype} of shape {visible.shape}, expected bool {rgb.shape[:2]}"
        )


def degrade(
    rgb: ByteArray,
    visible: BoolArray,
    kind: str,
    severity: float,
    rng: np.random.Generator,
    *,
    local: bool,
    support: FloatArray | None = None,
) -> Degraded:
    """Return ``rgb`` (S, S, 3) uint8 with a defect inside ``visible`` (S, S) bool, and the anatomy it hides.

    ``severity`` 0..1 maps to the physical parameter named in each defect's docstring: 0 is hardly visible, 1
    leaves next to no vessel. ``local`` confines the defect to ``support``, (S // 4, S // 4) in 0..1, or to a
    random smooth one; otherwise it covers the field. Pixels that are not visible stay as they are.

    Raises:
        ValueError: wrong shape or type, a side below 64 px, an unknown kind, a severity outside 0..1, or a
            ``support`` that does not fit.
    """
    _check(rgb, visible)
    if kind not in DEFECTS:
        raise ValueError(f"kind is {kind!r}, expected one of {', '.join(KINDS)}")
    if not 0.0 <= severity <= 1.0:
        raise ValueError(f"severity is {severity}, expected 0 to 1")
    _, _, share = field_coordinates(visible)
    if support is not None:
        if not local or kind in OWN_PLACE or support.shape != share.shape:
            raise ValueError(
                f"support has shape {support.shape} for kind {kind!r} and local={local}, expected "
                f"{share.shape}, local=True and none of {', '.join(OWN_PLACE)}, which have their own place"
            )
    elif local:
        support, _ = random_support(visible, rng, shapes=LOCAL_SHAPES.get(kind, SHAPES))
    else:
        support = np.ones_like(share)
    scene = Scene(to_linear(rgb), visible, support, float(severity), rng, local)
    result = DEFECTS[kind](scene)
    strength = _strength(scene, result)
    _add_noise(scene, result)
    out = np.where(visible[..., None], to_srgb(result.light), rgb)
    return Degraded(out, strength, kind, float(severity))


def random_degradation(
    rgb: ByteArray,
    visible: BoolArray,
    rng: np.random.Generator,
    *,
    kinds: tuple[str, ...] = KINDS,
    severity: tuple[float, float] = (0.25, 1.0),
    local_probability: float = 0.5,
) -> Degraded:
    """Return `degrade` with the kind, the severity and whether it is local drawn from the given choices.

    Where there is no choice, with a ``local_probability`` of 0, nothing is drawn for it.
    """
    kind = kinds[int(rng.integers(len(kinds)))]
    amount = rng.uniform(*severity)
    local = local_probability > 0 and bool(rng.random() < local_probability)
    return degrade(rgb, visible, kind, amount, rng, local=local)


def graded_degradation(
    rgb: ByteArray, visible: BoolArray, rng: np.random.Generator
) -> tuple[Degraded, float]:
    """Return a random degradation all over, from slight to hopeless, and the share of anatomy it hides."""
    damaged = random_degradation(rgb, visible, rng, severity=(0.1, 1.0), local_probability=0.0)
    return damaged, float(damaged.hidden[visible].mean())


def combined_strength(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the strength of two defects on top of each other: what is left of both is the product."""
    return np.asarray(1.0 - (1.0 - first) * (1.0 - second), np.float32)


def vessel_band(rgb: ByteArray, visible: BoolArray) -> FloatArray:
    """Return the green channel 0..1 of ``rgb`` (S, S, 3) band-passed at the vessels' scale, 0 outside."""
    side = rgb.shape[0]
    weight = visible.astype(np.float32)
    planes = np.dstack([rgb[..., 1] * (weight / 255.0), weight])
    fine, coarse = blur(planes, BAND_FINE * side), blur(planes, BAND_COARSE * side)
    band = fine[..., 0] / np.maximum(fine[..., 1], 1e-3) - coarse[..., 0] / np.maximum(coarse[..., 1], 1e-3)
    return band * weight


def visibility_loss(clean: ByteArray, degraded: ByteArray, visible: BoolArray) -> FloatArray:
    """Return the share of vessel contrast lost, 0..1, measured from two aligned crops: float32 (S, S).

    The green channels are band-passed at the vessels' scale. Over a Gaussian window of 0.035 S, with c and d
    the clean and the degraded band: gain = <c d> / <c c> is the contrast that is left, correlation = <c d> /
    sqrt(<c c> <d d>) says how much of what is seen is anatomy and not noise. loss = 1 - clip(gain) *
    clip(correlation), 0 outside the field of view. Where the clean crop has no contrast (below half a grey
    level) there is nothing to lose, and the loss goes to 0.
    """
    _check(clean, visible)
    _check(degraded, visible)
    before, after = vessel_band(clean, visible), vessel_band(degraded, visible)
    moments = np.dstack([before * before, before * after, after * after])
    moments = blur(moments, 0.035 * clean.shape[0])
    floor = (0.5 / 255.0) ** 2
    var_before, cov, var_after = moments[..., 0] + floor, moments[..., 1] + floor, moments[..., 2] + floor
    gain = np.clip(cov / var_before, 0.0, 1.0)
    correlation = np.clip(cov / np.sqrt(var_before * var_after), 0.0, 1.0)
    return np.where(visible, 1.0 - gain * correlation, 0.0).astype(np.float32)
