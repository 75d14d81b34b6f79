"""Stage 11: what is too dark for a reader at a display.

A network is taught what it can tell from a picture, and it tells vessels in light in which no reader sees
them. How much a lack of light hides is read from the picture itself (training.cell_light): the map says that
it hides as much of what is left, and the cause `under_exposed` where no other explains it. Nothing is
learned; flare and luminance are the recipe's.

Output: ``whole.pt``, the student as it is exported; ``viewing.json``, how much of the pictures is too dark.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from training.cell_light import lack_of_light, light_sums
from training.data import CropSet
from training.progress import track
from training.pruning import PRUNED, SEEN_SHARE
from training.pseudo_labels import crop_on_grid
from training.settings import settings
from training.student import Student, load_student, save_student, student_of
from training.views import normalised

WHOLE = "whole.pt"
MOST = 0.5  # of a cell's anatomy


@settings
class ViewingSettings:
    """``flare`` of the display, and luminance that is ``enough``, in shares of white; no flare, no stage."""

    flare: float
    enough: float


def viewed(student: Student, viewing: ViewingSettings) -> Student:
    """Return ``student`` with a map, and a cause, that hear of too little light."""
    shape = replace(student.shape, viewing_flare=viewing.flare, light_enough=viewing.enough)
    return student_of(shape, student.state_dict())


@torch.no_grad()
def dark_share(crops: CropSet, viewing: ViewingSettings, size_px: int, grid: int, label: str) -> float:
    """Return of all cells of ``crops`` the share most of whose anatomy is too dark to be seen."""
    dark = seen = 0
    for index in track(range(len(crops)), label):
        rgb, _, weights = crop_on_grid(crops, index, size_px, grid)
        logits = lack_of_light(light_sums(normalised(rgb)[None]), viewing.flare, viewing.enough)
        counted = weights > SEEN_SHARE
        dark += int((logits[0, 0].sigmoid().numpy() > MOST)[counted].sum())
        seen += int(np.count_nonzero(counted))
    return dark / max(seen, 1)


def run(
    viewing: ViewingSettings, pool: CropSet, annotated: CropSet, size_px: int, grid: int, out: Path
) -> None:
    """Give the student in ``out`` its reader's eyes; write the stage's files."""
    student = load_student(out / PRUNED)
    found = {}
    if viewing.flare:
        student = viewed(student, viewing)
        for name, crops in (("pool", pool), ("annotated", annotated)):
            found[name] = dark_share(crops, viewing, size_px, grid, f"light of {name}")
    save_student(student, size_px, out / WHOLE)
    (out / "viewing.json").write_text(json.dumps({"cells_too_dark": found}, indent=2) + "\n")
    print(f"viewing: {json.dumps(found)}", flush=True)
