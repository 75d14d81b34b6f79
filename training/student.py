"""Stage 5: the student, a small network that runs on the camera.

EfficientNet-Lite0 up to stride 16, its maps of strides 4 and 8 folded in, and a head with a view of the
whole field. It learns, all without a quality label: the teacher's map on pictures of any quality; the known
map of synthetic degradations of the pool's best pictures; and that nothing of a retina is visible in
pictures that are none.

Output: ``student.pt``, ``student.json``, ``student.png``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from scipy import ndimage
from torch import nn
from torch.nn import functional as F

from training import figures
from training.backbone import LITE0_MEAN, LITE0_STD, Lite0Features
from training.data import BoolArray, ByteArray, CropSet, FloatArray, resize_crop
from training.degrade import random_degradation
from training.loop import Batch, LoopSettings, Sample, save_atomically, train
from training.not_fundus import random_scene
from training.pseudo_labels import shrink, to_grid
from training.settings import settings


@settings
class StudentSettings:
    """Shares of samples: ``degraded_share`` and ``not_fundus_share``; the rest are plain pictures.

    ``frozen_blocks`` first blocks of the backbone keep their ImageNet weights: they run at strides 2 and
    4, where the gradient of a depthwise convolution costs more than all the rest on a CPU.
    """

    size_px: int
    grid: int
    width: int
    clean_share: float
    degraded_share: float
    not_fundus_share: float
    map_weight: float
    score_weight: float
    frozen_blocks: int
    loop: LoopSettings


class Student(nn.Module):
    """Logits (B, 1, S/16, S/16) that anatomy is NOT visible, of a normalised image (B, 3, S, S)."""

    STRIDES = (4, 8, 16)

    def __init__(self, width: int, *, pretrained: bool = True) -> None:
        super().__init__()
        self._fixed: list[nn.Module] = []
        self.width = width
        self.backbone = Lite0Features(self.STRIDES, pretrained=pretrained)
        channels = Lite0Features.CHANNELS
        # Each stride's map reaches the grid by a convolution of its own stride: no detail is averaged away.
        self.fold4 = nn.Conv2d(channels[4], width, 4, stride=4, bias=False)
        self.fold8 = nn.Conv2d(channels[8], width, 2, stride=2, bias=False)
        self.fold16 = nn.Conv2d(channels[16], width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.field = nn.Linear(width, width)
        self.spread = nn.Conv2d(width, width, 5, padding=2, groups=width, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.mix = nn.Conv2d(width, width, 1)
        self.head = nn.Conv2d(width, 1, 1)

    def freeze(self, blocks: int) -> None:
        """Fix the stem and the first ``blocks`` blocks, their batch statistics included; none for 0."""
        self._fixed = [self.backbone.conv_stem, self.backbone.bn1, *self.backbone.blocks[:blocks]][
            : blocks + 2 if blocks else 0
        ]
        for module in self._fixed:
            module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Student:
        """Set training mode, except for what ``freeze`` fixed."""
        super().train(mode)
        for module in self._fixed:
            module.eval()
        return self

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return logits (B, 1, S/16, S/16)."""
        s4, s8, s16 = self.backbone(image)
        x = F.relu(self.norm(self.fold4(s4) + self.fold8(s8) + self.fold16(s16)))
        whole = self.field(x.mean((2, 3)))[:, :, None, None]
        y = F.relu(self.mix(F.relu(self.norm2(self.spread(x)) + whole)) + x)
        return self.head(y)


def save_student(model: Student, settings: StudentSettings, path: Path) -> None:
    """Write weights and shape so that ``load_student`` needs nothing else."""
    state = {key: value.cpu() for key, value in model.state_dict().items()}
    save_atomically({"width": settings.width, "size_px": settings.size_px, "state": state}, path)


def load_student(path: Path) -> Student:
    """Return the trained student in eval mode."""
    stored = torch.load(path, map_location="cpu", weights_only=True)
    model = Student(stored["width"], pretrained=False)
    model.load_state_dict(stored["state"])
    return model.eval()


def normalised(rgb: ByteArray) -> torch.Tensor:
    """Return (3, S, S) as the contract's preprocessing would."""
    x = torch.from_numpy(rgb).permute(2, 0, 1).float() / 255
    return (x - torch.tensor(LITE0_MEAN).view(3, 1, 1)) / torch.tensor(LITE0_STD).view(3, 1, 1)


