"""The answer "not a fundus", fitted anew on what a student sees."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from tests.training.test_student import SIDE, crop_set  # noqa: E402

GRID = SIDE // 16  # of the student


@pytest.fixture(scope="module")
def student():
    from training.student import Shape, Student

    torch.manual_seed(2)
    return Student(Shape(16, 16, 1), pretrained=False).eval()


def test_fitted_row_tells_the_two_apart_whatever_the_features_scales():
    from training.refusal_answer import fitted_row

    rng = np.random.default_rng(1)
    scale = np.array([100.0, 0.01, 1.0])
    real, others = (rng.normal(middle, 1, (200, 3)) * scale for middle in (-2, 2))
    weights, bias = fitted_row(real, others)
    assert (real @ weights + bias < 0).mean() > 0.99
    assert (others @ weights + bias > 0).mean() > 0.99


def test_mean_features_times_the_row_are_the_runtimes_logit(student):
    from training.refusal_answer import mean_features, real_pictures
    from training.refusal_limit import not_fundus_logit

    shown = list(real_pictures(crop_set(2), SIDE, GRID, seed=3))
    assert 4 <= len(shown) <= 6  # as it is, its green light, and a view unless that is hopeless
    weights = student.head.weight[-1, :, 0, 0].detach().numpy()
    expected = [not_fundus_logit(student, rgb, cells) for rgb, cells in shown]
    said = mean_features(student, shown) @ weights + student.head.bias[-1].item()
    assert said == pytest.approx(expected, abs=1e-4)


def test_refit_changes_the_last_answer_alone_and_is_repeatable(student):
    from training.refusal_answer import refit

    before = {key: value.clone() for key, value in student.state_dict().items()}
    refit(student, crop_set(3), SIDE, GRID, seed=4, eyes=())
    after = {key: value.clone() for key, value in student.state_dict().items()}
    changed = [key for key in before if not torch.equal(before[key], after[key])]
    assert changed == ["head.weight", "head.bias"]
    assert torch.equal(before["head.weight"][:-1], after["head.weight"][:-1])
    assert torch.equal(before["head.bias"][:-1], after["head.bias"][:-1])
    refit(student, crop_set(3), SIDE, GRID, seed=4, eyes=())
    assert torch.allclose(student.head.weight, after["head.weight"])
