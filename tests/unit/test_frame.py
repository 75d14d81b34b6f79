import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from efiqa import FrameError, OptionError
from efiqa.frame import checked_frame


@pytest.mark.parametrize(
    ("shape", "bgr", "expected"),
    [
        ((70, 80), False, "gray"),
        ((70, 80), True, "gray"),
        ((70, 80, 3), False, "rgb"),
        ((70, 80, 3), True, "bgr"),
        ((70, 80, 4), False, "rgba"),
    ],
)
def test_checked_frame_known_shape_names_pixel_format(shape, bgr, expected):
    frame = np.zeros(shape, np.uint8)
    array, pixel_format = checked_frame(frame, bgr=bgr)
    assert pixel_format == expected
    assert array is frame, "nothing may be copied"


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (None, "frame is a NoneType, expected a numpy.ndarray of uint8"),
        ([[1, 2], [3, 4]], "frame is a list"),
        (np.zeros((70, 80, 3), np.float32), r"dtype is float32.*range of floating-point.*would be a guess"),
        (np.full((70, 80, 3), np.nan), "dtype is float64.*holds NaN"),
        (np.zeros((70, 80, 3), np.float16), "dtype is float16"),
        (np.zeros((70, 80, 3), np.uint16), "dtype is uint16.*how many of the 16 bits"),
        (np.zeros((70, 80, 3), np.int8), "dtype is int8, expected uint8"),
        (np.zeros((70, 80), bool), "dtype is bool, expected uint8"),
        (np.zeros((70, 80, 3), object), "dtype is object, expected uint8"),
        (np.zeros(70, np.uint8), r"shape is \(70,\), expected"),
        (np.array(3, np.uint8), r"shape is \(\), expected"),
        (np.zeros((2, 70, 80, 3), np.uint8), "shape is .*one frame at a time"),
        (np.zeros((70, 80, 1), np.uint8), r"pass frame\[:, :, 0\]"),
        (np.zeros((70, 80, 2), np.uint8), r"shape is \(70, 80, 2\), expected"),
        (np.zeros((70, 80, 5), np.uint8), r"shape is \(70, 80, 5\), expected"),
        (np.zeros((3, 70, 80), np.uint8), "channels first.*transpose"),
        (np.zeros((0, 80, 3), np.uint8), "there is no pixel in it"),
        (np.zeros((70, 0), np.uint8), "there is no pixel in it"),
        (
            np.zeros((70, 80, 3), np.uint8)[:, :, ::-1],
            "channels of a pixel are -1 bytes apart.*ascontiguousarray",
        ),
        (np.zeros((70, 160, 3), np.uint8)[:, ::2], "pixels of a row are 6 bytes apart, expected 3"),
        (np.zeros((70, 80, 3), np.uint8)[:, ::-1], "pixels of a row are -3 bytes apart"),
        (np.zeros((70, 80, 3), np.uint8)[::-1], "rows are -240 bytes apart, expected at least 240"),
        (np.zeros((70, 80, 4), np.uint8)[:, :, :3], "pixels of a row are 4 bytes apart, expected 3"),
        (np.broadcast_to(np.zeros((1, 80, 3), np.uint8), (70, 80, 3)), "rows are 0 bytes apart"),
        (np.zeros((3, 70, 80), np.uint8).transpose(1, 2, 0), "channels of a pixel are 5600 bytes apart"),
    ],
)
def test_checked_frame_bad_array_names_field_value_and_rule(frame, message):
    with pytest.raises(FrameError, match=message) as caught:
        checked_frame(frame, bgr=False)
    assert caught.value.code == "invalid_frame"
    assert isinstance(caught.value, ValueError)


def test_checked_frame_bgra_is_refused_with_fix():
    with pytest.raises(
        FrameError, match=r"BGRA is not taken; pass numpy.ascontiguousarray\(frame\[:, :, :3\]\)"
    ):
        checked_frame(np.zeros((70, 80, 4), np.uint8), bgr=True)


@given(
    channels=st.sampled_from([1, 3, 4]),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    top=st.integers(0, 5),
    left=st.integers(0, 5),
    row_step=st.integers(1, 3),
)
def test_checked_frame_any_crop_is_taken_without_copy(channels, height, width, top, left, row_step):
    whole = np.zeros((top + height * row_step, left + width + 3, channels), np.uint8)
    crop = whole[top::row_step, left : left + width]
    array, _ = checked_frame(crop[:, :, 0] if channels == 1 else crop, bgr=False)
    assert np.shares_memory(array, whole)


@given(shape=st.lists(st.integers(0, 6), max_size=5), data=st.data())
def test_checked_frame_any_small_array_is_taken_or_named(shape, data):
    dtype = data.draw(st.sampled_from([np.uint8, np.int32, np.float64, np.complex64, np.bool_]))
    frame = np.zeros(shape, dtype)
    right_shape = len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))
    taken = dtype is np.uint8 and frame.size > 0 and right_shape
    bgr = data.draw(st.booleans()) and frame.shape[2:] != (4,)
    if taken:
        assert checked_frame(frame, bgr=bgr)[1] in {"gray", "rgb", "bgr", "rgba"}
    else:
        with pytest.raises(FrameError, match=r"^frame"):
            checked_frame(frame, bgr=bgr)


@pytest.mark.parametrize(("pixel_format", "shape"), [("nv12", (105, 80)), ("yuyv", (70, 80, 2))])
def test_checked_frame_yuv_view_is_taken_without_copy(pixel_format, shape):
    whole = np.zeros((shape[0], 100, *shape[2:]), np.uint8)
    array, name = checked_frame(whole[:, :80], bgr=False, pixel_format=pixel_format)
    assert name == pixel_format
    assert np.shares_memory(array, whole)


@pytest.mark.parametrize(
    ("pixel_format", "frame", "message"),
    [
        ("nv12", None, r"frame is a NoneType, expected a numpy.ndarray of uint8 \(H \* 3 / 2, W\)"),
        ("nv12", np.zeros((106, 80), np.uint8), r"shape is \(106, 80\), expected uint8 \(H \* 3 / 2, W\)"),
        ("nv12", np.zeros((105, 81), np.uint8), "H and W even"),
        ("nv12", np.zeros((105, 80, 1), np.uint8), r"shape is \(105, 80, 1\)"),
        ("nv12", np.zeros((0, 80), np.uint8), r"shape is \(0, 80\)"),
        ("yuyv", np.zeros((70, 80, 3), np.uint8), r"expected uint8 \(H, W, 2\)"),
        ("yuyv", np.zeros((70, 81, 2), np.uint8), "W even"),
        ("yuyv", np.zeros((70, 80, 2), np.float32), "dtype is float32"),
        ("yuyv", np.zeros((70, 160, 2), np.uint8)[:, ::2], "4 bytes apart, expected 2"),
    ],
)
def test_checked_frame_bad_yuv_array_names_value_and_rule(pixel_format, frame, message):
    with pytest.raises(FrameError, match=message):
        checked_frame(frame, bgr=False, pixel_format=pixel_format)


def test_checked_frame_unknown_format_or_bgr_beside_it_is_refused():
    frame = np.zeros((70, 80, 2), np.uint8)
    with pytest.raises(OptionError, match="pixel_format is 'i420', expected 'nv12' or 'yuyv'"):
        checked_frame(frame, bgr=False, pixel_format="i420")
    with pytest.raises(OptionError, match="bgr is True and pixel_format is 'yuyv'"):
        checked_frame(frame, bgr=True, pixel_format="yuyv")
