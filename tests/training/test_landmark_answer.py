"""Where macula and disc are, learned by a reader of their own."""

import re
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from tests.training.test_refusal_answer import GRID, TOY  # noqa: E402
from tests.training.test_student import SIDE, samples  # noqa: E402
from training.student_samples import LANDMARK_CHANNELS  # noqa: E402


@pytest.fixture
def student():
    from training.student import Shape, Student

    torch.manual_seed(2)
    return Student(Shape(16, 16, 1, 8, 1), pretrained=False).eval()


@pytest.fixture
def teaching():
    make, _ = samples()
    maps = np.full((4, GRID, GRID), 0.2, np.float32)
    known = np.tile(np.float32([SIDE / 2, SIDE / 2, SIDE / 4, SIDE / 2, SIDE / 5]), (4, 1))
    return replace(make._from, maps=maps, pool_landmarks=known)


def settings(recipe):
    return replace(recipe.student, size_px=SIDE, grid=GRID)


def test_samples_say_where_macula_and_disc_are_and_whether_that_is_known(teaching):
    from training import config
    from training.student_samples import StudentSamples

    recipe = config.load(TOY)
    plain = replace(settings(recipe), not_fundus_share=0.0, degraded_share=0.0)
    unknown = replace(teaching, pool_landmarks=np.full((4, 5), np.nan, np.float32))
    rng = np.random.default_rng(3)
    shown = [StudentSamples(teaching, plain)(rng, 0.0) for _ in range(20)]
    assert all(each["landmarks_known"].item() == 1 for each in shown)
    near = torch.stack([each["landmarks"] for each in shown])
    assert set(np.unique(near)) == {0, 1}
    rows, columns = np.mgrid[:GRID, :GRID]
    both = 0
    for macula, disc in near.numpy():
        if macula.sum() > 5 and disc.sum() > 5:  # a circle of a radius of 1.5 cells and more, not cut off
            both += 1
            assert (
                np.hypot(
                    *((each * (macula / macula.sum() - disc / disc.sum())).sum() for each in (rows, columns))
                )
                > 1
            )
    assert both > 5
    assert all(StudentSamples(unknown, plain)(rng, 0.0)["landmarks_known"].item() == 0 for _ in range(5))
    scenes = StudentSamples(teaching, replace(plain, not_fundus_share=1.0))(rng, 0.0)
    assert scenes["landmarks_known"].item() == 0


@pytest.mark.parametrize(("row", "name"), [(0, "macula"), (1, "optic_disc")])
def test_landmark_loss_counts_known_landmarks_inside_the_field_alone(row, name):
    from training.landmark_answer import landmark_loss

    near = torch.zeros(2, 2, GRID, GRID)
    near[:, row, 1, 1] = 1
    weight = torch.ones(2, 1, GRID, GRID)
    weight[:, :, 0] = 0
    said = 8 * near - 4
    said[:, :, 0] = 50  # outside the field
    said[1] = -said[1]

    def loss(*known):
        batch = {"image": torch.zeros(1), "weight": weight, "landmarks": near}
        return landmark_loss(lambda _: said, {**batch, "landmarks_known": torch.tensor(known)[:, None]})[name]

    right, wrong = np.log1p(np.exp(-4)), np.log1p(np.exp(4))
    assert loss(1.0, 0.0).item() == pytest.approx(right, abs=1e-5)
    assert loss(0.0, 1.0).item() == pytest.approx(wrong, abs=1e-5)
    assert loss(1.0, 1.0).item() == pytest.approx((right + wrong) / 2, abs=1e-5)
    assert loss(0.0, 0.0).item() == 0


def test_placing_of_another_shape_is_an_error(student):
    from training.landmark_answer import placing

    wide = placing(student, 8, 1).finished()
    assert placing(wide, 8, 1).student is wide
    for width, rounds in ((4, 1), (8, 2)):
        expected = f"place_width and place_rounds are {width}, {rounds}, the student's (8, 1)"
        with pytest.raises(ValueError, match=re.escape(expected)):
            placing(wide, width, rounds)


def learned(student, teaching, folder):
    from lightning.fabric import Fabric

    from training import config
    from training.landmark_answer import learn_place

    recipe = config.load(TOY)
    fabric = Fabric(accelerator="cpu", devices=1)
    return learn_place(fabric, student, teaching, settings(recipe), recipe.landmarks, folder, seed=4)


def test_learn_place_changes_no_other_answer_and_is_repeatable(student, teaching, tmp_path, capsys):
    first, again = (learned(student, teaching, tmp_path / name) for name in ("first", "again"))
    found = first.state_dict()
    assert all(torch.equal(each, found[key]) for key, each in again.state_dict().items())
    capsys.readouterr()
    resumed = learned(student, teaching, tmp_path / "first").state_dict()
    assert "landmarks: resumed at iteration 4 of 4" in capsys.readouterr().out
    assert all(torch.equal(each, found[key]) for key, each in resumed.items())
    image = torch.rand(2, 3, SIDE, SIDE)
    with torch.no_grad():
        before, after = student(image), first(image)
    torch.testing.assert_close(before[:, : LANDMARK_CHANNELS.start], after[:, : LANDMARK_CHANNELS.start])
    for channel in range(LANDMARK_CHANNELS.start, before.shape[1]):
        assert not torch.allclose(before[:, channel], after[:, channel])