def harmless() -> A.Compose:
    """Return changes of colour and coding that hide no vessel: a camera's rendering, mild noise, JPEG."""
    return A.Compose(
        [
            A.RandomBrightnessContrast(0.15, 0.15, p=0.5),
            A.HueSaturationValue(8, 25, 0, p=0.5),
            A.RGBShift(12, 8, 12, p=0.3),
            A.RandomGamma((85, 120), p=0.3),
            A.ImageCompression(quality_range=(55, 95), p=0.3),
            A.GaussNoise(std_range=(0.003, 0.012), p=0.2),
        ]
    )


@dataclass(frozen=True)
class View:
    """A square window of a cached crop, turned and flipped. Windows may reach outside (black there)."""

    x: int
    y: int
    side: int
    quarter_turns: int
    mirror: bool
    rectangle: tuple[int, int, int, int] | None  # x0, y0, x1, y1: what a rectangular frame would show

    def of(self, plane: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the view of a plane (S, S) or (S, S, C) of the crop's own side."""
        size = plane.shape[0]
        out = np.zeros((self.side, self.side, *plane.shape[2:]), plane.dtype)
        left, top, right, bottom = self.rectangle or (0, 0, size, size)
        x0, y0 = max(self.x, left, 0), max(self.y, top, 0)
        x1, y1 = min(self.x + self.side, right, size), min(self.y + self.side, bottom, size)
        out[y0 - self.y : y1 - self.y, x0 - self.x : x1 - self.x] = plane[y0:y1, x0:x1]
        out = np.rot90(out, self.quarter_turns)
        return np.ascontiguousarray(out[:, ::-1] if self.mirror else out)


def random_view(size: int, rng: np.random.Generator) -> View:
    """Return a view: mostly the whole crop, some closer ones, some as a frame without dark border shows."""
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
    choice = rng.random()
    if choice < 0.5:
        return View(0, 0, size, turns, mirror, None)
    if choice < 0.75:  # a little closer or off-centre
        side = int(size * rng.uniform(0.75, 1.05))
        x, y = (int(rng.uniform(-0.1, 0.1) * size + (size - side) / 2) for _ in range(2))
        return View(x, y, side, turns, mirror, None)
    # A rectangle inside the circle, 4:3 to 1:1, its longer side across or upright.
    long = rng.uniform(0.55, 0.85) * size
    short = long * rng.uniform(0.7, 1.0)
    width, height = (long, short) if rng.random() < 0.5 else (short, long)
    x0 = int((size - width) / 2 + rng.uniform(-0.08, 0.08) * size)
    y0 = int((size - height) / 2 + rng.uniform(-0.08, 0.08) * size)
    x1, y1, side = x0 + int(width), y0 + int(height), int(long)
    return View((x0 + x1 - side) // 2, (y0 + y1 - side) // 2, side, turns, mirror, (x0, y0, x1, y1))


def filled_outside(maps: FloatArray, weights: FloatArray) -> FloatArray:
    """Return maps (N, g, g) whose cells outside the field take the nearest inner cell's value.

    A teacher says anything there, and a resampled map would bring it in over the rim.
    """
    filled = maps.copy()
    for values, weight in zip(filled, weights, strict=True):
        outside = weight <= 0.5
        if not outside.all():
            nearest = ndimage.distance_transform_edt(outside, return_distances=False, return_indices=True)
            values[...] = values[tuple(nearest)]
    return filled


class StudentSamples:
    """Draws (image, target, weight) of the three kinds of pictures."""

    def __init__(
        self, pool: CropSet, teacher: FloatArray, badness: FloatArray, settings: StudentSettings
    ) -> None:
        self._pool = pool
        self._teacher = teacher
        self._settings = settings
        order = np.argsort(badness)
        self._clean = order[: max(1, int(settings.clean_share * len(order)))]
        self._harmless = harmless()

    def __call__(self, rng: np.random.Generator, progress: float) -> Sample:
        """Return image (3, S, S), target (1, g, g) in 0..1 and weight (1, g, g)."""
        kind = rng.random()
        if kind < self._settings.not_fundus_share:
            return self._not_fundus(rng)
        degraded = kind < self._settings.not_fundus_share + self._settings.degraded_share
        chosen = self._clean if degraded else np.arange(len(self._pool))
        return self._picture(int(rng.choice(chosen)), degraded, rng)

    def _picture(self, index: int, degraded: bool, rng: np.random.Generator) -> Sample:
        settings = self._settings
        crop = self._pool.rgb[index]
        view = random_view(crop.shape[0], rng)
        rgb = resize_crop(view.of(crop), settings.size_px)
        seen = view.of(self._pool.visible[index])
        visible = shrink(seen, settings.size_px)
        enlarged = cv2.resize(self._teacher[index], crop.shape[:2], interpolation=cv2.INTER_LINEAR)
        target = to_grid(view.of(enlarged), settings.grid)
        self._harmless.set_random_seed(int(rng.integers(2**31)))
        rgb = self._harmless(image=rgb)["image"]
        if degraded:
            damaged = random_degradation(np.ascontiguousarray(rgb), visible, rng)
            share = np.maximum(to_grid(visible, settings.grid), 1e-6)
            lost = np.clip(to_grid(damaged.hidden, settings.grid) / share, 0, 1)
            rgb, target = damaged.rgb, 1 - (1 - target) * (1 - lost)
        return self._sample(rgb, visible, target)

    def _not_fundus(self, rng: np.random.Generator) -> Sample:
        rgb, visible = random_scene(self._settings.size_px, rng)
        return self._sample(rgb, visible, np.ones((self._settings.grid,) * 2, np.float32))

    def _sample(self, rgb: ByteArray, visible: BoolArray, target: FloatArray) -> Sample:
        blank = np.where(visible[..., None], rgb, 0).astype(np.uint8)
        return {
            "image": normalised(blank),
            "target": torch.from_numpy(np.ascontiguousarray(target, np.float32))[None],
            "weight": torch.from_numpy(to_grid(visible, self._settings.grid))[None],
        }


def student_loss(settings: StudentSettings, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
    """Return soft cross-entropy and squared error of the map, and squared error of the score."""
    logits, target, weight = model(batch["image"]).float(), batch["target"], batch["weight"]
    probability = logits.sigmoid()
    total = weight.sum().clamp_min(1)
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    share = weight / weight.sum((1, 2, 3), keepdim=True).clamp_min(1)
    score_error = ((probability - target) * share).sum((1, 2, 3))
    return {
        "entropy": (entropy * weight).sum() / total,
        "map": settings.map_weight * ((probability - target).square() * weight).sum() / total,
        "score": settings.score_weight * score_error.square().mean(),
    }


@torch.no_grad()
def predict(model: Student, rgb: ByteArray) -> FloatArray:
    """Return P(anatomy not visible) (B, g, g) of crops (B, S, S, 3) uint8 at the student's size."""
    image = torch.stack([normalised(each) for each in rgb]).contiguous(memory_format=torch.channels_last)
    return model(image).sigmoid()[:, 0].numpy()


def run(fabric: Fabric, settings: StudentSettings, pool: CropSet, out: Path, seed: int) -> None:
    """Train the student and write the stage's files."""
    weights = np.load(out / "pseudo" / "labels.npz")["weights"]
    teacher = filled_outside(np.load(out / "teacher" / "pool.npy").astype(np.float32), weights)
    badness = (teacher * weights).sum((1, 2)) / weights.sum((1, 2))
    torch.manual_seed(seed)
    model = Student(settings.width).to(memory_format=torch.channels_last)
    model.freeze(settings.frozen_blocks)
    model = train(
        fabric,
        model,
        StudentSamples(pool, teacher, badness, settings),
        partial(student_loss, settings),
        settings.loop,
        seed=seed,
        folder=out,
        name="student",
    )
    if not fabric.is_global_zero:
        return
    save_student(model, settings, out / "student.pt")
    order = np.argsort(badness)
    picked = order[np.linspace(0, len(order) - 1, 12).astype(int)]
    rgb = np.stack([resize_crop(np.ascontiguousarray(pool.rgb[k]), settings.size_px) for k in picked])
    maps = predict(model.float(), rgb)
    scores = 1 - (maps * weights[picked]).sum((1, 2)) / weights[picked].sum((1, 2))
    rows = [
        ([rgb[k], figures.blend(rgb[k], maps[k])], f"score {scores[k]:.2f}, teacher {1 - badness[index]:.2f}")
        for k, index in enumerate(picked)
    ]
    figures.sheet(out / "student.png", rows, columns=3)
    parameters = sum(p.numel() for p in model.parameters())
    (out / "student.json").write_text(json.dumps({"parameters": parameters}, indent=2) + "\n")
    print(f"student: {parameters} parameters", flush=True)
