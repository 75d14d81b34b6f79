"""The compiled core through its Python door: reports against numpy, arguments, threads, odd models."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from efiqa import _core
from tests.golden.make_tiny_model import BIAS, GRID, INPUT_PX, WEIGHT, tiny_contract, tiny_model, write
from tests.helpers import drawn_eye, run_in_threads, write_tiny_model

GOLDEN = Path(__file__).parents[1] / "golden"
# The engine and numpy add float32 in different orders; logits are up to 7, so 1e-5 is some 10 roundings.
PROBABILITY_TOLERANCE = 1e-5


def open_tiny(**options: Any) -> _core.Runtime:
    return _core.Runtime(str(GOLDEN / "tiny.onnx"), allow_untrained=True, threads=2, **options)


def network_input(frame: NDArray[np.uint8], report: _core.Report) -> NDArray[np.float32]:
    return _core.preprocess(
        frame,
        "rgb",
        report.crop,
        report.fov,
        width_px=INPUT_PX,
        height_px=INPUT_PX,
        resize_filter="triangle",
        blank_outside=True,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )


def labelled(bad: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return the masks of the groups of 8 neighbours, by spreading labels until nothing changes."""
    labels = np.where(bad, np.arange(bad.size).reshape(bad.shape) + 1, 0)
    while True:
        padded = np.pad(labels, 1)
        height, width = labels.shape
        around = [padded[dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3)]
        spread = np.where(bad, np.max(around, axis=0), 0)
        if np.array_equal(spread, labels):
            return [labels == label for label in np.unique(labels[labels > 0])]
        labels = spread


def test_golden_files_are_what_their_script_makes(tmp_path: Path) -> None:
    write(tmp_path)
    assert (tmp_path / "tiny.onnx").read_bytes() == (GOLDEN / "tiny.onnx").read_bytes()
    assert (tmp_path / "tiny.onnx.json").read_text() == (GOLDEN / "tiny.onnx.json").read_text()


