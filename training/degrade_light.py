"""Light arithmetic of the degradations: sRGB to linear light and back, blurs, kernels, the quarter grid."""

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
ByteArray = NDArray[np.uint8]


def _decode_table() -> FloatArray:
    code = np.arange(256) / 255.0
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _encode_table(size: int) -> ByteArray:
    light = np.arange(size) / (size - 1)
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255.0 * code).astype(np.uint8)


_DECODE = _decode_table()
_ENCODE = _encode_table(1 << 13)  # 12.92 * 255 / 8191 < 0.5 grey levels a step where the curve is steepest


def to_linear(rgb: ByteArray) -> FloatArray:
    """Return the linear light 0..1 of sRGB grey levels, same shape. Source: IEC 61966-2-1."""
    return np.asarray(cv2.LUT(rgb, _DECODE), np.float32)


def to_srgb(light: FloatArray) -> ByteArray:
    """Return the sRGB grey levels of linear light, clipped to 0..1, same shape. Source: IEC 61966-2-1."""
    index = np.multiply(light, _ENCODE.size - 1)
    np.clip(index, 0, _ENCODE.size - 1, out=index)
    return np.asarray(np.take(_ENCODE, index.astype(np.uint16)))


def srgb_slope(light: FloatArray) -> FloatArray:
    """Return d(sRGB code 0..1) / d(linear light), falling to 0 where the sensor clips, vessels and all."""
    slope = np.where(light <= 0.0031308, 12.92, 0.4396 * np.maximum(light, 0.0031308) ** (-0.58333))
    head = np.clip((1.2 - light) / 0.25, 0.0, 1.0)  # a vessel is about 20 % darker: it clips last
    return (slope * head).astype(np.float32)


def blur(plane: FloatArray, sigma: float) -> FloatArray:
    """Return ``plane`` (h, w) or (h, w, C) blurred by a Gaussian; wide ones are made at a reduced size."""
    step = int(min(8, 2 ** max(0, int(math.log2(max(sigma, 1.0) / 2.0)))))
    if step == 1:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), max(sigma, 0.05), borderType=cv2.BORDER_REFLECT))
    height, width = plane.shape[:2]
    small = cv2.resize(plane, (max(1, width // step), max(1, height // step)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / step, borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def quarter(plane: NDArray[np.generic]) -> FloatArray:
    """Return ``plane`` averaged over 4x4 pixels, float32."""
    height, width = plane.shape[:2]
    size = (max(1, width // 4), max(1, height // 4))
    return np.asarray(cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_AREA))


def enlarge(plane: FloatArray, side: int) -> FloatArray:
    """Return the smooth ``plane`` (h, w) interpolated to (side, side)."""
    return np.asarray(cv2.resize(plane, (side, side), interpolation=cv2.INTER_LINEAR))


def filtered(image: FloatArray, kernel_of: Callable[[float], FloatArray], size_px: float) -> FloatArray:
    """Return ``image`` (S, S, C) under the kernel of that size; a wide one is applied at a reduced size."""
    step = 4 if size_px >= 28 else 2 if size_px >= 12 else 1
    side = image.shape[0]
    small = (
        image if step == 1 else cv2.resize(image, (side // step, side // step), interpolation=cv2.INTER_AREA)
    )
    small = cv2.filter2D(small, -1, kernel_of(size_px / step), borderType=cv2.BORDER_REFLECT)
    return small if step == 1 else np.asarray(cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR))


def disc_kernel(diameter_px: float) -> FloatArray:
    """Return a normalised disc with antialiased edge, odd side: the point spread of a defocused lens."""
    radius = max(diameter_px, 1.0) / 2
    reach = math.ceil(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0.0, 1.0).astype(np.float32)
    return kernel / kernel.sum()


def line_kernel(length_px: float, angle: float) -> FloatArray:
    """Return a normalised line with antialiased edge, odd side: the eye's path while the shutter is open."""
    reach = math.ceil(length_px / 2)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along, across = x * math.cos(angle) + y * math.sin(angle), -x * math.sin(angle) + y * math.cos(angle)
    inside = np.clip(length_px / 2 + 0.5 - np.abs(along), 0, 1) * np.clip(1.0 - np.abs(across), 0, 1)
    return (inside / inside.sum()).astype(np.float32)
