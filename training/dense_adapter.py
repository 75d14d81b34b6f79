"""The dense adapter's training: non-negative PU learning on the pseudo-labels.

The cells that VUAD calls bad are positives; all the others are unlabelled, not negatives: VUAD misses bad
cells where it expects no vessel. The network is ``efiqa.export``'s, so that ``efiqa export`` opens what is
saved here. Source: EFIQA-CP, arXiv 2606.25915.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from efiqa.export.adapters import DenseAdapter
from training.data import BoolArray, FloatArray
from training.features import BATCH, MapRows, Shape, on_grid, split_rows
from training.loop import Batch, LoopSettings, Sample, train
from training.progress import track
from training.settings import settings


@settings
class DenseSettings:
    """``width`` channels of the blocks; ``workers`` processes that read the features.

    ``prior``: the share of bad cells among the unlabelled ones; 0 takes the share that the pseudo-labels call
    bad among all, for want of a better guess. A prior that is far too small teaches "all is well".
    """

    width: int
    prior: float
    workers: int


class DenseOnMaps(nn.Module):
    """A dense adapter behind the backbone's maps: logits (B, g, g) of rows (B, values) of ``MapRows``."""

    def __init__(self, adapter: DenseAdapter, shapes: Sequence[Shape], grid: int) -> None:
        super().__init__()
        self.adapter = adapter
        self.shapes = tuple(shapes)
        self.token_grid = adapter.stride * grid

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return logits (B, g, g)."""
        # The adapter works on (B, h, w, C): maps that lie so from the start spare it a copy of 496 channels.
        maps = [
            each.contiguous(memory_format=torch.channels_last)
            for each in split_rows(rows.float(), self.shapes)
        ]
        return self.adapter(on_grid(maps, self.token_grid))[:, 0]


def nnpu_loss(
    logits: torch.Tensor, bad: torch.Tensor, valid: torch.Tensor, prior: float
) -> dict[str, torch.Tensor]:
    """Return the risk of positives and the non-negative rest, of logits, bad and valid, each (B, g, g).

    The surrogate is softplus. What the unlabelled cells cost as negatives, less what the positives among them
    are held to cost, cannot be negative in truth; where a batch says so the network has begun to learn single
    positives by heart, and the step undoes that alone: the value is then 0 and the gradient the opposite one.
    Source: Kiryo et al., NeurIPS 2017, Algorithm 1 with beta 0 and gamma 1.
    """
    positive, unlabelled = bad & valid, ~bad & valid
    risk = prior * _mean(F.softplus(-logits), positive)
    rest = _mean(F.softplus(logits), unlabelled) - prior * _mean(F.softplus(logits), positive)
    if rest < 0:
        return {"positive": risk.detach(), "rest": rest.detach() - rest}
    return {"positive": risk, "rest": rest}


def _mean(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Return the mean of ``values`` where ``chosen``; 0 where nothing is."""
    return (values * chosen).sum() / chosen.sum().clamp_min(1)


def prior_of(settings: DenseSettings, bad: BoolArray, valid: BoolArray) -> float:
    """Return the prior that is used: the setting, or the labels' share of bad cells for 0."""
    return settings.prior or float((bad & valid).sum() / max(1, valid.sum()))


def fit_dense(
    fabric: Fabric,
    maps: MapRows,
    labels: tuple[BoolArray, BoolArray],
    settings: DenseSettings,
    loop: LoopSettings,
    *,
    seed: int,
    folder: Path,
    name: str,
) -> DenseOnMaps:
    """Return the adapter fitted to ``labels``: whether each cell is bad, and counts, both (N, g, g).

    Checkpoint and losses of training.loop go to ``folder`` under ``name``.
    """
    bad, valid = labels
    prior = prior_of(settings, bad, valid)
    print(f"{name}: {prior:.3f} of the unlabelled cells are taken for bad", flush=True)

    def sample(rng: np.random.Generator, progress: float) -> Sample:
        index = int(rng.integers(len(maps)))
        return {
            "rows": torch.from_numpy(np.array(maps.rows[index])),
            "bad": torch.from_numpy(bad[index]),
            "valid": torch.from_numpy(valid[index]),
        }

    torch.manual_seed(seed)
    adapter = DenseAdapter(sum(shape[0] for shape in maps.shapes), settings.width)
    network = DenseOnMaps(adapter, maps.shapes, bad.shape[-1])
    loss = partial(_batch_loss, prior)
    fitted = train(fabric, network, sample, loss, loop, seed=seed, folder=folder, name=name)
    return fitted.requires_grad_(False)


def _batch_loss(prior: float, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
    return nnpu_loss(model(batch["rows"]).float(), batch["bad"], batch["valid"], prior)


@torch.no_grad()
def dense_logits(model: DenseOnMaps, rows: NDArray[np.float16], fabric: Fabric) -> FloatArray:
    """Return logits (N, g, g) of rows (N, values)."""
    model.to(fabric.device)
    parts = [
        model(torch.from_numpy(np.array(rows[start : start + BATCH])).to(fabric.device)).cpu().numpy()
        for start in track(range(0, len(rows), BATCH), "dense adapter's maps")
    ]
    model.cpu()
    return np.concatenate(parts)
