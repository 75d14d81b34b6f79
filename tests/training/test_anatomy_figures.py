"""The map at macula and rim, disease, and where disc and fovea are, on pictures whose truth is drawn."""

import cv2
import numpy as np
import pytest

from tests.training.judged import Place, answer
from tests.training.test_reason_figures import Oracle

anatomy = pytest.importorskip("training.anatomy_figures", reason="the extra [train] is not installed")
pytestmark = pytest.mark.train
NAN = float("nan")
SIDE = 512


def drawn_retina(*, mirrored=False, disc_x=0.24):
    """A round field with a bright disc that vessels arch from, and a dark fovea 2.5 diameters beside it."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) / SIDE
    diameter = 0.12
    disc, fovea = (disc_x, 0.5), (disc_x + 2.5 * diameter, 0.5 + 0.3 * diameter)
    rgb = np.full((SIDE, SIDE, 3), (190, 90, 40), np.float32)
    rgb *= (1.1 - np.hypot(x - 0.5, y - 0.5) ** 2)[..., None]
    inside = np.clip((diameter / 2 - np.hypot(x - disc[0], y - disc[1])) * 100 + 0.5, 0, 1)[..., None]
    rgb = rgb * (1 - inside) + np.array([240, 200, 120]) * inside
    spot = np.exp(-0.5 * (np.hypot(x - fovea[0], y - fovea[1]) / (0.3 * diameter)) ** 2)
    rgb *= 1 - 0.35 * spot[..., None]
    for up in (-1, 1):
        for spread in (0.18, 0.3, 0.42):
            step = np.linspace(0, 1, 40)
            arc = np.stack([disc[0] + 0.55 * step, disc[1] + up * spread * np.sqrt(step)], 1) * SIDE
            cv2.polylines(rgb, [arc.astype(np.int32)], False, (120, 45, 25), 5, cv2.LINE_AA)
            back = np.stack([disc[0] - 0.2 * step, disc[1] + up * spread * step], 1) * SIDE
            cv2.polylines(rgb, [back.astype(np.int32)], False, (120, 45, 25), 4, cv2.LINE_AA)
    visible = np.hypot(x - 0.5, y - 0.5) <= 0.49
    rgb[~visible] = 0
    rgb = np.clip(rgb, 0, 255).astype(np.uint8)
    centres = np.array([disc, fovea]) * SIDE
    if mirrored:
        centres[:, 0] = SIDE - centres[:, 0]
        rgb = np.ascontiguousarray(rgb[:, ::-1])
    return rgb, visible, centres, diameter * SIDE


@pytest.mark.parametrize("mirrored", [False, True])
def test_find_landmarks_of_a_drawn_retina_are_where_they_were_drawn(mirrored):
    from training.landmarks import find_landmarks

    rgb, visible, (disc, fovea), diameter = drawn_retina(mirrored=mirrored)
    found = find_landmarks(rgb, visible)
    assert found is not None
    assert np.hypot(*(np.array(found.disc) - disc)) < 0.25 * diameter
    assert found.disc_diameter == pytest.approx(diameter, rel=0.25)
    assert np.hypot(*(np.array(found.fovea) - fovea)) < 0.5 * diameter


def test_find_landmarks_disc_in_the_middle_is_doubtful():
    from training.landmarks import find_landmarks

    rgb, visible, _, _ = drawn_retina(disc_x=0.48)
    assert find_landmarks(rgb, visible) is None


def test_find_landmarks_without_anatomy_is_doubtful():
    from training.landmarks import find_landmarks

    _, visible, _, _ = drawn_retina()
    rgb = np.where(visible[..., None], (190, 90, 40), 0).astype(np.uint8)
    assert find_landmarks(rgb, visible) is None
    assert find_landmarks(rgb, np.zeros_like(visible)) is None


def test_near_fovea_is_the_cells_within_one_disc_diameter():
    from training.landmarks import Landmarks

    found = Landmarks((0, 0), 100.0, (250.0, 150.0), 9, 9)
    near = anatomy.near_fovea(found, 400, (4, 4))
    expected = np.zeros((4, 4), bool)
    expected[1, 1:4] = expected[0, 2] = expected[2, 2] = True
    np.testing.assert_array_equal(near, expected)


def test_rim_cells_are_the_outermost_ring_of_a_rectangle_of_a_circle_and_at_the_map_s_edge():
    weights = np.zeros((6, 7), np.float32)
    weights[1:, 1:6] = 1
    weights[1, 1] = 0.2
    ring = anatomy.rim_cells(weights)
    expected = weights > 0
    expected[2:5, 2:5] = False
    np.testing.assert_array_equal(ring, expected)


def test_compared_is_the_ratio_of_the_means_and_says_when_both_are_little():
    figures = anatomy.compared([(0.3, 0.1), (0.1, 0.1), (None, 0.5)])
    assert figures["n_pictures"] == 2
    assert figures["part"] == pytest.approx(0.2)
    assert figures["ratio"] == pytest.approx(2)
    assert figures["little"] is False
    assert anatomy.compared([(0.019, 0.001)])["little"] is True
    assert anatomy.compared([])["ratio"] is None
    assert anatomy.compared([(0.1, 0.0)])["ratio"] is None


def picture(name, dataset="HRF", split="test"):
    from pathlib import Path

    from training.data import Picture

    return Picture(Path(name), name, split, "vessel_image", dataset, "", "", "")


def seen(name, report, macula=None, **fields):
    return anatomy.Seen(picture(name, **fields), report, macula)


def test_macula_figures_compare_the_cells_near_the_fovea_weighted_by_visible_share():
    report = answer([[0.2, 0.4], [0.8, NAN]])
    report.weights[0, 1] = 0.5
    near = np.array([[False, False], [True, True]])
    figures = anatomy.macula_figures([seen("a", report, near), seen("b", report, dataset="X")])
    assert figures["all"]["part"] == pytest.approx(0.8)
    assert figures["all"]["rest"] == pytest.approx((0.2 + 0.5 * 0.4) / 1.5)
    assert figures["all"]["n_doubtful"] == 1
    assert figures["X"]["n_pictures"] == 0


def test_rim_figures_are_by_shape_and_by_set():
    grid = [[0.6] * 5] + [[0.6, 0.2, 0.2, 0.2, 0.6]] * 3 + [[0.6] * 5]
    shapes = (Place(), Place(cut_fraction=0.1), Place(shape="rectangle"))
    figures = anatomy.rim_figures([seen(str(k), answer(grid, fov=shape)) for k, shape in enumerate(shapes)])
    assert list(figures["shapes"]) == ["all", "circle", "cut circle", "rectangle"]
    assert figures["shapes"]["cut circle"]["ratio"] == pytest.approx(3)
    assert figures["sets"]["HRF"]["n_pictures"] == 3


def test_pathology_figures_take_the_healthy_of_the_same_set_or_of_others():
    scores = {"01_h": 0.9, "02_h": 0.8, "01_dr": 0.7, "01_g": 0.6}
    found = [seen(f"x/HRF_{name}.jpg", answer([[0.1]], score=score)) for name, score in scores.items()]
    found.append(seen("x/FIVES_1_A.jpg", answer([[0.1]], score=0.75), dataset="FIVES_sample", split="train"))
    found.append(seen("x/STARE_im0001.jpg", answer([[0.1]], score=0.1), dataset="STARE"))
    figures = anatomy.pathology_figures(found)
    assert list(figures) == ["FIVES_sample, train", "HRF, test"]
    assert figures["HRF, test"]["difference"] == pytest.approx(0.65 - 0.85)
    assert figures["HRF, test"]["healthy_of_same_set"] is True
    assert figures["FIVES_sample, train"]["difference"] == pytest.approx(0.75 - 0.85)
    assert figures["FIVES_sample, train"]["healthy_of_same_set"] is False


class MapOf(Oracle):
    """A Runtime that flags every cell whose light is below a limit."""

    def __init__(self, contract, dark_below):
        super().__init__(contract, iter(()))
        self.dark_below = dark_below

    def assess(self, frame):
        light = cv2.resize(frame, (24, 24), interpolation=cv2.INTER_AREA).mean(2)
        grid = np.where(light < self.dark_below, 0.9, 0.1).astype(np.float32)
        report = answer(grid)
        object.__setattr__(report, "weights", np.ones_like(grid))
        return Framed(report, frame.shape[0])


class Framed:
    """A report whose crop is the frame."""

    def __init__(self, report, side):
        self._report, self.crop = report, (0, 0, side)

    def __getattr__(self, name):
        return getattr(self._report, name)


@pytest.fixture
def drawn_pictures(tmp_path):
    from training.data import Picture

    rgb, _, _, _ = drawn_retina()
    path = tmp_path / "retina.png"
    cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    return [Picture(path, path.name, "train", "vessel_image", "TOY", "", "", "")]


def test_macular_defects_found_by_a_map_that_sees_dark_and_missed_by_one_that_sees_nothing(
    runtime, drawn_pictures
):
    seeing = MapOf(runtime.info.contract, dark_below=40)
    figures = anatomy.macular_defects(seeing, drawn_pictures, seed=0)
    assert figures["n_doubtful"] == 0
    dark = figures["kinds"]["under_exposed"]
    assert (dark["n_defects"], dark["recall"], dark["before"]) == (1, 1.0, 0.0)
    blind = anatomy.macular_defects(MapOf(runtime.info.contract, dark_below=0), drawn_pictures, seed=0)
    assert blind["kinds"]["all"]["recall"] == blind["kinds"]["all"]["cell_recall"] == 0


def test_bound_share_counts_pictures_that_lose_by_the_bound(runtime, drawn_pictures):
    from dataclasses import replace

    from training.data import load_rgb
    from training.eye_agreement import Reading
    from training.landmark_scores import bound_share

    report = runtime.assess(load_rgb(drawn_pictures[0].path))
    lost = np.full_like(report.map, 0.1)
    lost[4:6, 4:6] = 0.8
    there, elsewhere = np.zeros_like(lost), np.zeros_like(lost)
    there[4:6, 4:6] = elsewhere[1:3, 4:6] = 1
    even = replace(report, map=lost, weights=np.ones_like(lost), macula=None, optic_disc=None)
    for name in ("macula", "optic_disc"):
        shown = [replace(even, **{name: each}) for each in (there, elsewhere, None)]
        assert bound_share(shown, Reading(**{f"{name}_margin": 0.2})) == pytest.approx(1 / 3)
        assert bound_share(shown, Reading(**{f"{name}_margin": 0.9})) == 0


def test_landmark_scores_fall_by_what_the_map_sees_and_more_where_the_centre_counts_more(
    runtime, drawn_pictures
):
    from efiqa.contract import ZoneWeights
    from training.eye_agreement import Reading
    from training.landmark_scores import landmark_scores, spotted

    seeing = MapOf(runtime.info.contract, dark_below=40)
    reports = spotted(seeing, drawn_pictures, seed=0)
    assert {name: len(each) for name, each in reports.items()} == dict.fromkeys(
        (
            "clean",
            *(
                f"{where} {kind}, {diameter}"
                for kind in ("under_exposed", "haze")
                for where in ("fovea", "disc")
                for diameter in ("1.5", "3")
            ),
        ),
        1,
    )
    even = landmark_scores(reports, Reading())["fovea under_exposed, 3"]
    central = landmark_scores(reports, Reading(zones=ZoneWeights(1, 0.1, 0.1)))["fovea under_exposed, 3"]
    assert even["auroc"] == 1
    assert central["fall"] > even["fall"] > 0
    blind = MapOf(runtime.info.contract, dark_below=0)
    assert landmark_scores(spotted(blind, drawn_pictures, seed=0), Reading())["fovea under_exposed, 3"] == {
        "auroc": 0.5,
        "fall": 0,
    }
