"""Which cause is named for which defect: regions, cut frames, and the whole on toy pictures."""

import numpy as np
import pytest

from efiqa import Runtime
from tests.helpers import drawn_eye, write_telling_model
from tests.training.judged import Cause, answer

figures = pytest.importorskip("training.reason_figures", reason="the extra [train] is not installed")
pytestmark = pytest.mark.train
NAN = float("nan")


def cells(rows):
    return np.array(rows, bool)


def test_region_cells_are_joined_over_corners_and_sorted_by_weight():
    report = answer(
        [[0.9, 0.1, 0.1, NAN], [0.1, 0.9, 0.1, 0.9], [0.1, 0.1, 0.1, 0.9], [0.1, 0.1, 0.1, 0.9]],
        regions=(Cause("haze"), Cause("defocus")),
    )
    found = figures.region_cells(report, 0.5)
    assert [region.main_reason for region, _ in found] == ["haze", "defocus"]
    np.testing.assert_array_equal(np.argwhere(found[0][1]), [[1, 3], [2, 3], [3, 3]])
    np.testing.assert_array_equal(np.argwhere(found[1][1]), [[0, 0], [1, 1]])


def test_region_cells_agree_with_the_core(runtime):
    frame = drawn_eye(480, 480)
    frame[60:120, 150:330] = frame[60:120, 150:330] // 8
    frame[300:420, 200:240] = frame[300:420, 200:240] // 8
    report = runtime.assess(frame)
    threshold = runtime.info.contract.to_dict()["map"]["region_threshold"]
    assert len(report.regions) >= 2
    found = figures.region_cells(report, threshold)
    assert len(found) == len(report.regions)
    total = report.weights.sum()
    for region, own in found:
        assert report.weights[own].sum() / total == pytest.approx(region.area_share, abs=1e-3)
        assert report.map[own].min() >= threshold


def test_named_cause_is_that_of_the_region_which_holds_most_of_the_defect():
    report = answer(
        [[0.9, 0.9, 0.1, 0.9], [0.9, 0.9, 0.1, 0.9], [0.9, 0.9, 0.1, 0.9]],
        regions=(Cause("haze"), Cause("defocus")),
    )
    right = cells([[0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]])
    assert figures.named_cause(report, right, 0.5) == "defocus"
    assert figures.named_cause(report, ~right, 0.5) == "haze"


def test_named_cause_without_a_region_on_the_defect_is_none():
    report = answer([[0.9, 0.1, 0.1], [0.1, 0.1, 0.1]], regions=(Cause("haze"),))
    assert figures.named_cause(report, cells([[0, 0, 1], [0, 0, 1]]), 0.5) == ""


def test_hidden_cells_are_those_hidden_by_more_than_half_inside_the_field():
    report = answer([[0.5] * 4] * 4)
    hidden = np.zeros((32, 32), np.float32)
    hidden[:, 12:] = 0.8  # half of the second column of cells, all of the third and fourth
    visible = np.ones((32, 32), bool)
    visible[:, 24:] = False
    found = figures.hidden_cells(report, hidden, visible)
    np.testing.assert_array_equal(found, cells([[0, 0, 1, 0]] * 4))


@pytest.mark.parametrize("side", figures.SIDES)
def test_cut_on_one_side_takes_that_share_of_the_field_there(side):
    y, x = np.mgrid[:200, :200] - 99.5
    visible = np.hypot(x, y) <= 90
    rgb = np.dstack([np.where(visible, 200, 0), y + 100, x + 100]).astype(np.uint8)
    cut = figures.cut_on_one_side(rgb, visible, side, 0.3)
    assert (cut[..., 0] == 200).sum() / visible.sum() == pytest.approx(0.7, abs=0.02)
    axis, end = {"left": (2, 0), "right": (2, -1), "top": (1, 0), "bottom": (1, -1)}[side]
    line = 0 if axis == 1 else 1
    lost = np.take(cut[..., axis], end, axis=line)
    kept = np.take(cut[..., axis], -1 - end, axis=line)
    edge = {"left": 0, "right": 199, "top": 0, "bottom": 199}[side]
    assert abs(int(lost.flat[0]) - edge) > 40
    assert abs(int(kept.flat[0]) - edge) > 195


def test_camera_window_of_a_rectangle_has_no_border_and_of_a_circle_all_of_it():
    box = np.zeros((40, 40), bool)
    box[8:30, 3:37] = True
    assert box[figures.camera_window(box)].all()
    assert box[figures.camera_window(box)].shape == (22, 34)
    y, x = np.mgrid[:40, :40] - 19.5
    circle = np.hypot(x, y) <= 15
    assert circle[figures.camera_window(circle)].shape == (40, 40)


class Oracle:
    """A Runtime that is told the truth of the next frame, and says it of one region and of the picture."""

    def __init__(self, contract, truths, *, wrong=False):
        self.info = type("Info", (), {"contract": contract})
        self.truths, self.wrong = truths, wrong

    def assess(self, frame):
        cause = next(self.truths)
        said = ("haze" if cause != "haze" else "defocus") if self.wrong else cause
        regions = (Cause(said),) if said != "none" else ()
        return answer([[0.9] * 96] * 96, regions=regions, main_reason="" if said == "none" else said)


def truths_of(pictures):
    causes = [figures.REASONS[kind] for kind in figures.SEVERITIES for _ in (True, False)]
    while pictures:
        yield from [*causes, "none", "field_cut"]
        pictures -= 1


@pytest.mark.parametrize("wrong", [False, True])
def test_reason_figures_of_an_oracle_are_perfect_and_of_a_liar_are_nought(wrong, runtime, toy_pictures):
    oracle = Oracle(runtime.info.contract, truths_of(len(toy_pictures)), wrong=wrong)
    found = figures.reason_figures(oracle, toy_pictures, seed=0)
    assert found["regions"]["macro_f1"] == found["pictures"]["macro_f1"] == (0 if wrong else 1)
    assert set(found["pictures"]["causes"]) == {*figures.REASONS.values(), "field_cut"}
    kinds = len(figures.SEVERITIES)
    judged = found["regions"]["n"] + sum(found["unjudged"].values())
    assert judged == kinds * len(toy_pictures)
    assert found["cameras"]["TOY"]["regions"] == found["regions"]


def test_reason_figures_of_a_model_that_knows_dark_only(tmp_path, toy_pictures, monkeypatch):
    monkeypatch.setattr(figures, "MIN_CELLS", 1)  # a dark spot fills a cell or two of its grid
    # It names what it sees, and what darkens without being under-exposed costs it precision.
    with Runtime(write_telling_model(tmp_path), threads=1) as model:
        found = figures.reason_figures(model, toy_pictures, seed=0)
    kinds = found["kinds"]
    assert kinds["under_exposed"]["named"] == {"under_exposed": kinds["under_exposed"]["n"]}
    assert kinds["haze"]["recall"] == kinds["defocus"]["recall"] == 0
    assert found["regions"]["counts"]["occlusion"]["under_exposed"] > 0
    assert found["pictures"]["counts"]["field_cut"] == {"field_cut": len(toy_pictures)}
    assert 0 < found["regions"]["causes"]["under_exposed"]["precision"] < 1
