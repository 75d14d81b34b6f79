"""Is the map right where a good picture tempts it: at the macula, at the rim, and where there is disease?

Clean pictures go through the Runtime as they are. Cells within one disc diameter of the fovea
(training.landmarks) are compared with the rest, the outermost ring of cells with the inside. Macular defects
are dark or hazy spots on the fovea, with the physics of training.degrade.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from efiqa import QualityReport, Runtime
from training.data import Picture, crop_frame, load_rgb
from training.degrade import Degraded, degrade
from training.degrade_shapes import round_support
from training.landmarks import Landmarks, find_landmarks
from training.local_defects import CROP_PX, CleanFrame, clean_frames
from training.progress import track
from training.pseudo_labels import cells_within, rim_cells
from training.reason_figures import camera_window, hidden_cells

LITTLE = 0.02  # where both means are below, no cell is near an alarm and their ratio says little
CUT_SHARE = 0.01  # of the circle; more outside the frame, and the field counts as cut
MACULAR_KINDS = ("under_exposed", "haze")
MACULAR_SEVERITY = (0.85, 1.0)
MACULAR_DIAMETER = (0.5, 1.5)  # disc diameters

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Seen:
    """A clean picture's report, and which of its cells (h, w) are near the fovea; None: not known where."""

    picture: Picture
    report: QualityReport
    macula: BoolArray | None


def assess_clean(runtime: Runtime, pictures: Sequence[Picture]) -> list[Seen]:
    """Return what the Runtime says of each picture that is not refused."""
    out = []
    for picture in track(pictures, "clean pictures"):
        rgb = load_rgb(picture.path)
        report = runtime.assess(rgb)
        crop = crop_frame(rgb, CROP_PX)
        if report.verdict == "unknown" or crop is None:
            continue
        found = find_landmarks(crop.rgb, crop.visible)
        near = None if found is None else near_fovea(found, CROP_PX, report.map.shape)
        out.append(Seen(picture, report, near))
    return out


def near_fovea(found: Landmarks, side_px: int, grid: tuple[int, ...]) -> BoolArray:
    """Return which cells of ``grid`` (h, w) have their centre within one disc diameter of the fovea.

    ``found`` is in pixels of a crop of ``side_px``, the square that the map covers.
    """
    return cells_within(found.fovea, found.disc_diameter, side_px, grid)


def field_shape(report: QualityReport) -> str:
    """Return "circle", "cut circle" or "rectangle"."""
    if report.fov.shape != "circle":
        return "rectangle"
    return "cut circle" if report.fov.cut_fraction > CUT_SHARE else "circle"


def _mean(report: QualityReport, cells: BoolArray) -> float | None:
    chosen = cells & np.isfinite(report.map) & (report.weights > 0)
    if not chosen.any():
        return None
    return float(np.average(report.map[chosen], weights=report.weights[chosen]))


def compared(pairs: Iterable[tuple[float | None, float | None]]) -> dict[str, Any]:
    """Return the means over pictures of (part, rest), their ratio, and whether both are too low for one."""
    kept = [(part, rest) for part, rest in pairs if part is not None and rest is not None]
    if not kept:
        return {"n_pictures": 0, "part": None, "rest": None, "ratio": None, "little": None}
    part, rest = (float(np.mean(each)) for each in zip(*kept, strict=True))
    ratio = part / rest if rest > 0 else None
    little = part < LITTLE and rest < LITTLE
    return {"n_pictures": len(kept), "part": part, "rest": rest, "ratio": ratio, "little": little}


def _grouped(seen: Sequence[Seen], *, by_shape: bool) -> Iterator[tuple[str, list[Seen]]]:
    groups = defaultdict(list)
    for each in seen:
        groups[field_shape(each.report) if by_shape else each.picture.dataset].append(each)
    yield "all", list(seen)
    yield from sorted(groups.items())


def macula_figures(seen: Sequence[Seen]) -> dict[str, Any]:
    """Return the map near the fovea against elsewhere, a set, and how many pictures were left out."""
    figures = {}
    for name, group in _grouped(seen, by_shape=False):
        known = [(s.report, s.macula) for s in group if s.macula is not None]
        found = compared((_mean(report, near), _mean(report, ~near)) for report, near in known)
        figures[name] = found | {"n_doubtful": len(group) - len(known)}
    return figures


def rim_figures(seen: Sequence[Seen]) -> dict[str, Any]:
    """Return the outermost ring of the field against the inside, by the field's shape and by set."""
    out = {}
    for key, by_shape in (("shapes", True), ("sets", False)):
        out[key] = {
            name: compared(
                (_mean(s.report, ring), _mean(s.report, ~ring))
                for s in group
                for ring in (rim_cells(s.report.weights),)
            )
            for name, group in _grouped(seen, by_shape=by_shape)
        }
    return out


def with_spot(
    frame: CleanFrame,
    centre: tuple[float, float],
    diameter_px: float,
    kind: str,
    severity: float,
    rng: np.random.Generator,
) -> Degraded:
    """Return ``frame`` with a round defect about ``centre``, (x, y) in its pixels."""
    support = round_support(frame.rgb.shape[0], centre, diameter_px / 2)
    return degrade(frame.rgb, frame.visible, kind, severity, rng, local=True, support=support)


