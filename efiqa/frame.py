"""The check of a frame before it reaches the core: an array of grey levels, never a guess about its range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from efiqa import _core
from efiqa.device_array import as_device_array
from efiqa.errors import FrameError, OptionError

Frame = NDArray[np.uint8] | _core.DeviceArray

_SHAPES = "(H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA"
_YUV_SHAPES = {
    "nv12": "(H * 3 / 2, W): the plane of Y above that of interleaved U and V, H and W even",
    "yuyv": "(H, W, 2): Y0 U Y1 V for two pixels, W even",
}


@dataclass(frozen=True)
class FrameLayout:
    """What a frame's shape does not tell: the arguments of ``Runtime.assess`` beside the frame."""

    bgr: bool = False
    pixel_format: str | None = None
    yuv_matrix: str = "bt601"
    yuv_range: str = "limited"


def checked_frame(frame: object, *, bgr: bool, pixel_format: str | None = None) -> tuple[Frame, str]:
    """Return ``frame`` as an array whose memory the core can read, and its pixel format's name.

    Nothing is copied, on the host or from a GPU. A view is taken as it is when the pixels of a row lie side
    by side and rows follow each other downwards, at any distance: every crop ``frame[y0:y1, x0:x1]`` is
    such a view. Limits of height and width are the core's own.

    Args:
        frame: uint8 (H, W) grey, (H, W, 3) RGB, or (H, W, 4) RGBA, whose fourth channel is ignored: a numpy
            array, or an object with ``__cuda_array_interface__`` or DLPack.
        bgr: the three channels are blue, green, red, as in OpenCV. Has no meaning for a grey frame.
        pixel_format: ``nv12`` or ``yuyv`` for a frame in Y'CbCr; None for the shapes above.

    Raises:
        FrameError: type, dtype, number of axes or channels, emptiness or strides break a rule.
        OptionError: ``pixel_format`` is another name, or ``bgr`` is set beside it.
    """
    if pixel_format is not None:
        return _checked_yuv(frame, pixel_format, bgr=bgr), pixel_format
    array = _array_of(frame, _SHAPES, "; numpy.asarray(...) makes one of most image objects")
    return _checked_plain(array, bgr=bgr)


def _array_of(frame: object, shapes: str, fix: str = "") -> Frame:
    array = frame if isinstance(frame, np.ndarray) else as_device_array(frame)
    if array is None:
        raise FrameError(
            f"frame is a {type(frame).__name__}, expected a numpy.ndarray of uint8 {shapes}, or an object "
            f"with __cuda_array_interface__ or DLPack{fix}"
        )
    _check_dtype(array)
    return array


def _checked_plain(frame: Frame, *, bgr: bool) -> tuple[Frame, str]:
    if frame.ndim not in (2, 3):
        raise FrameError(f"frame.shape is {frame.shape}, expected {_SHAPES}; pass one frame at a time")
    if frame.size == 0:
        raise FrameError(f"frame.shape is {frame.shape}: there is no pixel in it")
    channels = 1 if frame.ndim == 2 else frame.shape[2]
    if frame.ndim == 3 and channels not in (3, 4):
        raise FrameError(f"frame.shape is {frame.shape}, expected {_SHAPES}{_shape_hint(frame)}")
    if bgr and channels == 4:
        raise FrameError(
            f"frame.shape is {frame.shape} and bgr is True: BGRA is not taken; "
            "pass numpy.ascontiguousarray(frame[:, :, :3])"
        )
    _check_strides(frame, channels)
    return frame, {1: "gray", 3: "bgr" if bgr else "rgb", 4: "rgba"}[channels]


def _checked_yuv(frame: object, pixel_format: str, *, bgr: bool) -> Frame:
    if pixel_format not in _YUV_SHAPES:
        raise OptionError(
            f"pixel_format is {pixel_format!r}, expected 'nv12' or 'yuyv', or None for {_SHAPES}"
        )
    if bgr:
        raise OptionError(f"bgr is True and pixel_format is {pixel_format!r}: bgr is for frames in RGB alone")
    shape = _YUV_SHAPES[pixel_format]
    array = _array_of(frame, shape)
    nv12 = pixel_format == "nv12"
    fits = array.ndim == 2 and array.shape[0] % 3 == 0 if nv12 else array.ndim == 3 and array.shape[2] == 2
    if not fits or array.size == 0 or array.shape[1] % 2 != 0:
        raise FrameError(f"frame.shape is {array.shape}, expected uint8 {shape}")
    _check_strides(array, 1 if nv12 else 2)
    return array


def _check_dtype(frame: NDArray[np.generic] | _core.DeviceArray) -> None:
    if frame.dtype == np.uint8:
        return
    why = ""
    if np.issubdtype(frame.dtype, np.floating):
        holds_nan = isinstance(frame, np.ndarray) and bool(np.isnan(frame).any())
        why = (
            ": it holds NaN, and" if holds_nan else ":"
        ) + " the range of floating-point grey levels (0..1, 0..255) would be a guess"
        fix = "convert it where the range is known, for example (frame * 255).round().astype(numpy.uint8)"
    elif frame.dtype == np.uint16:
        why = ": how many of the 16 bits are used would be a guess"
        fix = "convert it where that is known, for example (frame >> 8).astype(numpy.uint8)"
    else:
        fix = "convert it where the meaning of its values is known"
    raise FrameError(f"frame.dtype is {frame.dtype}, expected uint8{why}; {fix}")


def _shape_hint(frame: Frame) -> str:
    if frame.shape[2] == 1:
        return "; pass frame[:, :, 0]"
    if frame.shape[0] in (3, 4):
        return "; it looks like channels first: pass numpy.ascontiguousarray(frame.transpose(1, 2, 0))"
    return ""


def _check_strides(frame: Frame, channels: int) -> None:
    height, width = frame.shape[:2]
    fix = "pass numpy.ascontiguousarray(frame)"
    if frame.ndim == 3 and frame.strides[2] != 1:
        raise FrameError(
            f"frame.strides is {frame.strides}: the channels of a pixel are {frame.strides[2]} bytes apart, "
            f"expected 1; {fix}"
        )
    if width > 1 and frame.strides[1] != channels:
        raise FrameError(
            f"frame.strides is {frame.strides}: the pixels of a row are {frame.strides[1]} bytes apart, "
            f"expected {channels}; {fix}"
        )
    if height > 1 and frame.strides[0] < width * channels:
        raise FrameError(
            f"frame.strides is {frame.strides}: rows are {frame.strides[0]} bytes apart, expected at least "
            f"{width * channels} for {width} pixels of {channels} bytes; {fix}"
        )
