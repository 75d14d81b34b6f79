"""Is the right cause named? Synthetic defects of known kind on clean pictures, by region and by picture.

Frames as for training.local_defects; where the picture fills its frame, as DRIMDB's do, it has no border. A
region is judged by the cells of which a local defect hides more than half: the reported region that holds
most of them has to name the cause. A picture is judged as a whole for defects all over the field, for local
ones that hide LOCAL_SHARE of it, cut on one side, and as it is: then no cause is the right answer.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from efiqa import QualityReport, Region, Runtime
from training.confusion import NONE, Confusion
from training.data import Picture
from training.degrade import REASONS, Degraded, degrade
from training.local_defects import BAD_ABOVE, CleanFrame, cells_of, clean_frames

# From the lower end on, a defect all over hides about half of the anatomy or more: clean pictures of
# the training split. Noise is not among them: it hides 0.15 at its strongest.
SEVERITIES = {
    "defocus": (0.6, 1.0),
    "motion": (0.6, 1.0),
    "under_exposed": (0.7, 1.0),
    "over_exposed": (0.9, 1.0),
    "glare": (0.75, 1.0),
    "haze": (0.7, 1.0),
    "occlusion": (0.8, 1.0),
    "low_illumination_vignette": (0.85, 1.0),
}
MIN_CELLS = 3  # a defect that hides fewer is not judged
LOCAL_SHARE = 0.15  # of the field
CUT = (0.2, 0.4)  # share of the visible field that is cut off for field_cut
SIDES = ("left", "right", "top", "bottom")

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
ByteArray = NDArray[np.uint8]


@dataclass
class _Tally:
    regions: Confusion = field(default_factory=Confusion)
    pictures: Confusion = field(default_factory=Confusion)


def fills_its_frame(visible: BoolArray) -> bool:
    """Return whether the field (S, S) is a rectangle, without the arc of a stop."""
    rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
    return bool(visible[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all())


def camera_window(visible: BoolArray) -> tuple[slice, slice]:
    """Return the rows and columns of a square frame (S, S) that the camera delivers."""
    if not fills_its_frame(visible):
        return np.s_[:, :]
    rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
    return np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def cut_on_one_side(rgb: ByteArray, visible: BoolArray, side: str, share: float) -> ByteArray:
    """Return the frame (H, W, 3) without ``share`` of its visible field at ``side``, as if mis-centred."""
    across = side in ("left", "right")
    filled = np.cumsum(visible.sum(0 if across else 1)) / visible.sum()
    ahead = side in ("left", "top")
    at = int(np.searchsorted(filled, share if ahead else 1 - share))
    kept = slice(at, None) if ahead else slice(None, at)
    return np.ascontiguousarray(rgb[:, kept] if across else rgb[kept])


def region_cells(report: QualityReport, threshold: float) -> list[tuple[Region, BoolArray]]:
    """Return each reported region with its cells (h, w): the groups that the core has joined, by size.

    Source: csrc/grid_ops.h, find_components: eight neighbours, largest weight first, then the first cell.
    """
    bad = np.isfinite(report.map) & (report.weights > 0) & (np.nan_to_num(report.map) >= threshold)
    count, labels = cv2.connectedComponents(bad.astype(np.uint8), connectivity=8)
    groups = [labels == index for index in range(1, count)]
    groups.sort(key=lambda cells: (-round(float(report.weights[cells].sum()), 3), int(np.argmax(cells))))
    return list(zip(report.regions, groups, strict=False))  # the core reports the largest 32


def hidden_cells(report: QualityReport, hidden: FloatArray, visible: BoolArray) -> BoolArray:
    """Return the report's cells (h, w) of which a defect hides more than BAD_ABOVE; planes of the frame."""
    height, width = report.map.shape
    share = cells_of(visible.astype(np.float32), report.crop, width, height)
    lost = cells_of(hidden, report.crop, width, height) / np.maximum(share, 1e-6)
    return (share > 0.5) & (lost > BAD_ABOVE)


