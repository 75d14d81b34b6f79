"""Does a model still rank real pictures as an earlier one does? All of the pool, no quality label.

Made defects, and a patient's two eyes, do not show it when training makes a student forget what a really bad
photograph looks like. The map of an earlier model, which the student was taught of these pictures, does. Two
good models need not agree wholly: only a figure that falls says something.

    python -m training.pool_ranking --data FOLDER --model FILE
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from efiqa import Runtime
from training.command_line import model_parser
from training.data import Picture, load_rgb, read_manifest
from training.judgement import pool_pictures
from training.metrics import ranks_correlation, told_apart
from training.progress import track
from training.severity_ranking import score_of

EARLIER = Path(__file__).parent / "weights" / "efiqa-lite0-384-v1.onnx"
WORST, MIDDLING = 0.125, 0.5  # of the pictures, up to which ranks by the earlier model
LEAST = 16  # pictures: fewer have no worst eighth


def pool_ranking(runtime: Runtime, earlier: Runtime, pictures: Sequence[Picture]) -> dict[str, Any]:
    """Return how ``runtime`` ranks ``pictures`` beside ``earlier``: Spearman's correlation, and two AUROCs.

    By the earlier model's scores the better half, the worst eighth and those between are told apart; the
    AUROCs say how surely the scores of ``runtime`` tell one from the next. No score ranks below all others.

    Raises:
        ValueError: there are fewer than LEAST pictures.
    """
    if len(pictures) < LEAST:
        raise ValueError(
            f"pictures are {len(pictures)}, expected at least {LEAST} to rank; give more of the pool"
        )
    found: list[tuple[float, float]] = []
    for picture in track(pictures, "pool ranking"):
        rgb = load_rgb(picture.path)
        found.append((score_of(earlier.assess(rgb)), score_of(runtime.assess(rgb))))
    before, now = np.array(sorted(found)).T
    worst, half = int(WORST * len(now)), int(MIDDLING * len(now))
    return {
        "n_pictures": len(now),
        "spearman": ranks_correlation(before, now),
        "better_middling": told_apart(now[half:], now[worst:half]),
        "middling_worst": told_apart(now[worst:half], now[:worst]),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures of the model that the command line names."""
    parser = model_parser(__doc__)
    parser.add_argument("--earlier", type=Path, default=EARLIER, help="the model to rank beside; default: v1")
    parser.add_argument(
        "--every", type=int, default=4, help="of the pool's pictures, every so many; default: 4"
    )
    options = parser.parse_args(arguments)
    if options.every < 1:
        parser.error(f"--every is {options.every}, expected 1 or more")
    pictures = pool_pictures(read_manifest(options.data))[:: options.every]
    with Runtime(options.model) as runtime, Runtime(options.earlier) as earlier:
        try:
            found = pool_ranking(runtime, earlier, pictures)
        except ValueError as error:
            parser.error(str(error))
        print(
            f"{runtime.info.model_id} beside {earlier.info.model_id}: Spearman {found['spearman']:.3f}, "
            f"better from middling {found['better_middling']:.4f}, "
            f"middling from worst {found['middling_worst']:.4f}; {found['n_pictures']} pictures"
        )


if __name__ == "__main__":
    main()
