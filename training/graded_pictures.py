"""A folder of pictures with labels that nobody had to give, for ``efiqa calibrate``.

Clean pictures of the vessel sets (train), each also degraded all over, are labelled by how much of the
anatomy the defect is known to hide.

    python -m training.graded_pictures --data FOLDER --out graded

Output: PNG crops and ``labels.csv`` with path, label and patient (the clean picture).
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np

from training.data import ByteArray, crop_frame, load_rgb, read_manifest, vessel_pictures
from training.degrade import graded_degradation
from training.export import OPERATING_POINTS
from training.progress import track

SIZE_PX, BORDER_PX = 448, 16
DEGRADED = 3  # of each clean picture
# Shares of the anatomy that a picture may hide and still have the label.
LIMITS = dict(zip(("good", "usable", "reject"), (*OPERATING_POINTS["screening"][0], 1.0), strict=True))


def label_of(hidden: float) -> str:
    """Return the label of a picture that hides the share ``hidden``, 0..1, of its anatomy."""
    return next(label for label, limit in LIMITS.items() if hidden <= limit)


def write_pictures(data: Path, out: Path, *, seed: int) -> int:
    """Write pictures and labels of the manifest in ``data`` to the folder ``out``; return how many."""
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows = []
    clean = vessel_pictures(read_manifest(data), "train")
    for picture in track(clean, "grade"):
        crop = crop_frame(load_rgb(picture.path), SIZE_PX)
        if crop is None:
            continue
        shown = [(crop.rgb, 0.0, "clean")]
        for _ in range(DEGRADED):
            damaged, hidden = graded_degradation(crop.rgb, crop.visible, rng)
            shown.append((damaged.rgb, hidden, damaged.kind))
        for number, (rgb, hidden, kind) in enumerate(shown):
            name = f"{picture.path.stem}_{number}_{kind}.png"
            _write(out / name, rgb)
            rows.append((name, label_of(hidden), picture.path.stem))
    with (out / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "label", "patient"), *rows])
    return len(rows)


def _write(path: Path, rgb: ByteArray) -> None:
    framed = cv2.copyMakeBorder(rgb, *[BORDER_PX] * 4, cv2.BORDER_CONSTANT)
    cv2.imwrite(str(path), cv2.cvtColor(framed, cv2.COLOR_RGB2BGR))


def main() -> None:
    """Write the folder that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    count = write_pictures(arguments.data, arguments.out, seed=arguments.seed)
    print(f"{count} pictures and labels.csv in {arguments.out}")


if __name__ == "__main__":
    main()
