"""Stage 1: the vessel segmenter, trained on the manual masks of public vessel sets.

Output: ``segmenter.pt``, ``segmenter.json`` (Dice a set, against the manual masks at the pictures' own
resolution and inside the manual field of view where there is one), ``segmenter.png``.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from functools import partial
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import torch
from lightning.fabric import Fabric
from torch import nn
from torch.nn import functional as F

from training import figures
from training.data import (
    ByteArray,
    CropSet,
    FloatArray,
    Picture,
    cached_array,
    cached_crops,
    crop_mask,
    resize_crop,
    uncrop,
)
from training.loop import Batch, LoopSettings, Sample, train
from training.progress import track
from training.settings import settings
from training.unet import UNet, load_network, save_network

RIM = 0.004  # of the crop's side: what the edge of a field of view is blurred over, 3 px of 768


@settings
class SegmenterSettings:
    """``size_px``: side of the field-of-view crop; ``patch_px``: side of a training patch.

    ``loop`` teaches probabilities, ``refine`` then the mask (`mask_loss`).
    """

    size_px: int
    patch_px: int
    channels: tuple[int, ...]
    dice_weight: float
    loop: LoopSettings
    refine_entropy_weight: float
    refine_miss_weight: float
    refine: LoopSettings


class Segmenter(nn.Module):
    """Vessel logits (B, 1, S, S) of an RGB crop (B, 3, S, S) in 0..1.

    A fourth channel is the green one with its local mean and contrast divided out (vessels are best
    seen in green, and cameras differ mostly in slow shading), computed here so that training and
    inference cannot differ. Local statistics count visible pixels alone and the outside (exactly black)
    is filled with the local mean: an edge at the rim would hide the vessels that end there.
    """

    # Side of the local window as a share of the crop: about three times the widest vessel.
    WINDOW = 1 / 16

    def __init__(self, channels: tuple[int, ...], size_px: int) -> None:
        super().__init__()
        self.size_px = size_px
        self.window = 2 * int(size_px * self.WINDOW / 8) + 1  # on a quarter of the side
        self.net = UNet(4, 1, channels)

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        """Return logits (B, 1, H, W)."""
        with torch.no_grad(), torch.autocast(rgb.device.type, enabled=False):
            visible = (rgb.amax(1, keepdim=True) > 0).float()
            means = self._local_mean(torch.cat([rgb, rgb[:, 1:2].square(), visible], dim=1))
            means = means / means[:, 4:].clamp_min(1e-3)
            deviation = (means[:, 3:4] - means[:, 1:2].square()).clamp_min(0).sqrt()
            # 0.02: about five grey levels, the noise below which contrast is not worth amplifying.
            normalised = visible * (rgb[:, 1:2] - means[:, 1:2]) / (deviation + 0.02)
            filled = torch.where(visible > 0, rgb, means[:, :3])
            x = torch.cat([filled * 2 - 1, normalised.clamp(-4, 4) / 4], dim=1)
        return self.net(x)

    def _local_mean(self, x: torch.Tensor) -> torch.Tensor:
        # On a quarter of the side, where the box is a sixteenth of the work and no vessel is lost in it.
        small = F.avg_pool2d(x, 4)
        small = F.avg_pool2d(small, self.window, 1, self.window // 2, count_include_pad=False)
        return F.interpolate(small, size=x.shape[-2:], mode="bilinear", align_corners=False)


def load(path: Path) -> Segmenter:
    """Return the trained segmenter in eval mode; its ``size_px`` is the crop it was trained on."""
    return load_network(Segmenter, path)


@torch.no_grad()
def vessel_probability(model: Segmenter, rgb: ByteArray, fabric: Fabric | None = None) -> FloatArray:
    """Return P(vessel) (B, S, S) of crops (B, S, S, 3) uint8, S the model's ``size_px``; 0 on the rim.

    The mean over the picture and its mirror image, whose errors differ. The outermost pixels of a field of
    view are its own blurred edge: a thin dark line, like a vessel.
    """
    device = fabric.device if fabric else torch.device("cpu")
    x = torch.from_numpy(np.array(rgb)).to(device).permute(0, 3, 1, 2).float() / 255
    with torch.autocast(device.type, torch.bfloat16):
        both = model(x).float().sigmoid() + model(x.flip(-1)).float().sigmoid().flip(-1)
    probability = (both / 2)[:, 0].cpu().numpy()
    rim = 2 * math.ceil(RIM * rgb.shape[1]) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (rim, rim))
    inside = [cv2.erode((each.max(-1) > 0).astype(np.float32), kernel) for each in rgb]
    return probability * np.stack(inside)


def fit(rgb: ByteArray, size_px: int) -> ByteArray:
    """Return a crop (S, S, 3) at the side that a segmenter wants: antialiased down, bicubic up."""
    if rgb.shape[0] >= size_px:
        return resize_crop(rgb, size_px)
    return cv2.resize(rgb, (size_px, size_px), interpolation=cv2.INTER_CUBIC)


def load_masks(pictures: list[Picture], crops: CropSet, size_px: int) -> ByteArray:
    """Return the manual vessel masks (N, S, S) 0..255 of the cached crops."""
    by_pair = {p.pair_id: p for p in pictures if p.role == "vessel_mask"}
    pair_of = {p.name: p.pair_id for p in pictures}
    masks = np.zeros((len(crops), size_px, size_px), np.uint8)
    for index, (name, box) in enumerate(zip(crops.names, crops.boxes, strict=True)):
        masks[index] = crop_mask(_read_mask(by_pair[pair_of[name]]), box, size_px)
    return masks


def vessel_crops(pictures: list[Picture], size_px: int, cache: Path) -> tuple[CropSet, ByteArray, list[str]]:
    """Return crops, masks (N, S, S) and the split of every vessel-set picture."""
    images = [p for p in pictures if p.role == "vessel_image"]
    crops = cached_crops(cache / f"vessels_{size_px}", images, size_px, "vessel sets")
    masks = cached_array(
        cache / f"vessels_{size_px}" / "masks.npy", lambda: load_masks(pictures, crops, size_px)
    )
    split_of = {p.name: p.split for p in images}
    return crops, masks.astype(np.uint8, copy=False), [split_of[name] for name in crops.names]


def augmentation(patch_px: int) -> A.Compose:
    """Return geometry and colour changes that a camera or an eye could have made."""
    return A.Compose(
        [
            A.D4(p=1.0),
            A.Affine(scale=(0.75, 1.3), rotate=(-45, 45), border_mode=cv2.BORDER_REFLECT_101, p=0.7),
            A.CenterCrop(patch_px, patch_px),
            A.RandomBrightnessContrast(0.25, 0.3, p=0.6),
            A.HueSaturationValue(12, 30, 0, p=0.5),
            A.RandomGamma((70, 140), p=0.4),
            A.OneOf([A.GaussianBlur((3, 5)), A.GaussNoise(std_range=(0.01, 0.05)), A.ISONoise()], p=0.3),
        ]
    )


class PatchMaker:
    """Draws an augmented patch; sets are drawn by 1 / sqrt(size), so that none dominates."""

    def __init__(self, crops: CropSet, masks: ByteArray, chosen: list[int], patch_px: int) -> None:
        counts: dict[str, int] = defaultdict(int)
        for index in chosen:
            counts[crops.datasets[index]] += 1
        weights = np.array([counts[crops.datasets[index]] ** -1.5 for index in chosen])
        # Held in memory: about 1.7 MB a crop, and read for every patch.
        self._rgb = np.stack([crops.rgb[index] for index in chosen])
        self._masks = masks[chosen]
        self._visible = np.stack([crops.visible[index] for index in chosen])
        self._weights = weights / weights.sum()
        self._patch = patch_px
        self._augment = augmentation(patch_px)

    def __call__(self, rng: np.random.Generator, progress: float) -> Sample:
        """Return rgb (3, p, p) in 0..1, mask (1, p, p) and visible (1, p, p)."""
        index = rng.choice(len(self._weights), p=self._weights)
        size, window = self._rgb.shape[1], min(self._rgb.shape[1], int(self._patch * 1.5))
        y, x = rng.integers(0, size - window + 1, 2)
        area = np.s_[y : y + window, x : x + window]
        self._augment.set_random_seed(int(rng.integers(2**31)))
        stacked = np.stack([self._masks[index][area], self._visible[index][area] * 255], axis=-1)
        out = self._augment(image=self._rgb[index][area], mask=stacked)
        mask = torch.from_numpy(out["mask"]).permute(2, 0, 1).float() / 255
        visible = (mask[1:] > 0.5).float()
        rgb = torch.from_numpy(out["image"]).permute(2, 0, 1).float() / 255
        return {"rgb": rgb * visible, "mask": mask[:1], "visible": visible}


def visible_entropy(logits: torch.Tensor, mask: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of the visible pixels."""
    entropy = F.binary_cross_entropy_with_logits(logits, mask, reduction="none")
    return (entropy * visible).sum() / visible.sum().clamp_min(1)


