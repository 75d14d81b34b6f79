"""The pictures that are no retina: seeded, of every kind, and never what a bad retina looks like."""

import numpy as np
import pytest

pytest.importorskip("skimage")
pytest.importorskip("sklearn")
pytestmark = pytest.mark.train

from training.not_fundus import (  # noqa: E402
    eye_in_photograph,
    packaged_eyes,
    random_scene,
)
from training.scene_parts import cool_colour, fine_contrast, levels, ramp, skin_tone, wandering_paths  # noqa: E402
from training.scenes import SCENES, chart, glow, noise, texture  # noqa: E402
from training.scenes_eye import (  # noqa: E402
    EYES,
    LEAST_CONTRAST,
    REDDISH,
    Look,
    averted_eye,
    averted_look,
    closed_eye,
    draw_eye,
    draw_skin,
    iris_close_up,
    pulled_lid,
    pulled_look,
    random_eye,
    view_of,
)
from training.scenes_iris import SPOKES, iris_texture  # noqa: E402
from training.scenes_light import LIGHTS  # noqa: E402

SIDE = 128


def photographed_eye(size_px, generator):
    return eye_in_photograph(packaged_eyes()[0], size_px, generator)


DRAWN = [entry[0] for entry in (*SCENES, *EYES)] + [random_eye, photographed_eye]


def rng(*seed):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)
def test_scene_is_a_function_of_the_generator_alone(draw):
    for seed in range(4):
        rgb, again, other = draw(SIDE, rng(seed)), draw(SIDE, rng(seed)), draw(SIDE, rng(seed, 1))
        assert rgb.shape == (SIDE, SIDE, 3)
        assert rgb.dtype == np.uint8
        assert np.array_equal(rgb, again)
        assert not np.array_equal(rgb, other)


def test_random_scene_same_generator_gives_the_same_mask_and_picture():
    for seed in range(30):
        (rgb, visible), (again, visible_again) = random_scene(SIDE, rng(seed)), random_scene(SIDE, rng(seed))
        assert np.array_equal(rgb, again)
        assert np.array_equal(visible, visible_again)


@pytest.mark.parametrize("size_px", [37, 96, 384])
def test_random_scene_of_any_side_is_black_outside_a_mask_that_is_not_empty(size_px):
    for seed in range(25):
        rgb, visible = random_scene(size_px, rng(seed))
        assert rgb.shape == (size_px, size_px, 3)
        assert rgb.dtype == np.uint8
        assert visible.shape == (size_px, size_px)
        assert visible.dtype == bool
        assert visible.mean() > 0.2
        assert not rgb[~visible].any()


