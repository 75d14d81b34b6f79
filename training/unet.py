"""A residual U-Net behind a space-to-depth: the shape shared by segmenter and VUAD."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional as F

from training.loop import save_atomically

Network = TypeVar("Network", bound=nn.Module)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm and a (projected) skip."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        same = channels_in == channels_out
        self.skip = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, C_out, H, W) of (B, C_in, H, W)."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(y)) + self.skip(x), inplace=True)


class UNet(nn.Module):
    """U-Net on a grid ``1 / fold`` of the picture's side; input and output have the full side.

    The fold (space-to-depth) keeps the full-resolution detail in channels at a quarter of the cost
    of full-resolution convolutions (fold 2). Sides must be multiples of fold * 2^(levels - 1).
    """

    def __init__(
        self, channels_in: int, channels_out: int, channels: tuple[int, ...], *, fold: int = 2
    ) -> None:
        super().__init__()
        self.fold = fold
        self.multiple = fold * 2 ** (len(channels) - 1)
        self.down = nn.ModuleList()
        before = channels_in * fold * fold
        for width in channels:
            self.down.append(ResidualBlock(before, width))
            before = width
        self.up = nn.ModuleList()
        for width in reversed(channels[:-1]):
            self.up.append(ResidualBlock(before + width, width))
            before = width
        self.head = nn.Conv2d(before, channels_out * fold * fold, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, channels_out, H, W) of (B, channels_in, H, W).

        Raises:
            ValueError: a side is not a multiple of ``self.multiple``.
        """
        height, width = x.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise ValueError(f"input is {height}x{width}, expected sides that {self.multiple} divides")
        x = F.pixel_unshuffle(x, self.fold).contiguous(memory_format=torch.channels_last)
        skips = []
        for level, block in enumerate(self.down):
            if level:
                x = F.max_pool2d(x, 2)
            x = block(x)
            skips.append(x)
        skips.pop()
        for block in self.up:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = block(torch.cat([x, skips.pop()], dim=1))
        return F.pixel_shuffle(self.head(x), self.fold)


def save_network(model: nn.Module, channels: tuple[int, ...], size_px: int, path: Path) -> None:
    """Write weights and shape so that ``load_network`` needs nothing else."""
    save_atomically({"channels": list(channels), "size_px": size_px, "state": model.state_dict()}, path)


def load_network(make: Callable[[tuple[int, ...], int], Network], path: Path) -> Network:
    """Return the saved network, made by ``make(channels, size_px)``, in eval mode."""
    stored = torch.load(path, map_location="cpu", weights_only=True)
    model = make(tuple(stored["channels"]), stored["size_px"])
    model.load_state_dict(stored["state"])
    return model.eval()
