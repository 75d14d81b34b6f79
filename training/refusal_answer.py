"""Stage 6: the student's answer "not a fundus", by a reader of its own, from retinas in disorder.

Other tissue has vessels too, and who was shown none takes any vessels for a retina's. To see whether there
are a disc, arcades and a macula in their places takes new features. They are a reader's of their own, the
layout: all else stays as the student stage left it, and so do the other answers.

Output: ``refusal.pt``, the whole student.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from lightning.fabric import Fabric
from torch import nn

from training import answering
from training.answering import learned, with_reader
from training.loop import Batch, LoopSettings
from training.settings import later, settings
from training.student import Student, refusal_entropy, shares
from training.student_samples import NOT_A_FUNDUS, StudentSettings, Teaching, mixed_samples

STUDENT, LEARNT = "student.pt", "refusal.pt"


@settings
class RefusalSettings:
    """Shares of samples: ``not_fundus_share`` and ``degraded_share``; the rest are pictures as they are.

    Of what is no retina ``disordered_share`` are retinas in disorder (training.disordered), the others
    scenes. ``layout_width`` and ``layout_rounds`` are the layout's (training.student). ``kept_share`` is how
    much of its weights a layout that learns on keeps (training.answering).
    """

    layout_width: int
    layout_rounds: int
    not_fundus_share: float
    disordered_share: float
    degraded_share: float
    loop: LoopSettings
    kept_share: float = later(0.0)


refusing = partial(with_reader, reader="layout", channels=slice(NOT_A_FUNDUS, NOT_A_FUNDUS + 1))


def refusal_loss(model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
    """Return the loss of such a student: cross-entropy of the mean of its logits over the field."""
    logits = model(batch["image"]).float()
    return {"not_fundus": refusal_entropy(logits, shares(batch["weight"]), batch["not_fundus"])}


def relearn(
    fabric: Fabric,
    student: Student,
    teaching: Teaching,
    samples: StudentSettings,
    settings: RefusalSettings,
    folder: Path,
    seed: int,
) -> Student:
    """Return ``student`` with a layout and the answer learned once more; checkpoints go to ``folder``.

    ``samples``: the student's settings, of which shares and sizes of the samples are taken.
    """
    drawn = mixed_samples(
        teaching,
        samples,
        not_fundus_share=settings.not_fundus_share,
        degraded_share=settings.degraded_share,
        disordered_share=settings.disordered_share,
    )
    make = partial(refusing, student, settings.layout_width, settings.layout_rounds)
    kept = settings.kept_share if student.shape.layout_width else 0.0
    return learned(
        fabric,
        make,
        drawn,
        refusal_loss,
        settings.loop,
        seed=seed,
        folder=folder,
        name="refusal",
        kept_share=kept,
    )


run = partial(answering.run, relearn, before=STUDENT, after=LEARNT)  # the stage
