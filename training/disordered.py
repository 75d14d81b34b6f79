"""Retinal vessels in no retina's order: without a disc, arcades and a macula in their places.

Other tissue has vessels too: the white of an eye, the inside of a lid. Who learns only from what has none
takes any vessel for a retina's. So pictures of retinas are disordered until no retina could look so, while
colour, texture and vessels stay: bent by a strong smooth field, or a small part of them filling the frame.
"""

from __future__ import annotations

import cv2
import numpy as np

from training.data import BoolArray, ByteArray, resize_crop
from training.scene_parts import fine_contrast

SQUARES = (0.68, 0.58, 0.48, 0.38)  # of a crop's side, the first about the square within a round field
BENT_SHARE, BENT_PART_SHARE = 0.6, 0.4  # of disordered pictures, and of the small parts of one
BUMPS = (5, 9)  # of the field that bends, a side
BEND = (0.6, 1.1)  # of a bump's width: standard deviation of the shift at its middle
PART = (0.18, 0.34)  # of a crop's side: less than any camera's field that is shown (training.views)
LEAST_PART_PX = 64  # the least that the core resizes
PART_TRIES = 8
PART_CONTRAST = 0.05  # of a part: less shows no vessel, and a bad retina looks alike


def bent(rgb: ByteArray, rng: np.random.Generator) -> ByteArray:
    """Return ``rgb`` (S, S, 3) bent by a smooth random field, mirrored where that reaches outside."""
    size, bumps = rgb.shape[0], int(rng.integers(*BUMPS))
    reach = rng.uniform(*BEND) * size / bumps
    across, down = (
        reach
        * cv2.resize(
            rng.normal(size=(bumps, bumps)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC
        )
        for _ in range(2)
    )
    y, x = np.mgrid[:size, :size].astype(np.float32)
    moved = cv2.remap(rgb, x + across, y + down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.uint8)


def _part(rgb: ByteArray, visible: BoolArray, rng: np.random.Generator) -> ByteArray | None:
    size = rgb.shape[0]
    for _ in range(PART_TRIES):
        side = max(LEAST_PART_PX, int(size * rng.uniform(*PART)))
        x, y = (int(rng.integers(0, size - side + 1)) for _ in range(2))
        window = np.s_[y : y + side, x : x + side]
        if visible[window].all() and fine_contrast(rgb[window]) > PART_CONTRAST:
            return np.ascontiguousarray(rgb[window])
    return None


def _middle(rgb: ByteArray, visible: BoolArray) -> ByteArray:
    """Return the largest of SQUARES in the middle that is visible, the smallest if none is."""
    size = rgb.shape[0]
    for share in SQUARES:
        first = int((1 - share) / 2 * size)
        window = np.s_[first : size - first, first : size - first]
        if visible[window].all():
            break
    return np.ascontiguousarray(rgb[window])


def disordered(rgb: ByteArray, visible: BoolArray, size_px: int, rng: np.random.Generator) -> ByteArray:
    """Return a picture (``size_px``, ``size_px``, 3) made of a clear retina's crop ``rgb`` (S, S, 3).

    All of it is made of what is ``visible`` (S, S) near the field's middle, or, of a small part, anywhere.
    """
    part = None if rng.random() < BENT_SHARE else _part(rgb, visible, rng)
    if part is None:
        return bent(resize_crop(_middle(rgb, visible), size_px), rng)
    enlarged = resize_crop(part, size_px)
    return bent(enlarged, rng) if rng.random() < BENT_PART_SHARE else enlarged
