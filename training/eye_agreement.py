"""Does the score say the same of both eyes of a patient? They are photographed in one sitting, by one camera.

A score that reads quality agrees more between two such pictures than one that reads noise, and no label is
needed to see it. It agrees also by what else the two share (the camera, the pigment), so it compares models
with one another, a set at a time; by itself a figure of it means little.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from efiqa import Runtime
from training.data import Picture, load_rgb
from training.metrics import ranks_correlation
from training.progress import track
from training.severity_ranking import score_of

MIN_PAIRS = 20  # of a set; a correlation of fewer says nothing

Pair = tuple[Picture, Picture]


def pairs_of_eyes(pictures: Sequence[Picture]) -> dict[str, list[Pair]]:
    """Return (left, right) of each patient with both, by set; their names end in _left and _right."""
    eyes: dict[tuple[str, str], dict[str, Picture]] = defaultdict(dict)
    for picture in pictures:
        found = re.fullmatch(r"(.+)_(left|right)", Path(picture.name).stem)
        if found:
            eyes[picture.dataset, found[1]][found[2]] = picture
    out: dict[str, list[Pair]] = defaultdict(list)
    for (dataset, _), sides in sorted(eyes.items()):
        if len(sides) == 2:
            out[dataset].append((sides["left"], sides["right"]))
    return {dataset: pairs for dataset, pairs in out.items() if len(pairs) >= MIN_PAIRS}


def agreement(left: Sequence[float], right: Sequence[float]) -> float:
    """Return Spearman's correlation over patients; each counts both ways round, so neither side matters."""
    return ranks_correlation([*left, *right], [*right, *left])


def eye_agreement(runtime: Runtime, pictures: Sequence[Picture]) -> dict[str, Any]:
    """Return the number of pairs and their agreement for each set of ``pictures`` that has enough pairs."""
    out: dict[str, Any] = {}
    for dataset, pairs in pairs_of_eyes(pictures).items():
        left, right = (
            [score_of(runtime, load_rgb(pair[side].path)) for pair in track(pairs, f"{dataset}, {name} eyes")]
            for side, name in enumerate(("left", "right"))
        )
        out[dataset] = {"n_pairs": len(pairs), "spearman": agreement(left, right)}
    return out
