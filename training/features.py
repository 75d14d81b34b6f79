"""Frozen features on a grid, and the backbone's own maps of many pictures on disk.

The maps are small where the backbone is coarse: EfficientNet-Lite0's four stages at 384 px are 424,000 values
a picture, and 4.6 million once they are all enlarged to the finest one's grid. So the maps are what is kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from training.backbone import LITE0_MEAN, LITE0_STD, Lite0Features
from training.data import ByteArray, CropSet, resize_crop
from training.progress import track

if TYPE_CHECKING:
    from training.teacher import TeacherSettings

BATCH = 8
NOTED_EVERY = 16  # batches: what an interruption costs
Shape = tuple[int, int, int]  # C, h, w of one map


def on_grid(maps: Sequence[torch.Tensor], grid: int) -> torch.Tensor:
    """Return (B, C, grid, grid) of maps (B, c, h, w): averaged down or interpolated up, side by side."""
    return torch.cat([_to_grid(each, grid) for each in maps], dim=1)


def _to_grid(x: torch.Tensor, grid: int) -> torch.Tensor:
    if x.shape[-1] >= grid:
        return F.adaptive_avg_pool2d(x, grid)
    return F.interpolate(x, size=grid, mode="bilinear", align_corners=False)


class GridFeatures(nn.Module):
    """Frozen features on a grid: (B, C, grid, grid) of an image (B, 3, S, S) in 0..1."""

    def __init__(self, settings: TeacherSettings) -> None:
        super().__init__()
        self.grid = settings.token_grid
        mean, std, self.net = make_backbone(settings)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        """Return all maps on the grid, side by side."""
        return on_grid(self.maps(rgb), self.grid)

    def maps(self, rgb: torch.Tensor) -> list[torch.Tensor]:
        """Return the backbone's maps (B, c, h, w), finest first."""
        maps = self.net((rgb - self.mean) / self.std)
        return [maps] if isinstance(maps, torch.Tensor) else maps


def make_backbone(
    settings: TeacherSettings,
) -> tuple[tuple[float, ...], tuple[float, ...], nn.Module]:
    """Return mean, std and the frozen network of ``settings.backbone``: to one map or several."""
    if settings.backbone == "lite0":
        return LITE0_MEAN, LITE0_STD, Lite0Features(settings.strides)
    from efiqa.export.backbones import open_backbone  # timm, which the recipe for a CPU does not need

    found = open_backbone(settings.backbone, settings.size_px, weights=None, random_weights=False)
    return found.mean, found.std, found.network


@torch.no_grad()
def features_of(model: GridFeatures, rgb: ByteArray, fabric: Fabric) -> torch.Tensor:
    """Return (B, C, g, g) float16 on the CPU of crops (B, S, S, 3) uint8."""
    with torch.autocast(fabric.device.type, torch.bfloat16):
        out = model(_image(rgb, fabric))
    return out.half().cpu()


@torch.no_grad()
def maps_of(model: GridFeatures, rgb: ByteArray, fabric: Fabric) -> list[torch.Tensor]:
    """Return the backbone's maps (B, c, h, w), float16 on the CPU, of crops (B, S, S, 3) uint8."""
    with torch.autocast(fabric.device.type, torch.bfloat16):
        maps = model.maps(_image(rgb, fabric))
    return [each.half().cpu() for each in maps]


def _image(rgb: ByteArray, fabric: Fabric) -> torch.Tensor:
    x = torch.from_numpy(rgb).to(fabric.device).permute(0, 3, 1, 2).float() / 255
    return x.contiguous(memory_format=torch.channels_last)


def crops_at(crops: CropSet, indices: Sequence[int], size_px: int) -> ByteArray:
    """Return the crops ``indices`` at ``size_px``, (B, S, S, 3)."""
    return np.stack([resize_crop(np.ascontiguousarray(crops.rgb[index]), size_px) for index in indices])


@dataclass(frozen=True)
class MapRows:
    """The maps of N pictures, one row each: all values of the first map, then of the next."""

    rows: NDArray[np.float16]  # (N, values), memory-mapped
    shapes: tuple[Shape, ...]

    def __len__(self) -> int:
        return len(self.rows)


def split_rows(rows: torch.Tensor, shapes: Sequence[Shape]) -> list[torch.Tensor]:
    """Return the maps (B, c, h, w) of rows (B, values)."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    return [part.unflatten(1, shape) for part, shape in zip(rows.split(sizes, 1), shapes, strict=True)]


def cached_maps(
    path: Path,
    model: GridFeatures,
    crops: CropSet,
    indices: NDArray[np.int64],
    settings: TeacherSettings,
    fabric: Fabric,
) -> MapRows:
    """Return the maps of the pictures ``indices``, made once and then read from ``path`` (.npy).

    An interrupted call goes on where it stopped; maps of other pictures, of another backbone or size are
    made anew.
    """
    with fabric.rank_zero_first():
        return _cached_maps(path, model, crops, indices, settings, fabric)


def _cached_maps(
    path: Path,
    model: GridFeatures,
    crops: CropSet,
    indices: NDArray[np.int64],
    settings: TeacherSettings,
    fabric: Fabric,
) -> MapRows:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [crops.names[index] for index in indices]
    about = [settings.backbone, settings.size_px, settings.strides, crops.rgb.shape[1], names]
    key = hashlib.sha256(json.dumps(about).encode()).hexdigest()
    note = path.with_suffix(".json")
    first = maps_of(model, crops_at(crops, indices[:1], settings.size_px), fabric)
    shapes = tuple((each.shape[1], each.shape[2], each.shape[3]) for each in first)
    state = json.loads(note.read_text()) if note.is_file() and path.is_file() else {}
    done = state["done"] if state.get("key") == key else 0
    if not done:
        shape = (len(indices), sum(int(np.prod(each)) for each in shapes))
        np.lib.format.open_memmap(path, "w+", np.float16, shape).flush()
    if done < len(indices):
        rows = np.lib.format.open_memmap(path, "r+")
        starts = range(done, len(indices), BATCH)
        total = -(-len(indices) // BATCH)
        for start in track(starts, f"maps, {BATCH} pictures each", start=done // BATCH, total=total):
            part = indices[start : start + BATCH]
            maps = maps_of(model, crops_at(crops, part, settings.size_px), fabric)
            rows[start : start + len(part)] = torch.cat([each.flatten(1) for each in maps], 1).numpy()
            if start % (NOTED_EVERY * BATCH) == 0 or start + BATCH >= len(indices):
                rows.flush()
                note.write_text(json.dumps({"key": key, "done": start + len(part)}))
    return MapRows(np.load(path, mmap_mode="r"), shapes)
