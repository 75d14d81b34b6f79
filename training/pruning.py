"""Stage 10: without the inner channels that hardly matter.

A block of the student widens its input two to six times (training.inner_channels), and what some inner
channels say can be told from the others: these are taken out, and the last layer's weights are fitted once
more to what is left, so that it answers as before. Which ones, and how many of each block, is decided by how
far that moves the logits: the error that is left in each of the block's outputs, weighted by how much the
logits depend on it, over pictures as the student was taught with. No label is needed, and nothing is learned.

The order is that of Optimal Brain Surgeon (Hassibi and Stork, NIPS 1992), whole channels at a time.

Output: ``pruned.pt``, the whole student; ``prune.json``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from training.data import CropSet
from training.inner_channels import InnerBlock, inner_blocks
from training.progress import track
from training.rim_level import LEVELLED
from training.settings import settings
from training.student import Student, load_student, save_student, teaching_of
from training.student_samples import CHANNELS, StudentSamples, StudentSettings, mixed_samples

PRUNED = "pruned.pt"
BATCH = 8
ROUNDING = 1e-12  # of a mean square
RIDGE = 1e-6  # of each channel's variance: some channels say the same
SEEN_SHARE = 0.5  # of a cell: from here on its logits count

Array = NDArray[np.float64]


@settings
class PruneSettings:
    """Every block loses the inner channels that together move the logits by ``max_rms_logit`` at most.

    That is the root mean square over all channels of the output, each block by itself; 0 prunes nothing.
    ``multiple``: of which the numbers that are left are multiples, as vector units like them; ``pictures`` to
    measure on. ``not_fundus_share``, ``disordered_share`` and ``degraded_share`` of these are what they are
    where refusal is taught. ``spared``: readers that stay whole. What the mean over all channels calls little
    can be much for the one that a reader answers, and a limit of refusal lies where pictures are few.
    """

    spared: tuple[str, ...]
    max_rms_logit: float
    multiple: int
    pictures: int
    not_fundus_share: float
    disordered_share: float
    degraded_share: float


class Moments:
    """What one block's inner channels (n,) do: mean and covariance, gathered over pictures.

    ``gain`` (m,): the mean square of the logits' change by a change of each output of the last layer.
    """

    def __init__(self, block: InnerBlock) -> None:
        n = block.channels
        self._count, self._sum, self._square = 0, torch.zeros(n).double(), torch.zeros(n, n).double()
        self._gain, self._logits = torch.zeros(block.narrow.out_channels).double(), 0
        self._handles = [
            block.narrow.register_forward_pre_hook(self._see_input),
            block.narrow.register_forward_hook(self._see_output),
        ]

    def _see_input(self, _: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        x = given[0].detach().permute(0, 2, 3, 1).flatten(0, 2).double()  # some vary little about their mean
        self._count += len(x)
        self._sum += x.sum(0)
        self._square += x.T @ x

    def _see_output(self, _: nn.Module, __: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
        out.register_hook(self._see_gradient)

    def _see_gradient(self, gradient: torch.Tensor) -> None:
        self._gain += gradient.double().square().sum((0, 2, 3))

    def logits_seen(self, count: int) -> None:
        """Say that a batch is over, and how many logits its gradient was of."""
        self._logits += count

    def finish(self) -> None:
        """See no more."""
        for handle in self._handles:
            handle.remove()

    @property
    def mean(self) -> Array:
        """Return (n,)."""
        return (self._sum / self._count).numpy()

    @property
    def covariance(self) -> Array:
        """Return (n, n), 0 for what varies by rounding alone."""
        mean, square = self._sum / self._count, self._square / self._count
        found = square - torch.outer(mean, mean)
        varies = found.diagonal() > ROUNDING * square.diagonal()
        return (found * varies * varies[:, None]).numpy()

    @property
    def gain(self) -> Array:
        """Return (m,)."""
        return (self._gain / self._logits).numpy()


def moments_of(student: Student, images: torch.Tensor, seed: int) -> dict[str, Moments]:
    """Return what the blocks of ``student`` do with normalised images (N, 3, S, S).

    The gain comes from gradients of the logits' sum, each logit with a random sign: the mean square of such a
    gradient is the sum of the squares of all logits' own.
    """
    student.requires_grad_(False)
    signs = torch.Generator().manual_seed(seed)
    found = {name: Moments(block) for name, block in inner_blocks(student).items()}
    for batch in track(images.split(BATCH), "inner channels"):
        shown = batch.contiguous(memory_format=torch.channels_last).requires_grad_()
        logits = student(shown)
        seen = _seen(batch, logits.shape[-1])
        sign = torch.randint(0, 2, logits.shape, generator=signs) * 2 - 1
        (logits * sign * seen).sum().backward()
        for each in found.values():
            each.logits_seen(int(seen.sum()) * logits.shape[1])
    for each in found.values():
        each.finish()
    return found


def _seen(images: torch.Tensor, grid: int) -> torch.Tensor:
    """Return 1 in the cells (N, 1, g, g) of which most lies in the field of normalised images, else 0."""
    black = images.amin()
    return (F.adaptive_avg_pool2d((images > black).any(1, keepdim=True).float(), grid) > SEEN_SHARE).float()


def removal_order(covariance: Array, weight: Array) -> tuple[NDArray[np.int64], Array]:
    """Return inner channels (n,) in the order in which they go, and the squared error (n,) after each.

    ``covariance`` (n, n) is theirs, ``weight`` (m, n) the last layer's. With each step the rest makes up for
    what goes as well as it can.
    """
    count = len(covariance)
    correlation, _ = _correlation(covariance)
    inverse, left = np.linalg.inv(correlation), weight * np.sqrt(np.diag(covariance))
    least = 1 / np.diag(correlation)  # of the inverse's diagonal, but for rounding
    alive, order, errors = np.ones(count, bool), [], []
    for _ in range(count):
        costs = np.square(left).sum(0) / np.where(alive, np.maximum(np.diag(inverse), least), np.nan)
        goes = int(np.nanargmin(costs))
        order.append(goes)
        errors.append(costs[goes])
        step = inverse[goes] / max(inverse[goes, goes], least[goes])
        left -= np.outer(left[:, goes], step)
        inverse -= np.outer(inverse[:, goes], step)
        alive[goes] = False
    return np.array(order), np.cumsum(errors)


def _correlation(covariance: Array) -> tuple[Array, Array]:
    """Return the correlation (n, n), which can be inverted, and the spread (n,) of each channel.

    One that does not vary at all has a spread of 1, and nothing to do with the others.
    """
    spread = np.sqrt(np.diag(covariance))
    spread = np.where(spread > 0, spread, 1.0)
    return covariance / np.outer(spread, spread) + RIDGE * np.eye(len(spread)), spread


def channels_to_keep(errors: Array, max_rms: float, multiple: int) -> int:
    """Return how many inner channels stay: as few as ``errors`` (n,) allow, a multiple, or all of them."""
    count = len(errors)
    can_go = int((np.sqrt(errors) <= max_rms).sum())
    kept = max(multiple, multiple * -(-(count - can_go) // multiple))
    return min(kept, count)


@torch.no_grad()
def prune_block(block: InnerBlock, moments: Moments, max_rms: float, multiple: int) -> float:
    """Take inner channels out of ``block``; return by how much that moves the logits, root mean square."""
    weight = block.narrow.weight[:, :, 0, 0].double().numpy()
    covariance, mean = moments.covariance, moments.mean
    order, errors = removal_order(covariance, weight * np.sqrt(moments.gain)[:, None])
    left = channels_to_keep(errors, max_rms, multiple)
    gone = len(order) - left
    if not gone:
        return 0.0
    kept = np.sort(order[gone:])
    correlation, spread = _correlation(covariance[np.ix_(kept, kept)])
    fitted = np.linalg.solve(correlation, (covariance[kept] @ weight.T) / spread[:, None]).T / spread
    block.keep(torch.from_numpy(kept))
    block.narrow.weight.copy_(torch.from_numpy(fitted)[:, :, None, None])
    block.norm3.running_mean -= torch.from_numpy(weight @ mean - fitted @ mean[kept]).float()
    return float(np.sqrt(errors[gone - 1]))


def prune(student: Student, images: torch.Tensor, settings: PruneSettings, seed: int) -> list[dict[str, Any]]:
    """Take inner channels out of the blocks of ``student``; return of each what it lost, ready for JSON.

    Raises:
        ValueError: a spared reader is none of the student's.
    """
    blocks = inner_blocks(student)
    parts = {name.split(".")[0] for name in blocks}
    if unknown := sorted(set(settings.spared) - parts):
        raise ValueError(f"spared is {unknown[0]!r}, expected some of {', '.join(sorted(parts))}")
    moments = moments_of(student.eval(), images, seed)
    rows = []
    for name, block in blocks.items():
        if name.split(".")[0] in settings.spared:
            continue
        before = block.channels
        rms = prune_block(block, moments[name], settings.max_rms_logit, settings.multiple)
        rows.append({"block": name, "channels": before, "kept": block.channels, "rms_logit": rms})
    return rows


@torch.no_grad()
def changes(before: Student, after: Student, images: torch.Tensor) -> dict[str, float]:
    """Return by how much the logits of each channel differ inside the field, root mean square."""
    squares, cells = torch.zeros(len(CHANNELS)).double(), 0.0
    for batch in images.split(BATCH):
        difference = after(batch) - before(batch)
        seen = _seen(batch, difference.shape[-1])
        squares += (difference.square() * seen).sum((0, 2, 3))
        cells += float(seen.sum())
    return dict(zip(CHANNELS, (squares / cells).sqrt().tolist(), strict=True))


def _images(samples: StudentSamples, count: int, seed: int) -> torch.Tensor:
    return torch.stack(
        [
            samples(np.random.default_rng([seed, index]), 0.0)["image"]
            for index in track(range(count), "pictures to prune by")
        ]
    )


def run(
    samples: StudentSettings,
    settings: PruneSettings,
    pool: CropSet,
    annotated: CropSet,
    out: Path,
    seed: int,
) -> None:
    """Prune the student in ``out`` by pictures as it was taught with; write the stage's files."""
    drawn = mixed_samples(
        teaching_of(samples, pool, annotated, out),
        samples,
        not_fundus_share=settings.not_fundus_share,
        degraded_share=settings.degraded_share,
        disordered_share=settings.disordered_share,
    )
    student, before = (load_student(out / LEVELLED) for _ in range(2))
    rows: Sequence[dict[str, Any]] = []
    if settings.max_rms_logit:
        rows = prune(student, _images(drawn, settings.pictures, seed), settings, seed)
    others = _images(drawn, settings.pictures // 2, seed + 1)
    count = [sum(each.numel() for each in model.parameters()) for model in (before, student)]
    found = {
        "parameters": {"before": count[0], "after": count[1]},
        "blocks": rows,
        "rms_logit_of_other_pictures": changes(before, student, others),
    }
    save_student(student, samples.size_px, out / PRUNED)
    (out / "prune.json").write_text(json.dumps(found, indent=2) + "\n")
    print(f"prune: {json.dumps(found)}", flush=True)
