"""Stage 8: the map, read once more, now that the place of the macula is known.

Without the grain of a sensor a clear macula and a blurred one look much alike, and the judge, that does not
know which cells are of the macula, was taught on spots that hide it as often as not. A layer that reads all
readers, the place among them, learns how likely they are where most pictures have none. The readers and all
other answers stay as they were.

Output: ``mapped.pt``, the whole student.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from lightning.fabric import Fabric

from training import answering
from training.answering import Answering, learned
from training.landmark_answer import PLACED
from training.loop import LoopSettings
from training.settings import settings
from training.student import Student, student_loss
from training.student_samples import StudentSamples, StudentSettings, Teaching

MAPPED = "mapped.pt"
MAP_CHANNEL = slice(0, 1)


@settings
class MapSettings:
    """Shares of samples and defects, and the weight of maculas, in the place of the student's.

    Source: `training.student_samples.StudentSettings`.
    """

    degraded_share: float
    spot_share: float
    fovea_weight: float
    loop: LoopSettings


class MapAnswering(Answering):
    """A student of which the map's layer alone learns: logits (B, 9, g, g), and what changed of the map's."""

    def __init__(self, student: Student) -> None:
        super().__init__(student, reader="", channels=MAP_CHANNEL)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both."""
        features = self.student.features(image)
        before, bad = self.student.head(features), self.answer(features)
        return torch.cat([bad, before[:, 1:]], 1), bad - before[:, MAP_CHANNEL]


def learn_map(
    fabric: Fabric,
    student: Student,
    teaching: Teaching,
    samples: StudentSettings,
    settings: MapSettings,
    folder: Path,
    seed: int,
) -> Student:
    """Return ``student`` with a map's layer that was taught; checkpoints go to ``folder``.

    ``samples``: the student's settings, whose last phase's samples and loss hold but for ``settings``.
    """
    phase = samples.settling().but_for(settings)
    drawn, loss = StudentSamples(teaching, phase), partial(student_loss, phase)
    make = partial(MapAnswering, student)
    return learned(fabric, make, drawn, loss, phase.loop, seed=seed, folder=folder, name="map")


run = partial(answering.run, learn_map, before=PLACED, after=MAPPED)  # the stage
