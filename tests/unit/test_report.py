import base64
import dataclasses
import json
import math
import re

import cv2
import numpy as np
import pytest

from efiqa import FileError, FrameError, OptionError
from efiqa.overlay import COLORMAPS
from efiqa.report import place_text
from tests.helpers import REASONS, drawn_eye

STRENGTHS = [*REASONS, "field_cut"]


@pytest.fixture
def report(runtime):
    return runtime.assess(drawn_eye())


@pytest.fixture
def unknown(runtime):
    return runtime.assess(np.zeros((100, 120, 3), np.uint8))


def test_report_fields_are_consistent(report):
    assert report.verdict in {"good", "usable", "reject"}
    assert report.frame_size == (240, 320)
    assert report.map.shape == report.weights.shape
    assert report.map.dtype == report.weights.dtype == np.float32
    assert np.array_equal(np.isnan(report.map), report.weights == 0)
    inside = report.weights > 0
    mean = float(np.average(report.map[inside].astype(float), weights=report.weights[inside].astype(float)))
    assert report.score == pytest.approx(1 - mean, abs=1e-5)  # float32 sums of a few dozen cells
    assert set(report.timings_ms) == {"fov", "preprocess", "engine", "postprocess", "total"}
    assert set(report.model) == {"id", "sha256"}
    assert report.fov.found
    assert report.fov.shape == "circle"


def test_fov_contains_the_points_that_the_core_shows(report, unknown):
    height, width = report.frame_size
    x, y = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    visible = report.fov.contains(x, y)
    assert visible.shape == (height, width)
    assert visible.sum() == pytest.approx(report.fov.visible_area_px, rel=0.01)
    coloured = report.overlay(np.zeros((height, width, 3), np.uint8), bgr=False, colormap="red").any(2)
    assert not (coloured & ~visible).any()
    assert report.fov.contains(report.fov.center_x_px, report.fov.center_y_px)
    assert not unknown.fov.contains(60, 50)


def test_report_is_frozen_down_to_its_arrays(report):
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.score = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.fov.shape = "none"
    with pytest.raises(ValueError, match="read-only"):
        report.map[0, 0] = 0
    with pytest.raises(ValueError, match="read-only"):
        report.weights[0, 0] = 0
    with pytest.raises(TypeError):
        report.timings_ms["total"] = 0.0
    with pytest.raises(TypeError):
        report.model["id"] = "other"


def test_report_of_an_earlier_frame_survives_the_next(runtime):
    first = runtime.assess(drawn_eye())
    before = first.to_json()
    runtime.assess(drawn_eye(level=20))
    assert first.to_json() == before


