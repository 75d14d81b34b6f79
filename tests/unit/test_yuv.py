"""Y'CbCr frames against an independent formula in numpy, and against OpenCV's conversion."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import efiqa
from efiqa import _core
from tests.helpers import drawn_eye

# The formula is rounded once, in 16-bit fixed point: exact halves may fall either way.
FORMULA_LEVELS = 1
FORMULA_SHARE = 1e-3  # of the values that may be off by that level
# OpenCV rounds its coefficients to three decimals (1.596, 0.813, ...), and takes Y below black for black.
OPENCV_LEVELS = 1
BLACK = 16

OPTIONS = list(itertools.product(["nv12", "yuyv"], ["bt601", "bt709"], ["limited", "full"]))
# Luma weights of red and blue. Source: ITU-R BT.601-7 section 2.5.1, BT.709-6 section 3.2.
WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


def random_yuv(pixel_format: str, height: int, width: int, seed: int = 3) -> NDArray[np.uint8]:
    shape = (height * 3 // 2, width) if pixel_format == "nv12" else (height, width, 2)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def planes(frame: NDArray[np.uint8], pixel_format: str) -> tuple[NDArray[np.float64], ...]:
    """Return Y, U and V of every pixel."""
    if pixel_format == "yuyv":
        u, v = (np.repeat(frame[:, start::2, 1], 2, axis=1) for start in (0, 1))
        return tuple(plane.astype(float) for plane in (frame[:, :, 0], u, v))
    height = frame.shape[0] // 3 * 2
    uv = frame[height:].reshape(height // 2, -1, 2).repeat(2, axis=0).repeat(2, axis=1)
    return tuple(plane.astype(float) for plane in (frame[:height], uv[:, :, 0], uv[:, :, 1]))


def rgb_of(frame: NDArray[np.uint8], pixel_format: str, matrix: str, value_range: str) -> NDArray[np.uint8]:
    y, u, v = planes(frame, pixel_format)
    red, blue = WEIGHTS[matrix]
    if value_range == "limited":
        y, u, v = (y - 16) / 219, (u - 128) / 224, (v - 128) / 224
    else:
        y, u, v = y / 255, (u - 128) / 255, (v - 128) / 255
    r = y + 2 * (1 - red) * v
    b = y + 2 * (1 - blue) * u
    g = (y - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.rint(255 * np.stack([r, g, b], axis=-1)), 0, 255).astype(np.uint8)


def no_field() -> _core.FieldOfView:
    return _core.find_field_of_view(np.zeros((64, 64, 3), np.uint8), "rgb")


def converted(frame: NDArray[np.uint8], pixel_format: str, matrix: str, value_range: str, side: int):
    """Return the core's RGB of a square frame: resized to its own size, nothing is changed."""
    return _core.preprocess_u8(
        frame,
        pixel_format,
        (0, 0, side),
        no_field(),
        width_px=side,
        height_px=side,
        resize_filter="box",
        blank_outside=False,
        yuv_matrix=matrix,
        yuv_range=value_range,
    )


@pytest.mark.parametrize(("pixel_format", "matrix", "value_range"), OPTIONS)
def test_yuv_is_what_the_formula_gives(pixel_format: str, matrix: str, value_range: str) -> None:
    frame = random_yuv(pixel_format, 130, 130)
    ours = converted(frame, pixel_format, matrix, value_range, 130).astype(int)
    difference = np.abs(ours - rgb_of(frame, pixel_format, matrix, value_range))
    assert difference.max() <= FORMULA_LEVELS
    assert (difference > 0).mean() <= FORMULA_SHARE


@pytest.mark.parametrize(("pixel_format", "code"), [("nv12", "YUV2RGB_NV12"), ("yuyv", "YUV2RGB_YUY2")])
def test_yuv_of_bt601_limited_is_what_opencv_gives(pixel_format: str, code: str) -> None:
    cv2 = pytest.importorskip("cv2")
    frame = np.maximum(random_yuv(pixel_format, 160, 160), BLACK)
    theirs = cv2.cvtColor(frame, getattr(cv2, f"COLOR_{code}")).astype(int)
    ours = converted(frame, pixel_format, "bt601", "limited", 160).astype(int)
    assert np.abs(ours - theirs).max() <= OPENCV_LEVELS


