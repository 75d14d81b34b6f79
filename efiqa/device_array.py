"""Arrays that other libraries hold, in GPU memory or on the host, as frames; nothing is copied."""

from __future__ import annotations

from typing import Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from efiqa import _core
from efiqa.errors import FrameError, core_errors

# Source: DLPack's specification, DLDeviceType.
_DLPACK_HOST = {1: "CPU", 3: "page-locked host memory"}
_DLPACK_CUDA = {2: "CUDA", 13: "CUDA managed memory"}
# CUDA's handle of the legacy default stream; both protocols use the same number.
_LEGACY_STREAM = 1


@runtime_checkable
class _DlpackProducer(Protocol):
    def __dlpack_device__(self) -> tuple[int, int]: ...
    def __dlpack__(self, *, stream: int | None = None) -> object: ...


def as_device_array(frame: object) -> NDArray[np.uint8] | _core.DeviceArray | None:
    """Return the array behind ``frame``, or None when it speaks neither protocol.

    Objects with ``__cuda_array_interface__`` (pycuda, CuPy, Numba, torch) are asked first, then those with
    ``__dlpack__``. The producer's stream travels with the array: the GPU waits for it, the CPU does not.

    Raises:
        FrameError: the object describes itself wrongly, is no uint8 array, or lies on another kind of device.
    """
    try:
        interface = getattr(frame, "__cuda_array_interface__", None)
    except Exception as error:  # a property of somebody else's class, e.g. of a tensor that needs gradients
        raise FrameError(f"frame.__cuda_array_interface__ cannot be read: {error}") from None
    if interface is not None:
        return _of_cuda_interface(interface, frame)
    return _of_dlpack(frame) if isinstance(frame, _DlpackProducer) else None


def _of_cuda_interface(interface: object, owner: object) -> _core.DeviceArray:
    """Source: the CUDA Array Interface, version 3 (Numba's documentation)."""
    name = "frame.__cuda_array_interface__"
    if not isinstance(interface, dict):
        raise FrameError(f"{name} is a {type(interface).__name__}, expected a dict")
    missing = [key for key in ("shape", "typestr", "data", "version") if key not in interface]
    if missing:
        raise FrameError(f"{name} has no {missing[0]!r}")
    try:
        dtype = np.dtype(interface["typestr"])
        shape = tuple(int(side) for side in interface["shape"])
        pointer = int(interface["data"][0])
        strides = interface.get("strides")
        strides = None if strides is None else tuple(int(step) for step in strides)
        stream = interface.get("stream")
        stream = _LEGACY_STREAM if stream is None else int(stream)
    except (TypeError, ValueError, IndexError) as error:
        raise FrameError(f"{name} cannot be read: {error}") from None
    if dtype != np.uint8:
        raise FrameError(f"frame.dtype is {dtype}, expected uint8: any other range would be a guess")
    if interface.get("mask") is not None:
        raise FrameError(f"{name} has a mask: masked arrays are not taken")
    if stream == 0:
        raise FrameError(f"{name}['stream'] is 0, expected 1 (default), 2 (per thread) or a stream's handle")
    if pointer == 0:
        raise FrameError(f"{name}['data'] is a null pointer: the array is empty or was freed")
    if strides is None:
        strides = np.empty(shape, np.bool_).strides if 0 in shape else _contiguous(shape)
    with core_errors():
        return _core.DeviceArray(pointer, list(shape), list(strides), stream, owner)


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides = [1]
    for side in reversed(shape[1:]):
        strides.insert(0, strides[0] * side)
    return tuple(strides[: len(shape)])


def _of_dlpack(frame: _DlpackProducer) -> NDArray[np.uint8] | _core.DeviceArray:
    try:
        kind = int(frame.__dlpack_device__()[0])
        if kind in _DLPACK_HOST:
            # The dtype is checked with the other rules of a frame; numpy's protocol names more arguments.
            return cast("NDArray[np.uint8]", np.from_dlpack(frame))  # type: ignore[arg-type]
        capsule = frame.__dlpack__(stream=_LEGACY_STREAM) if kind in _DLPACK_CUDA else None
    except Exception as error:  # whatever somebody else's class raises
        raise FrameError(f"frame.__dlpack__ failed: {error}") from None
    if capsule is None:
        known = ", ".join(f"{number} ({name})" for number, name in {**_DLPACK_HOST, **_DLPACK_CUDA}.items())
        raise FrameError(f"frame lies on a device of DLPack type {kind}, expected one of {known}")
    with core_errors():
        return _core.device_array_of_dlpack(capsule, _LEGACY_STREAM)
