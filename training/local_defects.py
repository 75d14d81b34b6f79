"""Does the map point at the defect? Synthetic local defects of known place on clean pictures.

A picture's crop is laid into a frame with a dark border, as a camera would deliver it, one local defect is
put on it, and the frame goes through the installed Runtime. The truth is `Degraded.hidden` of
training.degrade: a cell, or a pixel, is bad where more than half of the anatomy is hidden, and good where
less than a tenth is; what lies between is not judged.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from efiqa import QualityReport, Runtime
from training.camera import captured
from training.data import Picture, crop_frame, load_rgb
from training.degrade import degrade, hidden_share, visibility_loss
from training.metrics import auroc, dice
from training.progress import track

CROP_PX, BORDER_PX = 704, 32  # of the frame: 768 px a side, about what the data folder's pictures have
PIXEL_STEP = 4  # the pixel figures are made at 192 px a side: the map has 24 cells there
BAD_ABOVE, GOOD_BELOW = 0.5, 0.1
SEVERITY = (0.7, 1.0)  # from here on most kinds hide about half or more inside their support
FIRST_KINDS = {"blur": "defocus", "dark": "under_exposed", "glare": "glare", "haze": "haze"}
KINDS = FIRST_KINDS | {
    "motion": "motion",
    "over-exposed": "over_exposed",
    "lid or lashes": "occlusion",
    "shadow of the pupil": "low_illumination_vignette",
}  # noise hides less than half even at its strongest, so there is no bad cell to find
OWN_SEVERITY = {"over_exposed": (0.9, 1.0), "occlusion": (0.8, 1.0), "low_illumination_vignette": (0.85, 1.0)}

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
ByteArray = NDArray[np.uint8]


@dataclass(frozen=True)
class CleanFrame:
    """A clean picture in a frame (768, 768, 3) with a dark border; ``visible`` (768, 768) is its field."""

    name: str
    dataset: str
    rgb: ByteArray
    visible: BoolArray


def clean_frames(pictures: Sequence[Picture], label: str) -> Iterator[CleanFrame]:
    """Yield each picture with a field of view as a frame, behind a progress bar."""
    for picture in track(pictures, label):
        crop = crop_frame(load_rgb(picture.path), CROP_PX)
        if crop is not None:
            edges = ((BORDER_PX, BORDER_PX), (BORDER_PX, BORDER_PX))
            yield CleanFrame(
                picture.name,
                picture.dataset,
                np.pad(crop.rgb, (*edges, (0, 0))),
                np.pad(crop.visible, edges),
            )


def assessed_as_saved(
    runtime: Runtime, frame: CleanFrame, rgb: ByteArray, by_camera: bool, seed: int
) -> QualityReport:
    """Return the report on ``rgb`` (768, 768, 3), made of ``frame``.

    ``by_camera``: as a camera would save it (training.camera), the same with every defect of a picture.
    """
    if by_camera:
        rng = np.random.default_rng([seed, zlib.crc32(frame.name.encode())])
        rgb = np.where(frame.visible[..., None], captured(rgb, frame.visible, rng), rgb)
    return runtime.assess(rgb)


def cells_of(plane: FloatArray, box: tuple[int, int, int], width: int, height: int) -> FloatArray:
    """Return the means (height, width) of ``plane`` (H, W) over the cells of ``box`` (x, y, side)."""
    x, y, side = box
    square = np.zeros((side, side), np.float32)
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + side, plane.shape[1]), min(y + side, plane.shape[0])
    square[y0 - y : y1 - y, x0 - x : x1 - x] = plane[y0:y1, x0:x1]
    return np.asarray(cv2.resize(square, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def frame_map(report: QualityReport) -> FloatArray:
    """Return the map at each pixel of the frame (H, W), as its overlay shows it; NaN outside the field.

    The overlay of a black frame in pure red is the probability in steps of 1/255.
    """
    height, width = report.frame_size
    black = np.zeros((height, width, 3), np.uint8)
    shown = report.overlay(black, bgr=False, colormap="red", max_alpha=1.0)[..., 0]
    visible = report.fov.contains(np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5)
    return np.where(visible, shown / np.float32(255), np.nan).astype(np.float32)


Judged = tuple[BoolArray, FloatArray]  # truth and score of the judged cells or pixels of a frame, each (N,)


@dataclass
class Tally:
    """What was seen of one kind, or one camera."""

    cells: list[Judged] = field(default_factory=list)
    cells_measured: list[Judged] = field(default_factory=list)
    pixels: list[Judged] = field(default_factory=list)
    dices: list[float] = field(default_factory=list)
    frames: int = 0
    unknown: int = 0
    bad: int = 0
    unseen_bad: int = 0  # bad cells that the found field of view leaves out

    def figures(self) -> dict[str, Any]:
        """Return the figures, ready for JSON; None where a class is empty."""
        return {
            "n_pictures": self.frames,
            "n_unknown": self.unknown,
            "n_cells": sum(len(truth) for truth, _ in self.cells),
            "n_bad_cells": int(sum(truth.sum() for truth, _ in self.cells)),
            "bad_cells_outside_found_field": self.unseen_bad / max(self.bad, 1),
            "patch_auroc": _auroc(self.cells),
            "patch_auroc_measured_truth": _auroc(self.cells_measured),
            "pixel_auroc": _auroc(self.pixels),
            "dice": float(np.mean(self.dices)) if self.dices else None,
        }


def _auroc(judged: list[Judged]) -> float | None:
    if not judged:
        return None
    bad = np.concatenate([truth for truth, _ in judged])
    if bad.all() or not bad.any():
        return None
    return auroc(bad, np.concatenate([score for _, score in judged]))


def _judged(loss: FloatArray, score: FloatArray, seen: BoolArray) -> Judged:
    chosen = seen & ((loss > BAD_ABOVE) | (loss < GOOD_BELOW))
    return loss[chosen] > BAD_ABOVE, score[chosen]


def add_frame(
    tallies: Sequence[Tally],
    report: QualityReport,
    truths: tuple[FloatArray, FloatArray],
    visible: BoolArray,
    threshold: float,
) -> None:
    """Count one assessed frame in each of ``tallies``.

    ``truths``: how much is hidden by the defect's physics, and as measured, each (H, W); ``visible`` (H, W):
    the true field of view; ``threshold``: probability from which the map says "bad" for the Dice figure.
    """
    for tally in tallies:
        tally.frames += 1
        tally.unknown += report.verdict == "unknown"
    if report.verdict == "unknown":
        return
    height, width = report.map.shape
    share = cells_of(visible.astype(np.float32), report.crop, width, height)
    inside, mapped = share > 0.5, np.isfinite(report.map)
    hidden, measured = (
        cells_of(truth, report.crop, width, height) / np.maximum(share, 1e-6) for truth in truths
    )
    step = np.s_[PIXEL_STEP // 2 :: PIXEL_STEP, PIXEL_STEP // 2 :: PIXEL_STEP]
    pixel_score, pixel_loss = frame_map(report)[step], truths[0][step]
    pixel_seen = visible[step] & np.isfinite(pixel_score)
    lost = pixel_loss[pixel_seen] > BAD_ABOVE
    cells = _judged(hidden, report.map, inside & mapped)
    cells_measured = _judged(measured, report.map, inside & mapped)
    pixels = _judged(pixel_loss, pixel_score, pixel_seen)
    overlap = dice(lost, pixel_score[pixel_seen] >= threshold)
    for tally in tallies:
        tally.cells.append(cells)
        tally.cells_measured.append(cells_measured)
        tally.pixels.append(pixels)
        if lost.any():
            tally.dices.append(overlap)
        tally.bad += int((inside & (hidden > BAD_ABOVE)).sum())
        tally.unseen_bad += int((inside & (hidden > BAD_ABOVE) & ~mapped).sum())


def local_benchmark(
    runtime: Runtime,
    pictures: Sequence[Picture],
    *,
    seed: int,
    label: str = "local defects",
    by_camera: bool = False,
) -> dict[str, Any]:
    """Return the figures a kind, a camera and overall, and the alarms on the same frames without a defect.

    One defect of every kind of KINDS is put on every picture; support, place and severity follow from the
    seed and the picture's name. ``first_kinds`` is over FIRST_KINDS, which every model so far was measured
    by. ``by_camera``: every frame is shown as a camera saves it, grain over the defect.
    """
    threshold = float(runtime.info.contract.to_dict()["map"]["region_threshold"])
    kinds, datasets, overall, first = defaultdict(Tally), defaultdict(Tally), Tally(), Tally()
    clean_alarms: dict[str, list[float]] = defaultdict(list)
    for frame in clean_frames(pictures, label):
        before = assessed_as_saved(runtime, frame, frame.rgb, by_camera, seed)
        if before.verdict != "unknown":
            known = np.isfinite(before.map)
            alarm = np.average(before.map[known] >= threshold, weights=before.weights[known])
            clean_alarms[frame.dataset].append(float(alarm))
        for order, (name, kind) in enumerate(KINDS.items()):
            rng = np.random.default_rng([seed, order, zlib.crc32(frame.name.encode())])
            severity = rng.uniform(*OWN_SEVERITY.get(kind, SEVERITY))
            damaged = degrade(frame.rgb, frame.visible, kind, severity, rng, local=True)
            measured = hidden_share(visibility_loss(frame.rgb, damaged.rgb, frame.visible), kind)
            report = assessed_as_saved(runtime, frame, damaged.rgb, by_camera, seed)
            tallies = [
                kinds[name],
                datasets[frame.dataset],
                overall,
                *([first] if name in FIRST_KINDS else []),
            ]
            add_frame(tallies, report, (damaged.hidden, measured), frame.visible, threshold)
    return {
        "severity": {kind: list(OWN_SEVERITY.get(kind, SEVERITY)) for kind in KINDS.values()},
        "bad_above": BAD_ABOVE,
        "good_below": GOOD_BELOW,
        "region_threshold": threshold,
        "seed": seed,
        "kinds": {name: tally.figures() for name, tally in kinds.items()},
        "cameras": {name: tally.figures() for name, tally in sorted(datasets.items())},
        "all": overall.figures(),
        "first_kinds": first.figures(),
        "clean_alarm_share": {name: float(np.mean(values)) for name, values in sorted(clean_alarms.items())},
    }
