"""A sheet of bad photographs as the Runtime judges them, for people to look at.

    python -m training.bad_picture_sheet --data FOLDER --out sheet.png

Each is shown beside its overlay, with verdict, score, causes and remedy. They are drawn by seed among
pictures that people labelled bad, reject or usable, whatever the model says of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from efiqa import QualityReport, Runtime
from training.command_line import model_parser
from training.data import load_rgb, read_manifest
from training.progress import track
from training.quality_sets import Labelled, evaluation_pictures

DRAWN = {("drimdb", "bad"): 8, ("eyeq", "reject"): 11, ("eyeq", "usable"): 5}
TILE_PX, LINE_PX, COLUMNS = 320, 20, 3
STRENGTH_SHOWN = 0.05
MODEL_VERDICTS = {"good": (120, 220, 120), "usable": (230, 210, 90), "reject": (250, 120, 100)}

ByteArray = NDArray[np.uint8]


def drawn_pictures(pictures: Sequence[Labelled], *, seed: int) -> list[Labelled]:
    """Return the pictures to show: so many of each label, by seed, in the order of the manifest."""
    rng = np.random.default_rng(seed)
    found: list[Labelled] = []
    for (family, label), count in DRAWN.items():
        group = [p for p in pictures if p.family == family and p.label == label]
        chosen = rng.choice(len(group), min(count, len(group)), replace=False)
        found += [group[k] for k in sorted(chosen)]
    return found


def answer(report: QualityReport) -> list[str]:
    """Return what the report says, in lines: verdict and scores; main cause and strengths; remedy."""
    score = "-" if report.score is None else f"{report.score:.2f}"
    verdict = f"{report.verdict} {score}" + (f" ({report.reason})" if report.reason else "")
    if report.not_a_fundus is not None:
        verdict += f", not a fundus {report.not_a_fundus:.2f}"
    shown = sorted(report.reasons.items(), key=lambda each: -each[1])
    strengths = ", ".join(f"{name} {value:.2f}" for name, value in shown if value >= STRENGTH_SHOWN)
    return [verdict, f"{report.main_reason or 'no cause'}: {strengths or '-'}", report.remedy_text or "-"]


def _fitted(rgb: ByteArray) -> ByteArray:
    scale = TILE_PX / max(rgb.shape[:2])
    height, width = (max(1, round(each * scale)) for each in rgb.shape[:2])
    tile = np.zeros((TILE_PX, TILE_PX, 3), np.uint8)
    top, left = (TILE_PX - height) // 2, (TILE_PX - width) // 2
    resized = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    tile[top : top + height, left : left + width] = resized
    return tile


def tile_of(rgb: ByteArray, report: QualityReport, heading: str) -> ByteArray:
    """Return the picture beside its overlay above the lines of `answer`."""
    lines = [heading, *answer(report)]
    text = np.full((LINE_PX * len(lines) + 10, 2 * TILE_PX, 3), 24, np.uint8)
    for index, line in enumerate(lines):
        colour = MODEL_VERDICTS.get(report.verdict, (200, 200, 200)) if index == 1 else (235, 235, 235)
        place = (6, LINE_PX * (index + 1) - 4)
        cv2.putText(text, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
    return np.vstack([np.hstack([_fitted(rgb), _fitted(report.overlay())]), text])


def write_sheet(runtime: Runtime, pictures: Sequence[Labelled], out: Path) -> None:
    """Write the PNG file ``out`` with a tile for each picture."""
    tiles = []
    for picture in track(pictures, "bad pictures"):
        rgb = load_rgb(picture.path)
        heading = f"{picture.family} {picture.label}: {picture.path.stem}"
        tiles.append(tile_of(rgb, runtime.assess(rgb), heading))
    while len(tiles) % COLUMNS:
        tiles.append(np.zeros_like(tiles[0]))
    rows = [np.hstack(tiles[k : k + COLUMNS]) for k in range(0, len(tiles), COLUMNS)]
    if not cv2.imwrite(str(out), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)):
        raise OSError(f"--out is {out}, which cannot be written")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the sheet that the command line names."""
    parser = model_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args(arguments)
    pictures = drawn_pictures(evaluation_pictures(read_manifest(options.data)), seed=options.seed)
    if not pictures:
        parser.error(f"--data is {options.data}, which holds no picture labelled bad, reject or usable")
    write_sheet(Runtime(options.model), pictures, options.out)
    print(f"wrote {len(pictures)} pictures to {options.out}")


if __name__ == "__main__":
    main()
