"""Stage 5: the student, a small network that runs on the camera.

EfficientNet-Lite0 up to stride 16 and two readers of its maps, each with a view of the whole field: the
sight, which the map is read from, and the judge, which amends the map and says causes and what is no retina.
All is learned without a quality label: the teacher's maps on pictures of any quality; the known map, and the
known causes, of synthetic degradations of clean pictures (the pool's best, and the vessel sets', whose
vessels an annotator could follow everywhere); and what is not a retina. With an earlier model to start from,
its backbone and sight stay as they are and its own maps take the place of the teacher's: only the judge
learns.

Output: ``student.pt``, ``student.json``, ``student.png``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial, reduce
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import nn
from torch.nn import functional as F

from efiqa.export.document import Channels
from training import figures
from training.backbone import Lite0Features
from training.cell_light import lack_of_light, light_sums, rim_of
from training.data import ByteArray, CropSet, FloatArray, cached_array
from training.eye_photographs import Eye, fetched_eyes
from training.features import crops_at
from training.inner_channels import fit_to
from training.landmarks import landmarks_of
from training.loop import Batch, SeededSamples, save_atomically, train
from training.pseudo_labels import badness, shrink, to_grid
from training.start import exported_readers, load_exported, load_start, maps_of_start, softened
from training.student_samples import (
    CHANNELS,
    LANDMARKS,
    REASON_CHANNELS,
    StudentSamples,
    StudentSettings,
    Teaching,
    clean_level,
    filled_outside,
)
from training.views import normalised

# From which strength on a cause is named, of a region or of the picture: a tenth of the anatomy. Of regions
# it was a fifth before; on the training split a tenth names one more of 247 rightly, and none worse.
REASON_LIMITS = {"region_min_strength": 0.1, "picture_min_strength": 0.1}
MEASURED, MEASURED_BATCH = 12, 16  # batches that an exported model's normalisations are measured on
REGION_LOGIT = -0.24  # of the map: about the region threshold, which export chooses
REGION_SLOPE = 4.0  # of the step from no region to one
UNTOUCHED = 0.02  # of a cell and its neighbours: below it a defect hides nothing there
SCORE_MARGIN = 0.02  # of a score: nearer to 0 or 1 a difference says nothing

LogitsOf = Callable[[torch.Tensor], torch.Tensor]  # (B, C, g, g) of normalised images (B, 3, S, S)


def answers(not_a_fundus_min: float = 0.5) -> Channels:
    """Return what the channels say; a picture is refused from the probability ``not_a_fundus_min`` on.

    The map has no say in that: other tissue has vessels too, and it sees them.
    """
    limits = {"min_probability": not_a_fundus_min, "max_score": 1.0}
    return Channels(CHANNELS, REASON_LIMITS, limits)


class Sight(nn.Module):
    """Features (B, width, S/16, S/16) that the map is read from, of the backbone's maps of three strides."""

    def __init__(self, width: int) -> None:
        super().__init__()
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

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """Return the features of ``maps``, finest first."""
        s4, s8, s16 = maps
        x = F.relu(self.norm(self.fold4(s4) + self.fold8(s8) + self.fold16(s16)))
        whole = self.field(x.mean((2, 3)))[:, :, None, None]
        return F.relu(self.mix(F.relu(self.norm2(self.spread(x)) + whole)) + x)


