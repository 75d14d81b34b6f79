"""The core's field of view from Python: drawn circles, and real photographs with manual masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from efiqa import _core
from tests.helpers import read_manifest

# Soft rims and cuts leave each edge open to about two pixels of a frame of 400.
MIN_DRAWN_OVERLAP = 0.98
# The bars of benchmarks/fov.py for the median and the worst picture.
MIN_MEDIAN_OVERLAP, MIN_OVERLAP = 0.98, 0.85
PICTURES_PER_SET = 4


def draw(
    size: tuple[int, int], circle: tuple[float, float, float], *, cut: tuple[float, float], level: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return an RGB frame (h, w) with a shaded disc, cut at top and bottom, and its true mask."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    center_x, center_y, radius = circle
    distance = np.hypot(x - center_x, y - center_y)
    inside = (distance <= radius) & (y >= cut[0]) & (y < cut[1])
    red = np.where(inside, level * (1 - 0.3 * (distance / radius) ** 2), 4.0)
    red += np.random.default_rng(1).normal(0, 1, size)
    frame = np.clip(red[:, :, None] * (1, 0.5, 0.25), 0, 255).astype(np.uint8)
    return frame, inside


def overlap(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    return float((found & true).sum() / (found | true).sum())


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(300, 600),
    width=st.integers(300, 600),
    radius=st.floats(0.35, 0.65),
    shift=st.tuples(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1)),
    top=st.floats(0.6, 1.2),
    bottom=st.floats(0.6, 1.2),
    level=st.integers(40, 230),
)
def test_find_field_of_view_drawn_circle_overlaps_its_mask(height, width, radius, shift, top, bottom, level):
    side = min(height, width)
    circle = (width / 2 + shift[0] * side, height / 2 + shift[1] * side, radius * side)
    cut = (circle[1] - top * circle[2], circle[1] + bottom * circle[2])
    frame, true = draw((height, width), circle, cut=cut, level=level)
    fov = _core.find_field_of_view(frame, "rgb")
    # Where cuts leave only tips of the arcs, a rectangle describes the field as well.
    assert fov.shape in ("circle", "rectangle")
    assert overlap(fov.mask(height, width), true) >= MIN_DRAWN_OVERLAP
    assert 0 <= fov.left_px < fov.right_px <= width
    assert 0 <= fov.top_px < fov.bottom_px <= height
    # The mask counts pixel centres along an outline of at most 2 pi r pixels.
    assert abs(fov.visible_area_px - fov.mask(height, width).sum()) <= 2 * np.pi * fov.radius_px


def test_find_field_of_view_number_of_threads_does_not_change_it():
    frame, _ = draw((500, 640), (330, 250, 260), cut=(20, 470), level=120)
    names = [name for name in dir(_core.FieldOfView) if name.endswith("_px") or name == "cut_fraction"]
    assert len(names) == 9
    one, three = (_core.find_field_of_view(frame, "rgb", threads=n) for n in (1, 3))
    assert [getattr(one, name) for name in names] == [getattr(three, name) for name in names]


def test_find_field_of_view_strided_view_equals_its_copy():
    frame, _ = draw((400, 400), (200, 200, 170), cut=(0, 400), level=150)
    wide = np.full((400, 450, 3), 255, np.uint8)
    wide[:, 20:420] = frame
    view, copy = (_core.find_field_of_view(f, "rgb") for f in (wide[:, 20:420], frame))
    assert (view.center_x_px, view.radius_px) == (copy.center_x_px, copy.radius_px)


@pytest.mark.parametrize("level", [0, 9, 128, 255])
def test_find_field_of_view_blank_frame_is_none(level):
    fov = _core.find_field_of_view(np.full((200, 300, 3), level, np.uint8), "rgb")
    assert fov.shape == "none"
    assert fov.visible_area_px == 0
    assert not fov.mask(200, 300).any()


def test_grid_weights_full_circle_sum_to_its_area():
    frame, _ = draw((400, 400), (200, 200, 170), cut=(0, 400), level=150)
    fov = _core.find_field_of_view(frame, "rgb")
    crop = _core.square_crop(fov)
    weights = _core.grid_weights(fov, crop, 10, 8)
    assert weights.shape == (8, 10)
    # The crop is rounded to whole pixels and may lose half of one at each side.
    assert weights.mean() * crop[2] ** 2 == pytest.approx(fov.visible_area_px, rel=2 / crop[2])


def test_find_field_of_view_manual_masks_are_overlapped(fundus_data: Path):
    images = {row["pair_id"]: row["path"] for row in read_manifest(fundus_data, role="vessel_image")}
    masks: dict[str, list[tuple[str, str]]] = {}
    for row in read_manifest(fundus_data, role="fov_mask"):
        masks.setdefault(row["dataset"], []).append((images[row["pair_id"]], row["path"]))
    assert len(masks) >= 5
    overlaps = {}
    for pairs in masks.values():
        for picture, mask in pairs[:: max(1, len(pairs) // PICTURES_PER_SET)]:
            frame = np.asarray(Image.open(fundus_data / picture).convert("RGB"))
            manual = np.asarray(Image.open(fundus_data / mask).convert("L")) > 127
            fov = _core.find_field_of_view(frame, "rgb")
            overlaps[picture] = overlap(fov.mask(*manual.shape), manual)
    assert min(overlaps.values()) >= MIN_OVERLAP, min(overlaps, key=overlaps.__getitem__)
    assert np.median(list(overlaps.values())) >= MIN_MEDIAN_OVERLAP


def test_find_field_of_view_middle_of_a_retina_is_a_rectangle(fundus_data: Path):
    row = read_manifest(fundus_data, role="vessel_image", dataset="DRIVE")[0]
    frame = np.asarray(Image.open(fundus_data / row["path"]).convert("RGB"))
    fov = _core.find_field_of_view(frame, "rgb")
    half = int(0.6 * fov.radius_px)
    x, y = int(fov.center_x_px), int(fov.center_y_px)
    middle = frame[y - half : y + half, x - half : x + half]
    found = _core.find_field_of_view(middle, "rgb")
    assert found.shape == "rectangle"
    assert (found.left_px, found.top_px, found.right_px, found.bottom_px) == (0, 0, 2 * half, 2 * half)
    assert found.cut_fraction == 0
