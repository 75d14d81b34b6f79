"""The training loop that every network shares: Fabric, cosine schedule, weight averaging, resuming."""

from __future__ import annotations

import copy
import csv
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader, Dataset

from training.progress import track
from training.settings import settings

Batch = Mapping[str, torch.Tensor]
Sample = dict[str, torch.Tensor]
Network = TypeVar("Network", bound=nn.Module)


@settings
class LoopSettings:
    """How one network is trained. ``warmup`` and ``flat`` are shares of all iterations."""

    iterations: int
    batch: int
    learning_rate: float
    weight_decay: float = 1e-2
    warmup: float = 0.03
    flat: float = 0.0  # share at full rate before the cosine begins
    average: float = 0.998  # decay of the exponential moving average of the weights
    workers: int = 1
    checkpoint_every: int = 100


def rate_at(settings: LoopSettings, iteration: int) -> float:
    """Return the learning rate's factor in 0..1 at ``iteration``: warm-up, flat part, cosine to 0."""
    share = iteration / settings.iterations
    if share < settings.warmup:
        return (share + 1 / settings.iterations) / settings.warmup
    begin = max(settings.flat, settings.warmup)
    if share <= begin:
        return 1.0
    return float(0.5 * (1 + np.cos(np.pi * (share - begin) / (1 - begin))))


class SeededSamples(Dataset[Sample]):
    """Sample ``index`` is a function of (seed, index) alone: a resumed run sees what it would have seen."""

    def __init__(
        self, make: Callable[[np.random.Generator, float], Sample], seed: int, settings: LoopSettings
    ) -> None:
        self._make = make
        self._seed = seed
        self._total = settings.iterations * settings.batch

    def __len__(self) -> int:
        return self._total

    def __getitem__(self, index: int) -> Sample:
        """Return the sample; its maker is told the share of training done, for curricula."""
        return self._make(np.random.default_rng([self._seed, index]), index / self._total)


def train(
    fabric: Fabric,
    model: Network,
    make_sample: Callable[[np.random.Generator, float], Sample],
    loss_of: Callable[[nn.Module, Batch], dict[str, torch.Tensor]],
    settings: LoopSettings,
    *,
    seed: int,
    folder: Path,
    name: str,
) -> Network:
    """Return ``model`` with averaged weights after training, in eval mode on the CPU.

    ``loss_of`` returns named terms; their sum is minimised. A checkpoint in ``folder`` is taken up
    where it stopped. ``settings.batch`` counts all processes together. Losses go to NAME.csv. With 0
    iterations the model stays as it is, and nothing is written.

    Raises:
        FloatingPointError: a loss is not finite; the last checkpoint stays.
    """
    if not settings.iterations:
        return model.cpu().eval()
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint_path = folder / f"{name}.checkpoint.pt"
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad],
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
    )
    averaged = copy.deepcopy(model).requires_grad_(False)
    start, history = 0, []
    if checkpoint_path.is_file():
        state = torch.load(checkpoint_path, map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
        averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
        start, history = state["iteration"], state["history"]
        print(f"{name}: resumed at iteration {start} of {settings.iterations}", flush=True)
    averaged.to(fabric.device)
    wrapped, optimizer = fabric.setup(model, optimizer)
    wrapped.train()

    if settings.batch % fabric.world_size:
        raise ValueError(f"batch is {settings.batch}, expected a multiple of {fabric.world_size} processes")
    local = settings.batch // fabric.world_size
    indices = [
        iteration * settings.batch + fabric.global_rank * local + k
        for iteration in range(start, settings.iterations)
        for k in range(local)
    ]
    loader = DataLoader(
        SeededSamples(make_sample, seed, settings),
        batch_size=local,
        sampler=indices,
        num_workers=settings.workers,
        prefetch_factor=4 if settings.workers else None,
    )
    batches = fabric.setup_dataloaders(loader, use_distributed_sampler=False)
    began = time.monotonic()
    for iteration, batch in enumerate(
        track(batches, name, start=start, total=settings.iterations), start=start
    ):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * rate_at(settings, iteration)
        terms = loss_of(wrapped, batch)
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            raise FloatingPointError(f"{name}: loss is {loss.item()} at iteration {iteration}")
        optimizer.zero_grad(set_to_none=True)
        fabric.backward(loss)
        fabric.clip_gradients(wrapped, optimizer, max_norm=5.0)
        optimizer.step()
        average(averaged, model, min(settings.average, (1 + iteration) / (10 + iteration)))
        history.append({"iteration": iteration, **{k: round(v.item(), 6) for k, v in terms.items()}})
        done = iteration + 1
        if done % settings.checkpoint_every == 0 or done == settings.iterations:
            minutes = (time.monotonic() - began) / 60
            recent = history[-settings.checkpoint_every :]
            means = {k: float(np.mean([row[k] for row in recent])) for k in recent[0] if k != "iteration"}
            shown = " ".join(f"{key} {value:.4f}" for key, value in means.items())
            print(f"{name}: {done}/{settings.iterations} {shown} ({minutes:.1f} min)", flush=True)
            if fabric.is_global_zero:
                state = {
                    "model": model.state_dict(),
                    "averaged": averaged.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "iteration": done,
                    "history": history,
                }
                save_atomically(state, checkpoint_path)
    if fabric.is_global_zero:
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(history[0]))
            writer.writeheader()
            writer.writerows(history)
    fabric.barrier()
    return averaged.cpu().eval()


def save_atomically(state: Mapping[str, object], path: Path) -> None:
    """Write ``state`` with torch.save through a temporary file, so that a kill leaves the old one."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    torch.save(state, temporary)
    temporary.rename(path)


@torch.no_grad()
def average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    """Keep the share ``decay`` of the weights of ``averaged``, and take the rest from ``model``."""
    source = model.state_dict()
    for key, value in averaged.state_dict().items():
        if value.dtype.is_floating_point:
            value.lerp_(source[key].to(value.dtype), 1 - decay)
        else:
            value.copy_(source[key])
