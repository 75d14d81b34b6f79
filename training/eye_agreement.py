"""Does the score say the same of both eyes of a patient? They are photographed in one sitting, by one camera.

A score that reads quality agrees more between two such pictures than one that reads noise, and no label is
needed to see it. It agrees also by what else the two share (the camera, the pigment), so it compares models
with one another, a set at a time; by itself a figure of it means little.

    python -m training.eye_agreement --data FOLDER --model FILE --temperature 0.5 1 2 --zones 1,1,1 1,0.5,0.1

prints it also for the map's logits divided by other temperatures, and for other weights of the field's zones
in the score; ``--macula`` and ``--disc`` for other margins of the landmarks.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from efiqa import QualityReport, Runtime
from training.command_line import model_parser
from training.data import Picture, load_rgb, read_manifest
from training.judgement import pool_pictures
from training.metrics import ranks_correlation
from training.progress import track
from training.scoring import Reading, add_reading_options, readings_of, score_of_map

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


def score_by(reading: Reading, report: QualityReport) -> float:
    """Return the score as ``reading`` has it, -1 when the verdict is unknown."""
    if report.score is None:
        return -1.0
    return score_of_map(report.map, report.weights, (report.macula, report.optic_disc), reading)


def own_reading(runtime: Runtime) -> Reading:
    """Return how the runtime itself reads its score."""
    return Reading.of(runtime.info.contract.operating_points[runtime.info.operating_point])


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
    parser = model_parser(__doc__)
    parser.add_argument("--temperature", type=float, nargs="+", default=[1.0], help="default: 1")
    add_reading_options(parser)
    options = parser.parse_args(arguments)
    for value in options.temperature:
        if not value > 0:
            parser.error(f"--temperature is {value}, expected numbers > 0")
    runtime = Runtime(options.model)
    readings = readings_of(own_reading(runtime), options, options.temperature)
    pool = pool_pictures(read_manifest(options.data))
    for reading, sets in zip(readings, eye_agreement(runtime, pool, readings), strict=True):
        shown = ", ".join(
            f"{name} {found['spearman']:.3f} ({found['n_pairs']} pairs)" for name, found in sets.items()
        )
        print(f"{runtime.info.model_id}, {reading}: {shown or 'no set with enough pairs'}")


if __name__ == "__main__":
    main()
