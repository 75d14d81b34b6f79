"""Pictures for people: encoding and shrinking. OpenCV does it, imported only when it is needed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from efiqa._files import write_atomically
from efiqa.errors import FileError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".ppm", ".webp")
COLORMAPS = ("turbo", "inferno", "viridis", "red")


def encode_picture(rgb: NDArray[np.uint8], suffix: str) -> bytes:
    """Return ``rgb``, uint8 (H, W, 3), as the bytes of a file of the kind of ``suffix`` (PICTURE_SUFFIXES).

    Raises:
        FileError: code ``encode_failed``; OpenCV cannot write this kind of file.
    """
    import cv2

    try:
        done, encoded = cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    except cv2.error as error:
        raise FileError(f"a {suffix} picture cannot be made: {error.err}", code="encode_failed") from None
    if not done:
        raise FileError(f"a {suffix} picture of {rgb.shape} cannot be made", code="encode_failed")
    return encoded.tobytes()


def write_picture(path: str | os.PathLike[str], rgb: NDArray[np.uint8]) -> None:
    """Write ``rgb``, uint8 (H, W, 3), to ``path``, whose suffix says the format; whole or not at all."""
    write_atomically(path, encode_picture(rgb, Path(path).suffix.lower()))


def shrink(rgb: NDArray[np.uint8], max_side_px: int) -> NDArray[np.uint8]:
    """Return ``rgb`` (H, W, 3) reduced so that its longer side is at most ``max_side_px``; never enlarged."""
    import cv2

    height, width = rgb.shape[:2]
    scale = max_side_px / max(height, width)
    if scale >= 1:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
