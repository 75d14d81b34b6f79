"""Frames of other libraries: what they say of themselves is checked; the CPU refuses those of a GPU."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

import efiqa
from efiqa import _core
from efiqa.device_array import as_device_array
from efiqa.frame import checked_frame
from tests.helpers import drawn_eye

SHAPE = (480, 640, 3)


class CudaArray:
    """An object that claims to hold a uint8 array on a GPU."""

    def __init__(self, **changes):
        interface = {"shape": SHAPE, "typestr": "|u1", "data": (4096, False), "version": 3, **changes}
        self.__cuda_array_interface__ = {key: value for key, value in interface.items() if value != "absent"}


class HostTensor:
    """A CPU tensor that speaks DLPack only, as torch's do."""

    def __init__(self, array):
        self._array = array

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)


def test_device_array_of_cuda_interface_keeps_pointer_strides_stream_and_owner():
    frame = CudaArray(strides=(2048, 3, 1), stream=2)
    array = as_device_array(frame)
    assert isinstance(array, _core.DeviceArray)
    assert (array.pointer, array.shape, array.strides, array.stream) == (4096, SHAPE, (2048, 3, 1), 2)
    assert (array.dtype, array.ndim, array.size) == (np.uint8, 3, 480 * 640 * 3)


@pytest.mark.parametrize("shape", [(480, 640), SHAPE, (480, 640, 4)])
def test_device_array_without_strides_is_contiguous(shape):
    array = as_device_array(CudaArray(shape=shape, strides=None))
    assert array.strides == np.empty(shape, np.uint8).strides
    assert checked_frame(CudaArray(shape=shape), bgr=False)[1] == {2: "gray", 3: "rgb"}.get(
        len(shape) if shape[-1] != 4 else 0, "rgba"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"typestr": "<f4"}, r"frame.dtype is float32, expected uint8: any other range would be a guess"),
        ({"typestr": "nonsense"}, r"frame.__cuda_array_interface__ cannot be read"),
        ({"shape": "absent"}, r"frame.__cuda_array_interface__ has no 'shape'"),
        ({"data": (0, False)}, r"is a null pointer: the array is empty or was freed"),
        ({"data": ()}, r"frame.__cuda_array_interface__ cannot be read"),
        ({"mask": object()}, r"masked arrays are not taken"),
        ({"stream": 0}, r"\['stream'\] is 0, expected 1"),
        ({"strides": (1920, 3)}, r"frame.strides has 2 numbers, expected one for each of the 3 axes"),
        ({"shape": (480, 640, 2)}, r"frame.shape is \(480, 640, 2\), expected"),
        ({"shape": (0, 640, 3)}, r"there is no pixel in it"),
        ({"strides": (1920, 6, 2)}, r"the channels of a pixel are 2 bytes apart"),
    ],
)
def test_device_array_that_breaks_a_rule_is_refused_with_the_rule(changes, message):
    with pytest.raises(efiqa.FrameError, match=message):
        checked_frame(CudaArray(**changes), bgr=False)


def test_interface_that_is_no_dict_is_refused():
    frame = CudaArray()
    frame.__cuda_array_interface__ = [1, 2]
    with pytest.raises(efiqa.FrameError, match="is a list, expected a dict"):
        checked_frame(frame, bgr=False)


def test_property_that_raises_becomes_a_frame_error():
    class Tensor:
        @property
        def __cuda_array_interface__(self):
            raise RuntimeError("cannot be read from a tensor that requires grad")

    with pytest.raises(efiqa.FrameError, match="a tensor that requires grad"):
        checked_frame(Tensor(), bgr=False)


def test_host_tensor_by_dlpack_gives_the_report_of_its_array(runtime):
    frame = drawn_eye()
    expected = runtime.assess(frame)
    report = runtime.assess(HostTensor(frame))
    assert report.score == expected.score
    np.testing.assert_array_equal(report.map, expected.map)
    np.testing.assert_array_equal(report.overlay(), expected.overlay())


