"""Does the score fall when macula or disc is hidden? Clean pictures of the training split, a spot on either.

A mean over the field hears little of them, small parts of it, but graders reject what hides them. No label is
needed to see how much of that a score hears, and how much more with other weights of the zones or another
margin of macula and disc:

    python -m training.landmark_scores --data FOLDER --zones 1,1,0.25 1,0.5,0.1 --macula 0.1 0.2 1 --disc 0.2
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from efiqa import QualityReport, Runtime
from training.anatomy_figures import MACULAR_KINDS, with_spot
from training.command_line import model_parser
from training.data import Picture, read_manifest, vessel_pictures
from training.eye_agreement import own_reading, score_by
from training.landmarks import find_landmarks
from training.local_defects import clean_frames
from training.metrics import told_apart
from training.reason_figures import camera_window
from training.scoring import Reading, add_reading_options, readings_of

DIAMETERS = (1.5, 3.0)  # of the spots, in disc diameters
SEVERITY = 0.9


def spotted(runtime: Runtime, pictures: Sequence[Picture], *, seed: int) -> dict[str, list[QualityReport]]:
    """Return reports of ``pictures`` as they are, "clean", and with a spot, by its place, kind and size.

    Pictures whose fovea and disc are not known are left out.
    """
    found: dict[str, list[QualityReport]] = defaultdict(list)
    for frame in clean_frames(pictures, "landmark scores"):
        place = find_landmarks(frame.rgb, frame.visible)
        if place is None:
            continue
        window = camera_window(frame.visible)
        found["clean"].append(runtime.assess(np.ascontiguousarray(frame.rgb[window])))
        centres = {"fovea": place.fovea, "disc": place.disc}
        for (order, kind), (where, centre), diameter in product(
            enumerate(MACULAR_KINDS), centres.items(), DIAMETERS
        ):
            rng = np.random.default_rng([seed, order, zlib.crc32(frame.name.encode())])
            spot = with_spot(frame, centre, diameter * place.disc_diameter, kind, SEVERITY, rng)
            report = runtime.assess(np.ascontiguousarray(spot.rgb[window]))
            found[f"{where} {kind}, {diameter:g}"].append(report)
    return dict(found)


def landmark_scores(reports: dict[str, list[QualityReport]], reading: Reading) -> dict[str, dict[str, Any]]:
    """Return of each kind of spot how surely the score tells it from no spot (AUROC), and its mean fall.

    A picture without a score ranks below all others, and counts in the fall as if it had one of 0.
    """
    scores = {name: np.array([score_by(reading, each) for each in seen]) for name, seen in reports.items()}
    clean = scores.pop("clean")
    fallen = {name: np.maximum(clean, 0) - np.maximum(each, 0) for name, each in scores.items()}
    return {
        name: {"auroc": told_apart(clean, each), "fall": float(fallen[name].mean())}
        for name, each in scores.items()
    }


def bound_share(clean: Sequence[QualityReport], reading: Reading) -> float:
    """Return the share of clean pictures whose score would be greater without the landmarks' bounds."""
    free = replace(reading, macula_margin=1.0, optic_disc_margin=1.0)
    return float(np.mean([score_by(reading, each) < score_by(free, each) for each in clean]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures of the model that the command line names."""
    parser = model_parser(__doc__)
    add_reading_options(parser)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    runtime = Runtime(options.model)
    pictures = vessel_pictures(read_manifest(options.data), "train")
    reports = spotted(runtime, pictures, seed=options.seed)
    if "clean" not in reports:
        parser.error(
            f"--data is {options.data}, in which no training picture shows where its fovea and disc are"
        )
    for reading in readings_of(own_reading(runtime), options):
        found = landmark_scores(reports, reading)
        shown = ", ".join(f"{name} {each['auroc']:.3f} ({each['fall']:+.3f})" for name, each in found.items())
        clean = reports["clean"]
        bound = bound_share(clean, reading)
        print(f"{runtime.info.model_id}, {reading}: {shown}; {len(clean)} clean pictures, {bound:.1%} bound")


if __name__ == "__main__":
    main()
