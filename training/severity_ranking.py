"""Does the score fall as a clean picture gets worse? Global degradations, no quality label."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from efiqa import QualityReport, Runtime
from training.data import Picture
from training.degrade import KINDS, degrade
from training.local_defects import assessed_as_saved, clean_frames
from training.metrics import ranks_correlation, told_apart

SEVERITIES = (0.25, 0.5, 0.75, 1.0)
HOPELESS = 0.3  # of the anatomy are left, or less


def score_of(report: QualityReport) -> float:
    """Return the score of a report, -1 (below every score) when the verdict is unknown."""
    return -1.0 if report.score is None else report.score


def severity_ranking(
    runtime: Runtime, pictures: Sequence[Picture], *, seed: int, by_camera: bool = False
) -> dict[str, Any]:
    """Return for each kind the AUROC of clean against degraded at each of SEVERITIES, and rank correlations.

    ``spearman_severity`` is the mean over pictures of the correlation of severity and 1 - score (the clean
    picture included); ``spearman_visible`` that of score and the share of anatomy left, over all frames.
    ``hopeless``: of the frames with next to no anatomy left, how many are called good, and the highest score.
    ``by_camera``: every frame is shown as a camera saves it (training.camera), grain over the defect.
    """
    clean: list[float] = []
    scores: dict[str, list[list[float]]] = defaultdict(list)  # kind -> pictures -> severities
    visible: dict[str, list[list[float]]] = defaultdict(list)
    hopeless: list[QualityReport] = []
    for frame in clean_frames(pictures, "severity ranking"):
        clean.append(score_of(assessed_as_saved(runtime, frame, frame.rgb, by_camera, seed)))
        for order, kind in enumerate(KINDS):
            rng = np.random.default_rng([seed, order, zlib.crc32(frame.name.encode())])
            made = [degrade(frame.rgb, frame.visible, kind, s, rng, local=False) for s in SEVERITIES]
            said = [assessed_as_saved(runtime, frame, each.rgb, by_camera, seed) for each in made]
            left = [1 - float(each.hidden[frame.visible].mean()) for each in made]
            scores[kind].append([score_of(each) for each in said])
            visible[kind].append(left)
            hopeless += [each for each, share in zip(said, left, strict=True) if share < HOPELESS]
    report: dict[str, Any] = {}
    for kind in KINDS:
        table = np.array(scores[kind])  # (pictures, severities)
        rows = [
            ranks_correlation([0, *SEVERITIES], -np.r_[c, row]) for c, row in zip(clean, table, strict=True)
        ]
        shown = np.c_[np.ones(len(clean)), np.array(visible[kind])]
        report[kind] = {
            "auroc": {str(s): told_apart(clean, table[:, k]) for k, s in enumerate(SEVERITIES)},
            "spearman_severity": float(np.mean(rows)),
            "spearman_visible": ranks_correlation(shown.ravel(), np.c_[clean, table].ravel()),
            "mean_score": {str(s): float(table[:, k].mean()) for k, s in enumerate(SEVERITIES)},
        }
    flat = np.concatenate([np.c_[clean, np.array(scores[kind])].ravel() for kind in KINDS])
    shown = np.concatenate([np.c_[np.ones(len(clean)), np.array(visible[kind])].ravel() for kind in KINDS])
    return {
        "n_pictures": len(clean),
        "seed": seed,
        "clean_mean_score": float(np.mean(clean)),
        "hopeless": {
            "n_frames": len(hopeless),
            "n_called_good": sum(each.verdict == "good" for each in hopeless),
            "highest_score": max((score_of(each) for each in hopeless), default=None),
        },
        "kinds": report,
        "mean_auroc": float(np.mean([each for kind in KINDS for each in report[kind]["auroc"].values()])),
        "spearman_visible_all": ranks_correlation(shown, flat),
    }
