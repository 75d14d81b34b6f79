"""Is refused what is no retina, and nothing that is? A refused picture has the verdict ``unknown``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from efiqa import QualityReport, Runtime
from training.data import Picture, load_rgb
from training.foreign_frames import foreign_frames
from training.metrics import auroc
from training.progress import track
from training.quality_sets import Labelled

NAMED = 20  # of a group: so many pictures are named in the figures, the rest only counted
ByteArray = NDArray[np.uint8]
DoubleArray = NDArray[np.float64]


@dataclass
class Refusals:
    """What was refused of one group of pictures."""

    pictures: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)

    def add(self, name: str, reason: str) -> None:
        """Count one picture; ``reason`` is empty where it was judged."""
        self.pictures += 1
        if reason:
            self.reasons[reason] += 1
        (self.refused if reason else self.accepted).append(name)

    def figures(self, *, named: str) -> dict[str, Any]:
        """Return the counts and the first names of those ``named``: "refused" or "accepted"."""
        return {
            "n_pictures": self.pictures,
            "n_refused": len(self.refused),
            "share_refused": len(self.refused) / self.pictures,
            "reasons": dict(sorted(self.reasons.items())),
            named: getattr(self, named)[:NAMED],
        }


def refusal(report: QualityReport) -> str:
    """Return why a picture was refused, or an empty text."""
    return report.reason if report.verdict == "unknown" else ""


def as_it_is(rgb: ByteArray) -> ByteArray:
    """Return the frame itself."""
    return rgb


def green_light(rgb: ByteArray) -> ByteArray:
    """Return the green light (H, W) of a frame (H, W, 3), as of a red-free photograph."""
    return np.ascontiguousarray(rgb[..., 1])


def photograph_refusals(
    runtime: Runtime,
    groups: Iterable[tuple[str, Sequence[Picture]]],
    shown: Callable[[ByteArray], ByteArray] = as_it_is,
) -> dict[str, dict[str, Any]]:
    """Return how many of each group's photographs, all real retinas of any quality, are refused.

    ``shown``: what of each the camera delivers.
    """
    out = {}
    for name, pictures in groups:
        seen = Refusals()
        for picture in track(pictures, f"refusals, {name}"):
            seen.add(picture.name, refusal(runtime.assess(shown(load_rgb(picture.path)))))
        if seen.pictures:
            out[name] = seen.figures(named="refused")
    return out


def foreign_refusals(runtime: Runtime) -> dict[str, dict[str, Any]]:
    """Return how many frames without a retina are refused, a group, and which are not."""
    groups: dict[str, Refusals] = {}
    for frame in track(foreign_frames(), "refusals, foreign frames"):
        seen = groups.setdefault(frame.group, Refusals())
        seen.add(frame.name, refusal(runtime.assess(frame.rgb)))
    return {name: seen.figures(named="accepted") for name, seen in groups.items()}


def labelled_refusals(
    pictures: Sequence[Labelled], reasons: Sequence[str], probabilities: DoubleArray, scores: DoubleArray
) -> dict[str, Any]:
    """Return what was refused of each label, and how well DRIMDB's outliers are told from its good pictures.

    ``reasons``: `refusal` of each picture; ``probabilities`` (N,): of not being a fundus, NaN where the model
    did not say; ``scores`` (N,). A refused picture counts as an outlier for certain.
    """
    labels: dict[str, Refusals] = {}
    for picture, reason in zip(pictures, reasons, strict=True):
        name = f"{picture.family} {picture.label}"
        wanted = labels.setdefault(name, Refusals())
        wanted.add(picture.name, reason)
    figures = {
        name: seen.figures(named="accepted" if name.endswith("outlier") else "refused")
        for name, seen in sorted(labels.items())
    }
    chosen = [k for k, p in enumerate(pictures) if p.family == "drimdb" and p.label in ("good", "outlier")]
    good = np.array([pictures[k].label == "good" for k in chosen])
    found: dict[str, Any] = {"labels": figures}
    if good.any() and not good.all():
        says = np.isfinite(probabilities).any()
        certain = np.where(np.isfinite(probabilities), probabilities, [1.0 if r else 0.0 for r in reasons])
        found["good_outlier_auroc"] = {
            "not_a_fundus": auroc(good, -certain[chosen]) if says else None,
            "score": auroc(good, scores[chosen]),
        }
    return found