def macular_defects(runtime: Runtime, pictures: Sequence[Picture], *, seed: int) -> dict[str, Any]:
    """Return how many dark and hazy spots on the fovea the map finds, by picture and by cell.

    A picture counts as found when most of the cells that the spot hides reach the region threshold;
    ``before`` is the share of the same cells that reach it without the spot.
    """
    threshold = float(runtime.info.contract.to_dict()["map"]["region_threshold"])
    found: dict[str, list[tuple[int, int, int]]] = defaultdict(list)  # cells hidden, flagged, flagged before
    doubtful = too_small = 0
    for frame in clean_frames(pictures, "macular defects"):
        place = find_landmarks(frame.rgb, frame.visible)
        if place is None:
            doubtful += 1
            continue
        window = camera_window(frame.visible)
        visible = np.ascontiguousarray(frame.visible[window])
        before = runtime.assess(np.ascontiguousarray(frame.rgb[window])).map
        for order, kind in enumerate(MACULAR_KINDS):
            rng = np.random.default_rng([seed, 200 + order, zlib.crc32(frame.name.encode())])
            diameter, severity = rng.uniform(*MACULAR_DIAMETER), rng.uniform(*MACULAR_SEVERITY)
            damaged = with_spot(frame, place.fovea, diameter * place.disc_diameter, kind, severity, rng)
            report = runtime.assess(np.ascontiguousarray(damaged.rgb[window]))
            if not report.fov.found:
                found[kind].append((1, 0, 0))  # nothing was found at all
                continue
            cells = hidden_cells(report, np.ascontiguousarray(damaged.hidden[window]), visible)
            if not cells.any():
                too_small += 1
                continue
            flagged = [int((np.nan_to_num(each[cells]) >= threshold).sum()) for each in (report.map, before)]
            found[kind].append((int(cells.sum()), *flagged))
    rows = {kind: _recall(found[kind]) for kind in MACULAR_KINDS}
    every = _recall([each for kind in MACULAR_KINDS for each in found[kind]])
    return {
        "severity": list(MACULAR_SEVERITY),
        "diameter": list(MACULAR_DIAMETER),
        "n_doubtful": doubtful,
        "n_too_small": too_small,
        "kinds": {"all": every} | rows,
    }


def _recall(found: Sequence[tuple[int, int, int]]) -> dict[str, Any]:
    if not found:
        return {"n_defects": 0, "recall": None, "cell_recall": None, "before": None}
    hidden, flagged, before = np.array(found).T
    return {
        "n_defects": len(found),
        "recall": float((2 * flagged > hidden).mean()),
        "cell_recall": float(flagged.sum() / hidden.sum()),
        "before": float(before.sum() / hidden.sum()),
    }


def disease_of(picture: Picture) -> str:
    """Return "healthy", "diseased" or, where the data's names do not tell, an empty text.

    HRF's names end in h, dr (diabetic retinopathy) or g (glaucoma); all of FIVES_sample show macular
    degeneration. The names of the other sets say nothing.
    """
    if picture.dataset == "HRF":
        ending = Path(picture.name).stem.rsplit("_", 1)[-1]
        return {"h": "healthy", "dr": "diseased", "g": "diseased"}.get(ending, "")
    return "diseased" if picture.dataset == "FIVES_sample" else ""


def pathology_figures(seen: Sequence[Seen]) -> dict[str, Any]:
    """Return the median score of diseased pictures against healthy ones, of the same set where it has any."""
    groups: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for each in seen:
        state, score = disease_of(each.picture), each.report.score
        if state and score is not None:
            groups[f"{each.picture.dataset}, {each.picture.split}"][state].append(score)
    healthy = [score for group in groups.values() for score in group["healthy"]]
    out = {}
    for name, group in sorted(groups.items()):
        same = bool(group["healthy"])
        reference = group["healthy"] if same else healthy
        if group["diseased"] and reference:
            medians = [float(np.median(scores)) for scores in (group["diseased"], reference)]
            out[name] = {
                "n_diseased": len(group["diseased"]),
                "n_healthy": len(reference),
                "healthy_of_same_set": same,
                "median_diseased": medians[0],
                "median_healthy": medians[1],
                "difference": medians[0] - medians[1],
            }
    return out


def anatomy_figures(
    runtime: Runtime, clean: Sequence[Picture], diseased: Sequence[Picture], *, seed: int
) -> dict[str, Any]:
    """Return all figures of this module.

    ``clean``: pictures for macula, rim and macular defects; ``diseased``: further ones whose score alone is
    looked at, if any.
    """
    seen = assess_clean(runtime, clean)
    more = assess_clean(runtime, diseased)
    return {
        "little": LITTLE,
        "macula": macula_figures(seen),
        "rim": rim_figures(seen),
        "macular_defects": macular_defects(runtime, clean, seed=seed),
        "pathology": pathology_figures([*seen, *more]),
    }
