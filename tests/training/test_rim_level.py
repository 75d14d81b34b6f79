"""The rim of the map, levelled by clean pictures."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from tests.training.test_student import SIDE, crop_set  # noqa: E402

GRID = SIDE // 16


def field(radius, cut=1.0):
    y, x = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE - 0.5
    return (np.hypot(x, y) <= radius) & (np.abs(y) <= cut / 2)


def image_of(visible):
    from training.data import blank_outside
    from training.views import normalised

    rgb = np.random.default_rng(1).integers(1, 255, (SIDE, SIDE, 3)).astype(np.uint8)
    return normalised(blank_outside(rgb, visible))[None]


@pytest.mark.parametrize(("radius", "cut"), [(0.5, 1.0), (0.45, 0.7), (0.8, 1.0), (0.8, 0.6)])
def test_rim_of_an_image_is_that_of_the_cells_in_its_field(radius, cut):
    from training.cell_light import light_sums, rim_of
    from training.pseudo_labels import rim_cells, to_grid

    visible = field(radius, cut)
    found = rim_of(light_sums(image_of(visible)))[0, 0].numpy()
    assert np.array_equal(found, rim_cells(to_grid(visible, GRID)).astype(np.float32))
    assert 0 < found.sum() < GRID * GRID / 2


def test_rim_of_a_black_image_is_nowhere():
    from training.cell_light import light_sums, rim_of

    assert not rim_of(light_sums(torch.full((1, 3, SIDE, SIDE), -1.0))).any()


def maps_with_rim(inside, rim, count=3):
    from training.pseudo_labels import rim_cells, to_grid

    weights = np.stack([to_grid(field(0.5, cut), GRID) for cut in np.linspace(0.6, 1, count)])
    rims = np.stack([rim_cells(each) for each in weights])
    return np.where(rims, np.float32(rim), np.float32(inside)), weights


def test_rim_level_brings_the_rim_to_the_inside():
    from training.rim_level import rim_level

    found = rim_level(*maps_with_rim(0.1, 0.15))
    assert found.ratio == pytest.approx(1.5)
    assert found.logits == pytest.approx(np.log(0.15 / 0.85) - np.log(0.1 / 0.9), abs=1e-6)


@pytest.mark.parametrize("rim", [0.08, 0.104])
def test_rim_level_leaves_a_rim_that_is_lower_or_level_enough(rim):
    from training.rim_level import rim_level

    found = rim_level(*maps_with_rim(0.1, rim))
    assert found.logits == 0
    assert found.ratio == pytest.approx(rim / 0.1)


def test_levelled_student_answers_lower_at_the_rim_of_the_map_alone():
    from training.cell_light import light_sums, rim_of
    from training.rim_level import levelled
    from training.student import Shape, Student

    torch.manual_seed(1)
    student, image = Student(Shape(16, 16, 1), pretrained=False).eval(), image_of(field(0.5))
    with torch.no_grad():
        before, after = student(image), levelled(student, 0.5)(image)
    torch.testing.assert_close(before[:, 1:], after[:, 1:])
    torch.testing.assert_close(before[:, :1] - 0.5 * rim_of(light_sums(image)), after[:, :1])
    assert levelled(student, 0.0) is student  # that costs nothing at run time


@pytest.mark.parametrize("logits", [0.0, 0.3])
def test_run_writes_the_levelled_student(tmp_path, monkeypatch, logits):
    from training import rim_level
    from training.map_answer import MAPPED
    from training.student import Shape, Student, load_student, save_student

    monkeypatch.setattr(rim_level, "rim_level", lambda *_: rim_level.RimLevel(logits, 1.1))
    torch.manual_seed(1)
    save_student(Student(Shape(16, 16, 1), pretrained=False).eval(), SIDE, tmp_path / MAPPED)
    rim_level.run(crop_set(2), SIDE, GRID, tmp_path, seed=3)
    assert json.loads((tmp_path / "rim.json").read_text()) == {"logits": logits, "ratio": 1.1}
    whole = load_student(tmp_path / rim_level.LEVELLED)
    assert whole.shape.rim == (logits > 0)
    if whole.shape.rim:
        assert -whole.head.weight[0, -1].item() == pytest.approx(logits)