class Round(nn.Module):
    """A residual block on the grid: widened, spread over 5 x 5 cells beside the whole field, narrowed."""

    WIDENED = 2

    def __init__(self, width: int, *, field: bool = True) -> None:
        """``field``: whether it sees the whole field."""
        super().__init__()
        inner = self.WIDENED * width
        self.widen = nn.Conv2d(width, inner, 1, bias=False)
        self.norm = nn.BatchNorm2d(inner)
        self.spread = nn.Conv2d(inner, inner, 5, padding=2, groups=inner, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.field = nn.Linear(width, inner) if field else None
        self.narrow = nn.Conv2d(inner, width, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x (B, width, g, g) with what the block adds."""
        spread = self.norm2(self.spread(F.relu(self.norm(self.widen(x)))))
        if self.field is not None:
            spread = spread + self.field(x.mean((2, 3)))[:, :, None, None]
        return x + self.norm3(self.narrow(F.relu(spread)))


class Judge(nn.Module):
    """Features (B, width, S/16, S/16) that all else is read from.

    It looks closer than the sight, at stride 8 first, and at the picture itself, a cell at a time: how bright
    and of which colour that is, which the backbone's features hardly say.
    """

    GLANCE = 16  # channels of the picture itself

    def __init__(self, width: int, sight: int, rounds: int) -> None:
        super().__init__()
        channels = Lite0Features.CHANNELS
        close = width // 2
        self.fold4 = nn.Conv2d(channels[4], close, 2, stride=2, bias=False)
        self.fold8 = nn.Conv2d(channels[8], close, 1, bias=False)
        self.norm_close = nn.BatchNorm2d(close)
        self.close = Round(close)
        self.fold_close = nn.Conv2d(close, width, 2, stride=2, bias=False)
        self.glance = nn.Conv2d(3, self.GLANCE, 16, stride=16)
        self.fold16 = nn.Conv2d(channels[16] + sight + self.GLANCE, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.rounds = nn.Sequential(*(Round(width) for _ in range(rounds)))

    def forward(self, image: torch.Tensor, maps: list[torch.Tensor], seen: torch.Tensor) -> torch.Tensor:
        """Return the features of ``image`` and its ``maps``, finest first, and the sight's ``seen``."""
        s4, s8, s16 = maps
        close = self.close(F.relu(self.norm_close(self.fold4(s4) + self.fold8(s8))))
        coarse = self.fold16(torch.cat([s16, seen, F.relu(self.glance(image))], 1))
        return F.relu(self.rounds(F.relu(self.norm(self.fold_close(F.relu(close)) + coarse))))


class Layout(nn.Module):
    """Features (B, width, S/16, S/16) of where things lie, at stride 32: a few blocks see the whole field.

    One question alone is answered by them, beside the other features: so what learns to answer it changes no
    other answer. The layout says whether what there is lies as in a retina ("not a fundus"), the place where
    macula and disc are.
    """

    def __init__(
        self, width: int, read: int, rounds: int, *, field: bool = True, mode: str = "nearest"
    ) -> None:
        """Read maps of ``read`` channels in all.

        ``field``: whether each block sees the whole field; ``mode``: how the features come to the grid.
        """
        super().__init__()
        self.fold = nn.Conv2d(read, width, 2, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.rounds = nn.Sequential(*(Round(width, field=field) for _ in range(rounds)))
        self._mode = mode

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the features of ``maps`` (B, C, S/16, S/16)."""
        x = F.relu(self.norm(self.fold(torch.cat(list(maps), 1))))
        return F.interpolate(F.relu(self.rounds(x)), maps[0].shape[-2:], mode=self._mode)


class Head(nn.Conv2d):
    """Logits (B, 9, g, g), the CHANNELS, of a student's features (B, C, g, g).

    ``lit``: the last feature is the logit of what a lack of light hides of a cell's anatomy. It hides as much
    of what the map leaves; and so does its cause, `under_exposed`, the less the more another cause explains.
    """

    def __init__(self, features: int, *, lit: bool) -> None:
        super().__init__(features, len(CHANNELS), 1)
        self.lit = lit

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        if not self.lit:
            return super().forward(features)
        logits, dark = super().forward(features[:, :-1]), features[:, -1:]
        bad, under, *causes = logits.split(1, 1)[: 1 + len(REASON_CHANNELS)]
        left = F.softplus(dark)  # -log of the share of the cell that is light enough
        bad = bad + left + F.softplus(dark - left - bad)  # 1 - (1 - p) (1 - h) as a logit
        # Two at a time: OpenVINO 2026.4, held to AVX2, errs in the maximum over few channels.
        explained = F.relu(reduce(torch.maximum, causes) - dark)
        return torch.cat([bad, torch.maximum(under, dark - explained), logits[:, 2:]], 1)


@dataclass(frozen=True)
class Shape:
    """Widths of the student's readers, how many blocks they have, and whether it reads rim and light.

    With a width of 0 there is no layout, or no place. ``viewing_flare`` and ``light_enough`` are those of
    `training.cell_light.lack_of_light`; with a flare of 0 nothing is too dark.
    """

    width: int
    judge_width: int
    judge_rounds: int
    layout_width: int = 0
    layout_rounds: int = 0
    place_width: int = 0
    place_rounds: int = 0
    rim: bool = False
    viewing_flare: float = 0.0
    light_enough: float = 0.0

    @property
    def features(self) -> int:
        """Return how many channels the head reads."""
        return self.width + self.judge_width + self.layout_width + self.place_width + self.rim


class Student(nn.Module):
    """Logits (B, 9, S/16, S/16), the CHANNELS, of a normalised image (B, 3, S, S)."""

    STRIDES = (4, 8, 16)

    def __init__(self, shape: Shape, *, pretrained: bool = True) -> None:
        super().__init__()
        self._fixed: list[nn.Module] = []
        self.shape = shape
        self.backbone = Lite0Features(self.STRIDES, pretrained=pretrained)
        self.sight = Sight(shape.width)
        self.judge = Judge(shape.judge_width, shape.width, shape.judge_rounds)
        self.layout = self.place = None
        read = shape.width + shape.judge_width
        if shape.layout_width:
            seen = Lite0Features.CHANNELS[16] + read
            self.layout = Layout(shape.layout_width, seen, shape.layout_rounds)
        if shape.place_width:
            read += shape.layout_width
            self.place = Layout(shape.place_width, read, shape.place_rounds, field=False, mode="bilinear")
        self.head = Head(shape.features, lit=shape.viewing_flare > 0)

    def freeze_for(self, settings: StudentSettings) -> None:
        """Fix what does not learn by a recipe, batch statistics included.

        That is what a model to start from gave, or the stem and the first ``frozen_blocks`` blocks, if any;
        and layout and place, which stages of their own teach.
        """
        fixed: list[nn.Module] = [each for each in (self.layout, self.place) if each]
        if settings.start:
            fixed += [self.backbone, self.sight]
        elif settings.frozen_blocks:
            first = self.backbone.blocks[: settings.frozen_blocks]
            fixed += [self.backbone.conv_stem, self.backbone.bn1, *first]
        self.keep(fixed)

    def keep(self, modules: list[nn.Module]) -> None:
        """Fix ``modules``, batch statistics included."""
        self._fixed = modules
        for module in modules:
            module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Student:
        """Set training mode, except for what is fixed."""
        super().train(mode)
        for module in self._fixed:
            module.eval()
        return self

    def features(self, image: torch.Tensor) -> torch.Tensor:
        """Return what ``head`` reads (B, C, S/16, S/16): features of all readers, rim and lack of light."""
        maps = self.backbone(image)
        seen = self.sight(maps)
        judged = self.judge(image, maps, seen)
        read = [seen, judged]
        if self.layout is not None:
            read.append(self.layout([maps[-1], *read]))
        if self.place is not None:
            read.append(self.place(read))
        shape = self.shape
        if shape.rim or shape.viewing_flare:
            sums = light_sums(image)
            if shape.rim:
                read.append(rim_of(sums))
            if shape.viewing_flare:
                read.append(lack_of_light(sums, shape.viewing_flare, shape.light_enough))
        return torch.cat(read, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return logits (B, 9, S/16, S/16)."""
        return self.head(self.features(image))


@torch.no_grad()
def widened(student: Student, shape: Shape) -> Student:
    """Return a student of ``shape``, which has more features at the end, that answers as ``student`` does.

    Weights of parts that ``student`` lacks are drawn; the head does not read them yet.
    """
    wide, had = Student(shape, pretrained=False), student.state_dict()
    fit_to(wide, had)
    state = wide.state_dict()
    wide.head.weight.zero_()
    for key, each in had.items():
        target = wide.head.weight[:, : each.shape[1]] if key == "head.weight" else state[key]
        target.copy_(each)
    return wide.eval()


class Taught(nn.Module):
    """A student while it learns: logits (B, 9, g, g), and of the map's what the head amends (B, 1, g, g).

    ``seen``: the layer that an earlier model read its map by, from the sight's features; fixed. The head then
    begins with nothing to amend, or, if the student's map is ``amended``, with what makes it of that map.
    """

    def __init__(self, student: Student, seen: nn.Conv2d | None = None, *, amended: bool = False) -> None:
        super().__init__()
        self.student = student
        self.seen = seen
        if seen:
            with torch.no_grad():
                if amended:
                    student.head.weight[0, : seen.in_channels] -= seen.weight[0]
                    student.head.bias[0] -= seen.bias[0]
                else:
                    student.head.weight[0] = 0
                    student.head.bias[0] = 0

    def learn(self, settings: StudentSettings) -> None:
        """Let all parameters learn but those that a recipe keeps."""
        self.requires_grad_(True)
        if self.seen:
            self.seen.requires_grad_(False)
        self.student.freeze_for(settings)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both."""
        features = self.student.features(image)
        logits = self.student.head(features)
        amendment = logits[:, :1]
        if self.seen:
            bad = self.seen(features[:, : self.seen.in_channels]) + amendment
            logits = torch.cat([bad, logits[:, 1:]], 1)
        return logits, amendment

    @torch.no_grad()
    def finished(self) -> Student:
        """Return the student, the earlier model's layer taken into its head."""
        if self.seen:
            self.student.head.weight[0, : self.seen.in_channels] += self.seen.weight[0]
            self.student.head.bias[0] += self.seen.bias[0]
            self.seen = None
        return self.student


def save_student(model: Student, size_px: int, path: Path) -> None:
    """Write weights and shape so that ``load_student`` needs nothing else."""
    state = {key: value.cpu() for key, value in model.state_dict().items()}
    save_atomically({"shape": asdict(model.shape), "size_px": size_px, "state": state}, path)


def load_student(path: Path) -> Student:
    """Return the trained student in eval mode."""
    stored = torch.load(path, map_location="cpu", weights_only=True)
    return student_of(Shape(**stored["shape"]), stored["state"])


def student_of(shape: Shape, state: Mapping[str, torch.Tensor]) -> Student:
    """Return a student of ``shape`` with the weights of ``state``, in eval mode.

    Its blocks have as many inner channels as they have there.
    """
    model = Student(shape, pretrained=False)
    fit_to(model, state)
    model.load_state_dict(state)
    return model.eval()


def student_loss(settings: StudentSettings, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
    """Return the terms of the loss of a `Taught` student.

    Soft cross-entropy and squared error of the map, where it is trusted, squared error of the score's logit,
    so that slight defects rank as surely as great ones, one less the Dice coefficient of the regions that a
    known defect hides, squared change of the map's logits where a local defect hides nothing, against the
    same picture without it, soft cross-entropy of the reasons where they are known, summed over them, and
    cross-entropy of "not a fundus", whose logit is the mean over the field, as at run time. Where nothing is
    taught of a picture's map, its amendment is to be nil. Where causes are not known but the taught map says
    that more than half is hidden, some cause is to have hidden it.
    """
    target, weight, trust = batch["target"], batch["weight"], batch["trust"]
    lost = 1 - (1 - batch["reasons"]).prod(1, keepdim=True)
    shown, count = batch["image"], len(batch["image"])
    if settings.steady_weight:
        rest = weight * (F.max_pool2d(lost, 3, stride=1, padding=1) < UNTOUCHED)
        compared = (lost.amax((1, 2, 3)) > 0.5) & (rest.sum((1, 2, 3)) > 0)
        shown = torch.cat([shown, batch["undamaged"][compared]])
    said, amendment = (each.float() for each in model(shown))
    logits, amendment = said[:count], amendment[:count]
    bad, reasons, not_fundus, _ = logits.split([1, len(REASON_CHANNELS), 1, len(LANDMARKS)], 1)
    probability = bad.sigmoid()
    total = trust.sum().clamp_min(1)
    entropy = F.binary_cross_entropy_with_logits(bad, target, reduction="none")
    share = shares(weight)
    region = ((bad - REGION_LOGIT) * REGION_SLOPE).sigmoid()
    certain = weight * ((lost > 0.5) | (target < 0.5))  # the taught map alone does not decide
    overlap, defect = soft_dice(region, (lost > 0.5).float(), certain)
    taught = (trust.sum((1, 2, 3)) > 0).float()
    score_error = score_logit(probability, share) - score_logit(target, share)
    amended = (amendment.square() * share).sum((1, 2, 3))
    known = weight * batch["reasons_known"][:, :, None, None]
    causes = F.binary_cross_entropy_with_logits(reasons, batch["reasons"], reduction="none")
    unexplained = F.logsigmoid(-reasons).sum(1, keepdim=True)  # log of what all causes together leave
    open_question = (1 - batch["reasons_known"]) * (1 - batch["not_fundus"])
    to_explain = F.relu(2 * target - 1) * trust * open_question[:, :, None, None]
    explained = -torch.log(-torch.expm1(unexplained.clamp_max(-1e-6)))
    steady = torch.zeros_like(total)
    if settings.steady_weight:
        changed = (bad[compared] - said[count:, :1].detach()).square() * shares(rest[compared])
        steady = changed.sum() / compared.sum().clamp_min(1)
    return {
        "entropy": (entropy * trust).sum() / total,
        "map": settings.map_weight * ((probability - target).square() * trust).sum() / total,
        "dice": settings.dice_weight * ((1 - overlap) * defect).sum() / defect.sum().clamp_min(1),
        "steady": settings.steady_weight * steady,
        "score": settings.score_weight * (score_error.square() * taught).mean(),
        "amendment": settings.amendment_weight * (amended * (1 - taught)).mean(),
        "reasons": settings.reason_weight * (causes * known).sum() / known.sum().clamp_min(1),
        "explained": settings.explain_weight * (explained * to_explain).sum() / total,
        "not_fundus": settings.not_fundus_weight * refusal_entropy(not_fundus, share, batch["not_fundus"]),
    }


def soft_dice(
    found: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (B,) the Dice coefficients of ``found`` with ``truth``, and 1 where there is any truth, else 0.

    All are (B, 1, g, g), the first two in 0..1. Source: Milletari et al., V-Net, 3DV 2016.
    """
    common, both = ((each * weight).sum((1, 2, 3)) for each in (found * truth, found + truth))
    return 2 * common / both.clamp_min(1e-6), ((truth * weight).sum((1, 2, 3)) > 0).float()


def shares(weight: torch.Tensor) -> torch.Tensor:
    """Return of each cell's weight (B, 1, g, g) the share of its picture's sum."""
    return weight / weight.sum((1, 2, 3), keepdim=True).clamp_min(1)


def refusal_entropy(logits: torch.Tensor, share: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of the mean over the field of logits (B, 1, g, g) with ``truth`` (B, 1)."""
    return F.binary_cross_entropy_with_logits((logits * share).sum((2, 3)), truth)


def score_logit(map_: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Return (B,) the logit of the map's mean over the field, kept SCORE_MARGIN away from 0 and 1."""
    mean = (map_ * share).sum((1, 2, 3))
    return torch.logit(SCORE_MARGIN + (1 - 2 * SCORE_MARGIN) * mean)


@torch.no_grad()
def probabilities(model: LogitsOf, rgb: ByteArray) -> FloatArray:
    """Return the sigmoids (B, C, g, g) of the CHANNELS of crops (B, S, S, 3) uint8 at the student's size."""
    image = torch.stack([normalised(each) for each in rgb]).contiguous(memory_format=torch.channels_last)
    return model(image).sigmoid().numpy()


def predict(model: LogitsOf, rgb: ByteArray) -> FloatArray:
    """Return P(anatomy not visible) (B, g, g) of crops (B, S, S, 3) uint8 at the student's size."""
    return probabilities(model, rgb)[:, 0]


def shown_eyes(settings: StudentSettings, out: Path) -> tuple[Eye, ...]:
    """Return the eyes from outside, in photographs, that the student is shown beside scikit-image's."""
    return fetched_eyes(out / "cache" / "eyes") if settings.eye_photographs else ()


def teaching_of(settings: StudentSettings, pool: CropSet, annotated: CropSet, out: Path) -> Teaching:
    """Return what samples are drawn from: the pool, the vessel sets' ``annotated`` pictures, and the maps."""
    weights = np.stack([to_grid(shrink(seen, settings.size_px), settings.grid) for seen in pool.visible])
    if settings.start:
        logits = cached_array(
            out / "cache" / f"maps_{settings.start}.npy",
            lambda: maps_of_start(settings.start, pool, settings.size_px, settings.grid),
        )
        maps = softened(np.asarray(logits), settings.temperature)
    else:
        maps = np.load(out / "teacher" / "pool.npy").astype(np.float32)
    maps, measured = filled_outside(maps, weights), badness(maps, weights)
    level = clean_level(maps, weights)
    places = [
        np.asarray(cached_array(out / "cache" / f"landmarks_{name}.npy", partial(landmarks_of, crops)))
        for name, crops in (("pool", pool), ("annotated", annotated))
    ]
    eyes = shown_eyes(settings, out)
    return Teaching(pool, maps, measured, level, annotated, places[0], places[1], eyes)


def _first_images(samples: SeededSamples) -> Iterator[torch.Tensor]:
    """Yield MEASURED batches of images (B, 3, S, S), as training draws them."""
    for first in range(0, MEASURED * MEASURED_BATCH, MEASURED_BATCH):
        yield torch.stack([samples[first + k]["image"] for k in range(MEASURED_BATCH)])


def run(
    fabric: Fabric, settings: StudentSettings, pool: CropSet, annotated: CropSet, out: Path, seed: int
) -> None:
    """Train the student on the pool and the vessel sets' ``annotated`` pictures; write the stage's files."""
    teaching = teaching_of(settings, pool, annotated, out)
    torch.manual_seed(seed)
    readers = exported_readers(settings.continues) if settings.continues else ()
    shape = Shape(settings.width, settings.judge_width, settings.judge_rounds, *readers)
    model = Student(shape, pretrained=not settings.start)
    seen = load_start(model, settings.start, settings.temperature) if settings.start else None
    phases = [
        (settings, "student", seed),
        (settings.settling(), "student.settle", seed + 1000),
    ]
    if settings.continues:
        drawn = SeededSamples(StudentSamples(teaching, settings), seed, settings.loop)
        load_exported(model, settings.continues, _first_images(drawn))
        phases = phases[1:]
    taught = Taught(model, seen, amended=bool(settings.continues)).to(memory_format=torch.channels_last)
    for phase, name, phase_seed in phases:
        taught.learn(settings)
        samples, loss = StudentSamples(teaching, phase), partial(student_loss, phase)
        taught = train(fabric, taught, samples, loss, phase.loop, seed=phase_seed, folder=out, name=name)
    if not fabric.is_global_zero:
        return
    model = taught.float().finished()
    save_student(model, settings.size_px, out / "student.pt")
    measured = teaching.badness
    order = np.argsort(measured)
    picked = order[np.linspace(0, len(order) - 1, 12).astype(int)]
    rgb = crops_at(pool, picked, settings.size_px)
    maps = predict(model, rgb)
    weights = [to_grid(shrink(pool.visible[index], settings.size_px), settings.grid) for index in picked]
    scores = 1 - badness(maps, np.stack(weights))
    rows = [
        ([rgb[k], figures.blend(rgb[k], maps[k])], f"score {scores[k]:.2f}, taught {1 - measured[index]:.2f}")
        for k, index in enumerate(picked)
    ]
    figures.sheet(out / "student.png", rows, columns=3)
    parameters = sum(p.numel() for p in model.parameters())
    (out / "student.json").write_text(json.dumps({"parameters": parameters}, indent=2) + "\n")
    print(f"student: {parameters} parameters", flush=True)
