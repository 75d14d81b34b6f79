"""How a score is read from a map: how much each part of the field counts in it.

What is at the rim of a photograph says less of it than what is in the middle: the light falls off there, the
eye turns a little, and graders ask for macula, disc and arcades. The zones' weights were chosen in the pool,
without a label, by how far the scores of a patient's two eyes agree (training.eye_agreement).

The macula is a small part of the field, and yet graders reject what hides it. So the score is bounded by how
much of it can be seen, wherever the model expects it, with a margin: clean pictures, whose maculas the map
calls a little worse than all else, stay as they are (training.landmark_scores). The disc's margin is so wide
that hardly any disc that is in view bounds a score; but a picture without one is a reject.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from itertools import product

import numpy as np
from scipy.special import expit, logit

from efiqa import _core
from efiqa.calibration.zones import EQUAL, SMALLEST, greatest_score
from efiqa.contract import OperatingPoint, ZoneWeights
from training.data import FloatArray


@dataclass(frozen=True)
class Reading:
    """How a score is read: the map's logits' ``temperature``, the zones' weights, the landmarks' margins."""

    temperature: float = 1.0
    zones: ZoneWeights = EQUAL
    macula_margin: float = 1.0
    optic_disc_margin: float = 1.0

    @classmethod
    def of(cls, point: OperatingPoint) -> Reading:
        """Return how an operating point has it."""
        return cls(1.0, point.zone_weights or EQUAL, point.macula_margin, point.optic_disc_margin)

    @property
    def margins(self) -> tuple[float, float]:
        """Return those of macula and disc."""
        return self.macula_margin, self.optic_disc_margin

    def __str__(self) -> str:
        zones = ",".join(f"{each:g}" for each in astuple(self.zones))
        shown = f"zones {zones}, margins of macula and disc {self.macula_margin:g} and "
        shown += f"{self.optic_disc_margin:g}"
        return shown if self.temperature == 1 else f"temperature {self.temperature:g}, {shown}"


PLAIN = Reading(zones=ZoneWeights(center=1.0, middle=1.0, periphery=0.25))
SCREENING = replace(PLAIN, macula_margin=0.12, optic_disc_margin=0.25)
Places = Sequence[FloatArray | None]


def zone_counts(height: int, width: int, zones: ZoneWeights = PLAIN.zones) -> FloatArray:
    """Return how much each cell (h, w) of a grid counts, by the zone in which its centre lies."""
    counts = np.array([zones.center, zones.middle, zones.periphery], np.float32)
    return counts[_core.grid_zones(width, height)]


def score_of_map(
    probabilities: FloatArray, weights: FloatArray, landmarks: Places, reading: Reading = PLAIN
) -> float:
    """Return the score of a map (h, w) whose cells are visible by ``weights`` (h, w).

    ``landmarks``, macula and disc, each (h, w): how probably a cell is of it; None where that is not known.
    """
    inside = weights > 0
    lost = np.ones(probabilities.shape)
    lost[inside] = expit(logit(probabilities[inside].astype(np.float64)) / reading.temperature)
    counts = zone_counts(*weights.shape, reading.zones).astype(np.float64)
    score = 1 - float(np.average(lost, weights=counts * weights))
    return min(score, greatest_score(lost, weights, landmarks, reading.margins))


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


def margin_argument(text: str) -> float:
    """Return a landmark's margin that a command line gives.

    Raises:
        argparse.ArgumentTypeError: it is no number from 0 to 1.
    """
    try:
        margin = float(text)
    except ValueError:
        margin = np.nan
    if not 0 <= margin <= 1:
        raise argparse.ArgumentTypeError(f"margin is {text!r}, a number from 0 to 1 is expected")
    return margin


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--zones``, ``--macula`` and ``--disc``: by what scores are read, None without them."""
    parser.add_argument(
        "--zones",
        type=zones_argument,
        nargs="+",
        help="of centre, middle and periphery in the score, as 1,0.5,0.1; default: as the model has them",
    )
    for name in ("--macula", "--disc"):
        parser.add_argument(
            name,
            type=margin_argument,
            nargs="+",
            help="how far the score may lie above its visible share, 1: any; default: as the model has it",
        )


def readings_of(
    own: Reading, options: argparse.Namespace, temperatures: Sequence[float] = (1.0,)
) -> list[Reading]:
    """Return all readings that the options of `add_reading_options` ask for; where they do not, ``own``."""
    maculas = [own.macula_margin] if options.macula is None else options.macula
    discs = [own.optic_disc_margin] if options.disc is None else options.disc
    zones = options.zones or [own.zones]
    return [Reading(*each) for each in product(temperatures, zones, maculas, discs)]
