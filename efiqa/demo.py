"""The demonstration: a real photograph, three ways in which a camera spoils it, and the sheet of results.

The degradations act on linear light, as optics does, with fixed parameters; they are for showing, and are not
what the model was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from efiqa import overlay
from efiqa.errors import FileError
from efiqa.report import QualityReport, why_text

FloatArray = NDArray[np.float32]
U8Array = NDArray[np.uint8]

# Of the blur disc, in widths of the photograph: 23 of 1411 px, wider than most vessels.
DEFOCUS_RADIUS = 0.016
EXPOSURE = 1 / 16  # of the light: four stops
HAZE_VEIL = 0.5  # share of the light that a media opacity replaces by its own even glow
HAZE_COLOR = (0.42, 0.30, 0.20)  # linear RGB of that glow: lit lens and vitreous, less red than the fundus
HAZE_SPREAD = 0.006  # standard deviation of the scattered rest, in widths of the photograph

TILE_PX = 392
GAP_PX = 8
TITLE_PX = 64


def pictures() -> dict[str, U8Array]:
    """Return the photograph and its degradations by name, uint8 (H, W, 3) RGB.

    The photograph is ``skimage.data.retina()`` (CC0), which lies in scikit-image's own wheel.

    Raises:
        FileError: code ``demo_unavailable``; scikit-image is not installed.
    """
    try:
        from skimage import data
    except ImportError:
        raise FileError(
            "the demonstration shows a photograph of scikit-image, which is not installed; "
            "pip install 'efiqa[demo]'",
            code="demo_unavailable",
        ) from None
    photograph = np.ascontiguousarray(data.retina())  # type: ignore[no-untyped-call]
    return {
        "photograph": photograph,
        "defocus": defocused(photograph),
        "under-exposure": under_exposed(photograph),
        "haze, right half": hazy_half(photograph),
    }


def defocused(rgb: U8Array) -> U8Array:
    """Return ``rgb`` (H, W, 3) as seen out of focus: each point becomes an even disc, a far pupil's image.

    Source: geometrical optics of a circular aperture; the disc's radius grows with the error in dioptres.
    """
    import cv2

    radius = DEFOCUS_RADIUS * rgb.shape[1]
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return to_srgb(np.asarray(cv2.filter2D(to_linear(rgb), -1, disc / disc.sum()), dtype=np.float32))


def under_exposed(rgb: U8Array) -> U8Array:
    """Return ``rgb`` (H, W, 3) with a sixteenth of its light, as with a weak flash or a small pupil."""
    return to_srgb(to_linear(rgb) * np.float32(EXPOSURE))


def hazy_half(rgb: U8Array) -> U8Array:
    """Return ``rgb`` (H, W, 3) with a media opacity before its right half.

    Light through a cloudy medium keeps a share of its contrast, spread by forward scatter, and gains an even
    veil. Source: the airlight model of haze (Koschmieder), with scatter as a Gaussian.
    """
    import cv2

    light = to_linear(rgb)
    width = rgb.shape[1]
    scattered = np.asarray(cv2.GaussianBlur(light, (0, 0), HAZE_SPREAD * width), dtype=np.float32)
    # Only where the field of view is: the camera's own mask stays black.
    field = cv2.GaussianBlur((light.max(axis=2) > 0.004).astype(np.float32), (0, 0), 2.0)[:, :, None]
    veil = scattered * (1 - HAZE_VEIL) + np.asarray(HAZE_COLOR, np.float32) * HAZE_VEIL * field
    edge = np.clip((np.arange(width, dtype=np.float32) / width - 0.45) / 0.1, 0, 1)[None, :, None]
    return to_srgb(light * (1 - edge) + veil * edge)


def to_linear(rgb: U8Array) -> FloatArray:
    """Return linear light, float32 in 0..1, of sRGB grey levels. Source: IEC 61966-2-1."""
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    table = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4).astype(np.float32)
    linear: FloatArray = table[rgb]
    return linear


def to_srgb(light: FloatArray) -> U8Array:
    """Return sRGB grey levels of linear light, clipped to 0..1. Source: IEC 61966-2-1."""
    light = np.clip(light, 0, 1)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    levels: U8Array = (encoded * 255).round().astype(np.uint8)
    return levels


def sheet(reports: Mapping[str, QualityReport]) -> U8Array:
    """Return one picture, uint8 RGB, about 1600 px wide for four: photographs above, overlays below."""
    columns = []
    for name, report in reports.items():
        score = "no score" if report.score is None else f"score {report.score:.2f}"
        tiles = (
            _title(name, ", ".join(filter(None, (report.verdict, score, why_text(report))))),
            _tile(report.overlay(max_alpha=0)),
            _tile(report.overlay()),
        )
        columns.append(np.concatenate(tiles, axis=0))
    return np.pad(np.concatenate(columns, axis=1), ((0, GAP_PX), (GAP_PX, 0), (0, 0)))


def _tile(rgb: U8Array) -> U8Array:
    """Return ``rgb`` shrunk into a black square tile, centred, with the gap on the right and below."""
    small = overlay.shrink(rgb, TILE_PX)
    tile = np.zeros((TILE_PX + GAP_PX, TILE_PX + GAP_PX, 3), np.uint8)
    top, left = (TILE_PX - small.shape[0]) // 2, (TILE_PX - small.shape[1]) // 2
    tile[top : top + small.shape[0], left : left + small.shape[1]] = small
    return tile


def _title(name: str, verdict: str) -> U8Array:
    import cv2

    strip = np.zeros((TITLE_PX, TILE_PX + GAP_PX, 3), np.uint8)
    cv2.putText(strip, name, (4, 26), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 1, cv2.LINE_AA)
    cv2.putText(strip, verdict, (4, 52), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (190, 190, 190), 1, cv2.LINE_AA)
    return strip
