"""What a camera adds behind its optics: its sensor's grain, sharpening, coding, and text in a corner.

Light is blurred, veiled and lost before it reaches the sensor, and grain and blocks come after: a photograph
in which no vessel is left has as much of them as a clear one. A network that is shown only defects laid over
finished photographs, whose own grain the blur takes away, learns to look for grain.

What is added hides no vessel that the light shows: the grain's greatest rms is below a clean vessel's
(`training.degrade.VESSEL_CONTRAST`, 5 grey levels). Grain that does hide is a defect, ``noise``.
"""

from __future__ import annotations

import cv2
import numpy as np

from training.data import BoolArray, ByteArray, FloatArray, blank_outside

GRAIN_SHARE = 0.7
GRAIN_RMS = (0.25, 3.0)  # grey levels, log-uniform, of a crop of GRAIN_SIDE; larger ones have more
GRAIN_SIDE = 384
GRAIN_PX = (0.0, 1.0)  # sigma of what interpolation and resizing make of single pixels
SHARPENED_SHARE = 0.25  # of pictures that are sharpened, as many cameras do
SHARPENED_BY, SHARPENED_PX = (0.3, 2.0), (0.6, 2.0)  # amount of the unsharp mask, and its sigma
CODED_SHARE = 0.5
CODED_SIDES = (1.0, 1.5, 2.0)  # of the picture as it is coded, in sides of the crop that comes of it
CODED_QUALITY = (50, 96)  # of JPEG
STAMP_SHARE = 0.12  # of pictures with a camera's or a clinic's text in a corner
STAMP_COLOURS = ((60, 220, 60), (255, 255, 255), (240, 230, 40), (255, 80, 60), (10, 10, 10))


def captured(rgb: ByteArray, visible: BoolArray, rng: np.random.Generator) -> ByteArray:
    """Return ``rgb`` (S, S, 3), light as it falls on a sensor, as the camera would save it.

    Pixels that are not ``visible`` may hold anything. A function of the generator alone.
    """
    if rng.random() < GRAIN_SHARE:
        rgb = _with_grain(rgb, rng)
    if rng.random() < SHARPENED_SHARE:
        rgb = sharpened(rgb, rng)
    if rng.random() < CODED_SHARE:
        rgb = _coded(rgb, rng)
    rgb = np.ascontiguousarray(rgb)
    if rng.random() < STAMP_SHARE:
        rgb = rgb.copy()
        _stamp(rgb, visible, rng)
    return rgb


def captured_crop(rgb: ByteArray, visible: BoolArray, rng: np.random.Generator) -> ByteArray:
    """Return ``rgb`` (S, S, 3) as `captured` saves it, black where it is not ``visible``."""
    return blank_outside(captured(rgb, visible, rng), visible)


def grain(side: int, rms: float, sigma_px: float, colour: float, rng: np.random.Generator) -> FloatArray:
    """Return noise (S, S, 3) of an ``rms``; ``colour``: the share of it that each channel has for itself."""
    alike = rng.standard_normal((side, side, 1), dtype=np.float32)
    own = rng.standard_normal((side, side, 3), dtype=np.float32)
    noise = np.sqrt(1 - colour) * alike + np.sqrt(colour) * own
    if sigma_px > 0.3:
        noise = cv2.GaussianBlur(noise, (0, 0), sigma_px)
    return np.asarray(noise * np.float32(rms / noise.std()), np.float32)


def sharpened(rgb: ByteArray, rng: np.random.Generator) -> ByteArray:
    """Return ``rgb`` (H, W, 3) with its fine detail raised by an unsharp mask."""
    soft = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(*SHARPENED_PX))
    amount = rng.uniform(*SHARPENED_BY)
    return np.asarray(cv2.addWeighted(rgb, 1 + amount, soft, -amount, 0))


def _with_grain(rgb: ByteArray, rng: np.random.Generator) -> ByteArray:
    # Making a larger crop smaller averages grain away.
    rms = float(np.exp(rng.uniform(*np.log(GRAIN_RMS)))) * rgb.shape[0] / GRAIN_SIDE
    noise = grain(rgb.shape[0], rms, rng.uniform(*GRAIN_PX), rng.uniform(), rng)
    # One channel, three times, has one noise.
    if not np.ptp(rgb[::7, ::7], axis=2).any():
        noise = np.repeat(noise[..., :1], 3, 2)
    return np.clip(np.rint(rgb + noise), 0, 255).astype(np.uint8)


def _coded(rgb: ByteArray, rng: np.random.Generator) -> ByteArray:
    """Return ``rgb`` (S, S, 3) as it comes out of a JPEG file that was as large or larger."""
    size, side = rgb.shape[0], round(rgb.shape[0] * CODED_SIDES[int(rng.integers(len(CODED_SIDES)))])
    quality = int(rng.integers(*CODED_QUALITY))
    large = rgb if side == size else cv2.resize(rgb, (side, side), interpolation=cv2.INTER_LINEAR)
    bgr = cv2.cvtColor(large, cv2.COLOR_RGB2BGR)
    _, code = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    large = cv2.cvtColor(cv2.imdecode(code, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    small = large if side == size else cv2.resize(large, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def _stamp(rgb: ByteArray, visible: BoolArray, rng: np.random.Generator) -> None:
    """Write a number, as of a date or a patient, near a corner of what is visible."""
    rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
    if not rows.size:
        return
    text = "".join(rng.choice(list("0123456789-/: ODS"), int(rng.integers(3, 12))))
    scale = rng.uniform(0.25, 0.55) * rgb.shape[0] / 384
    top = rng.random() < 0.7
    y = rows[0] + int(40 * scale) if top else rows[-1] - int(8 * scale)
    x = int(rng.uniform(columns[0], columns[0] + 0.75 * np.ptp(columns)))
    colour = STAMP_COLOURS[int(rng.integers(len(STAMP_COLOURS)))]
    cv2.putText(rgb, text, (x, int(y)), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)
