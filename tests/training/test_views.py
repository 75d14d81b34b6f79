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


def test_random_chromaticity_reaches_from_deep_red_to_yellow_without_blue():
    from training.views import CAST_BLUE, CAST_GREEN, random_chromaticity

    drawn = np.stack([random_chromaticity(np.random.default_rng(seed)) for seed in range(300)])
    assert drawn.sum(1) == pytest.approx(np.ones(300), abs=1e-5)
    green, blue = drawn[:, 1] / drawn[:, 0], drawn[:, 2] / drawn[:, 1]
    for found, (low, high) in ((green, CAST_GREEN), (blue, CAST_BLUE)):
        assert low - 1e-4 <= found.min() < low + 0.05
        assert high - 0.05 < found.max() <= high + 1e-4


def test_squeezed_view_shows_a_point_where_it_says():
    from training.views import SQUEEZE, random_view

    rng = np.random.default_rng(2)
    squeezed = 0
    for _ in range(100):
        view = random_view(96, rng, squeezed_share=0.5)
        squeezed += view.squeeze != 1
        assert view.squeeze == 1 or SQUEEZE[0] <= view.squeeze <= SQUEEZE[1]
        plane = np.zeros((96, 96), np.float32)
        x, y = rng.integers(44, 52, 2)
        plane[y - 2 : y + 3, x - 2 : x + 3] = 1
        seen = view.of(plane)
        assert seen.sum() == pytest.approx(25 * view.squeeze, rel=0.1)
        rows, columns = np.nonzero(seen > 0)
        centre = np.average([columns + 0.5, rows + 0.5], axis=1, weights=seen[rows, columns])
        assert centre == pytest.approx(view.point(x + 0.5, y + 0.5), abs=0.7)
    assert 30 < squeezed < 70
    plain = [random_view(96, np.random.default_rng(seed)) for seed in range(50)]
    assert all(view.squeeze == 1 for view in plain)


def test_rendered_view_of_some_pictures_is_grey():
    from tests.training.test_student import crop_set
    from training.views import GREY_SHARE, rendered_view

    crops, count = crop_set(1), 200
    grey = sum(
        int(np.ptp(rgb.astype(int), axis=2).max() == 0)
        for seed in range(count)
        for _, rgb, _ in [rendered_view(crops, 0, SIDE, np.random.default_rng(seed))]
    )
    assert 0.5 * GREY_SHARE * count < grey < 2 * GREY_SHARE * count


def test_chromaticity_is_each_channels_share_of_the_light_that_is_visible():
    from training.views import chromaticity

    rgb = np.zeros((SIDE, SIDE, 3), np.uint8)
    rgb[:10] = (120, 60, 20)
    rgb[10:] = 255
    visible = np.zeros((SIDE, SIDE), bool)
    visible[:10] = True
    np.testing.assert_allclose(chromaticity(rgb, visible), (0.6, 0.3, 0.1), atol=1e-4)
    np.testing.assert_allclose(chromaticity(rgb, ~visible & visible), 1 / 3, rtol=1e-6)


@pytest.mark.parametrize("wanted", [(0.4, 0.35, 0.25), (0.7, 0.25, 0.05), (1 / 3, 1 / 3, 1 / 3)])
def test_in_colours_of_another_picture_keeps_the_light_and_clips_nothing(wanted):
    from training.views import chromaticity, in_colours_of

    rng = np.random.default_rng(3)
    rgb = (rng.uniform(0.5, 1, (SIDE, SIDE, 1)) * (110, 70, 40)).astype(np.uint8)
    visible = np.ones((SIDE, SIDE), bool)
    visible[:, :20] = False
    out = in_colours_of(rgb, visible, np.array(wanted, np.float32))
    assert (out.dtype, out.shape) == (np.uint8, rgb.shape)
    np.testing.assert_allclose(chromaticity(out, visible), wanted, atol=0.01)
    assert out[visible].mean() == pytest.approx(rgb[visible].mean(), rel=0.02)


def test_in_colours_of_darkens_rather_than_clips():
    from training.views import in_colours_of

    rgb = (np.random.default_rng(3).uniform(0.5, 1, (SIDE, SIDE, 1)) * (220, 140, 80)).astype(np.uint8)
    red = in_colours_of(rgb, np.ones((SIDE, SIDE), bool), np.array((0.8, 0.15, 0.05), np.float32))
    assert (red == 255).mean() < 0.01
    assert 0.5 * rgb.mean() < red.mean() < 0.9 * rgb.mean()


def test_in_colours_of_leaves_darkness_and_nothing_visible_alone():
    from training.views import in_colours_of

    dark = np.zeros((SIDE, SIDE, 3), np.uint8)
    assert not in_colours_of(dark, np.ones((SIDE, SIDE), bool), np.array((0.6, 0.3, 0.1))).any()
    rgb = np.full((SIDE, SIDE, 3), 90, np.uint8)
    assert np.array_equal(in_colours_of(rgb, np.zeros((SIDE, SIDE), bool), np.array((0.6, 0.3, 0.1))), rgb)


def test_rendered_view_in_the_colours_of_others():
    from tests.training.test_student import crop_set
    from training.views import COLOURED_SHARE, chromaticities, chromaticity, rendered_view

    crops, count = crop_set(1), 200
    blue = np.array([[0.1, 0.2, 0.7]], np.float32)
    assert chromaticities(crops).shape == (1, 3)
    found = 0
    for seed in range(count):
        _, rgb, visible = rendered_view(crops, 0, SIDE, np.random.default_rng(seed), blue)
        found += int(np.argmax(chromaticity(rgb, visible)) == 2)
    assert 0.6 * COLOURED_SHARE * count < found < 1.2 * COLOURED_SHARE * count


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
