"""Stage 7: where macula and optic disc are, seen or hidden, by a reader of their own.

Who sees some of disc, arcades and macula can say where the others have to be. Pictures whose landmarks are
known (training.landmarks finds them before they are degraded) are shown degraded or not, in all views; spots
on the fovea are among the defects. The cells within one disc diameter of the fovea, and of the disc's centre,
are what two channels are to say. All else stays as the stages before left it, and so do the other answers.

Output: ``landmarks.pt``, the whole student.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from lightning.fabric import Fabric
from torch import nn
from torch.nn import functional as F

from training import answering
from training.answering import learned, with_reader
from training.loop import Batch, LoopSettings
from training.refusal_answer import LEARNT
from training.settings import settings
from training.student import Student, shares
from training.student_samples import (
    LANDMARK_CHANNELS,
    LANDMARKS,
    StudentSettings,
    Teaching,
    mixed_samples,
)

PLACED = "landmarks.pt"


@settings
class LandmarkSettings:
    """``place_width``, ``place_rounds`` are the place's (training.student).

    ``degraded_share`` of the samples are degraded, ``squeezed_share`` out of proportion (training.views).
    """

    place_width: int
    place_rounds: int
    degraded_share: float
    squeezed_share: float
    loop: LoopSettings


placing = partial(with_reader, reader="place", channels=LANDMARK_CHANNELS)


def landmark_loss(model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
    """Return the losses of such a student: the cells' cross-entropy, over the fields with known landmarks."""
    logits, known = model(batch["image"]).float(), batch["landmarks_known"]
    wrong = F.binary_cross_entropy_with_logits(logits, batch["landmarks"], reduction="none")
    mean = (wrong * shares(batch["weight"])).sum((2, 3))
    found = (mean * known).sum(0) / known.sum().clamp_min(1)
    return dict(zip(LANDMARKS, found, strict=True))


def learn_place(
    fabric: Fabric,
    student: Student,
    teaching: Teaching,
    samples: StudentSettings,
    settings: LandmarkSettings,
    folder: Path,
    seed: int,
) -> Student:
    """Return ``student`` with a place that was taught; checkpoints go to ``folder``.

    ``samples``: the student's settings, of which sizes and shares of the samples are taken.
    """
    drawn = mixed_samples(
        teaching,
        samples,
        not_fundus_share=0.0,
        degraded_share=settings.degraded_share,
        squeezed_share=settings.squeezed_share,
    )
    make = partial(placing, student, settings.place_width, settings.place_rounds)
    return learned(
        fabric, make, drawn, landmark_loss, settings.loop, seed=seed, folder=folder, name="landmarks"
    )


run = partial(answering.run, learn_place, before=LEARNT, after=PLACED)  # the stage
