"""Stage 4: the teacher, an adapter on frozen features, trained on the pseudo-labels.

``linear`` and ``multi_layer`` are one 1x1 convolution, on the backbone's last map or on several: binary
cross-entropy with positive weight = negatives / positives, plus a ranking term: on a clean picture with a
synthetic defect, a cell that lost its anatomy must score above the same cell before. ``dense`` is
training.dense_adapter's. Source: EFIQA, MIDL 2026 (linear); EFIQA-CP, arXiv 2606.25915 (dense); the ranking
term and the middle layers are this project's.

Output: ``teacher.safetensors``, ``teacher/pool.npy`` (P(anatomy not visible), N x g x g), ``teacher.json``,
``teacher.png``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

from efiqa.export.adapters import DenseAdapter
from training import figures
from training.data import CropSet, FloatArray
from training.degrade import random_degradation
from training.dense_adapter import DenseSettings, dense_logits, fit_dense
from training.features import BATCH, GridFeatures, cached_maps, crops_at, features_of
from training.loop import LoopSettings
from training.metrics import told_apart
from training.progress import track
from training.pseudo_labels import Labels, badness, crop_on_grid, to_grid
from training.settings import later, settings


@settings
class TeacherSettings:
    """``backbone``: ``lite0`` or a timm DINO name; ``strides``: feature maps of lite0 that are read.

    The dense adapter takes whole pictures, ``batch_cells`` in all, and needs the table ``dense``; the ranking
    term is the 1x1 convolution's alone.
    """

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
    adapter: Literal["linear", "multi_layer", "dense"] = later("multi_layer")
    dense: DenseSettings | None = later(None)

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        maps = len(self.strides) if self.backbone == "lite0" else 1
        if self.adapter == "linear" and maps != 1:
            raise ValueError(f"strides names {maps} maps, expected 1 for adapter linear")
        if self.adapter == "multi_layer" and maps < 2:
            raise ValueError(
                f"adapter is multi_layer, expected linear or dense for the one map of {self.backbone}"
            )
        if (self.adapter == "dense") != (self.dense is not None):
            rule = "is missing, expected a table" if self.dense is None else "is given, expected none"
            raise ValueError(f"dense {rule} for adapter {self.adapter}")
        if self.adapter == "dense":
            if self.degraded_pictures or self.ranking_weight:
                raise ValueError(
                    "degraded_pictures and ranking_weight are expected to be 0 for adapter dense"
                )
            if self.batch_cells % self.grid**2:
                raise ValueError(
                    f"batch_cells is {self.batch_cells}, expected a multiple of the {self.grid**2} cells of "
                    "a picture for adapter dense"
                )

    @property
    def token_grid(self) -> int:
        """Cells a side of the features that the adapter reads."""
        return self.grid * (DenseAdapter.stride if self.adapter == "dense" else 1)

    def dense_loop(self, pictures: int) -> LoopSettings:
        """Return how the dense adapter is trained on so many pictures: ``epochs`` looks at each."""
        batch = self.batch_cells // self.grid**2
        return LoopSettings(
            iterations=-(-self.epochs * pictures // batch),
            batch=batch,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            workers=self.dense.workers,
        )


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
        rgb, visible, share = crop_on_grid(crops, index, settings.size_px, settings.grid)
        damaged = random_degradation(rgb, visible, rng)
        both = features_of(model, np.stack([rgb, damaged.rgb]), fabric)
        clean.append(both[0])
        degraded.append(both[1])
        weights.append(share)
        strength.append(to_grid(damaged.strength, settings.grid) / np.maximum(share, 1e-6))
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


def local_auroc(logits: FloatArray, pairs: DegradedSet) -> dict[str, float]:
    """Return the patch AUROC on degraded pictures, a kind and overall: lost cells against untouched ones.

    ``logits`` (K, g, g) are of the degraded ones.
    """
    inside = pairs.weights > 0.5
    lost, whole = inside & (pairs.strength > 0.5), inside & (pairs.strength < 0.1)
    out = {}
    for kind in [*sorted(set(pairs.kinds)), "all"]:
        rows = np.array([kind in ("all", each) for each in pairs.kinds])
        positive, negative = logits[rows][lost[rows]], logits[rows][whole[rows]]
        if len(positive) and len(negative):
            out[kind] = told_apart(positive, negative)
    return out


@dataclass(frozen=True)
class Taught:
    """A fitted adapter: its weights and its logits."""

    state: dict[str, torch.Tensor]
    pool: FloatArray  # (N, g, g)
    check: FloatArray  # (K, g, g) of degraded pictures


def teach_cells(
    fabric: Fabric,
    settings: TeacherSettings,
    model: GridFeatures,
    pool: CropSet,
    labels: Labels,
    check: DegradedSet,
    seed: int,
) -> Taught:
    """Fit the 1x1 convolution."""
    features = [
        features_of(
            model, crops_at(pool, range(start, min(start + BATCH, len(pool))), settings.size_px), fabric
        )
        for start in track(range(0, len(pool), BATCH), "features of the pool")
    ]
    pool_features = torch.cat(features)
    best = np.argsort(labels.area)[: len(pool) // 2]
    chosen = np.random.default_rng(seed).choice(
        best, min(settings.degraded_pictures, len(best)), replace=False
    )
    pairs = degraded_features(model, pool, chosen, settings, fabric, seed) if len(chosen) else None
    valid = torch.from_numpy(labels.valid).flatten()
    cells = cells_of(pool_features)[valid]
    adapter = fit_adapter(cells, torch.from_numpy(labels.bad).flatten()[valid], pairs, settings, seed)
    logits = torch.cat([adapter(cells_of(each[None]).float()) for each in pool_features])
    return Taught(
        adapter.state_dict(),
        logits.numpy().reshape(labels.bad.shape),
        adapter(cells_of(check.degraded).float()).numpy().reshape(check.strength.shape),
    )


def teach_pictures(
    fabric: Fabric,
    settings: TeacherSettings,
    model: GridFeatures,
    pool: CropSet,
    labels: Labels,
    check: DegradedSet,
    out: Path,
    seed: int,
) -> Taught:
    """Fit the dense adapter."""
    maps = cached_maps(out / "cache" / "maps.npy", model, pool, np.arange(len(pool)), settings, fabric)
    loop = settings.dense_loop(len(pool))
    fitted = fit_dense(
        fabric,
        maps,
        (labels.bad, labels.valid),
        settings.dense,
        loop,
        seed=seed,
        folder=out,
        name="teacher",
    )
    with torch.no_grad():
        degraded = torch.cat([fitted.adapter(each[None].float())[:, 0] for each in check.degraded])
    return Taught(fitted.adapter.state_dict(), dense_logits(fitted, maps.rows, fabric), degraded.numpy())


def run(
    fabric: Fabric,
    settings: TeacherSettings,
    pool: CropSet,
    clean: CropSet,
    out: Path,
    seed: int,
) -> None:
    """Fit the adapter and write the stage's files; ``clean`` pictures (vessel sets, train) measure it."""
    labels = Labels.load(out)
    model = GridFeatures(settings).to(fabric.device, memory_format=torch.channels_last).eval()
    check = degraded_features(model, clean, np.arange(len(clean)), settings, fabric, seed + 1)
    if settings.adapter == "dense":
        taught = teach_pictures(fabric, settings, model, pool, labels, check, out, seed)
    else:
        taught = teach_cells(fabric, settings, model, pool, labels, check, seed)
    probability = torch.from_numpy(taught.pool).sigmoid().numpy()
    if not fabric.is_global_zero:
        return
    (out / "teacher").mkdir(exist_ok=True)
    np.save(out / "teacher" / "pool.npy", probability)
    save_file(taught.state, out / "teacher.safetensors")
    agreement = roc_auc_score(labels.bad[labels.valid], probability[labels.valid])
    summary = {
        "auroc_on_pseudo_labels": float(agreement),
        "local_auroc": local_auroc(taught.check, check),
    }
    (out / "teacher.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(f"teacher: {json.dumps(summary)}", flush=True)
    mean = badness(probability, labels.weights)
    order = np.argsort(mean)
    picked = order[np.linspace(0, len(order) - 1, 12).astype(int)]
    rows = [([pool.rgb[k], figures.blend(pool.rgb[k], probability[k])], f"{1 - mean[k]:.2f}") for k in picked]
    figures.sheet(out / "teacher.png", rows, columns=3)
