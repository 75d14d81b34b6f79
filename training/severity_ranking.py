"""Does the score fall as a clean picture gets worse? Global degradations, no quality label."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from efiqa import Runtime
from training.data import Picture
from training.degrade import KINDS, degrade
from training.local_defects import clean_frames
from training.metrics import ranks_correlation, told_apart

SEVERITIES = (0.25, 0.5, 0.75, 1.0)


def score_of(runtime: Runtime, frame: np.ndarray) -> float:
    """Return the score of a frame, -1 (below every score) when the verdict is unknown."""
    score = runtime.assess(frame).score
    return -1.0 if score is None else score


def severity_ranking(runtime: Runtime, pictures: Sequence[Picture], *, seed: int) -> dict[str, Any]:
    """Return for each kind the AUROC of clean against degraded at each of SEVERITIES, and rank correlations.

    ``spearman_severity`` is the mean over pictures of the correlation of severity and 1 - score (the clean
    picture included); ``spearman_visible`` that of score and the share of anatomy left, over all frames.
    """
    clean: list[float] = []
    scores: dict[str, list[list[float]]] = defaultdict(list)  # kind -> pictures -> severities
    visible: dict[str, list[list[float]]] = defaultdict(list)
    for frame in clean_frames(pictures, "severity ranking"):
        clean.append(score_of(runtime, frame.rgb))
        for order, kind in enumerate(KINDS):
            rng = np.random.default_rng([seed, order, zlib.crc32(frame.name.encode())])
            made = [degrade(frame.rgb, frame.visible, kind, s, rng, local=False) for s in SEVERITIES]
            scores[kind].append([score_of(runtime, each.rgb) for each in made])
            visible[kind].append([1 - float(each.hidden[frame.visible].mean()) for each in made])
    report: dict[str, Any] = {}
    for kind in KINDS:
        table = np.array(scores[kind])  # (pictures, severities)
        rows = [
            ranks_correlation([0, *SEVERITIES], -np.r_[c, row]) for c, row in zip(clean, table, strict=True)
        ]
        left = np.c_[np.ones(len(clean)), np.array(visible[kind])]
        report[kind] = {
            "auroc": {str(s): told_apart(clean, table[:, k]) for k, s in enumerate(SEVERITIES)},
            "spearman_severity": float(np.mean(rows)),
            "spearman_visible": ranks_correlation(left.ravel(), np.c_[clean, table].ravel()),
            "mean_score": {str(s): float(table[:, k].mean()) for k, s in enumerate(SEVERITIES)},
        }
    flat = np.concatenate([np.c_[clean, np.array(scores[kind])].ravel() for kind in KINDS])
    left = np.concatenate([np.c_[np.ones(len(clean)), np.array(visible[kind])].ravel() for kind in KINDS])
    return {
        "n_pictures": len(clean),
        "seed": seed,
        "clean_mean_score": float(np.mean(clean)),
        "kinds": report,
        "mean_auroc": float(np.mean([each for kind in KINDS for each in report[kind]["auroc"].values()])),
        "spearman_visible_all": ranks_correlation(left, flat),
    }
