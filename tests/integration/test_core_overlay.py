"""The overlay against an independent one in numpy, and the colour tables against OpenCV's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from efiqa import _core
from tests.helpers import drawn_eye

POOL = _core.ThreadPool(2)
TINY = Path(__file__).parents[1] / "golden" / "tiny.onnx"
# Opacity has 256 steps, the colour 256 entries, and the map is interpolated in fixed point: near the middle
# between two entries the neighbour may be taken, and turbo's entries differ by up to 8 levels.
WORST_LEVELS = 8
MEAN_LEVELS = 0.6  # rounding alone gives 0.25 to 0.5


def filled(grid: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the grid whose cells outside take the mean of their known neighbours, ring by ring."""
    value = np.where(weights > 0, np.nan_to_num(grid), 0.0).astype(np.float64)
    known = weights > 0
    while not known.all():
        height, width = known.shape
        pad_value, pad_known = np.pad(value * known, 1), np.pad(known, 1)
        windows = [np.s_[dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3)]
        total = sum(pad_value[window] for window in windows)
        count = sum(pad_known[window].astype(int) for window in windows)
        new = ~known & (count > 0)
        value[new] = total[new] / count[new]
        known |= new
    return value


def center_values(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values at the centres of cells whose bilinear interpolation keeps the cells' means."""
    height, width = means.shape
    padded = np.pad(means, 1, mode="edge")
    along = (padded[:, :width] + 6 * padded[:, 1 : width + 1] + padded[:, 2:]) / 8
    interpolated_means = (along[:height] + 6 * along[1 : height + 1] + along[2:]) / 8
    return np.clip(2 * means - interpolated_means, 0, 1)


def drawn_values(report: _core.Report) -> NDArray[np.float64]:
    return center_values(filled(report.map, report.weights))


def interpolated(
    grid: NDArray[np.float64], crop: tuple[int, int, int], size: tuple[int, int]
) -> NDArray[np.float64]:
    """Return the grid at each pixel's centre, bilinear between the centres of cells."""

    def positions(pixels: int, origin: int, cells: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        at = np.clip((np.arange(pixels) + 0.5 - origin) * cells / crop[2] - 0.5, 0, cells - 1)
        low = np.minimum(at.astype(np.int64), max(cells - 2, 0))
        return low, at - low

    y, fy = positions(size[0], crop[1], grid.shape[0])
    x, fx = positions(size[1], crop[0], grid.shape[1])
    rows = grid[y] * (1 - fy)[:, None] + grid[np.minimum(y + 1, grid.shape[0] - 1)] * fy[:, None]
    return rows[:, x] * (1 - fx) + rows[:, np.minimum(x + 1, grid.shape[1] - 1)] * fx


def colors_of(name: str) -> NDArray[np.float64]:
    cv2 = pytest.importorskip("cv2")
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    table = cv2.applyColorMap(ramp, getattr(cv2, f"COLORMAP_{name.upper()}"))
    return table[:, 0, ::-1].astype(np.float64)


@pytest.mark.parametrize("pixel_format", ["rgb", "bgr", "gray", "rgba"])
@pytest.mark.parametrize(("height", "width"), [(240, 320), (777, 601)])
def test_overlay_is_what_numpy_computes(pixel_format: str, height: int, width: int) -> None:
    rgb = drawn_eye(height, width, level=150)
    rgb[: height // 2] //= 3
    if pixel_format == "gray":
        frame = np.ascontiguousarray(rgb[:, :, 0])
        rgb = np.repeat(frame[:, :, None], 3, axis=2)
    elif pixel_format == "rgba":
        frame = np.dstack([rgb, np.full((height, width), 9, np.uint8)])
    else:
        frame = rgb if pixel_format == "rgb" else np.ascontiguousarray(rgb[:, :, ::-1])
    report = _core.Runtime(str(TINY), allow_untrained=True).assess(frame, pixel_format)
    assert np.nanmax(report.map) - np.nanmin(report.map) > 0.3  # a map worth drawing

    probability = interpolated(drawn_values(report), report.crop, (height, width))
    alpha = 0.6 * np.where(report.fov.mask(height, width), probability, 0.0)[:, :, None]
    table = np.array([255.0, 0.0, 0.0])
    expected = rgb * (1 - alpha) + table * alpha
    out = _core.render_overlay(frame, pixel_format, report, colormap="red", max_alpha=0.6, pool=POOL)
    assert out.shape == (height, width, 3)
    # One colour: what is left is rounding of the index, the opacity and the result.
    assert np.abs(out - expected).max() <= 1.6

    color = colors_of("turbo")[np.rint(255 * probability).astype(int)]
    expected = rgb * (1 - alpha) + color * alpha
    out = _core.render_overlay(frame, pixel_format, report, pool=POOL)
    difference = np.abs(out - expected)
    assert difference.max() <= WORST_LEVELS
    assert difference.mean() <= MEAN_LEVELS
    outside = ~report.fov.mask(height, width)
    np.testing.assert_array_equal(out[outside], rgb[outside])


@pytest.mark.parametrize(("name", "levels"), [("turbo", 5), ("inferno", 3), ("viridis", 1)])
def test_colormap_is_close_to_the_one_that_others_give_this_name(name: str, levels: int) -> None:
    frame = drawn_eye(640, 640, level=150)
    frame[:320] //= 3
    report = _core.Runtime(str(TINY), allow_untrained=True).assess(frame, "rgb")
    # At full opacity and probability p the overlay is p * color + (1 - p) * frame: solve for the colour where
    # p is large enough for that.
    out = _core.render_overlay(frame, "rgb", report, pool=POOL, colormap=name, max_alpha=1.0)
    out = out.astype(np.float64)
    probability = interpolated(drawn_values(report), report.crop, (640, 640))
    clear = report.fov.mask(640, 640) & (probability > 0.5)
    assert clear.any()
    p = np.rint(255 * probability[clear])[:, None] / 255
    color = (out[clear] - frame[clear] * (1 - p)) / p
    difference = np.abs(color - colors_of(name)[np.rint(255 * probability[clear]).astype(int)])
    # Rounding is divided by p >= 1/2, hence 2 levels more.
    assert np.percentile(difference, 99) <= levels + 2


def test_overlay_keeps_the_means_of_the_maps_cells() -> None:
    side = 640
    frame = drawn_eye(side, side, level=150)
    frame[: side // 2] //= 3
    report = _core.Runtime(str(TINY), allow_untrained=True).assess(frame, "rgb")
    black = np.zeros_like(frame)  # in red of full opacity the overlay is the probability itself
    shown = _core.render_overlay(black, "rgb", report, pool=POOL, colormap="red", max_alpha=1.0)[..., 0] / 255
    plain = interpolated(filled(report.map, report.weights), report.crop, (side, side))

    height, width = report.map.shape
    left, top, crop_px = report.crop
    x, y = (
        np.clip((np.arange(side) + 0.5 - first) * cells / crop_px, 0, cells - 1).astype(int)
        for first, cells in ((left, width), (top, height))
    )
    cell = y[:, None] * width + x
    whole = (report.weights == 1).ravel()
    sharp = whole & (np.abs(filled(report.map, report.weights) - drawn_values(report)).ravel() > 0.02)
    assert sharp.sum() > 5  # cells that plain interpolation gets wrong

    def error(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        means = np.bincount(cell.ravel(), pixels.ravel()) / np.bincount(cell.ravel())
        return np.abs(means - report.map.ravel())[sharp]

    assert error(shown).mean() < 0.5 * error(plain).mean()
