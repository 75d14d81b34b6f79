"""The student's answer "not a fundus", learned once more with retinas in disorder; the others are held.

Other tissue has vessels too, and who was shown none takes any vessels for a retina's. To see whether there
are a disc, arcades and a macula in their places the judge has to learn new features, on which all its
answers rest; so a copy of it as it was answers beside it, and both are to say the same but of the last
channel.

    python -m training.refusal_answer --config training/configs/cpu.toml --data FOLDER --run runs/NAME

does it for a finished run, whose export is to be made again. It goes on at its last checkpoint, and begins
with ``student.first.pt``, the student as the run had left it, if it was done before.
"""

from __future__ import annotations

import argparse
import copy
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from lightning.fabric import Fabric
from torch import nn
from torch.nn import functional as F

from training.loop import Batch, LoopSettings, train
from training.student import (
    Student,
    load_student,
    refusal_entropy,
    save_student,
    score_logit,
    shares,
    teaching_of,
)
from training.student_samples import StudentSamples, StudentSettings, Teaching

LOOP = LoopSettings(iterations=1000, batch=16, learning_rate=1e-3, average=0.99)
NOT_FUNDUS_SHARE, DEGRADED_SHARE = 0.25, 0.5  # of the samples; the rest are pictures as they are
DISORDERED_SHARE = 0.5  # of what is no retina
HELD_WEIGHT, SCORE_WEIGHT, REFUSAL_WEIGHT = 8.0, 1.0, 1.0
SEED_OFFSET = 5000  # from the training's seed
STUDENT, FIRST = "student.pt", "student.first.pt"


class Held(nn.Module):
    """A student that learns beside its judge and head as they were: the logits (B, 7, g, g) of both."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student
        self.judge = copy.deepcopy(student.judge)
        self.head = copy.deepcopy(student.head)
        self._keep()

    def _keep(self) -> None:
        for module in (self.student.backbone, self.student.sight, self.judge, self.head):
            module.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Held:
        """Set training mode, except for what is kept."""
        super().train(mode)
        self._keep()
        return self

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both."""
        maps = self.student.backbone(image)
        seen = self.student.sight(maps)
        now = self.student.head(torch.cat([seen, self.student.judge(image, maps, seen)], 1))
        return now, self.head(torch.cat([seen, self.judge(image, maps, seen)], 1))


def held_loss(model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
    """Return the terms of the loss of a `Held` student.

    The relative entropy of its answers but the last to what they were, summed over the channels, most in the
    cells of known defects; the squared difference of the score's logits; and cross-entropy of "not a fundus",
    the mean of its logits over the field.
    """
    now, before = (each.float() for each in model(batch["image"]))
    weight = batch["weight"]
    share = shares(weight)
    counted = shares(weight + batch["trust"])  # spots are small, and cells of known defects count more
    said, was = now[:, :-1], before[:, :-1]
    truth = was.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(said, truth, reduction="none")
    least = F.binary_cross_entropy_with_logits(was, truth, reduction="none")
    score_error = score_logit(said[:, :1].sigmoid(), share) - score_logit(truth[:, :1], share)
    return {
        "held": HELD_WEIGHT * ((entropy - least) * counted).sum((1, 2, 3)).mean(),
        "score": SCORE_WEIGHT * score_error.square().mean(),
        "not_fundus": REFUSAL_WEIGHT * refusal_entropy(now[:, -1:], share, batch["not_fundus"]),
    }


def relearn(
    fabric: Fabric,
    student: Student,
    teaching: Teaching,
    settings: StudentSettings,
    folder: Path,
    seed: int,
    loop: LoopSettings = LOOP,
) -> Student:
    """Return ``student`` with the answer learned once more; checkpoints go to ``folder``."""
    mixed = replace(settings, not_fundus_share=NOT_FUNDUS_SHARE, degraded_share=DEGRADED_SHARE)
    samples = StudentSamples(teaching, mixed, disordered_share=DISORDERED_SHARE)
    held = Held(student).to(memory_format=torch.channels_last)
    held = train(fabric, held, samples, held_loss, loop, seed=seed, folder=folder, name="refusal").float()
    return held.student


def main(arguments: Sequence[str] | None = None) -> None:
    """Teach the answer of the run that the command line names."""
    from training import config as recipe
    from training.run import Pipeline, make_fabric

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--run", type=Path, required=True, help="folder of training.run, student done")
    options = parser.parse_args(arguments)
    config = recipe.load(options.config)
    fabric = make_fabric(config)
    pipeline = Pipeline(config, options.data, options.run, fabric)
    first = options.run / FIRST
    if not first.is_file():
        shutil.copyfile(options.run / STUDENT, first)
    teaching = teaching_of(config.student, pipeline.pool(), pipeline.annotated(), options.run)
    seed = config.seed + SEED_OFFSET
    student = relearn(fabric, load_student(first), teaching, config.student, options.run, seed)
    if not fabric.is_global_zero:
        return
    save_student(student, config.student.size_px, options.run / STUDENT)
    (options.run / "export.done.json").unlink(missing_ok=True)
    print(f"wrote {options.run / STUDENT}; python -m training.run --stages export makes the model of it")


if __name__ == "__main__":
    main()
