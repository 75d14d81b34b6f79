"""Does the score say the same of both eyes of a patient? They are photographed in one sitting, by one camera.

A score that reads quality agrees more between two such pictures than one that reads noise, and no label is
needed to see it. It agrees also by what else the two share (the camera, the pigment), so it compares models
with one another, a set at a time; by itself a figure of it means little.

    python -m training.eye_agreement --data FOLDER --model FILE --temperature 0.5 1 2 --zones 1,1,1 1,0.5,0.1

prints it also for the map's logits divided by other temperatures, and for other weights of the field's zones
in the score.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from efiqa import QualityReport, Runtime
from efiqa.calibration.zones import EQUAL
from efiqa.contract import ZoneWeights
from training.data import Picture, load_rgb, read_manifest
from training.judgement import pool_pictures
from training.metrics import ranks_correlation
from training.progress import track
from training.scoring import add_zones_option, zone_counts, zones_text

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


@dataclass(frozen=True)
class Reading:
    """How a score is read from a map: its logits' ``temperature``, and how much each zone counts."""

    temperature: float = 1.0
    zones: ZoneWeights = EQUAL


def score_by(reading: Reading, report: QualityReport) -> float:
    """Return the score as ``reading`` has it, -1 when the verdict is unknown."""
    if report.score is None:
        return -1.0
    inside = report.weights > 0
    hidden = expit(logit(report.map[inside].astype(np.float64)) / reading.temperature)
    counted = report.weights * zone_counts(*report.weights.shape, reading.zones)
    return 1 - float(np.average(hidden, weights=counted[inside]))


def own_reading(runtime: Runtime) -> Reading:
    """Return how the runtime itself reads its score."""
    point = runtime.info.contract.operating_points[runtime.info.operating_point]
    return Reading(zones=point.zone_weights or EQUAL)


def eye_agreement(
    runtime: Runtime, pictures: Sequence[Picture], readings: Sequence[Reading] | None = None
) -> list[dict[str, Any]]:
    """Return, for each reading, the pairs and their agreement of each set that has enough pairs.

    ``readings``: None for the runtime's own alone.
    """
    readings = readings or [own_reading(runtime)]
    out: list[dict[str, Any]] = [{} for _ in readings]
    for dataset, pairs in pairs_of_eyes(pictures).items():
        sides = [
            [runtime.assess(load_rgb(pair[side].path)) for pair in track(pairs, f"{dataset}, {name} eyes")]
            for side, name in enumerate(("left", "right"))
        ]
        for found, reading in zip(out, readings, strict=True):
            left, right = ([score_by(reading, report) for report in reports] for reports in sides)
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
    add_zones_option(parser)
    options = parser.parse_args(arguments)
    for value in options.temperature:
        if not value > 0:
            parser.error(f"--temperature is {value}, expected numbers > 0")
    runtime = Runtime(options.model)
    zones = options.zones or [own_reading(runtime).zones]
    readings = [Reading(temperature, each) for temperature in options.temperature for each in zones]
    pool = pool_pictures(read_manifest(options.data))
    for reading, sets in zip(readings, eye_agreement(runtime, pool, readings), strict=True):
        shown = ", ".join(
            f"{name} {found['spearman']:.3f} ({found['n_pairs']} pairs)" for name, found in sets.items()
        )
        print(
            f"{runtime.info.model_id}, temperature {reading.temperature:g}, "
            f"zones {zones_text(reading.zones)}: {shown or 'no set with enough pairs'}"
        )


if __name__ == "__main__":
    main()
