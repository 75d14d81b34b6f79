"""Blocks that widen their input, spread it over neighbours and narrow it again; some inner channels or all.

So are EfficientNet's blocks, and the rounds of a student's readers (training.student). How many inner
channels a block has is nobody else's business: some can be taken out (training.pruning) and put back again,
and a stored model says by its shapes how many are left.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Array = NDArray[np.floating] | torch.Tensor

# By the first layer's name: normalisation, depthwise convolution, normalisation, last layer, normalisation.
_LAYERS = {
    "widen": ("norm", "spread", "norm2", "narrow", "norm3"),
    "conv_pw": ("bn1", "conv_dw", "bn2", "conv_pwl", "bn3"),
}


@dataclass(frozen=True)
class InnerBlock:
    """The layers of such a block. ``field``: what the field's mean adds before the last one, if any."""

    widen: nn.Conv2d
    norm: nn.BatchNorm2d
    spread: nn.Conv2d
    norm2: nn.BatchNorm2d
    narrow: nn.Conv2d
    norm3: nn.BatchNorm2d
    field: nn.Linear | None

    @property
    def channels(self) -> int:
        """Return how many inner channels there are."""
        return self.narrow.in_channels

    @torch.no_grad()
    def keep(self, kept: torch.Tensor) -> None:
        """Leave the inner channels ``kept`` (n,) alone, in that order."""
        for layer, name, held in self._rows():
            _put(layer, name, held[kept])
        _put(self.narrow, "weight", self.narrow.weight[:, kept])
        self._count(len(kept))

    @torch.no_grad()
    def grow(self, count: int) -> None:
        """Have ``count`` inner channels at least: new ones add nothing to the output until they learn."""
        new = count - self.channels
        if new <= 0:
            return
        for layer, name, held in self._rows():
            more = held.new_zeros(new, *held.shape[1:])
            if name == "running_var" or (name == "weight" and isinstance(layer, nn.BatchNorm2d)):
                more.fill_(1)
            elif name == "weight":
                nn.init.kaiming_uniform_(more, a=math.sqrt(5))  # as PyTorch begins a layer
            _put(layer, name, torch.cat([held, more]))
        narrow = self.narrow.weight
        _put(self.narrow, "weight", torch.cat([narrow, narrow.new_zeros(len(narrow), new, 1, 1)], 1))
        self._count(count)

    def _rows(self) -> Iterator[tuple[nn.Module, str, torch.Tensor]]:
        """Yield what has a row for each inner channel: its layer, its name there, and the rows."""
        for layer in (self.widen, self.norm, self.spread, self.norm2, self.field):
            for name in ("weight", "bias", "running_mean", "running_var"):
                held = getattr(layer, name, None)
                if layer is not None and held is not None:
                    yield layer, name, held

    def _count(self, count: int) -> None:
        self.widen.out_channels = self.narrow.in_channels = count
        self.spread.in_channels = self.spread.out_channels = self.spread.groups = count
        self.norm.num_features = self.norm2.num_features = count
        if self.field is not None:
            self.field.out_features = count


def _put(layer: nn.Module, name: str, value: torch.Tensor) -> None:
    value = value.clone()
    if isinstance(getattr(layer, name), nn.Parameter):
        setattr(layer, name, nn.Parameter(value))
    else:
        layer.register_buffer(name, value)


def inner_blocks(model: nn.Module) -> dict[str, InnerBlock]:
    """Return the blocks of ``model`` by their names, in the order in which they are held."""
    found = {}
    for name, module in model.named_modules():
        for first, others in _LAYERS.items():
            if hasattr(module, first) and hasattr(module, others[3]):
                layers = [getattr(module, each) for each in (first, *others)]
                found[name] = InnerBlock(*layers, getattr(module, "field", None))
    return found


def fit_to(model: nn.Module, stored: Mapping[str, Array]) -> None:
    """Give the blocks of ``model`` as many inner channels as they have in ``stored``, weights by name."""
    for name, block in inner_blocks(model).items():
        for first in _LAYERS:
            weight = stored.get(f"{name}.{first}.weight")
            if weight is not None and len(weight) < block.channels:
                block.keep(torch.arange(len(weight)))
