"""Stage 4: the teacher, one 1x1 convolution on frozen features, trained on the pseudo-labels.

Binary cross-entropy with positive weight = negatives / positives, plus a ranking term: on a clean
picture with a synthetic defect, a cell that lost its anatomy must score above the same cell before.
Source: EFIQA, MIDL 2026 (linear adapter); the ranking term and the middle layers are this project's.

Output: ``teacher.safetensors``, ``teacher/pool.npy`` (P(anatomy not visible), N x g x g), ``teacher.json``,
``teacher.png``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

from training import figures
from training.backbone import LITE0_MEAN, LITE0_STD, Lite0Features
from training.data import ByteArray, CropSet, FloatArray, resize_crop
from training.degrade import random_degradation
from training.progress import track
from training.pseudo_labels import shrink, to_grid
from training.settings import settings


@settings
class TeacherSettings:
    """``backbone``: ``lite0`` or a timm DINO name; ``strides``: feature maps of lite0 that are read."""

    backbone: str
    size_px: int
    grid: int
    strides: tuple[int, ...]
    degraded_pictures: int
    ranking_weight: float
    epochs: int
    batch_cells: int
    learning_rate: float
    weight_decay: float


class GridFeatures(nn.Module):
    """Frozen features on the label grid: (B, C, g, g) of an image (B, 3, S, S) in 0..1."""

    def __init__(self, settings: TeacherSettings) -> None:
        super().__init__()
        self.grid = settings.grid
        mean, std, self.net = make_backbone(settings)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        """Return all maps, averaged down or interpolated up to the grid, side by side."""
        maps = self.net((rgb - self.mean) / self.std)
        maps = [maps] if isinstance(maps, torch.Tensor) else maps
        return torch.cat([self._to_grid(each) for each in maps], dim=1)

    def _to_grid(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[-1] >= self.grid:
            return F.adaptive_avg_pool2d(x, self.grid)
        return F.interpolate(x, size=self.grid, mode="bilinear", align_corners=False)


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
    x = torch.from_numpy(rgb).to(fabric.device).permute(0, 3, 1, 2).float() / 255
    with torch.autocast(fabric.device.type, torch.bfloat16):
        out = model(x.contiguous(memory_format=torch.channels_last))
    return out.half().cpu()


@dataclass(frozen=True)
class DegradedSet:
    """Features of clean pictures and of the same ones degraded, and where anatomy was lost."""

    clean: torch.Tensor  # (K, C, g, g) float16
    degraded: torch.Tensor
    strength: FloatArray  # (K, g, g) 0..1
    weights: FloatArray  # (K, g, g) visible share
    kinds: list[str]


def degraded_features(
    model: GridFeatures,
    crops: CropSet,
    chosen: NDArray[np.int64],
    settings: TeacherSettings,
    fabric: Fabric,
    seed: int,
) -> DegradedSet:
    """Return features of ``chosen`` pictures before and after one random defect each."""
    clean, degraded, strength, weights, kinds = [], [], [], [], []
    for order, index in enumerate(track(list(chosen), "degraded pictures")):
        rng = np.random.default_rng([seed, order])
        rgb = resize_crop(np.ascontiguousarray(crops.rgb[index]), settings.size_px)
        visible = shrink(crops.visible[index], settings.size_px)
        damaged = random_degradation(rgb, visible, rng)
        both = features_of(model, np.stack([rgb, damaged.rgb]), fabric)
        clean.append(both[0])
        degraded.append(both[1])
        weights.append(to_grid(visible, settings.grid))
        strength.append(to_grid(damaged.strength, settings.grid) / np.maximum(weights[-1], 1e-6))
        kinds.append(damaged.kind)
    return DegradedSet(
        torch.stack(clean), torch.stack(degraded), np.stack(strength), np.stack(weights), kinds
    )


class Adapter(nn.Module):
    """Standardisation by the pool's statistics, then one 1x1 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.linear = nn.Linear(channels, 1)

    def forward(self, cells: torch.Tensor) -> torch.Tensor:
        """Return logits (N,) of cell features (N, C)."""
        return self.linear((cells - self.mean) / self.std)[:, 0]


def cells_of(features: torch.Tensor) -> torch.Tensor:
    """Return (N * g * g, C) of (N, C, g, g)."""
    return features.permute(0, 2, 3, 1).flatten(0, 2)


