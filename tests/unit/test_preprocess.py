"""The core's crop and resize against Pillow's antialiased resize."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from efiqa import _core

U8Array = NDArray[np.uint8]

# Pillow rounds to whole levels between its two passes, the core does not: half a level twice.
MAX_LEVELS = 1
FILTERS = {"box": Image.Resampling.BOX, "triangle": Image.Resampling.BILINEAR}
# Rounding to float32 of values of about 1.
FLOAT_TOLERANCE = 1e-5


def noise(height: int, width: int, seed: int = 0) -> U8Array:
    """Return an RGB frame in which neighbouring pixels have nothing in common: the hardest to resize."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def pillow(frame: U8Array, crop: tuple[int, int, int], size: tuple[int, int], name: str) -> U8Array:
    """Return ``crop`` (x, y, side) of ``frame``, black outside, resized to ``size`` (width, height)."""
    x, y, side = crop
    # Pillow pads with black where a crop reaches outside.
    square = Image.fromarray(frame).crop((x, y, x + side, y + side))
    return np.asarray(square.resize(size, FILTERS[name]))


def core(
    frame: U8Array, crop: tuple[int, int, int], size: tuple[int, int], name: str, **options: int
) -> U8Array:
    fov = _core.find_field_of_view(frame, "rgb")
    return _core.preprocess_u8(
        frame,
        "rgb",
        crop,
        fov,
        width_px=size[0],
        height_px=size[1],
        resize_filter=name,
        blank_outside=False,
        **options,
    )


def worst(a: U8Array, b: U8Array) -> int:
    return int(np.abs(a.astype(int) - b).max())


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("side", [64, 200, 383, 384, 385, 768, 1080])
@pytest.mark.parametrize("size", [(384, 384), (224, 320)])
def test_preprocess_u8_whole_square_matches_pillow(name, side, size):
    frame = noise(side, side)
    crop = (0, 0, side)
    assert worst(core(frame, crop, size, name), pillow(frame, crop, size, name)) <= MAX_LEVELS


@settings(max_examples=150, deadline=None)
@given(
    height=st.integers(64, 300),
    width=st.integers(64, 300),
    crop=st.tuples(st.integers(-150, 300), st.integers(-150, 300), st.integers(1, 500)),
    size=st.tuples(st.integers(32, 200), st.integers(32, 200)),
    name=st.sampled_from(sorted(FILTERS)),
    threads=st.integers(1, 3),
)
def test_preprocess_u8_any_crop_matches_pillow(height, width, crop, size, name, threads):
    frame = noise(height, width, seed=height)
    ours = core(frame, crop, size, name, threads=threads)
    assert ours.shape == (size[1], size[0], 3)
    assert worst(ours, pillow(frame, crop, size, name)) <= MAX_LEVELS


@pytest.mark.parametrize("name", FILTERS)
def test_preprocess_u8_own_size_is_the_frame(name):
    frame = noise(120, 120)
    assert np.array_equal(core(frame, (0, 0, 120), (120, 120), name), frame)


def test_preprocess_float_is_the_normalised_resize():
    frame = noise(300, 300)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    fov = _core.find_field_of_view(frame, "rgb")
    ours = _core.preprocess(
        frame,
        "rgb",
        (0, 0, 300),
        fov,
        width_px=100,
        height_px=100,
        resize_filter="box",
        blank_outside=False,
        mean=mean,
        std=std,
    )
    blocks = frame.reshape(100, 3, 100, 3, 3).mean(axis=(1, 3)) / 255
    expected = ((blocks - mean) / std).transpose(2, 0, 1)
    assert ours.dtype == np.float32
    assert np.abs(ours - expected).max() <= FLOAT_TOLERANCE


@pytest.mark.parametrize(("pixel_format", "channels"), [("bgr", [2, 1, 0]), ("rgba", [0, 1, 2, 2])])
def test_preprocess_u8_formats_give_what_rgb_gives(pixel_format, channels):
    frame = noise(150, 170)
    fov = _core.find_field_of_view(frame, "rgb")
    arguments = {"width_px": 64, "height_px": 64, "resize_filter": "triangle", "blank_outside": False}
    other = np.ascontiguousarray(frame[..., channels])
    expected = _core.preprocess_u8(frame, "rgb", (-9, 5, 140), fov, **arguments)
    assert np.array_equal(_core.preprocess_u8(other, pixel_format, (-9, 5, 140), fov, **arguments), expected)


def test_preprocess_u8_blank_outside_keeps_the_field_and_blackens_the_rest():
    y, x = np.mgrid[:300, :300] + 0.5
    inside = np.hypot(x - 150, y - 150) <= 120
    frame = np.where(inside, 180, 30).astype(np.uint8)[..., None].repeat(3, axis=2)
    fov = _core.find_field_of_view(frame, "rgb")
    arguments = {"width_px": 300, "height_px": 300, "resize_filter": "box", "blank_outside": True}
    ours = _core.preprocess_u8(frame, "rgb", (0, 0, 300), fov, **arguments)
    mask = fov.mask(300, 300)
    assert np.array_equal(ours[mask], frame[mask])
    assert (ours[~mask] == 0).all()
    assert (~mask).any()


def test_preprocess_crop_without_area_is_refused():
    with pytest.raises(_core.CoreError, match=r"crop\.side_px is 0, expected 1 to 32768"):
        core(noise(64, 64), (0, 0, 0), (8, 8), "box")
