"""The NVIDIA GPU of this machine, asked of the driver alone: no CUDA toolkit is needed."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

_DRIVER = "libcuda.so.1"
_SUCCESS = 0
# CUdevice_attribute of cuda.h, stable since CUDA 5.
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76


def compute_capability() -> str:
    """Return the compute capability of the first GPU, for example ``8.7``; empty when there is none."""
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError:
        return ""
    count, device = ctypes.c_int(), ctypes.c_int()
    if driver.cuInit(0) != _SUCCESS or driver.cuDeviceGetCount(ctypes.byref(count)) != _SUCCESS:
        return ""
    if count.value < 1 or driver.cuDeviceGet(ctypes.byref(device), 0) != _SUCCESS:
        return ""
    numbers = []
    for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR):
        value = ctypes.c_int()
        if driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device) != _SUCCESS:
            return ""
        numbers.append(value.value)
    return f"{numbers[0]}.{numbers[1]}"


def fits(gpu: str, targets: Sequence[str]) -> bool:
    """Return whether a plan for ``targets`` (``8.7``; ``8.0+`` with later ones) runs on ``gpu``."""
    return any(
        _numbers(gpu) >= _numbers(target[:-1]) if target.endswith("+") else gpu == target
        for target in targets
    )


def _numbers(capability: str) -> tuple[int, ...]:
    return tuple(int(part) for part in capability.split("."))
