"""What a camera adds behind its optics: grain, sharpening, coding and text, over whatever the light shows."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.train

SIDE = 96
VISIBLE = np.ones((SIDE, SIDE), bool)
MANY = range(200)


def flat(level=(120, 80, 40)):
    return np.broadcast_to(np.array(level, np.uint8), (SIDE, SIDE, 3)).copy()


def saved(rgb, seed):
    from training.camera import captured

    return captured(rgb, VISIBLE, np.random.default_rng(seed))


def test_captured_is_a_function_of_the_generator_and_leaves_its_input_alone():
    rgb = flat()
    for seed in range(20):
        first = saved(rgb, seed)
        assert (first.dtype, first.shape) == (np.uint8, rgb.shape)
        assert np.array_equal(first, saved(rgb, seed))
    assert np.array_equal(rgb, flat())


def test_what_has_no_detail_left_is_saved_with_grain():
    from training.camera import GRAIN_SHARE, captured

    side = 4 * SIDE
    nothing = np.broadcast_to(np.array((120, 80, 40), np.uint8), (side, side, 3))
    everywhere = np.ones((side, side), bool)
    found = [captured(nothing, everywhere, np.random.default_rng(seed)) for seed in range(60)]
    grainy = np.mean([each[side // 4 : -side // 4].std(axis=(0, 1)).max() > 0.1 for each in found])
    assert grainy > 0.7 * GRAIN_SHARE  # the weakest is lost in whole grey levels, or in the coding
    assert np.mean([each.mean() for each in found]) == pytest.approx(80, abs=1)


@pytest.mark.parametrize("sigma_px", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("colour", [0.0, 0.4, 1.0])
def test_grain_has_its_rms_and_is_as_coloured_as_it_says(sigma_px, colour):
    from training.camera import grain

    noise = grain(256, 2.5, sigma_px, colour, np.random.default_rng(1))
    assert noise.std() == pytest.approx(2.5, rel=1e-4)
    assert abs(noise.mean()) < 0.05
    alike = np.corrcoef(noise[..., 0].ravel(), noise[..., 2].ravel())[0, 1]
    assert alike == pytest.approx(1 - colour, abs=0.05)


def test_grain_of_a_larger_crop_is_as_strong_when_made_smaller():
    import cv2

    from training import camera

    rgb = np.full((2 * camera.GRAIN_SIDE, 2 * camera.GRAIN_SIDE, 3), 100, np.uint8)
    small = rgb[::2, ::2].copy()
    rng = np.random.default_rng
    for seed in range(4):
        large = cv2.resize(camera._with_grain(rgb, rng(seed)), small.shape[:2], interpolation=cv2.INTER_AREA)
        ratio = large.astype(float).std() / camera._with_grain(small, rng(seed)).astype(float).std()
        assert 0.6 < ratio < 2  # a grain of several pixels is averaged away the less


def test_one_channel_stays_one_channel(monkeypatch):
    from training import camera

    monkeypatch.setattr(camera, "STAMP_SHARE", 0)
    for seed in MANY:
        assert np.ptp(saved(flat((90, 90, 90)), seed).astype(int), axis=2).max() <= 2  # JPEG's rounding


def test_coding_keeps_size_and_colours():
    from training.camera import _coded

    for seed in range(20):
        out = _coded(flat(), np.random.default_rng(seed))
        assert (out.dtype, out.shape) == (np.uint8, (SIDE, SIDE, 3))
        np.testing.assert_allclose(out.mean((0, 1)), (120, 80, 40), atol=4)


def test_text_lies_where_something_is_visible(monkeypatch):
    from training import camera

    for name in ("GRAIN_SHARE", "SHARPENED_SHARE", "CODED_SHARE"):
        monkeypatch.setattr(camera, name, 0)
    changed = [np.any(saved(flat(), seed) != flat(), axis=2) for seed in MANY]
    stamped = [each for each in changed if each.any()]
    assert 0.4 * camera.STAMP_SHARE < len(stamped) / len(MANY) < 2 * camera.STAMP_SHARE
    assert all(each.mean() < 0.2 for each in stamped)
    nothing = np.zeros_like(VISIBLE)
    for seed in MANY:
        assert np.array_equal(camera.captured(flat(), nothing, np.random.default_rng(seed)), flat())


def test_sharpened_raises_fine_detail_and_leaves_the_level():
    from training.camera import sharpened

    wave = 100 + 20 * np.sin(np.arange(SIDE) * 2 * np.pi / 6)
    rgb = np.repeat(np.tile(wave, (SIDE, 1))[..., None], 3, 2).astype(np.uint8)
    for seed in range(10):
        found = sharpened(rgb, np.random.default_rng(seed))
        assert found.dtype == np.uint8
        assert found.mean() == pytest.approx(rgb.mean(), abs=1)
        assert 1.05 * rgb.std() < found.std() < 3.1 * rgb.std()
    assert np.array_equal(sharpened(flat(), np.random.default_rng(1)), flat())
