"""Where optic disc and fovea are in a clean photograph: our own estimate, from light and vessels alone.

The disc is the round bright spot that the vessels run to; the fovea the dark vessel-free spot about 2.5 disc
diameters beside it, towards the middle of the field, and a little below. An upright picture is assumed. A
picture in which either is doubtful gets None: the places serve to measure maps, and a wrong one would measure
something else. Tuned by eye on the vessel sets' training split.

``python -m training.landmarks --data DIR [--split train] --out sheet.png`` draws them for a look.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training import figures
from training.data import CropSet, drimdb_good, read_manifest, vessel_pictures
from training.degrade_light import blur
from training.local_defects import clean_frames
from training.progress import track

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
ByteArray = NDArray[np.uint8]

SIDE_PX = 256  # everything is searched at this side
DISC_SHARES = (0.09, 0.11, 0.135, 0.165, 0.2)  # diameters as a share of the side: fields of 60 to 30 degrees
DISC_RADII = tuple(np.linspace(0.045, 0.115, 15))  # the same, finer, for the outline
BRIGHT_ENOUGH = 2.0  # spreads; exudates may be brighter than the disc and are not more of a disc for it
CENTRAL = 0.12  # of the side: a disc nearer to the middle leaves open which side is temporal
DIRECTIONS = 12  # of vessels
FOVEA_ASIDE, FOVEA_DOWN, FOVEA_SPREAD = 2.5, 0.3, 0.45  # from the disc's centre, in disc diameters
MIN_DISC, MIN_FOVEA = 4.0, 2.7  # confidence, in spreads of the field


@dataclass(frozen=True)
class Landmarks:
    """Centres as (x, y) and the disc's diameter in pixels of the picture; confidence in spreads."""

    disc: tuple[float, float]
    disc_diameter: float
    fovea: tuple[float, float]
    disc_confidence: float
    fovea_confidence: float


@dataclass(frozen=True)
class _View:
    """What the search looks at, each (SIDE_PX, SIDE_PX)."""

    light: FloatArray  # red + green over its surroundings, less 1
    weight: FloatArray  # 1 in the field
    depth: FloatArray  # pixels from the rim
    vessels: FloatArray  # (DIRECTIONS, ...)


def find_landmarks(rgb: ByteArray, visible: BoolArray) -> Landmarks | None:
    """Return the landmarks of a picture (S, S, 3) with the field ``visible`` (S, S), None where doubtful."""
    found = best_guess(rgb, visible)
    if found is None or found.disc_confidence < MIN_DISC or found.fovea_confidence < MIN_FOVEA:
        return None
    return found


def landmarks_of(crops: CropSet) -> FloatArray:
    """Return x, y of fovea and of disc, and its diameter (N, 5) of ``crops``, in pixels; NaN if not known."""
    out = np.full((len(crops), 5), np.nan, np.float32)
    for index in track(range(len(crops)), "landmarks"):
        found = find_landmarks(np.ascontiguousarray(crops.rgb[index]), crops.visible[index] > 0)
        if found is not None:
            out[index] = (*found.fovea, *found.disc, found.disc_diameter)
    return out


def best_guess(rgb: ByteArray, visible: BoolArray) -> Landmarks | None:
    """Return what `find_landmarks` looks for, however doubtful; None without any candidate."""
    view = _view(rgb, visible)
    confidence, rough = _rough_disc(view)
    outline = _outline(view.light, rough)
    if outline is None:
        return None
    disc, diameter = outline
    if abs(disc[0] + 0.5 - SIDE_PX / 2) < CENTRAL * SIDE_PX:
        return None
    found = _fovea(view, disc, diameter)
    if found is None:
        return None
    fovea_confidence, fovea = found
    scale = rgb.shape[0] / SIDE_PX
    centres = [((x + 0.5) * scale, (y + 0.5) * scale) for x, y in (disc, fovea)]
    return Landmarks(centres[0], diameter * scale, centres[1], confidence, fovea_confidence)