def named_cause(report: QualityReport, cells: BoolArray, threshold: float) -> str:
    """Return the main reason of the region that holds most of ``cells`` (h, w); empty without one."""
    held = [(int((own & cells).sum()), region) for region, own in region_cells(report, threshold)]
    best = max(held, key=lambda each: each[0], default=None)
    return best[1].main_reason if best is not None and best[0] else ""


def reason_figures(runtime: Runtime, pictures: Sequence[Picture], *, seed: int) -> dict[str, Any]:
    """Return confusion, precision, recall and F1 of regions and pictures, overall and a camera."""
    threshold = float(runtime.info.contract.to_dict()["map"]["region_threshold"])
    overall, cameras = _Tally(), defaultdict(_Tally)
    kinds: dict[str, Confusion] = defaultdict(Confusion)  # named, a generator: what is missed and for what
    unjudged = dict.fromkeys(SEVERITIES, 0)
    for frame in clean_frames(pictures, "reasons"):
        tallies = (overall, cameras[frame.dataset])
        window = camera_window(frame.visible)
        visible = frame.visible[window]
        for order, (kind, severities) in enumerate(SEVERITIES.items()):
            rng = _generator(seed, order, frame)
            for local in (True, False):
                damaged = degrade(frame.rgb, frame.visible, kind, rng.uniform(*severities), rng, local=local)
                report = runtime.assess(np.ascontiguousarray(damaged.rgb[window]))
                if local:
                    cells = _judged_cells(report, damaged, window, visible)
                    if cells is None:
                        unjudged[kind] += 1
                    else:
                        named = named_cause(report, cells, threshold)
                        kinds[kind].add(REASONS[kind], named)
                        for tally in tallies:
                            tally.regions.add(REASONS[kind], named)
                if not local or damaged.hidden[frame.visible].mean() >= LOCAL_SHARE:
                    for tally in tallies:
                        tally.pictures.add(REASONS[kind], report.main_reason)
        for truth, rgb in _without_defect(frame, window, seed):
            named = runtime.assess(rgb).main_reason
            for tally in tallies:
                tally.pictures.add(truth, named)
    return {
        "seed": seed,
        "severities": {kind: list(ends) for kind, ends in SEVERITIES.items()},
        "cut": list(CUT),
        "regions": overall.regions.figures(),
        "pictures": overall.pictures.figures(),
        "kinds": {kind: _kind_figures(REASONS[kind], found) for kind, found in sorted(kinds.items())},
        "unjudged": unjudged,
        "cameras": {
            name: {"regions": each.regions.figures(), "pictures": each.pictures.figures()}
            for name, each in sorted(cameras.items())
        },
    }


def _generator(seed: int, order: int, frame: CleanFrame) -> np.random.Generator:
    return np.random.default_rng([seed, 100 + order, zlib.crc32(frame.name.encode())])


def _judged_cells(
    report: QualityReport, damaged: Degraded, window: tuple[slice, slice], visible: BoolArray
) -> BoolArray | None:
    """Return the cells that the defect hides, None where they are too few or the field was not found."""
    if not report.fov.found:
        return None
    cells = hidden_cells(report, np.ascontiguousarray(damaged.hidden[window]), visible)
    return cells if cells.sum() >= MIN_CELLS else None


def _without_defect(frame: CleanFrame, window: tuple[slice, slice], seed: int) -> list[tuple[str, ByteArray]]:
    """Return the clean frame, and one that is cut on one side where the field is round, with the truth."""
    clean = np.ascontiguousarray(frame.rgb[window])
    if fills_its_frame(frame.visible):
        return [(NONE, clean)]
    rng = _generator(seed, len(SEVERITIES), frame)
    side, share = SIDES[int(rng.integers(len(SIDES)))], rng.uniform(*CUT)
    return [(NONE, clean), ("field_cut", cut_on_one_side(frame.rgb, frame.visible, side, share))]


def _kind_figures(cause: str, found: Confusion) -> dict[str, Any]:
    named = found.counts[cause]
    total = sum(named.values())
    return {"cause": cause, "n": total, "recall": named[cause] / total, "named": dict(sorted(named.items()))}
