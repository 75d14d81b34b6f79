"""Does the score say the same of both eyes of a patient? They are photographed in one sitting, by one camera.

A score that reads quality agrees more between two such pictures than one that reads noise, and no label is
needed to see it. It agrees also by what else the two share (the camera, the pigment), so it compares models
with one another, a set at a time; by itself a figure of it means little.

    python -m training.eye_agreement --data FOLDER --model FILE --temperature 0.5 1 2

prints it also for the map's logits divided by other temperatures.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from efiqa import QualityReport, Runtime
from training.data import Picture, load_rgb, read_manifest
from training.judgement import pool_pictures
from training.metrics import ranks_correlation
from training.progress import track

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


def score_at(report: QualityReport, temperature: float) -> float:
    """Return the score with the map's logits divided by ``temperature``, -1 when the verdict is unknown."""
    if report.score is None:
        return -1.0
    inside = report.weights > 0
    hidden = expit(logit(report.map[inside].astype(np.float64)) / temperature)
    return 1 - float(np.average(hidden, weights=report.weights[inside]))


def eye_agreement(
    runtime: Runtime, pictures: Sequence[Picture], temperatures: Sequence[float] = (1.0,)
) -> list[dict[str, Any]]:
    """Return, for each temperature, the pairs and their agreement of each set that has enough pairs."""
    out: list[dict[str, Any]] = [{} for _ in temperatures]
    for dataset, pairs in pairs_of_eyes(pictures).items():
        sides = [
            [runtime.assess(load_rgb(pair[side].path)) for pair in track(pairs, f"{dataset}, {name} eyes")]
            for side, name in enumerate(("left", "right"))
        ]
        for found, temperature in zip(out, temperatures, strict=True):
            left, right = ([score_at(report, temperature) for report in reports] for reports in sides)
            found[dataset] = {"n_pairs": len(pairs), "spearman": agreement(left, right)}
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the agreement in the pool of the model that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--model", type=Path, help="ONNX model with its contract; default: the embedded one")
    parser.add_argument("--temperature", type=float, nargs="+", default=[1.0], help="default: 1")
    options = parser.parse_args(arguments)
    for temperature in options.temperature:
        if not temperature > 0:
            parser.error(f"--temperature is {temperature}, expected numbers > 0")
    runtime = Runtime(options.model)
    pool = pool_pictures(read_manifest(options.data))
    for temperature, sets in zip(
        options.temperature, eye_agreement(runtime, pool, options.temperature), strict=True
    ):
        shown = ", ".join(
            f"{name} {found['spearman']:.3f} ({found['n_pairs']} pairs)" for name, found in sets.items()
        )
        print(f"{runtime.info.model_id}, temperature {temperature:g}: {shown or 'no set with enough pairs'}")


if __name__ == "__main__":
    main()