def _view(rgb: ByteArray, visible: BoolArray) -> _View:
    size = (SIDE_PX, SIDE_PX)
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    seen = cv2.resize(visible.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.99
    weight = seen.astype(np.float32)
    padded = np.pad(seen.astype(np.uint8), 1)  # the picture's border is a rim as well
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    inner = cv2.GaussianBlur((depth > 8).astype(np.float32), (0, 0), 2)  # the rim itself is a line
    green = _over_surroundings(small[..., 1], weight, 0.08 * SIDE_PX)
    light = _over_surroundings(small[..., 1] + small[..., 0], weight, 0.25 * SIDE_PX)
    return _View(light, weight, depth, _vessels(green) * inner)


def _over_surroundings(plane: FloatArray, weight: FloatArray, sigma: float) -> FloatArray:
    """Return ``plane`` over its wide blur, less 1: contrast without the field's shading; 0 outside."""
    planes = blur(np.dstack([plane * weight, weight]), sigma)
    wide = planes[..., 0] / np.maximum(planes[..., 1], 1e-3)
    return np.where(weight > 0, plane / np.maximum(wide, 1.0) - 1, 0).astype(np.float32)


def _vessels(green: FloatArray) -> FloatArray:
    """Return dark lines by direction (DIRECTIONS, S, S), at each place in the strongest direction only."""
    y, x = np.mgrid[-10:11, -10:11].astype(np.float32)
    responses = []
    for angle in np.pi * np.arange(DIRECTIONS) / DIRECTIONS:
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        kernel = (1 - (across / 2) ** 2) * np.exp(-0.5 * ((across / 2) ** 2 + (along / 4) ** 2))
        kernel -= kernel.mean()
        responses.append(-cv2.filter2D(green, cv2.CV_32F, kernel / np.abs(kernel).sum()))
    stack = np.clip(np.stack(responses), 0, None)
    return np.where(stack >= stack.max(0), stack, 0).astype(np.float32)


def _convergence(vessels: FloatArray) -> FloatArray:
    """Return (S, S) in how many directions vessels point here, each counted by the root of its votes."""
    reach = SIDE_PX // 3
    votes = np.zeros(vessels.shape[1:], np.float32)
    for plane, angle in zip(vessels, np.pi * np.arange(DIRECTIONS) / DIRECTIONS, strict=True):
        kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
        end = reach * np.array([np.cos(angle), np.sin(angle)])
        ends = [tuple(int(v) for v in np.rint(reach + sign * end)) for sign in (-1, 1)]
        cv2.line(kernel, *ends, 1.0, 5)
        votes += np.sqrt(np.clip(cv2.filter2D(plane, cv2.CV_32F, kernel / kernel.sum()), 0, None))
    return votes


def _ring(inner: float, outer: float, reach: float) -> FloatArray:
    """Return a normalised kernel that is flat from radius ``inner`` to ``outer``, padded to ``reach``."""
    side = int(np.ceil(reach))
    y, x = np.mgrid[-side : side + 1, -side : side + 1]
    radius = np.hypot(x, y)
    kernel = ((radius <= outer) & (radius >= inner)).astype(np.float32)
    return kernel / kernel.sum()


def _mean(plane: FloatArray, weight: FloatArray, inner: float, outer: float) -> FloatArray:
    """Return the mean of ``plane`` over the field in a ring about each place; 0 where none is inside."""
    kernel = _ring(inner, outer, outer)
    top = cv2.filter2D(plane * weight, cv2.CV_32F, kernel, borderType=cv2.BORDER_CONSTANT)
    bottom = cv2.filter2D(weight, cv2.CV_32F, kernel, borderType=cv2.BORDER_CONSTANT)
    return np.where(bottom > 1e-3, top / np.maximum(bottom, 1e-3), 0).astype(np.float32)


def _spreads(plane: FloatArray, view: _View) -> FloatArray:
    """Return ``plane`` less its median, over the distance from median to 95th percentile, in the field."""
    inside = view.depth > 4
    median, high = np.percentile(plane[inside], (50, 95)) if inside.any() else (0.0, 1.0)
    return np.where(inside, (plane - median) / max(high - median, 1e-6), 0).astype(np.float32)


def _best(total: FloatArray) -> tuple[float, tuple[int, int]]:
    row, column = np.unravel_index(int(np.argmax(total)), total.shape)
    return float(total[row, column]), (int(column), int(row))


def _rough_disc(view: _View) -> tuple[float, tuple[int, int]]:
    """Return score and place of the spot that is brighter than its surroundings and where vessels meet."""
    pointing = _spreads(_convergence(view.vessels), view)
    lines = view.vessels.sum(0)
    candidates = []
    for radius in np.array(DISC_SHARES) * SIDE_PX / 2:
        around = _mean(view.light, view.weight, 1.3 * radius, 2.2 * radius)
        bright = _spreads(_mean(view.light, view.weight, 0, 0.8 * radius) - around, view)
        crowd = _spreads(_mean(lines, view.weight, 0, 1.2 * radius), view)
        total = np.minimum(bright, BRIGHT_ENOUGH) + pointing + 0.5 * crowd
        candidates.append(_best(np.where(view.depth > 0.5 * radius, total, -np.inf)))
    return max(candidates)


def _outline(light: FloatArray, rough: tuple[int, int]) -> tuple[tuple[int, int], float] | None:
    """Return centre and diameter of the circle about ``rough`` across whose edge most light is lost."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    smooth = cv2.GaussianBlur(cv2.morphologyEx(light, cv2.MORPH_CLOSE, kernel), (0, 0), 1.5)  # no vessels
    smooth = np.minimum(smooth, 1.0)
    best, found = 0.0, None
    for radius in np.array(DISC_RADII) * SIDE_PX:
        outer = 1.35 * radius
        edge = _ring(0.7 * radius, radius, outer) - _ring(radius, outer, outer)
        lost = cv2.filter2D(smooth, cv2.CV_32F, edge, borderType=cv2.BORDER_REPLICATE)
        x0, y0 = (max(each - round(radius), 0) for each in rough)
        window = lost[y0 : rough[1] + round(radius) + 1, x0 : rough[0] + round(radius) + 1]
        score, (x, y) = _best(window)
        if score > best:
            best, found = score, ((x0 + x, y0 + y), 2 * float(radius))
    return found


def _fovea(view: _View, disc: tuple[int, int], diameter: float) -> tuple[float, tuple[int, int]] | None:
    """Return score and place of the darkest smooth spot where the fovea can be.

    None where a circle of one disc diameter about it is not wholly in the field.
    """
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX].astype(np.float32)
    aside, down = np.abs(x - disc[0]) / diameter - FOVEA_ASIDE, (y - disc[1]) / diameter - FOVEA_DOWN
    prior = np.exp(-0.5 * (aside**2 + down**2) / FOVEA_SPREAD**2)
    dark = _mean(view.light, view.weight, 0.6 * diameter, 1.1 * diameter) - _mean(
        view.light, view.weight, 0, 0.3 * diameter
    )
    lines = _mean(view.vessels.sum(0), view.weight, 0, 0.4 * diameter)
    total = _spreads(dark, view) - 0.7 * _spreads(lines, view) + 3 * prior
    inwards = np.sign(x - disc[0]) == np.sign(SIDE_PX / 2 - disc[0])
    score, (column, row) = _best(np.where((prior > 0.05) & inwards, total, -np.inf))
    whole = np.isfinite(score) and view.depth[row, column] >= diameter  # the circle that is measured
    return (score, (column, row)) if whole else None


def drawn(rgb: ByteArray, found: Landmarks | None) -> ByteArray:
    """Return a copy of ``rgb`` with the disc in green and one disc diameter about the fovea in blue."""
    out = rgb.copy()
    if found is None:
        return out
    width, green, blue = max(2, rgb.shape[0] // 200), (0, 255, 0), (80, 160, 255)
    circles = (
        (found.disc, found.disc_diameter / 2, green),
        (found.fovea, found.disc_diameter, blue),
        (found.fovea, width, blue),
    )
    for (x, y), radius, colour in circles:
        cv2.circle(out, (round(x), round(y)), round(radius), colour, width, cv2.LINE_AA)
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the sheet that the command line names; a label in brackets is a picture that is left out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument(
        "--split",
        choices=("train", "test", "drimdb"),
        default="train",
        help="of the vessel sets, or DRIMDB good",
    )
    parser.add_argument("--every", type=int, default=1, help="take each n-th picture")
    parser.add_argument("--out", type=Path, required=True, help="PNG file to write")
    options = parser.parse_args(arguments)
    every = read_manifest(options.data)
    pictures = drimdb_good(every) if options.split == "drimdb" else vessel_pictures(every, options.split)
    rows = []
    for frame in clean_frames(pictures[:: options.every], "landmarks"):
        found = best_guess(frame.rgb, frame.visible)
        label = Path(frame.name).stem
        if found:
            label += f" {found.disc_confidence:.1f} {found.fovea_confidence:.1f}"
        if find_landmarks(frame.rgb, frame.visible) is None:
            label = f"({label})"
        rows.append(([drawn(frame.rgb, found)], label))
    figures.sheet(options.out, rows, columns=8)


if __name__ == "__main__":
    main()
