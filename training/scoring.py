"""How much each part of the field counts in the score: the zones' weights of the shipped operating points.

What is at the rim of a photograph says less of it than what is in the middle: the light falls off there, the
eye turns a little, and graders ask for macula, disc and arcades. The weights were chosen in the pool, without
a label, by how far the scores of a patient's two eyes agree (training.eye_agreement). How much of a hidden
macula a score hears by them, training.macular_scores says.
"""

from __future__ import annotations

import argparse
from dataclasses import astuple

import numpy as np

from efiqa import _core
from efiqa.calibration.zones import SMALLEST
from efiqa.contract import ZoneWeights
from training.data import FloatArray

ZONE_WEIGHTS = ZoneWeights(center=1.0, middle=1.0, periphery=0.25)


def zone_counts(height: int, width: int, zones: ZoneWeights = ZONE_WEIGHTS) -> FloatArray:
    """Return how much each cell (h, w) of a grid counts, by the zone in which its centre lies."""
    counts = np.array([zones.center, zones.middle, zones.periphery], np.float32)
    return counts[_core.grid_zones(width, height)]


def zones_argument(text: str) -> ZoneWeights:
    """Return the weights that a command line gives as CENTER,MIDDLE,PERIPHERY.

    Raises:
        argparse.ArgumentTypeError: these are not three numbers from 0.01 to 1.
    """
    try:
        weights = [float(each) for each in text.split(",")]
    except ValueError:
        weights = []
    if len(weights) != 3 or not all(SMALLEST <= each <= 1 for each in weights):
        raise argparse.ArgumentTypeError(f"zones are {text!r}, three of 0.01 to 1 are expected: 1,0.5,0.1")
    return ZoneWeights(*weights)


def add_zones_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--zones``: weights by which scores are read, None without it."""
    parser.add_argument(
        "--zones",
        type=zones_argument,
        nargs="+",
        help="of centre, middle and periphery in the score, as 1,0.5,0.1; default: as the model has them",
    )


def zones_text(zones: ZoneWeights) -> str:
    """Return ``zones`` as `zones_argument` reads them."""
    return ",".join(f"{each:g}" for each in astuple(zones))