def fit_adapter(
    cells: torch.Tensor, bad: torch.Tensor, pairs: DegradedSet | None, settings: TeacherSettings, seed: int
) -> Adapter:
    """Return the adapter fitted on labelled cells (N, C), bad (N,), and on degraded pairs if any."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    adapter = Adapter(cells.shape[1])
    sample = cells[torch.randperm(len(cells), generator=generator)[:200_000]].float()
    adapter.mean.copy_(sample.mean(0))
    adapter.std.copy_(sample.std(0).clamp_min(1e-4))
    before = after = cells[:0]
    if pairs:
        lost = torch.from_numpy((pairs.strength > 0.5) & (pairs.weights > 0.5)).flatten()
        before, after = cells_of(pairs.clean)[lost], cells_of(pairs.degraded)[lost]
    positive = torch.tensor(float((~bad).sum() / bad.sum().clamp_min(1)))
    optimizer = torch.optim.AdamW(
        adapter.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    for _epoch in track(range(settings.epochs), "teacher"):
        for part in torch.randperm(len(cells), generator=generator).split(settings.batch_cells):
            loss = F.binary_cross_entropy_with_logits(
                adapter(cells[part].float()), bad[part].float(), pos_weight=positive
            )
            if len(before):
                pair = torch.randint(len(before), (settings.batch_cells // 4,), generator=generator)
                rise = adapter(after[pair].float()) - adapter(before[pair].float())
                loss = loss + settings.ranking_weight * F.softplus(2 - rise).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    return adapter.eval().requires_grad_(False)


def local_auroc(adapter: Adapter, pairs: DegradedSet) -> dict[str, float]:
    """Return the patch AUROC on degraded pictures, a kind and overall: lost cells against untouched ones."""
    logits = adapter(cells_of(pairs.degraded).float()).numpy().reshape(pairs.strength.shape)
    inside = pairs.weights > 0.5
    lost, whole = inside & (pairs.strength > 0.5), inside & (pairs.strength < 0.1)
    out = {}
    for kind in [*sorted(set(pairs.kinds)), "all"]:
        rows = np.array([kind in ("all", each) for each in pairs.kinds])
        positive, negative = logits[rows][lost[rows]], logits[rows][whole[rows]]
        if len(positive) and len(negative):
            truth = np.r_[np.ones(len(positive)), np.zeros(len(negative))]
            out[kind] = float(roc_auc_score(truth, np.r_[positive, negative]))
    return out


def run(
    fabric: Fabric,
    settings: TeacherSettings,
    pool: CropSet,
    clean: CropSet,
    out: Path,
    seed: int,
) -> None:
    """Fit the adapter and write the stage's files; ``clean`` pictures (vessel sets, train) measure it."""
    labels = np.load(out / "pseudo" / "labels.npz")
    model = GridFeatures(settings).to(fabric.device, memory_format=torch.channels_last).eval()
    features = []
    for start in track(range(0, len(pool), 8), "features of the pool"):
        part = pool.rgb[start : start + 8]
        rgb = np.stack([resize_crop(np.ascontiguousarray(each), settings.size_px) for each in part])
        features.append(features_of(model, rgb, fabric))
    pool_features = torch.cat(features)
    best = np.argsort(labels["area"])[: len(pool) // 2]
    chosen = np.random.default_rng(seed).choice(
        best, min(settings.degraded_pictures, len(best)), replace=False
    )
    pairs = degraded_features(model, pool, chosen, settings, fabric, seed) if len(chosen) else None
    check = degraded_features(model, clean, np.arange(len(clean)), settings, fabric, seed + 1)

    valid = torch.from_numpy(labels["weights"] > 0.5).flatten()
    cells = cells_of(pool_features)[valid]
    bad = torch.from_numpy(labels["bad"]).flatten()[valid]
    adapter = fit_adapter(cells, bad, pairs, settings, seed)
    logits = torch.cat([adapter(cells_of(each[None]).float()) for each in pool_features])
    probability = logits.sigmoid().numpy().reshape(labels["weights"].shape)
    if not fabric.is_global_zero:
        return
    (out / "teacher").mkdir(exist_ok=True)
    np.save(out / "teacher" / "pool.npy", probability)
    save_file(adapter.state_dict(), out / "teacher.safetensors")
    agreement = roc_auc_score(bad.numpy(), probability.ravel()[valid.numpy()])
    summary = {"auroc_on_pseudo_labels": float(agreement), "local_auroc": local_auroc(adapter, check)}
    (out / "teacher.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(f"teacher: {json.dumps(summary)}", flush=True)
    mean = (probability * labels["weights"]).sum((1, 2)) / labels["weights"].sum((1, 2))
    order = np.argsort(mean)
    picked = order[np.linspace(0, len(order) - 1, 12).astype(int)]
    rows = [([pool.rgb[k], figures.blend(pool.rgb[k], probability[k])], f"{1 - mean[k]:.2f}") for k in picked]
    figures.sheet(out / "teacher.png", rows, columns=3)
