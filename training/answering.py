"""More answers of a student, from a reader of their own; all that it said before stays as it was."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from lightning.fabric import Fabric
from torch import nn

from training.data import CropSet
from training.inner_channels import inner_blocks
from training.loop import Batch, LoopSettings, average, train
from training.student import Round, Student, load_student, save_student, teaching_of, widened
from training.student_samples import StudentSamples, StudentSettings


class Answering(nn.Module):
    """A student of which one reader learns, and what it answers: logits (B, C, g, g) of C ``channels``.

    All else stays, batch statistics included.
    """

    def __init__(self, student: Student, reader: str, channels: slice) -> None:
        super().__init__()
        self.student, self._rows = student, channels
        self.answer = nn.Conv2d(student.head.in_channels, len(student.head.weight[channels]), 1)
        head = student.head.state_dict()
        self.answer.load_state_dict({key: each[self._rows] for key, each in head.items()})
        student.keep([each for name, each in student.named_children() if name != reader])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        return self.answer(self.student.features(image))

    @torch.no_grad()
    def finished(self) -> Student:
        """Return the student with what was learned."""
        self.student.head.weight[self._rows] = self.answer.weight
        self.student.head.bias[self._rows] = self.answer.bias
        return self.student


def with_reader(student: Student, width: int, rounds: int, *, reader: str, channels: slice) -> Answering:
    """Return ``student`` with a ``reader`` of that shape that learns ``channels``; one that it has learns on.

    Inner channels that were pruned are put back: a reader that learns anew needs others than it could spare.

    Raises:
        ValueError: its reader is of another shape.
    """
    names = f"{reader}_width", f"{reader}_rounds"
    had = tuple(getattr(student.shape, name) for name in names)
    if had == (0, 0):
        student = widened(student, replace(student.shape, **dict(zip(names, (width, rounds), strict=True))))
    elif had != (width, rounds):
        raise ValueError(f"{' and '.join(names)} are {width}, {rounds}, the student's {had}")
    for block in inner_blocks(getattr(student, reader)).values():
        block.grow(Round.WIDENED * width)
    return Answering(student, reader, channels)


def learned(
    fabric: Fabric,
    make: Callable[[], Answering],
    drawn: StudentSamples,
    loss: Callable[[nn.Module, Batch], dict[str, torch.Tensor]],
    loop: LoopSettings,
    *,
    seed: int,
    folder: Path,
    name: str,
    kept_share: float = 0.0,
) -> Student:
    """Return the student that ``make`` gives, once ``seed`` is set, after it learned from ``drawn``.

    ``kept_share``: of each weight that stays what it was before. Source: Wortsman et al., Robust fine-tuning
    of zero-shot models, CVPR 2022.
    """
    torch.manual_seed(seed)
    model = make().to(memory_format=torch.channels_last)
    before = copy.deepcopy(model)
    model = train(fabric, model, drawn, loss, loop, seed=seed, folder=folder, name=name).float()
    if kept_share:
        average(model, before, 1 - kept_share)
    return model.finished()


def run(
    learn: Callable[..., Student],
    fabric: Fabric,
    samples: StudentSettings,
    settings: object,
    pool: CropSet,
    annotated: CropSet,
    out: Path,
    seed: int,
    *,
    before: str,
    after: str,
) -> None:
    """Teach the student in the file ``before`` of the run's folder ``out``; write it to ``after``.

    ``learn`` takes fabric, student, teaching, ``samples``, ``settings``, ``out`` and ``seed``.
    """
    teaching = teaching_of(samples, pool, annotated, out)
    whole = learn(fabric, load_student(out / before), teaching, samples, settings, out, seed)
    if fabric.is_global_zero:
        save_student(whole, samples.size_px, out / after)
