"""A model with every channel through the Python door: strengths, reasons and remedies against numpy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from efiqa import _core
from tests.helpers import LANDMARKS, REASONS, TELLING, contract_of, drawn_eye, write_telling_model

# The engine and numpy add float32 in different orders; logits are up to 20, so 1e-5 is some 5 roundings.
TOLERANCE = 1e-5


def opened(model: Path, **options: Any) -> _core.Runtime:
    return _core.Runtime(str(model), threads=2, **options)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> _core.Runtime:
    return opened(write_telling_model(tmp_path_factory.mktemp("telling")))


def half_dark(height: int = 240, width: int = 320) -> NDArray[np.uint8]:
    """Return an eye whose left half is nearly black."""
    frame = drawn_eye(height, width, level=250)
    frame[:, : width // 2] //= 12
    return frame


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def logits_of(runtime: _core.Runtime, frame: NDArray[np.uint8], report: _core.Report) -> NDArray[np.float32]:
    """Return what the network answers to the frame, (7, 8, 8)."""
    image = _core.preprocess(
        frame,
        "rgb",
        report.crop,
        report.fov,
        width_px=64,
        height_px=64,
        resize_filter="triangle",
        blank_outside=True,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )
    return runtime.run_network(image)


def test_network_answers_each_channel(runtime: _core.Runtime) -> None:
    image = np.full((3, 64, 64), -0.5, np.float32)
    logits = runtime.run_network(image)
    assert logits.shape == (7, 8, 8)
    np.testing.assert_allclose(logits[1], -8 + 3 * 4 * 0.5, atol=TOLERANCE)
    np.testing.assert_allclose(logits[3], -8, atol=TOLERANCE)
    np.testing.assert_allclose(logits[6], -4, atol=TOLERANCE)


def test_strengths_are_the_visible_means_that_numpy_computes(runtime: _core.Runtime) -> None:
    frame = half_dark()
    report = runtime.assess(frame, "rgb")
    logits = logits_of(runtime, frame, report)
    weights = report.weights.astype(np.float64)
    assert report.verdict != "unknown"
    assert list(report.reasons) == [*REASONS, "field_cut"]
    for channel, name in enumerate(REASONS, start=1):
        mean = (sigmoid(logits[channel]) * weights).sum() / weights.sum()
        assert report.reasons[name] == pytest.approx(mean, abs=TOLERANCE), name
    mean_logit = (logits[6] * weights).sum() / weights.sum()
    assert report.not_a_fundus == pytest.approx(float(sigmoid(np.float32(mean_logit))), abs=TOLERANCE)

    # Every bad cell is in one region, so that together they have the bad cells' mean.
    assert len(report.regions) > 1
    bad = weights * (np.nan_to_num(report.map) >= 0.5)
    for channel, name in enumerate(REASONS, start=1):
        mean = (sigmoid(logits[channel]) * bad).sum() / bad.sum()
        shares = sum(region.area_share for region in report.regions)
        found = sum(region.area_share * region.reasons[name] for region in report.regions) / shares
        assert found == pytest.approx(mean, abs=TOLERANCE), name
    assert {region.reasons["field_cut"] for region in report.regions} == {0}


def test_main_reason_and_remedy_are_named(runtime: _core.Runtime) -> None:
    report = runtime.assess(half_dark(), "rgb")
    assert (report.main_reason, report.remedy, report.remedy_clock_hour) == ("under_exposed", "more_light", 0)
    assert report.remedy_text == "More light: raise the flash or the gain."
    region = report.regions[0]
    assert (region.main_reason, region.remedy) == ("under_exposed", "more_light")


def test_field_cut_names_the_side_where_it_is_cut(tiny_model: Path) -> None:
    frame = drawn_eye(600, 600, level=90)[:, :420]
    for shown, hour in ((frame, 3), (frame[:, ::-1], 9), (np.swapaxes(frame, 0, 1), 6)):
        report = opened(tiny_model).assess(np.ascontiguousarray(shown), "rgb")
        assert list(report.reasons) == ["field_cut"]
        assert report.reasons["field_cut"] == pytest.approx(report.fov.cut_fraction, abs=0.02)
        assert report.reasons["field_cut"] > 0.15
        assert (report.main_reason, report.remedy) == ("field_cut", "recentre")
        assert report.remedy_clock_hour == pytest.approx(hour, abs=0.2)
        assert report.remedy_text == f"Re-centre the eye: the defect lies at {hour} o'clock."
        assert np.isnan(report.not_a_fundus)


def test_picture_of_something_else_is_unknown_with_its_map(runtime: _core.Runtime) -> None:
    frame = drawn_eye()[:, :, ::-1].copy()  # a blue disc
    report = runtime.assess(frame, "rgb")
    assert (report.verdict, report.reason, report.remedy) == ("unknown", "not_a_fundus", "find_retina")
    assert report.not_a_fundus > 0.5
    assert np.isnan(report.score)
    assert (report.regions, report.reasons, report.main_reason) == ([], {}, "")
    assert report.remedy_text == "No retina in view: bring the camera before the pupil."
    assert np.isfinite(report.map[report.weights > 0]).all()


@pytest.mark.parametrize(("name", "channel"), [("macula", 7), ("optic_disc", 8)])
def test_score_is_bounded_by_what_can_be_seen_of_a_landmark(tmp_path: Path, name: str, channel: int) -> None:
    path = write_telling_model(tmp_path, TELLING | LANDMARKS)
    document = json.loads(contract_of(path).read_text())
    document["operating_points"][document["default_operating_point"]][f"{name}_margin"] = 0.0625
    contract_of(path).write_text(json.dumps(document))
    runtime, frame = opened(path), half_dark()
    report = runtime.assess(frame, "rgb")
    logits = logits_of(runtime, frame, report)
    inside, found = report.weights > 0, getattr(report, name)
    near, lost = sigmoid(logits[channel])[inside], sigmoid(logits[0])[inside]
    np.testing.assert_allclose(found[inside], near, atol=TOLERANCE)
    assert np.isnan(found[~inside]).all()
    assert np.ptp(near) > 0.1
    mean = 1 - np.average(lost, weights=report.weights[inside])
    bound = 1.0625 - np.average(lost, weights=report.weights[inside] * near**2)
    assert report.score == pytest.approx(min(mean, bound), abs=TOLERANCE)
    assert abs(mean - bound) > 0.01
    assert getattr(opened(write_telling_model(tmp_path)).assess(frame, "rgb"), name) is None


def test_model_with_other_channels_than_its_contract_says_is_refused(tmp_path: Path) -> None:
    model = write_telling_model(tmp_path, not_a_fundus=None)
    document = json.loads(contract_of(model).read_text(encoding="utf-8"))
    document["output"]["channels"].pop()
    contract_of(model).write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(_core.CoreError, match=r"has the shape \[1,7,8,8\], the contract says \[1,6,8,8\]"):
        opened(model)