def test_random_scene_masks_are_round_cut_rectangular_and_full():
    corners, tops = set(), set()
    for seed in range(60):
        _, visible = random_scene(SIDE, rng(seed))
        corners.add((bool(visible[0, 0]), bool(visible[0, SIDE // 2]), bool(visible[SIDE // 2, 0])))
        tops.add(int(visible[:, SIDE // 2].sum()))
    # Full square, circle, and (no top row) cut circle or rectangle.
    assert {(True, True, True), (False, True, True), (False, False, True)} <= corners
    assert len(tops) > 10


def test_shares_of_kinds_add_up_to_one():
    for table in (SCENES, EYES, LIGHTS):
        assert sum(entry[1] for entry in table) == pytest.approx(1)


@pytest.mark.parametrize("draw", [glow, noise, texture])
def test_plain_scene_is_never_a_red_or_orange_glow(draw):
    # Noise is clipped at black, which lifts the darkest channels, and varies by its own mean.
    noise_of_mean = 6.0
    for seed in range(150):
        red, green, blue = draw(SIDE, rng(seed)).reshape(-1, 3).mean(0)
        limit = noise_of_mean if draw is not texture else 70.0  # a texture's planes vary over broad patches
        assert red <= max(green, blue) + limit


def test_random_scene_that_is_reddish_has_structure():
    # As retinas are: red above green above blue. The bound is half of the least contrast that a picture
    # must have to be shown in a fundus camera's light, because the light's tint and a blur follow.
    reddish = 0
    for seed in range(250):
        rgb, visible = random_scene(SIDE, rng(seed))
        red, green, blue = rgb[visible].mean(0)
        if red > 1.5 * green and green >= blue:
            reddish += 1
            box = rgb[np.ix_(visible.any(1), visible.any(0))]
            middle = box[box.shape[0] // 6 : -box.shape[0] // 6, box.shape[1] // 6 : -box.shape[1] // 6]
            assert fine_contrast(middle) > 0.02, seed
    assert reddish > 10


def test_cool_colour_has_red_below_its_highest_level_unless_grey():
    for seed in range(100):
        red, green, blue = cool_colour(0, 255, rng(seed))
        assert red == green == blue or red < max(green, blue)


def test_noise_reaches_from_half_a_level_to_full_scale():
    spread = [float(noise(SIDE, rng(seed)).std(axis=(0, 1)).mean()) for seed in range(120)]
    assert min(spread) < 1
    assert max(spread) > 60


def test_noise_of_a_sensor_in_the_dark_is_as_large_as_its_level():
    def is_dark_and_grainy(rgb):
        return rgb.mean() < 25 and rgb.std() > 0.3 * rgb.mean() > 1

    drawn = [noise(SIDE, np.random.default_rng(seed)) for seed in range(200)]
    assert 20 <= sum(map(is_dark_and_grainy, drawn)) <= 140


def test_some_glows_are_a_frame_without_light_or_with_all_that_a_sensor_takes():
    drawn = [glow(SIDE, np.random.default_rng(seed)) for seed in range(200)]
    assert any(not rgb.any() for rgb in drawn)
    assert any(rgb.min() == 255 for rgb in drawn)


def test_chart_has_checks_of_a_few_pixels_and_contrasts_from_low_to_full():
    contrast, changes = [], []
    for seed in range(120):
        grey = chart(384, rng(seed)).mean(2)
        contrast.append(np.ptp(np.percentile(grey, [5, 95])))
        above = grey > np.median(grey)
        changes.append(float((above[:, 1:] != above[:, :-1]).mean()))
    assert min(contrast) < 20
    assert max(contrast) > 200
    assert max(changes) > 1 / 6  # a change every six pixels or fewer
    assert min(changes) < 1 / 40


def test_fine_contrast_tells_a_glow_from_stripes():
    flat = np.full((SIDE, SIDE, 3), 90, np.uint8)
    striped = flat.copy()
    striped[::8] = 180
    assert fine_contrast(flat) == 0
    assert fine_contrast(striped) > 0.2


def test_levels_rounds_and_clips():
    assert levels(np.array([-3.0, 0.4, 0.6, 300.0])).tolist() == [0, 0, 1, 255]


def test_ramp_is_half_at_zero_and_flat_beyond_its_width():
    assert ramp(np.float32([-1, -0.1, 0, 0.1, 1]), 0.2).tolist() == pytest.approx([0, 0, 0.5, 1, 1])


def test_wandering_paths_start_where_told_and_keep_their_step():
    starts = np.array([[0.0, 1.0], [5.0, -2.0]])
    paths = wandering_paths(starts, np.zeros(2), 9, 0.5, rng(3))
    assert paths.shape == (2, 9, 2)
    assert paths[:, 0].tolist() == starts.tolist()
    assert np.linalg.norm(np.diff(paths, axis=1), axis=2) == pytest.approx(np.full((2, 8), 0.5))


def test_skin_tone_is_redder_than_green_than_blue():
    for seed in range(50):
        red, green, blue = skin_tone(rng(seed))
        assert red > green * 0.95 > blue * 0.8


@pytest.mark.parametrize("mirror", [1.0, -1.0])
def test_view_pixels_are_where_the_coordinates_say(mirror):
    view = view_of(64, 5.0, np.array([0.4, -0.3]), 0.3, mirror)
    for row, column in ((5, 9), (40, 22), (63, 0)):
        point = np.array([view.x[row, column], view.y[row, column]])
        # A pixel's middle lies at half; float32 coordinates keep four digits.
        assert view.pixels(point) == pytest.approx([column + 0.5, row + 0.5], abs=1e-3)


def test_look_lids_meet_at_the_corners_and_part_between():
    look = Look(0.8, 0.7, 0.0, 2.5, np.zeros(2), 0.3, "black", 0, 0)
    upper, lower = look.lids(np.array([-2.5, 0.0, 2.5]))
    assert upper == pytest.approx([0, -0.8, 0])
    assert lower == pytest.approx([0, 0.7, 0])


def test_iris_texture_closes_over_the_angle():
    drawn = iris_texture(0.4, rng(1))
    assert drawn.shape[1:] == (SPOKES, 3)
    seam = np.abs(drawn[:, 0] - drawn[:, -1]).mean()
    neighbours = np.abs(np.diff(drawn, axis=1)).mean()
    assert seam < 2 * neighbours  # as any two neighbours, but a single pair


def test_drawn_eyes_have_structure_open_or_closed():
    for draw, least in ((iris_close_up, 0.15), (closed_eye, 0.05)):
        assert np.mean([fine_contrast(draw(SIDE, rng(seed))) for seed in range(20)]) > least


def test_averted_eyes_look_aside_with_their_iris_out_of_the_middle():
    for seed in range(40):
        across, down = averted_look(rng(seed), 3.0).gaze
        assert np.hypot(across, down) > 1.1  # the limbus is at 1


def test_pulled_lid_shows_red_between_white_and_lashes():
    redder = 0
    for seed in range(20):
        look = pulled_look(rng(seed), 4.0)
        view = view_of(SIDE, 6.0, np.zeros(2), 0.0)
        rgb = draw_skin(SIDE, rng(seed, 1))
        draw_eye(rgb, view, look, rng(seed, 2))
        inside = look.lower - look.everted / 3  # on the axis, a third of the band above the lashes
        row = int((inside / 6 + 0.5) * SIDE)
        red, green, _ = rgb[row - 1 : row + 2, SIDE // 2 - 4 : SIDE // 2 + 4].mean((0, 1))
        redder += int(red > 1.5 * green)
    assert redder >= 16


def test_eyes_without_an_iris_are_not_reddish_and_plain():
    for draw in (averted_eye, pulled_lid):
        drawn = [draw(SIDE, rng(seed)) for seed in range(60)]
        plain = [
            rgb
            for rgb in drawn
            if rgb[..., 0].mean() > REDDISH * rgb[..., 1].mean() and fine_contrast(rgb) <= LEAST_CONTRAST
        ]
        assert len(plain) <= 1
        assert sum(rgb[..., 0].mean() > REDDISH * rgb[..., 1].mean() for rgb in drawn) > 5


def test_eyes_in_photographs_lie_inside_them_and_are_darker_in_the_middle():
    between_two = packaged_eyes()[2]
    for eye in packaged_eyes():
        x, y, width = eye.x, eye.y, eye.width
        assert width / 2 <= x <= eye.picture.shape[1] - width / 2
        assert width / 4 <= y <= eye.picture.shape[0] - width / 4
        if eye is not between_two:
            grey = eye.picture.mean(2)
            reach = width // 10
            pupil = grey[y - reach : y + reach + 1, x - reach : x + reach + 1].mean()
            around = grey[y - width // 2 : y + width // 2, x - width // 2 : x + width // 2].mean()
            assert pupil < 0.85 * around, (x, y)


def test_random_scene_shows_the_eyes_it_is_given():
    from training.eye_photographs import Eye

    green = Eye(np.full((60, 60, 3), (0, 200, 0), np.uint8), 30, 30, 20)

    def is_plain(rgb, visible):
        return ((rgb[..., 1] > 40) & (rgb[..., 0] < 12) & (rgb[..., 2] < 12))[visible].mean() > 0.9

    def shown(eyes):
        return sum(is_plain(*random_scene(96, rng(seed), eyes)) for seed in range(120))

    assert shown(()) <= 1
    assert shown([green] * 200) > 8