def test_device_frame_on_a_runtime_of_the_cpu_is_refused_and_leaves_it_usable(runtime):
    frame = drawn_eye()
    message = r"frame.memory is device, and this Runtime's engine .* runs on the CPU"
    with pytest.raises(efiqa.FrameError, match=message):
        runtime.assess(CudaArray())
    assert runtime.assess(frame).score is not None


def test_overlay_of_a_device_frame_by_the_cpu_is_refused(runtime):
    report = runtime.assess(drawn_eye(480, 640))
    with pytest.raises(efiqa.OptionError, match="the frame lies in GPU memory"):
        report.overlay(CudaArray())


class DlManagedTensor(ctypes.Structure):
    """DLPack's C struct, written from its specification; version 0."""


DELETER = ctypes.CFUNCTYPE(None, ctypes.POINTER(DlManagedTensor))
DlManagedTensor._fields_ = [
    ("data", ctypes.c_void_p),
    ("device_type", ctypes.c_int32),
    ("device_id", ctypes.c_int32),
    ("ndim", ctypes.c_int32),
    ("code", ctypes.c_uint8),
    ("bits", ctypes.c_uint8),
    ("lanes", ctypes.c_uint16),
    ("shape", ctypes.POINTER(ctypes.c_int64)),
    ("strides", ctypes.POINTER(ctypes.c_int64)),
    ("byte_offset", ctypes.c_uint64),
    ("manager_context", ctypes.c_void_p),
    ("deleter", DELETER),
]


class DlTensor:
    """An object whose DLPack capsule says what the test wants; counts how often it was given back."""

    def __init__(self, *, device=2, code=1, bits=8, lanes=1, shape=SHAPE, strides=None, name=b"dltensor"):
        self.given_back = 0
        self.streams = []
        self._device = device
        self._name = name
        self._shape = (ctypes.c_int64 * len(shape))(*shape)
        self._strides = None if strides is None else (ctypes.c_int64 * len(strides))(*strides)
        self._delete = DELETER(self._count)
        self._tensor = DlManagedTensor(
            8192, device, 0, len(shape), code, bits, lanes, self._shape, self._strides, 64, None, self._delete
        )

    def _count(self, _tensor):
        self.given_back += 1

    def __dlpack_device__(self):
        return self._device, 0

    def __dlpack__(self, *, stream):
        self.streams.append(stream)
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        return new(ctypes.addressof(self._tensor), self._name, None)


@pytest.mark.parametrize("device", [2, 13])
def test_dlpack_array_on_a_gpu_is_borrowed_and_given_back(device):
    frame = DlTensor(device=device, strides=(2048, 3, 1))
    array = as_device_array(frame)
    assert (array.pointer, array.shape, array.strides) == (8192 + 64, SHAPE, (2048, 3, 1))
    assert frame.streams == [array.stream] == [1]
    assert frame.given_back == 0
    del array
    assert frame.given_back == 1


def test_dlpack_array_without_strides_is_contiguous():
    assert as_device_array(DlTensor()).strides == np.empty(SHAPE, np.uint8).strides


@pytest.mark.parametrize(
    ("changes", "message", "given_back"),
    [
        ({"code": 2, "bits": 32}, "code 2, 32 bits and 1 lanes, expected uint8", 1),
        ({"lanes": 4}, "4 lanes, expected uint8", 1),
        ({"shape": (1, 2, 3, 4)}, "frame has 4 axes, expected 2 or 3", 1),
        ({"name": b"used_dltensor"}, 'a capsule called "used_dltensor", expected "dltensor"', 0),
        ({"device": 10}, "DLPack type 10, expected one of 1", 0),
    ],
)
def test_dlpack_array_that_does_not_fit_is_refused_and_given_back(changes, message, given_back):
    frame = DlTensor(**changes)
    with pytest.raises(efiqa.FrameError, match=message):
        as_device_array(frame)
    assert frame.given_back == given_back