def segmentation_loss(dice_weight: float, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
    """Return BCE and soft Dice loss over the visible pixels."""
    logits, mask, visible = model(batch["rgb"]).float(), batch["mask"], batch["visible"]
    probability = logits.sigmoid() * visible
    overlap = 2 * (probability * mask).sum() + 1
    dice = overlap / (probability.sum() + (mask * visible).sum() + 1)
    return {"bce": visible_entropy(logits, mask, visible), "dice": dice_weight * (1 - dice)}


def mask_loss(
    entropy_weight: float, miss_weight: float, model: nn.Module, batch: Batch
) -> dict[str, torch.Tensor]:
    """Return weighted BCE, and the soft Tversky loss a picture: each counts alike, whatever its vessels.

    A missed pixel counts ``miss_weight``, a false one the rest of 1; 0.5 is Dice. A right probability is
    below 0.5 on most of a thin vessel, so that a mask cut at 0.5 misses it. Above 0.5 such pixels move over:
    a vessel that is missed is anatomy called invisible in all that is learned from these maps.
    Source: Salehi et al., Tversky loss function for image segmentation, 2017.
    """
    logits, mask, visible = model(batch["rgb"]).float(), batch["mask"], batch["visible"]
    entropy = visible_entropy(logits, mask, visible)
    probability, mask = logits.sigmoid() * visible, mask * visible
    over = (1, 2, 3)
    found = (probability * mask).sum(over)
    false = (probability * (1 - mask)).sum(over)
    missed = ((1 - probability) * mask).sum(over)
    index = (found + 1) / (found + (1 - miss_weight) * false + miss_weight * missed + 1)
    return {"bce": entropy_weight * entropy, "tversky": 1 - index.mean()}


def run(fabric: Fabric, settings: SegmenterSettings, pictures: list[Picture], out: Path, seed: int) -> None:
    """Train, evaluate and write the stage's files."""
    with fabric.rank_zero_first():
        crops, masks, splits = vessel_crops(pictures, settings.size_px, out / "cache")
    chosen = [index for index, split in enumerate(splits) if split == "train"]
    torch.manual_seed(seed)
    model = Segmenter(settings.channels, settings.size_px)
    model.to(memory_format=torch.channels_last)
    maker = PatchMaker(crops, masks, chosen, settings.patch_px)
    first = partial(segmentation_loss, settings.dice_weight)
    model = train(fabric, model, maker, first, settings.loop, seed=seed, folder=out, name="segmenter")
    model.train().requires_grad_(True)
    second = partial(mask_loss, settings.refine_entropy_weight, settings.refine_miss_weight)
    model = train(
        fabric, model, maker, second, settings.refine, seed=seed + 1000, folder=out, name="segmenter.refine"
    )
    if fabric.is_global_zero:
        save_network(model, settings.channels, settings.size_px, out / "segmenter.pt")
        evaluate(model, pictures, crops, splits, out, fabric)


def evaluate(
    model: Segmenter,
    pictures: list[Picture],
    crops: CropSet,
    splits: list[str],
    out: Path,
    fabric: Fabric,
) -> dict[str, float]:
    """Return and write mean Dice a set over its test pictures, threshold 0.5, and the mean of sets."""
    by_role = {(p.pair_id, p.role): p for p in pictures}
    pair_of = {p.name: p.pair_id for p in pictures}
    scores: dict[str, list[float]] = defaultdict(list)
    shown = []
    model.to(fabric.device)
    tests = [index for index, split in enumerate(splits) if split == "test"]
    for index in track(tests, "segmenter test"):
        pair = pair_of[crops.names[index]]
        truth = _read_mask(by_role[pair, "vessel_mask"]) > 127
        probability = vessel_probability(model, crops.rgb[index][None], fabric)[0] * crops.visible[index]
        predicted = uncrop(probability, crops.boxes[index], *crops.sizes[index]) >= 0.5
        inside = (
            _read_mask(by_role[pair, "fov_mask"]) > 127
            if (pair, "fov_mask") in by_role
            else np.ones_like(truth)
        )
        dice = 2 * (predicted & truth & inside).sum() / ((predicted & inside).sum() + (truth & inside).sum())
        scores[crops.datasets[index]].append(float(dice))
        if len(scores[crops.datasets[index]]) == 1:
            shown.append((crops.rgb[index], probability, f"{crops.datasets[index]} {dice:.3f}"))
    summary = {name: float(np.mean(values)) for name, values in sorted(scores.items())}
    summary["mean_of_sets"] = float(np.mean(list(summary.values())))
    (out / "segmenter.json").write_text(json.dumps({"dice": summary}, indent=2) + "\n")
    figures.pairs(out / "segmenter.png", shown)
    print("segmenter Dice: " + " ".join(f"{name} {value:.3f}" for name, value in summary.items()), flush=True)
    return summary


def _read_mask(picture: Picture) -> ByteArray:
    mask = cv2.imread(str(picture.path), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise ValueError(f"{picture.path} is missing or not a picture")
    return mask
