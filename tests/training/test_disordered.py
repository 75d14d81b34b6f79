"""Retinal vessels in no retina's order: from where they are taken, and how far they are moved."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.train

SIDE, SIZE = 400, 120
INSIDE, OUTSIDE = 100, 255


def rng(seed):
    return np.random.default_rng(seed)


def striped_crop():
    """A crop whose field, cut above and below, holds stripes about the level INSIDE."""
    y, x = np.mgrid[:SIDE, :SIDE]
    visible = (np.hypot(x - 199.5, y - 199.5) <= 197) & (np.abs(y - 199.5) <= 125)
    rgb = np.full((SIDE, SIDE, 3), OUTSIDE, np.uint8)
    rgb[visible] = INSIDE
    rgb[visible & (x % 8 < 2)] = INSIDE - 40
    return rgb, visible


def columns(size):
    """A picture whose red and green levels say where a pixel lies: its column and its row."""
    y, x = np.mgrid[:size, :size]
    levels = np.stack([x, y, np.zeros_like(x)], -1)
    return (levels * 255 // size).astype(np.uint8)


def test_disordered_shows_nothing_from_outside_the_field():
    from training.disordered import disordered

    rgb, visible = striped_crop()
    for seed in range(40):
        shown = disordered(rgb, visible, SIZE, rng(seed))
        assert shown.shape == (SIZE, SIZE, 3)
        assert shown.max() < INSIDE + 15  # the filter that resizes may overshoot at a stripe


def test_disordered_same_generator_gives_the_same():
    from training.disordered import disordered

    rgb, visible = striped_crop()
    for seed in range(10):
        first, again = (disordered(rgb, visible, SIZE, rng(seed)) for _ in range(2))
        assert np.array_equal(first, again)


def test_bent_moves_pixels_far_and_not_all_alike():
    from training.disordered import bent

    for seed in range(20):
        whence = bent(columns(SIZE), rng(seed))[..., :2] * (SIZE / 255)
        y, x = np.mgrid[:SIZE, :SIZE]
        moved = np.hypot(whence[..., 0] - x, whence[..., 1] - y)
        assert np.median(moved) > 0.04 * SIZE, seed
        assert np.ptp(moved) > 0.15 * SIZE, seed


def test_bent_is_smooth():
    from training.disordered import bent

    whence = bent(columns(SIZE), rng(1))[..., 0] * (SIZE / 255)
    assert np.median(np.abs(np.diff(whence, axis=1))) <= 3


def test_disordered_small_part_fills_the_frame(monkeypatch):
    from training import disordered as module

    monkeypatch.setattr(module, "BENT_SHARE", 0.0)
    monkeypatch.setattr(module, "BENT_PART_SHARE", 0.0)
    monkeypatch.setattr(module, "PART_CONTRAST", 0.0)  # the levels tell where, and have none
    rgb = columns(SIDE)
    for seed in range(20):
        shown = module.disordered(rgb, np.ones((SIDE, SIDE), bool), SIZE, rng(seed))
        for channel in (0, 1):
            assert np.ptp(shown[..., channel]) <= module.PART[1] * 255 + 3


def test_disordered_part_without_vessels_is_not_taken(monkeypatch):
    from training import disordered as module

    def fails(rgb, generator):
        raise AssertionError("bent")

    monkeypatch.setattr(module, "BENT_SHARE", 0.0)
    monkeypatch.setattr(module, "bent", fails)
    flat = np.full((SIDE, SIDE, 3), 90, np.uint8)
    with pytest.raises(AssertionError, match="bent"):
        module.disordered(flat, np.ones((SIDE, SIDE), bool), SIZE, rng(0))