@pytest.mark.parametrize(("height", "width"), [(240, 320), (500, 333), (1080, 1920)])
def test_report_is_what_numpy_computes(height: int, width: int) -> None:
    frame = drawn_eye(height, width, level=170)
    frame[:, : width // 2] //= 2  # one half is dark, hence bad
    report = open_tiny().assess(frame, "rgb")
    assert report.frame_size == (height, width)

    block = INPUT_PX // GRID
    means = (
        network_input(frame, report).reshape(3, GRID, block, GRID, block).mean(axis=(2, 4), dtype=np.float64)
    )
    probability = 1 / (1 + np.exp(-(WEIGHT * means.sum(axis=0) + BIAS)))
    weights = _core.grid_weights(report.fov, report.crop, GRID, GRID)
    inside = weights > 0
    np.testing.assert_array_equal(report.weights, weights)
    np.testing.assert_array_equal(np.isnan(report.map), ~inside)
    np.testing.assert_allclose(report.map[inside], probability[inside], atol=PROBABILITY_TOLERANCE)
    score = 1 - np.average(probability[inside], weights=weights[inside])
    assert report.score == pytest.approx(score, abs=PROBABILITY_TOLERANCE)
    assert report.verdict == ("good" if score >= 0.85 else "usable" if score >= 0.6 else "reject")

    groups = labelled(inside & (np.nan_to_num(report.map) >= 0.5))
    groups.sort(key=lambda group: -float(weights[group].sum()))
    assert len(report.regions) == len(groups) > 0
    cell = report.crop[2] / GRID
    y, x = np.mgrid[:GRID, :GRID] + 0.5
    for region, group in zip(report.regions, groups, strict=True):
        w = weights[group]
        assert region.area_share == pytest.approx(w.sum() / weights.sum(), abs=1e-6)
        assert region.mean_probability == pytest.approx(np.average(report.map[group], weights=w), abs=1e-6)
        rows, columns = np.nonzero(group)
        left = max(report.crop[0] + columns.min() * cell, report.fov.left_px)
        right = min(report.crop[0] + (columns.max() + 1) * cell, report.fov.right_px)
        top = max(report.crop[1] + rows.min() * cell, report.fov.top_px)
        bottom = min(report.crop[1] + (rows.max() + 1) * cell, report.fov.bottom_px)
        box = (region.x_px, region.y_px, region.x_px + region.width_px, region.y_px + region.height_px)
        assert box == pytest.approx((left, top, right, bottom), abs=1e-3)
        dx = report.crop[0] + np.average(x[group], weights=w) * cell - report.fov.center_x_px
        dy = report.crop[1] + np.average(y[group], weights=w) * cell - report.fov.center_y_px
        assert region.center_distance == pytest.approx(
            min(np.hypot(dx, dy) / report.fov.radius_px, 1), abs=1e-5
        )
        hour = np.arctan2(dx, -dy) / (2 * np.pi) * 12 % 12 or 12
        assert region.clock_hour == pytest.approx(hour, abs=1e-3)


def test_report_is_the_same_for_every_pixel_format_that_holds_the_same_colours() -> None:
    rgb = drawn_eye()
    runtime = open_tiny()
    expected = runtime.assess(rgb, "rgb")
    alpha = np.full((*rgb.shape[:2], 1), 77, np.uint8)
    for frame, name in (
        (np.ascontiguousarray(rgb[:, :, ::-1]), "bgr"),
        (np.concatenate([rgb, alpha], axis=2), "rgba"),
    ):
        report = runtime.assess(frame, name)
        np.testing.assert_array_equal(report.map, expected.map)
        assert report.score == expected.score
    gray = runtime.assess(np.ascontiguousarray(rgb[:, :, 0]), "gray")
    assert gray.verdict != "unknown"


def test_report_of_a_view_is_that_of_its_copy() -> None:
    large = np.zeros((600, 800, 3), np.uint8)
    large[100:340, 200:520] = drawn_eye()
    view = large[80:360, 180:540]
    assert not view.flags.c_contiguous
    runtime = open_tiny()
    report, of_copy = runtime.assess(view, "rgb"), runtime.assess(view.copy(), "rgb")
    np.testing.assert_array_equal(report.map, of_copy.map)
    every_second_row = large[::2]
    assert runtime.assess(every_second_row, "rgb").frame_size == (300, 800)


def test_report_outlives_its_runtime_and_cannot_be_written() -> None:
    runtime = open_tiny()
    report = runtime.assess(drawn_eye(), "rgb")
    before = report.map.copy()
    runtime.assess(np.zeros((100, 100, 3), np.uint8), "rgb")
    grid = report.map
    del runtime, report
    np.testing.assert_array_equal(grid, before)
    with pytest.raises(ValueError, match="read-only"):
        grid[0, 0] = 1


def test_frame_without_field_of_view_is_unknown() -> None:
    report = open_tiny().assess(np.zeros((240, 320, 3), np.uint8), "rgb")
    assert (report.verdict, report.reason, report.regions) == ("unknown", "no_field_of_view", [])
    assert np.isnan(report.score)
    assert np.isnan(report.map).all()
    assert report.fov.shape == "none"


EYE = drawn_eye()
WRONG_FRAMES: list[tuple[Any, str, str]] = [
    (
        [[0]],
        "rgb",
        r"frame is of type list, expected a numpy array of dtype uint8 and shape \(height, width, 3\)",
    ),
    (None, "gray", r"frame is of type NoneType, expected .* shape \(height, width\)"),
    (
        EYE / 255,
        "rgb",
        "frame.dtype is float64, expected uint8; float frames are refused because their range",
    ),
    (EYE.astype(np.uint16), "rgb", "frame.dtype is uint16, expected uint8; other ranges are refused"),
    (
        EYE[:, :, 0],
        "rgb",
        r"frame.shape is \(240, 320\), expected \(height, width, 3\) for pixel_format \"rgb\"",
    ),
    (EYE, "gray", r"frame.shape is \(240, 320, 3\), expected \(height, width\) for pixel_format \"gray\""),
    (EYE, "rgba", r"frame.shape is \(240, 320, 3\), expected \(height, width, 4\)"),
    (EYE[:63], "rgb", r"frame.shape is \(63, 320, 3\), expected height and width from 64 to 8192 pixels"),
    (np.zeros((100, 8193), np.uint8), "gray", "expected height and width from 64 to 8192"),
    (np.zeros((0, 0, 3), np.uint8), "rgb", "expected height and width from 64 to 8192"),
    (
        EYE[:, :, ::-1],
        "rgb",
        r"contiguous pixels of 3 bytes within a row; pass np.ascontiguousarray\(frame\)",
    ),
    (EYE[:, ::2], "rgb", r"contiguous pixels .* pass np.ascontiguousarray\(frame\)"),
    (EYE.transpose(1, 0, 2), "rgb", r"contiguous pixels .* pass np.ascontiguousarray\(frame\)"),
    (
        EYE[::-1],
        "rgb",
        r"frame.strides\[0\] is -960, expected at least 960 \(rows must not overlap or run upwards\)",
    ),
    (np.broadcast_to(EYE[:1], EYE.shape), "rgb", r"frame.strides\[0\] is 0, expected at least 960"),
]


@pytest.mark.parametrize(("frame", "pixel_format", "message"), WRONG_FRAMES)
def test_frame_that_breaks_a_rule_is_refused_with_rule_and_fix(
    frame: Any, pixel_format: str, message: str
) -> None:
    runtime = open_tiny()
    with pytest.raises(_core.CoreError, match=message) as caught:
        runtime.assess(frame, pixel_format)
    assert caught.value.code == "invalid_frame"
    assert runtime.assess(EYE, "rgb").verdict != "unknown"


def test_argument_outside_its_list_is_refused_with_the_list() -> None:
    fov = _core.find_field_of_view(EYE, "rgb")
    report = open_tiny().assess(EYE, "rgb")
    crop = _core.square_crop(fov)
    sizes = {"width_px": 64, "height_px": 64, "blank_outside": True}

    def refusal(function: Any, *arguments: Any, **options: Any) -> str:
        with pytest.raises(_core.CoreError) as caught:
            function(*arguments, **options)
        assert caught.value.code == "invalid_argument"
        return str(caught.value)

    assert refusal(_core.find_field_of_view, EYE, "yuv") == (
        'pixel_format is "yuv", expected one of: rgb, bgr, gray, rgba, nv12, yuyv'
    )
    assert "expected one of: turbo, inferno" in refusal(
        _core.render_overlay, EYE, "rgb", report, pool=_core.ThreadPool(1), colormap="jet"
    )
    assert "expected one of: auto, openvino" in refusal(_core.Runtime, "m", backend="cuda")
    assert "expected one of: box, triangle" in refusal(
        _core.preprocess_u8, EYE, "rgb", crop, fov, resize_filter="nearest", **sizes
    )
    assert refusal(_core.grid_weights, fov, crop, 0, 8) == "grid_width is 0, expected 1 to 128"
    assert "crop.side_px is 0" in refusal(_core.grid_weights, fov, (0, 0, 0), 8, 8)
    assert "std[1] is 0.000000, expected a finite number > 0" in refusal(
        _core.preprocess, EYE, "rgb", crop, fov, resize_filter="box", mean=(0, 0, 0), std=(1, 0, 1), **sizes
    )
    assert "height_px is 0" in refusal(fov.mask, 0, 10)
    assert "threads" in refusal(_core.find_field_of_view, EYE, "rgb", threads=0)


def test_field_of_view_mask_has_the_visible_area() -> None:
    fov = _core.find_field_of_view(EYE, "rgb")
    mask = fov.mask(*EYE.shape[:2])
    assert mask.dtype == np.bool_
    assert mask.sum() == pytest.approx(fov.visible_area_px, rel=0.01)  # a pixel counts wholly or not at all


def test_second_thread_inside_one_runtime_is_refused_and_does_no_harm() -> None:
    runtime = open_tiny()
    frame = drawn_eye(1500, 1500)
    expected = runtime.assess(frame, "rgb").map
    refused: list[str] = []
    wrong: list[str] = []

    def work() -> None:
        for _ in range(60):
            try:
                report = runtime.assess(frame, "rgb")
                if not np.array_equal(report.map, expected, equal_nan=True):
                    wrong.append("another map")
            except _core.CoreError as error:
                refused.append(error.code)

    run_in_threads(work, 2)
    assert wrong == []
    assert set(refused) == {"wrong_thread"}


def test_runtime_does_not_import_the_vendor_package() -> None:
    code = (
        "import sys, numpy as np, efiqa._core as c\n"
        f"runtime = c.Runtime({str(GOLDEN / 'tiny.onnx')!r}, allow_untrained=True)\n"
        "runtime.assess(np.zeros((64, 64, 3), np.uint8), 'rgb')\n"
        "assert 'openvino' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_path_that_is_not_utf8_is_opened_and_shown_escaped(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/\xff"
    try:
        Path(os.fsdecode(folder)).mkdir()
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    model = write_tiny_model(Path(os.fsdecode(folder)))
    assert _core.Runtime(str(model)).threads >= 1
    assert os.fsencode(_core.contract_path(str(model))) == folder + b"/tiny.onnx.json"
    with pytest.raises(_core.CoreError, match=r"\\xff/none.onnx does not exist"):
        _core.Runtime(str(model.with_name("none.onnx")))


def test_sha256_is_that_of_hashlib() -> None:
    for size in (0, 1, 55, 56, 64, 1000, 100_003):
        data = bytes(i * 31 % 256 for i in range(size))
        assert _core.sha256_hex(data) == hashlib.sha256(data).hexdigest()


def test_contract_of_the_tiny_model_is_valid_and_a_changed_one_is_not() -> None:
    document = tiny_contract(tiny_model())
    _core.validate_contract(json.dumps(document), "here")
    document["input"]["std"][1] = 0
    with pytest.raises(_core.CoreError) as caught:
        _core.validate_contract(json.dumps(document), "model.onnx.json")
    assert caught.value.code == "contract_invalid"
    assert str(caught.value) == (
        "model.onnx.json: input.std[1] is 0, expected a number > 0; export the model again with efiqa export"
    )


def odd_model(**changes: Any) -> bytes:
    """Return the tiny model with a ``shape`` or ``dtype`` of its output, an ``op`` or a second ``output``."""
    model = onnx.load_model_from_string(tiny_model())
    graph = model.graph
    if "input_shape" in changes:
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, changes["input_shape"])
        graph.input[0].CopyFrom(image)
    if "op" in changes:
        graph.node[0].op_type = changes["op"]
    if "output_dtype" in changes:
        graph.node[1].output[0] = "raw"
        graph.node.append(helper.make_node("Cast", ["raw"], ["logits"], to=changes["output_dtype"]))
        graph.output[0].type.tensor_type.elem_type = changes["output_dtype"]
    if "external" in changes:
        weight = graph.initializer[0]
        weight.ClearField("float_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=changes["external"])
    if "second_output" in changes:
        graph.output.append(helper.make_tensor_value_info("blocks", TensorProto.FLOAT, [1, 3, GRID, GRID]))
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            odd_model(input_shape=["n", 3, 64, 64]),
            r'input "image" has the shape \[.*3,64,64\], the contract says',
        ),
        (odd_model(op="NoSuchOperator"), "OpenVINO cannot open the model: .*NoSuchOperator"),
        (odd_model(output_dtype=TensorProto.DOUBLE), 'output "logits" holds f64, the contract says float32'),
        (
            odd_model(second_output=True),
            "the model has 1 inputs and 2 outputs, the contract describes one of each",
        ),
        (odd_model(external="w.bin"), "the model keeps values in another file, which its contract's hash"),
        (b"no model at all", "the model is not an ONNX file, or a damaged one; copy or export it again"),
    ],
)
def test_model_that_does_not_fit_is_refused_in_one_line(tmp_path: Path, model: bytes, message: str) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(model)
    path.with_name("odd.onnx.json").write_text(json.dumps(tiny_contract(model, "odd.onnx")))
    with pytest.raises(_core.CoreError, match=message) as caught:
        _core.Runtime(str(path), allow_untrained=True)
    assert caught.value.code == "model_invalid"
    assert "\n" not in str(caught.value)
