"""Views of crops: what they show of it, and where its points go."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.train

SIDE = 96


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirror", [False, True])
def test_point_lies_where_the_view_shows_it(turns, mirror):
    from training.views import View

    plane = np.zeros((SIDE, SIDE), np.uint8)
    plane[30, 55] = 1
    view = View(x=20, y=10, side=60, quarter_turns=turns, mirror=mirror)
    x, y = view.point(55.5, 30.5)  # a pixel's centre
    assert view.of(plane)[int(y), int(x)] == 1


def test_view_with_a_round_stop_shows_the_circle_inside_its_window():
    from training.views import View

    seen = View(x=8, y=8, side=80, quarter_turns=0, mirror=False, round_stop=True).of(
        np.ones((SIDE, SIDE), np.uint8)
    )
    assert seen.mean() == pytest.approx(np.pi / 4, abs=0.01)
    assert not seen[0, 0]
    assert seen[40, 40]


def test_rendered_view_is_repeatable_and_of_many_shapes():
    from tests.training.test_student import crop_set
    from training.views import rendered_view

    crops, shares = crop_set(1), []
    for seed in range(40):
        _, rgb, visible = rendered_view(crops, 0, SIDE, np.random.default_rng(seed))
        _, again, _ = rendered_view(crops, 0, SIDE, np.random.default_rng(seed))
        assert rgb.shape == (SIDE, SIDE, 3)
        assert np.array_equal(rgb, again)
        shares.append(visible.mean())
    assert min(shares) < 0.7
    assert max(shares) > 0.75
