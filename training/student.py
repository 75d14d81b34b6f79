"""Stage 5: the student, a small network that runs on the camera.

EfficientNet-Lite0 up to stride 16, its maps of strides 4 and 8 folded in, and a head with a view of the
whole field. It learns, all without a quality label: the maps of the teacher and of earlier models on pictures
of any quality; the known map, and the known causes, of synthetic degradations of clean pictures (the pool's
best, and the vessel sets', whose vessels an annotator could follow everywhere); and what is not a retina.

Output: ``student.pt``, ``student.json``, ``student.png``.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from efiqa.export.document import Channels
from training import figures
from training.backbone import Lite0Features
from training.consensus import WEIGHTS, taught_maps
from training.data import ByteArray, CropSet, FloatArray, cached_array
from training.features import crops_at
from training.landmarks import foveas_of
from training.loop import Batch, save_atomically, train
from training.pseudo_labels import Labels, badness
from training.student_samples import (
    CHANNELS,
    StudentSamples,
    StudentSettings,
    Teaching,
    filled_outside,
)
from training.views import normalised

# From which strength on a cause is named: in a region it then hides about what others leave, and in a
# picture it is worth a word from a tenth of the field on.
REASON_LIMITS = {"region_min_strength": 0.2, "picture_min_strength": 0.1}
SCORE_MARGIN = 0.02  # of a score: nearer to 0 or 1 a difference says nothing


def answers(not_a_fundus_min: float = 0.5, not_a_fundus_max_score: float = 1.0) -> Channels:
    """Return what the channels say.

    A picture is refused from the probability ``not_a_fundus_min`` on, unless its score is greater than
    ``not_a_fundus_max_score``.
    """
    limits = {"min_probability": not_a_fundus_min, "max_score": not_a_fundus_max_score}
    return Channels(CHANNELS, REASON_LIMITS, limits)


class Student(nn.Module):
    """Logits (B, 7, S/16, S/16), the CHANNELS, of a normalised image (B, 3, S, S)."""

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
        self.causes = nn.Conv2d(width, width // 2, 1)
        self.head = nn.Conv2d(width + width // 2, len(CHANNELS), 1)

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

    @torch.no_grad()
    def soften(self, temperature: float) -> None:
        """Divide the map's logits, those of the first channel, by ``temperature`` for good."""
        self.head.weight[0] /= temperature
        self.head.bias[0] /= temperature

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return logits (B, 7, S/16, S/16)."""
        s4, s8, s16 = self.backbone(image)
        x = F.relu(self.norm(self.fold4(s4) + self.fold8(s8) + self.fold16(s16)))
        whole = self.field(x.mean((2, 3)))[:, :, None, None]
        seen = F.relu(self.norm2(self.spread(x)) + whole)
        return self.head(F.relu(torch.cat([self.mix(seen) + x, self.causes(seen)], 1)))


def save_start(model: Student, path: Path) -> None:
    """Write the weights, in half precision, for another training to begin with (``load_start``)."""
    state = {
        key: value.half() if value.is_floating_point() else value for key, value in model.state_dict().items()
    }
    save_file({key: value.contiguous() for key, value in state.items()}, path)


def load_start(model: Student, path: Path) -> None:
    """Read the weights of ``save_start`` into ``model``.

    Raises:
        FileNotFoundError: there is no such file.
        RuntimeError: the weights are of a student of another shape.
    """
    state = load_file(path)
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})


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


def student_loss(settings: StudentSettings, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
    """Return the terms of the loss.

    Soft cross-entropy and squared error of the map, where it is trusted, squared error of the score's logit,
    so that slight defects rank as surely as great ones, soft cross-entropy of the reasons where they are
    known, summed over them, and cross-entropy of "not a fundus", whose logit is the mean over the field, as
    at run time.
    """
    logits, target, weight = model(batch["image"]).float(), batch["target"], batch["weight"]
    bad, reasons, not_fundus = logits[:, :1], logits[:, 1:-1], logits[:, -1:]
    probability = bad.sigmoid()
    trust = batch["trust"]
    total = trust.sum().clamp_min(1)
    entropy = F.binary_cross_entropy_with_logits(bad, target, reduction="none")
    share = weight / weight.sum((1, 2, 3), keepdim=True).clamp_min(1)
    score_error = _score_logit(probability, share) - _score_logit(target, share)
    known = weight * batch["reasons_known"][:, :, None, None]
    causes = F.binary_cross_entropy_with_logits(reasons, batch["reasons"], reduction="none")
    refusal = F.binary_cross_entropy_with_logits(
        (not_fundus * share).sum((2, 3)), batch["not_fundus"], reduction="mean"
    )
    return {
        "entropy": (entropy * trust).sum() / total,
        "map": settings.map_weight * ((probability - target).square() * trust).sum() / total,
        "score": settings.score_weight * score_error.square().mean(),
        "reasons": settings.reason_weight * (causes * known).sum() / known.sum().clamp_min(1),
        "not_fundus": settings.not_fundus_weight * refusal,
    }


def _score_logit(map_: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Return (B,) the logit of the map's mean over the field, kept SCORE_MARGIN away from 0 and 1."""
    mean = (map_ * share).sum((1, 2, 3))
    return torch.logit(SCORE_MARGIN + (1 - 2 * SCORE_MARGIN) * mean)