def test_report_to_json_is_strict_and_complete(report):
    values = json.loads(report.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert values == report.to_dict()
    assert values["score"] == pytest.approx(report.score, abs=1e-7)
    assert values["map"][0][0] is None, "the corner of the crop lies outside the circle"
    assert np.array(values["weights"], np.float32).tolist() == report.weights.tolist()
    assert [math.isnan(a) for a in report.map.ravel()] == [a is None for row in values["map"] for a in row]
    assert "\n" not in report.to_json()
    assert "\n" in report.to_json(indent=2)


def test_report_unknown_has_no_score_but_a_reason(unknown):
    assert unknown.score is None
    assert unknown.verdict == "unknown"
    assert unknown.reason == "no_field_of_view"
    assert not unknown.fov.found
    assert json.loads(unknown.to_json())["score"] is None


def half_dark():
    """The eye with almost no light from 12 to 6 o'clock."""
    frame = drawn_eye()
    frame[:, 160:] //= 12
    return frame


def test_report_of_a_model_that_tells_reasons_has_cause_and_remedy(telling):
    report = telling.assess(half_dark())
    region = report.regions[0]
    assert report.verdict in {"reject", "usable"}
    for each in (report, region):
        assert list(each.reasons) == STRENGTHS
        assert (each.main_reason, each.remedy) == ("under_exposed", "more_light")
        assert each.remedy_clock_hour == 0
        assert "light" in each.remedy_text
        assert all(0 <= strength <= 1 for strength in each.reasons.values())
    assert region.reasons["under_exposed"] > 0.8
    assert 0.3 < report.reasons["under_exposed"] < 0.7, "half of the field is dark"
    assert report.not_a_fundus < 0.1


def test_report_good_picture_has_no_remedy(telling):
    glare = drawn_eye(level=220)
    glare[60:180, 80:200] = 255
    report = telling.assess(glare)
    assert report.verdict == "good", report.score
    assert report.main_reason == "over_exposed"
    assert (report.remedy, report.remedy_text) == ("", "")


def test_report_of_what_is_no_retina_is_unknown_and_says_what_to_do(telling):
    frame = np.ascontiguousarray(drawn_eye()[:, :, ::-1])  # blue
    report = telling.assess(frame)
    assert (report.verdict, report.reason, report.score) == ("unknown", "not_a_fundus", None)
    assert (report.main_reason, report.remedy, report.regions) == ("", "find_retina", ())
    assert "retina" in report.remedy_text
    assert dict(report.reasons) == {}
    assert 0.5 < report.not_a_fundus <= 1
    assert np.isfinite(report.map[report.weights > 0]).all(), "the map stays, for those who look into it"


def test_report_of_a_model_without_reasons_tells_the_cut_alone(runtime):
    report = runtime.assess(half_dark())
    assert report.reasons == {"field_cut": pytest.approx(0, abs=0.02)}
    assert (report.main_reason, report.remedy, report.not_a_fundus) == ("", "", None)
    assert report.regions[0].reasons == {"field_cut": 0}
    cut = runtime.assess(np.ascontiguousarray(drawn_eye(level=60)[:, :190]))
    assert cut.reasons["field_cut"] == pytest.approx(cut.fov.cut_fraction, abs=0.02), "nothing else cuts it"
    assert (cut.main_reason, cut.remedy) == ("field_cut", "recentre")
    assert cut.remedy_clock_hour == pytest.approx(3, abs=0.1)
    assert "3 o'clock" in cut.remedy_text


def test_report_without_field_of_view_says_to_find_the_retina(unknown):
    assert (unknown.remedy, unknown.main_reason, dict(unknown.reasons)) == ("find_retina", "", {})
    assert unknown.not_a_fundus is None


def test_report_reasons_are_read_only(telling):
    report = telling.assess(half_dark())
    for each in (report, report.regions[0]):
        with pytest.raises(TypeError):
            each.reasons["haze"] = 0.0
    assert hash(report.regions[0]) == hash(telling.assess(half_dark()).regions[0])


def test_report_to_dict_has_reasons_and_remedy_of_picture_and_regions(telling):
    report = telling.assess(half_dark())
    values = json.loads(report.to_json())
    for found, source in ((values, report), (values["regions"][0], report.regions[0])):
        assert list(found["reasons"]) == STRENGTHS
        assert found["reasons"] == pytest.approx(dict(source.reasons), abs=1e-7)
        for name in ("main_reason", "remedy", "remedy_clock_hour", "remedy_text"):
            assert found[name] == getattr(source, name)
    assert values["not_a_fundus"] == pytest.approx(report.not_a_fundus, rel=1e-6)
    public = {item.name for item in dataclasses.fields(report) if not item.name.startswith("_")}
    assert set(values) == public


def test_overlay_has_the_frames_size_and_leaves_the_surround(report):
    frame = drawn_eye()
    overlay = report.overlay()
    assert overlay.shape == frame.shape
    assert overlay.dtype == np.uint8
    assert np.array_equal(overlay[:5, :5], frame[:5, :5])
    assert np.array_equal(report.overlay(max_alpha=0), frame)


def test_overlay_of_bgr_frame_is_rgb(runtime):
    rgb = drawn_eye()
    bgr = np.ascontiguousarray(rgb[:, :, ::-1])
    report = runtime.assess(bgr, bgr=True)
    assert np.array_equal(report.overlay(max_alpha=0), rgb)
    assert np.array_equal(report.overlay(bgr, bgr=True, max_alpha=0), rgb)
    assert np.array_equal(report.overlay(rgb, bgr=False, max_alpha=0), rgb)
    assert np.array_equal(report.overlay(), runtime.assess(rgb).overlay())


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_overlay_knows_each_colormap(runtime, colormap):
    dark = runtime.assess(drawn_eye(level=60))
    frame = drawn_eye(level=60)
    assert not np.array_equal(dark.overlay(frame, colormap=colormap), frame)


def test_overlay_unknown_colormap_lists_the_known(report):
    with pytest.raises(OptionError, match=r"(?s)rainbow.*" + ".*".join(COLORMAPS)):
        report.overlay(colormap="rainbow")


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan"), float("inf")])
def test_overlay_opacity_outside_its_range_is_named(report, alpha):
    with pytest.raises(OptionError, match="max_alpha"):
        report.overlay(max_alpha=alpha)


def test_overlay_frame_of_another_size_is_refused(report):
    with pytest.raises((OptionError, FrameError), match="240"):
        report.overlay(drawn_eye(200, 300))


def test_overlay_float_frame_is_refused(report):
    with pytest.raises(FrameError, match="guess"):
        report.overlay(drawn_eye().astype(np.float32))


def test_overlay_without_field_of_view_is_the_frame(unknown):
    assert not unknown.overlay().any()


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".tif", ".bmp", ".ppm"])
def test_save_picture_holds_the_overlay(report, tmp_path, suffix):
    path = tmp_path / f"photo.overlay{suffix}"
    report.save(path)
    assert np.array_equal(cv2.imread(str(path))[:, :, ::-1], report.overlay())
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_save_lossy_picture_is_near_the_overlay(report, tmp_path, suffix):
    report.save(tmp_path / f"a{suffix}")
    saved = cv2.imread(str(tmp_path / f"a{suffix}"))[:, :, ::-1]
    assert np.abs(saved.astype(int) - report.overlay()).mean() < 4  # lossy; the picture has sharp edges


