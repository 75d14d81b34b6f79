"""Stages 2 and 3: vessel maps, and VUAD, which learns which vessels ought to be there.

VUAD is masked anatomical inpainting on vessel maps of good pictures: prediction = S*M + f(S*M), loss
MSE(S, prediction). On a bad picture |f(S)| is large where vessels are missing.
Source: EFIQA, MIDL 2026, section "VUAD".

Output: ``vessels/pool.npy`` (maps of the pool), ``vuad.pt``, ``vuad.json``, ``vuad.png``.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from scipy import ndimage, stats
from torch import nn

from training import figures, segment
from training.data import ByteArray, CropSet, FloatArray, cached_array
from training.loop import Batch, LoopSettings, Sample, train
from training.progress import track
from training.settings import settings
from training.unet import UNet, load_network, save_network

# Source: EFIQA's public configuration; fainter responses of a segmenter are noise.
VESSEL_FLOOR = 50 / 255


@settings
class VuadSettings:
    """``good_share``: share of the pool, best by its vessel map, that counts as good pictures."""

    size_px: int
    channels: tuple[int, ...]
    good_share: float
    densest_share_left_out: float
    loop: LoopSettings


class Vuad(nn.Module):
    """What is missing, f(S*M): (B, 1, S, S) of a vessel map and its field of view, each (B, 1, S, S)."""

    def __init__(self, channels: tuple[int, ...], size_px: int) -> None:
        super().__init__()
        self.size_px = size_px
        self.net = UNet(2, 1, channels)

    def forward(self, vessels: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        """Return the residual, 0 outside the field of view."""
        return self.net(torch.cat([vessels, visible], dim=1)).float() * visible


def load(path: Path) -> Vuad:
    """Return the trained VUAD in eval mode; its ``size_px`` is the side of its vessel maps."""
    return load_network(Vuad, path)


def vessel_map(probability: FloatArray, visible: NDArray[np.generic], size_px: int) -> ByteArray:
    """Return a segmenter's probability (S, S) as VUAD's input (size, size) 0..255, floored and masked."""
    inside = np.where(visible, probability, 0).astype(np.float32)
    small = cv2.resize(inside, (size_px, size_px), interpolation=cv2.INTER_AREA)
    small[small < VESSEL_FLOOR] = 0
    return np.rint(small * 255).astype(np.uint8)


def vessel_maps(
    fabric: Fabric, segmenter: segment.Segmenter, crops: CropSet, size_px: int, label: str, batch: int = 4
) -> ByteArray:
    """Return the vessel maps (N, size, size) 0..255 of cached crops of any side."""
    segmenter.to(fabric.device, memory_format=torch.channels_last)
    maps = np.zeros((len(crops), size_px, size_px), np.uint8)
    for start in track(range(0, len(crops), batch), f"vessel maps of {label}"):
        chunk = range(start, min(start + batch, len(crops)))
        rgb = np.stack([segment.fit(crops.rgb[index], segmenter.size_px) for index in chunk])
        for index, probability in zip(chunk, segment.vessel_probability(segmenter, rgb, fabric), strict=True):
            visible = cv2.resize(
                crops.visible[index], probability.shape[::-1], interpolation=cv2.INTER_NEAREST
            )
            maps[index] = vessel_map(probability, visible, size_px)
    return maps


def small_visible(crops: CropSet, size_px: int) -> ByteArray:
    """Return the fields of view (N, size, size) as 0/1."""
    return np.stack(
        [cv2.resize(mask, (size_px, size_px), interpolation=cv2.INTER_AREA) for mask in crops.visible]
    )


def good_pictures(
    maps: ByteArray, visible: ByteArray, settings: VuadSettings
) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """Return indices of the pool's good vessel maps, and every map's density and connectedness.

    Good are dense and connected maps; the very densest are false alarms (lesions, noise) and left out.
    Connectedness is the share of vessel pixels in pieces of at least 1/1000 of the picture.
    """
    count = len(maps)
    density, connected = np.zeros(count, np.float32), np.zeros(count, np.float32)
    piece = maps.shape[1] * maps.shape[2] // 1000
    for index in range(count):
        vessel = maps[index] > 127
        density[index] = vessel.sum() / max(int(visible[index].sum()), 1)
        labels, pieces = ndimage.label(vessel, np.ones((3, 3)))
        if pieces:
            sizes = np.bincount(labels.ravel())[1:]
            connected[index] = sizes[sizes >= piece].sum() / sizes.sum()
    rank = stats.rankdata(density) + 0.5 * stats.rankdata(connected)
    rank[stats.rankdata(density) > count * (1 - settings.densest_share_left_out)] = 0
    chosen = np.argsort(-rank)[: max(1, round(settings.good_share * count))]
    return np.sort(chosen), density, connected


def hidden_fraction_range(progress: float) -> tuple[float, float]:
    """Return the range of gamma, the share of hidden cells: 0.8..1 first, 0..1 from 80 % of training on.

    With rich context from the start the network would learn the identity. Source: EFIQA, MIDL 2026.
    """
    return 0.8 * float(np.clip((0.8 - progress) / 0.6, 0, 1)), 1.0


class MaskedMapMaker:
    """Draws a good vessel map, turned and flipped, perhaps cut to a smaller field, with hidden cells."""

    def __init__(self, maps: ByteArray, visible: ByteArray) -> None:
        self._maps = maps
        self._visible = visible

    def __call__(self, rng: np.random.Generator, progress: float) -> Sample:
        """Return vessels, kept and visible, each (1, S, S) float32."""
        index = int(rng.integers(len(self._maps)))
        size = self._maps.shape[1]
        stacked = np.stack([self._maps[index], self._visible[index] * 255], axis=-1)
        turn = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(0, 360), rng.uniform(0.9, 1.1))
        stacked = cv2.warpAffine(stacked, turn, (size, size), flags=cv2.INTER_LINEAR)
        if rng.random() < 0.5:
            stacked = stacked[:, ::-1]
        vessels = stacked[..., 0].astype(np.float32) / 255
        visible = (stacked[..., 1] > 127).astype(np.float32)
        # Smaller fields of view, ever more often. Source: EFIQA, MIDL 2026 (ratio 0.5..1, up to half).
        if rng.random() < 0.5 * np.clip((progress - 0.2) / 0.6, 0, 1):
            radius = size / 2 * rng.uniform(0.5, 1.0)
            y, x = np.ogrid[:size, :size]
            offset = rng.uniform(-0.5, 0.5, 2) * (size - 2 * radius)
            visible *= np.hypot(y - size / 2 - offset[0], x - size / 2 - offset[1]) <= radius
        cells = int(rng.integers(4, 33))
        low, high = hidden_fraction_range(progress)
        keep = (rng.random((cells, cells)) >= rng.uniform(low, high)).astype(np.float32)
        kept = cv2.resize(keep, (size, size), interpolation=cv2.INTER_NEAREST)
        vessels = np.where(vessels < VESSEL_FLOOR, 0, vessels) * visible
        return {
            key: torch.from_numpy(np.ascontiguousarray(value, np.float32))[None]
            for key, value in {"vessels": vessels, "kept": kept, "visible": visible}.items()
        }


def inpainting_loss(model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
    """Return MSE(S, S*M + f(S*M)) over the visible pixels: the expectation, not one plausible tree."""
    seen = batch["vessels"] * batch["kept"]
    error = (seen + model(seen, batch["visible"]) - batch["vessels"]) * batch["visible"]
    return {"mse": error.square().sum() / batch["visible"].sum().clamp_min(1)}


@torch.no_grad()
def anomaly(model: Vuad, maps: ByteArray, visible: ByteArray, fabric: Fabric, batch: int = 16) -> FloatArray:
    """Return |f(S)| (N, S, S): how much vessel is missing at each pixel."""
    model.to(fabric.device, memory_format=torch.channels_last)
    out = np.zeros(maps.shape, np.float16)
    for start in track(range(0, len(maps), batch), "anomaly maps"):
        part = slice(start, start + batch)
        x = torch.from_numpy(maps[part][:, None].astype(np.float32) / 255).to(fabric.device)
        inside = torch.from_numpy(visible[part][:, None].astype(np.float32)).to(fabric.device)
        with torch.autocast(fabric.device.type, torch.bfloat16):
            residual = model(x, inside)
        out[part] = residual[:, 0].abs().float().cpu().numpy()
    return out


def run(
    fabric: Fabric,
    settings: VuadSettings,
    pool: CropSet,
    manual: tuple[CropSet, ByteArray],
    out: Path,
    seed: int,
) -> None:
    """Make the pool's vessel maps, choose the good ones, train, and write the stage's files.

    ``manual``: crops of the vessel sets' training pictures and their manual masks (N, S, S) 0..255.
    """
    folder = out / "vessels"
    folder.mkdir(parents=True, exist_ok=True)
    segmenter = segment.load(out / "segmenter.pt")
    with fabric.rank_zero_first():
        maps = cached_array(
            folder / "pool.npy",
            lambda: vessel_maps(fabric, segmenter, pool, settings.size_px, "the pool"),
        ).astype(np.uint8, copy=False)
    visible = small_visible(pool, settings.size_px)
    chosen, density, connected = good_pictures(maps, visible, settings)
    manual_maps = np.stack(
        [
            vessel_map(mask.astype(np.float32) / 255, seen, settings.size_px)
            for mask, seen in zip(manual[1], manual[0].visible, strict=True)
        ]
    )
    good_maps = np.concatenate([maps[chosen], manual_maps])
    good_visible = np.concatenate([visible[chosen], small_visible(manual[0], settings.size_px)])
    torch.manual_seed(seed)
    model = Vuad(settings.channels, settings.size_px).to(memory_format=torch.channels_last)
    model = train(
        fabric,
        model,
        MaskedMapMaker(good_maps, good_visible),
        inpainting_loss,
        settings.loop,
        seed=seed,
        folder=out,
        name="vuad",
    )
    if not fabric.is_global_zero:
        return
    save_network(model, settings.channels, settings.size_px, out / "vuad.pt")
    np.savez(folder / "statistics.npz", good=chosen, density=density, connected=connected)
    (out / "vuad.json").write_text(
        json.dumps({"good_maps": len(good_maps), "of_which_manual": len(manual_maps)}, indent=2) + "\n"
    )
    _show(model, pool, maps, visible, density, fabric, out / "vuad.png")


def _show(
    model: Vuad,
    pool: CropSet,
    maps: ByteArray,
    visible: ByteArray,
    density: FloatArray,
    fabric: Fabric,
    path: Path,
) -> None:
    # Eight pictures from the emptiest to the densest vessel map.
    order = np.argsort(density)
    picked = order[np.linspace(0, len(order) - 1, 8).astype(int)]
    missing = anomaly(model, maps[picked], visible[picked], fabric).astype(np.float32)
    rows = [
        (
            [pool.rgb[index], maps[index] / 255, np.clip(missing[k] * 4, 0, 1)],
            f"density {density[index]:.3f}, missing x 4",
        )
        for k, index in enumerate(picked)
    ]
    figures.sheet(path, rows)
