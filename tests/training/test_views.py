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


def test_of_one_channel_is_three_times_the_green_light_or_a_mean_of_all():
    from training.views import of_one_channel

    rgb = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    red_free, grey = of_one_channel(rgb, red_free=True), of_one_channel(rgb, red_free=False)
    assert all(np.array_equal(red_free[..., k], rgb[..., 1]) for k in range(3))
    assert all(np.array_equal(grey[..., k], grey[..., 0]) for k in range(3))
    assert np.all(grey[..., 0] >= rgb.min(2))
    assert np.all(grey[..., 0] <= rgb.max(2))


def test_rendered_view_of_some_pictures_is_grey():
    from tests.training.test_student import crop_set
    from training.views import GREY_SHARE, rendered_view

    crops, count = crop_set(1), 200
    grey = sum(
        int(np.ptp(rgb.astype(int), axis=2).max() == 0)
        for seed in range(count)
        for _, rgb, _ in [rendered_view(crops, 0, SIDE, np.random.default_rng(seed))]
    )
    # A number in a corner, which is written on some of them, may have a colour.
    assert 0.3 * GREY_SHARE * count < grey < 2 * GREY_SHARE * count


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