def test_save_explicit_frame_is_used(report, tmp_path):
    other = drawn_eye(level=90)
    report.save(tmp_path / "a.png", frame=other, max_alpha=0)
    assert np.array_equal(cv2.imread(str(tmp_path / "a.png"))[:, :, ::-1], other)


def test_save_json_holds_the_report(report, tmp_path):
    report.save(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == report.to_dict()


@pytest.mark.parametrize("name", ["a.gif", "a", "a.exe", ".png.x"])
def test_save_unknown_suffix_lists_the_known(report, tmp_path, name):
    with pytest.raises(OptionError, match=r"expected a name that ends in one of \.json \.png"):
        report.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_save_where_nothing_can_be_written_keeps_what_is_there(report, tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "a.png", tmp_path / "none" / "a.json"):
        with pytest.raises(FileError, match="cannot be written") as caught:
            report.save(path)
        assert caught.value.code == "file_unwritable"
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(FileError, match="is a folder"):
        report.save(tmp_path / "folder.png")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder.png"]


def test_save_that_fails_in_the_middle_keeps_the_old_file(report, tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text("old")
    monkeypatch.setattr("pathlib.Path.replace", _full_disk)
    with pytest.raises(FileError, match="No space left"):
        report.save(path)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def _full_disk(*_arguments):
    raise OSError(28, "No space left on device")


def test_repr_html_shows_score_verdict_picture_and_regions(runtime):
    report = runtime.assess(half_dark())
    text = report._repr_html_()
    assert report.verdict in text
    assert f"{report.score:.3f}" in text
    assert report.regions
    assert text.count("<tr>") == 1 + len(report.regions)
    picture = base64.b64decode(re.search(r"base64,([^\"]+)", text)[1])
    decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert max(decoded.shape) == 280


def test_repr_html_shows_cause_and_remedy(telling):
    report = telling.assess(half_dark())
    text = report._repr_html_()
    assert "(under_exposed)" in text
    assert f"<p>{report.remedy_text}</p>" in text
    assert f"<td>under_exposed</td><td>{report.regions[0].remedy_text}</td>" in text


def test_repr_html_of_unknown_report_says_so(unknown):
    text = unknown._repr_html_()
    assert "unknown" in text
    assert "no_field_of_view" in text
    assert "nan" not in text.lower()


def test_region_lies_where_the_darkness_is(runtime):
    largest = runtime.assess(half_dark()).regions[0]
    assert largest.x_px + largest.width_px / 2 > 160
    assert 2 <= largest.clock_hour <= 4
    assert "3 o'clock" in place_text(largest)
    assert 0.3 < largest.area_share < 0.7
