"""Stage 7: where the macula is, seen or hidden, by a reader of its own.

Who sees disc and arcades can say where a macula has to be that cannot be seen. Pictures whose fovea is known
(training.landmarks finds it before they are degraded) are shown degraded or not, in all views; spots on the
fovea are among the defects. The cells within one disc diameter of it are what the channel is to say. All else
stays as the stages before left it, and so do the other answers.

Output: ``macula.pt``, the whole student.
"""

from __future__ import annotations

from dataclasses import replace
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
from training.student_samples import MACULA, StudentSamples, StudentSettings, Teaching

PLACED = "macula.pt"


@settings
class MaculaSettings:
    """``place_width``, ``place_rounds`` are the place's (training.student).

    ``degraded_share`` of the samples are degraded.
    """

    place_width: int
    place_rounds: int
    degraded_share: float
    loop: LoopSettings


placing = partial(with_reader, reader="place", channel=MACULA)


def macula_loss(model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
    """Return the loss of such a student: the cells' cross-entropy, over the fields whose macula is known."""
    logits, known = model(batch["image"]).float(), batch["macula_known"]
    wrong = F.binary_cross_entropy_with_logits(logits, batch["macula"], reduction="none")
    mean = (wrong * shares(batch["weight"])).sum((2, 3))
    return {"macula": (mean * known).sum() / known.sum().clamp_min(1)}


def learn_place(
    fabric: Fabric,
    student: Student,
    teaching: Teaching,
    samples: StudentSettings,
    settings: MaculaSettings,
    folder: Path,
    seed: int,
) -> Student:
    """Return ``student`` with a place that was taught; checkpoints go to ``folder``.

    ``samples``: the student's settings, of which sizes and shares of the samples are taken.
    """
    drawn = StudentSamples(
        teaching, replace(samples, not_fundus_share=0.0, degraded_share=settings.degraded_share)
    )
    make = partial(placing, student, settings.place_width, settings.place_rounds)
    return learned(fabric, make, drawn, macula_loss, settings.loop, seed=seed, folder=folder, name="macula")


run = partial(answering.run, learn_place, before=LEARNT, after=PLACED)  # the stage