@pytest.mark.parametrize(("pixel_format", "matrix", "value_range"), OPTIONS)
@pytest.mark.parametrize(("height", "width"), [(64, 66), (250, 322), (1030, 700)])
def test_yuv_stages_give_what_the_same_rgb_gives(
    pixel_format: str, matrix: str, value_range: str, height: int, width: int
) -> None:
    whole = random_yuv(pixel_format, height, width + 6)
    eye = drawn_eye(height, width).astype(int).mean(axis=2).astype(np.uint8)
    whole[:height, :width].reshape(height, width, -1)[:, :, 0] = eye
    if pixel_format == "yuyv":
        whole[:, :, 1] = whole[:, :, 1] // 16 + 120
    else:
        whole[height:] = whole[height:] // 16 + 120
    frame = whole[:, :width]  # rows further apart than they are long
    rgb = rgb_of(frame, pixel_format, matrix, value_range)
    # Bytes where formula and fixed point differ would make the rest a matter of tolerance.
    yuv = {"yuv_matrix": matrix, "yuv_range": value_range}
    exact = _core.preprocess_u8(
        frame, pixel_format, (0, 0, max(height, width)), no_field(), width_px=max(height, width),
        height_px=max(height, width), resize_filter="box", blank_outside=False, threads=2, **yuv,
    )[:height, :width]  # fmt: skip
    assert np.abs(exact.astype(int) - rgb).max() <= FORMULA_LEVELS
    rgb = np.ascontiguousarray(exact)
    fov = _core.find_field_of_view(frame, pixel_format, threads=2, **yuv)
    expected = _core.find_field_of_view(rgb, "rgb")
    for name in ("shape", "center_x_px", "center_y_px", "radius_px", "visible_area_px"):
        assert getattr(fov, name) == getattr(expected, name)
    crop = (-7, 3, min(height, width) + 5)
    sizes = {"width_px": 96, "height_px": 64, "resize_filter": "triangle", "blank_outside": True}
    scale = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.3)}
    ours = _core.preprocess(frame, pixel_format, crop, fov, threads=2, **sizes, **scale, **yuv)
    assert np.array_equal(ours, _core.preprocess(rgb, "rgb", crop, fov, **sizes, **scale))


@pytest.mark.parametrize("pixel_format", ["nv12", "yuyv"])
def test_yuv_runtime_overlay_is_that_of_the_same_rgb(pixel_format: str, tiny_model: Path) -> None:
    height, width = 240, 318
    eye = drawn_eye(height, width)
    frame = random_yuv(pixel_format, height, width)
    if pixel_format == "yuyv":
        frame[:, :, 0], frame[:, :, 1] = eye[:, :, 0], 125
    else:
        frame[:height], frame[height:] = eye[:, :, 0], 125
    rgb = rgb_of(frame, pixel_format, "bt709", "full")
    with efiqa.Runtime(tiny_model) as runtime:
        options = {"pixel_format": pixel_format, "yuv_matrix": "bt709", "yuv_range": "full"}
        report = runtime.assess(frame, **options)
        assert report.verdict != "unknown"
        ours = report.overlay().astype(int)
        assert np.abs(ours - report.overlay(rgb, bgr=False)).max() <= FORMULA_LEVELS
        # One level of input is at most one of output, and the map is the report's own.
        with pytest.raises(efiqa.OptionError, match='yuv_matrix is "bt2020", expected one of: bt601, bt709'):
            runtime.assess(frame, pixel_format=pixel_format, yuv_matrix="bt2020")
        with pytest.raises(efiqa.OptionError, match='yuv_range is "tv", expected one of: limited, full'):
            runtime.assess(frame, pixel_format=pixel_format, yuv_range="tv")