@torch.no_grad()
def predict(model: Student, rgb: ByteArray) -> FloatArray:
    """Return P(anatomy not visible) (B, g, g) of crops (B, S, S, 3) uint8 at the student's size."""
    image = torch.stack([normalised(each) for each in rgb]).contiguous(memory_format=torch.channels_last)
    return model(image).sigmoid()[:, 0].numpy()


def run(
    fabric: Fabric, settings: StudentSettings, pool: CropSet, annotated: CropSet, out: Path, seed: int
) -> None:
    """Train the student on the pool and the vessel sets' ``annotated`` pictures; write the stage's files."""
    weights = Labels.load(out).weights
    maps = taught_maps(out, settings.earlier_models, pool, weights, settings.size_px)
    maps, measured = filled_outside(maps, weights), badness(maps, weights)
    foveas = [
        np.asarray(cached_array(out / "cache" / f"foveas_{name}.npy", partial(foveas_of, crops)))
        for name, crops in (("pool", pool), ("annotated", annotated))
    ]
    teaching = Teaching(pool, maps, measured, annotated, *foveas)
    torch.manual_seed(seed)
    model = Student(settings.width, pretrained=not settings.start)
    if settings.start:
        load_start(model, WEIGHTS / f"{settings.start}.safetensors")
    model = model.to(memory_format=torch.channels_last)
    model.freeze(settings.frozen_blocks)
    samples, loss = StudentSamples(teaching, settings), partial(student_loss, settings)
    model = train(fabric, model, samples, loss, settings.loop, seed=seed, folder=out, name="student")
    if not fabric.is_global_zero:
        return
    model.soften(settings.temperature)
    save_student(model, settings, out / "student.pt")
    order = np.argsort(measured)
    picked = order[np.linspace(0, len(order) - 1, 12).astype(int)]
    rgb = crops_at(pool, picked, settings.size_px)
    maps = predict(model.float(), rgb)
    scores = 1 - badness(maps, weights[picked])
    rows = [
        ([rgb[k], figures.blend(rgb[k], maps[k])], f"score {scores[k]:.2f}, taught {1 - measured[index]:.2f}")
        for k, index in enumerate(picked)
    ]
    figures.sheet(out / "student.png", rows, columns=3)
    parameters = sum(p.numel() for p in model.parameters())
    (out / "student.json").write_text(json.dumps({"parameters": parameters}, indent=2) + "\n")
    print(f"student: {parameters} parameters", flush=True)
