"""What is refused, of which group, and why; and the frames that show no retina."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.training.judged import answer

refusals = pytest.importorskip("training.refusals", reason="the extra [train] is not installed")
pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def frames():
    """Every frame that shows no retina."""
    return list(refusals.foreign_frames())


class Camera:
    """A Runtime that refuses frames without a lit pixel, and those that are brighter than a limit."""

    def __init__(self, brightest=255):
        self.brightest = brightest

    def assess(self, frame):
        if frame.max() == 0:
            return answer([[0.5]], verdict="unknown", reason="no_field_of_view", score=None)
        if frame.mean() > self.brightest:
            return answer([[0.5]], verdict="unknown", reason="not_a_fundus", score=None, not_a_fundus=0.9)
        return answer([[0.5]])


def test_refusal_is_the_reason_of_an_unknown_verdict_only():
    assert refusals.refusal(answer([[0.5]], verdict="unknown", reason="not_a_fundus")) == "not_a_fundus"
    assert refusals.refusal(answer([[0.5]], verdict="reject", reason="low_anatomy_visible")) == ""


def test_photograph_refusals_count_and_name_what_is_refused(toy_pictures):
    figures = refusals.photograph_refusals(Camera(brightest=0), [("toy", toy_pictures), ("none", [])])
    assert list(figures) == ["toy"]
    assert figures["toy"]["share_refused"] == 1
    assert figures["toy"]["reasons"] == {"not_a_fundus": len(toy_pictures)}
    assert figures["toy"]["refused"] == [p.name for p in toy_pictures]
    assert refusals.photograph_refusals(Camera(), [("toy", toy_pictures)])["toy"]["n_refused"] == 0


def test_photograph_refusals_can_look_at_the_green_light_alone(toy_pictures):
    class ColourCamera(Camera):
        def assess(self, frame):
            if frame.ndim == 2:
                return answer([[0.5]], verdict="unknown", reason="not_a_fundus", score=None)
            return super().assess(frame)

    groups = [("toy", toy_pictures)]
    figures = refusals.photograph_refusals(ColourCamera(), groups, refusals.green_light)
    assert figures["toy"]["n_refused"] == len(toy_pictures)
    assert refusals.photograph_refusals(ColourCamera(), groups)["toy"]["n_refused"] == 0


def test_foreign_refusals_name_what_is_not_refused(frames, monkeypatch):
    monkeypatch.setattr(refusals, "foreign_frames", lambda: iter(frames))
    figures = refusals.foreign_refusals(Camera())
    assert figures["flat"]["reasons"] == {"no_field_of_view": 1}
    assert figures["flat"]["accepted"] == ["dark grey", "grey", "light grey", "white"]
    assert figures["noise"]["n_refused"] == 0


def labelled(label, count, family="drimdb"):
    from training.quality_sets import Labelled

    return [Labelled(Path(f"{label}{k}"), f"{label}{k}", family, label, f"{label}{k}") for k in range(count)]


def test_labelled_refusals_tell_outliers_from_good_pictures_by_probability_and_by_score():
    pictures = [*labelled("good", 3), *labelled("outlier", 2), *labelled("usable", 1, "eyeq")]
    reasons = ["", "", "not_a_fundus", "not_a_fundus", "no_field_of_view", ""]
    probabilities = np.array([0.1, 0.2, 0.6, 0.7, np.nan, 0.0])
    scores = np.array([0.9, 0.8, -1, -1, -1, 0.5])
    figures = refusals.labelled_refusals(pictures, reasons, probabilities, scores)
    assert figures["labels"]["drimdb outlier"]["share_refused"] == 1
    assert figures["labels"]["drimdb good"]["refused"] == ["good2"]
    assert figures["labels"]["eyeq usable"]["n_refused"] == 0
    assert figures["good_outlier_auroc"]["not_a_fundus"] == 1
    assert figures["good_outlier_auroc"]["score"] == pytest.approx(5 / 6)  # one good picture ties with both


def test_labelled_refusals_of_a_model_that_says_nothing_have_no_auroc_of_it():
    pictures = [*labelled("good", 1), *labelled("outlier", 1)]
    figures = refusals.labelled_refusals(pictures, ["", ""], np.full(2, np.nan), np.array([0.9, 0.1]))
    assert figures["good_outlier_auroc"] == {"not_a_fundus": None, "score": 1.0}
    figures = refusals.labelled_refusals(labelled("good", 1), [""], np.full(1, np.nan), np.array([0.9]))
    assert "good_outlier_auroc" not in figures


def test_foreign_frames_are_frames_of_every_group_and_no_retina_is_among_them(frames):
    from training.foreign_frames import RETINAS

    groups = Counter(frame.group for frame in frames)
    for group in ("sample photographs", "flat", "noise", "printed text", "test charts"):
        assert groups[group] == groups[f"{group}, round stop"] >= 5
    names = {frame.name.split("/")[-1] for frame in frames}
    assert {"astronaut", "china", "page"} <= names
    assert not names & set(RETINAS)
    for frame in frames:
        assert frame.rgb.dtype == np.uint8
        assert frame.rgb.ndim == 3
        assert min(frame.rgb.shape[:2]) >= 64
    assert len({frame.rgb.tobytes() for frame in frames if frame.group == "noise"}) == groups["noise"]


def test_foreign_frames_are_the_same_each_time(frames):
    for first, second in zip(frames, refusals.foreign_frames(), strict=True):
        assert (first.group, first.name) == (second.group, second.name)
        np.testing.assert_array_equal(first.rgb, second.rgb)


def test_behind_round_stop_is_black_outside_and_the_picture_s_middle_inside():
    from training.foreign_frames import SIDE_PX, behind_round_stop

    rgb = np.full((100, 300, 3), 10, np.uint8)
    rgb[:, 100:200] = 200
    out = behind_round_stop(rgb)
    assert out.shape == (SIDE_PX, SIDE_PX, 3)
    assert (out[SIDE_PX // 2, SIDE_PX // 2] == 200).all()
    assert (out[:20] == 0).all()
    assert set(np.unique(out)) == {0, 200}
