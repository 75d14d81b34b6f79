"""The backbones that export knows, each as a module from a normalised image to one feature map."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from torch import nn

from efiqa.errors import FileError, ModelError, OptionError
from efiqa.export.document import ANATOMY_ALONE, Channels

STUDENT = "student"
# Pixels of one cell of the feature map: a transformer's patch, the student's stride.
CELL_PX = {
    "vit_small_patch16_dinov3": 16,
    "vit_base_patch16_dinov3": 16,
    "vit_large_patch16_dinov3": 16,
    "vit_small_patch14_dinov2": 14,
    "vit_base_patch14_dinov2": 14,
    "vit_large_patch14_dinov2": 14,
    STUDENT: 16,
}
NAMES = tuple(CELL_PX)


@dataclass(frozen=True)
class Backbone:
    """``network``: image (B, 3, S, S) -> features (B, channels, S / patch, S / patch), in eval mode.

    ``head`` is the layer from features to logits that a student brings with it, and ``answers`` what these
    logits say; an adapter's are the map alone.
    """

    network: nn.Module
    channels: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    id: str
    licence: str
    trained: bool
    head: nn.Module | None = None
    answers: Channels = ANATOMY_ALONE


class TokenMap(nn.Module):
    """The last layer's patch tokens of a timm vision transformer as one map."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return (B, C, S / patch, S / patch)."""
        tokens = self.net.forward_features(image)[:, self.net.num_prefix_tokens :]
        side = int(tokens.shape[1] ** 0.5)
        return tokens.transpose(1, 2).unflatten(2, (side, side))


def check_size(backbone: str, size_px: int, cell_px: int) -> None:
    """Refuse a size that is no multiple of ``cell_px``, the side of one cell of the answer.

    Raises:
        OptionError: names the nearest sizes that fit.
    """
    if size_px >= cell_px and size_px % cell_px == 0:
        return
    below = size_px // cell_px * cell_px
    near = [str(size) for size in (below, below + cell_px) if size > 0]
    raise OptionError(
        f"size is {size_px}, expected a multiple of {cell_px} for {backbone}; nearest: {' and '.join(near)}"
    )


def open_backbone(name: str, size_px: int, *, weights: Path | None, random_weights: bool) -> Backbone:
    """Return the backbone ``name``, one of NAMES, for images of ``size_px``, frozen.

    ``weights``: a file; None takes the hub's, unless ``random_weights`` asks torch's generator for some.

    Raises:
        FileError: ``weights_unavailable``; the hub cannot be reached or does not give them.
        ModelError: ``weights_invalid``; the file is not of this backbone.
    """
    if name == STUDENT:
        return _open_student(weights, random_weights=random_weights)
    if random_weights:
        net = timm.create_model(name, pretrained=False, img_size=size_px, num_classes=0)
        _open_layer_scales(net)
    elif weights is None:
        net = _from_hub(name, size_px)
    else:
        net = _from_file(name, size_px, weights)
    cfg = net.pretrained_cfg
    return Backbone(
        TokenMap(net.eval().requires_grad_(False)),
        net.num_features,
        tuple(cfg["mean"]),
        tuple(cfg["std"]),
        name,
        str(cfg["license"]),
        trained=not random_weights,
    )


def _open_layer_scales(net: nn.Module) -> None:
    """Let every block through: timm starts LayerScale at 1e-5, and no defect of a block would show."""
    for name, parameter in net.named_parameters():
        if name.rpartition(".")[2] in ("gamma", "gamma_1", "gamma_2"):
            nn.init.ones_(parameter)


def _from_hub(name: str, size_px: int) -> nn.Module:
    try:
        return timm.create_model(name, pretrained=True, img_size=size_px, num_classes=0)
    except Exception as error:  # the hub's client has a dozen kinds, and they change
        hub = timm.models.get_pretrained_cfg(name).hf_hub_id
        raise FileError(
            f"the weights of {name} could not be fetched from the hub ({_first_line(error)}); without a "
            f"network pass --weights FILE, the model.safetensors of {hub}; DINOv3 also wants its licence "
            "accepted on that page and a login (hf auth login); --random-weights exports the same graph for "
            "latency work",
            code="weights_unavailable",
        ) from None


def _from_file(name: str, size_px: int, weights: Path) -> nn.Module:
    if not weights.is_file():
        raise FileError(f"weights {weights} does not exist", code="not_found")
    if weights.suffix != ".safetensors":
        raise OptionError(f"weights is {weights}, expected a .safetensors file for {name}")
    try:
        return timm.create_model(
            name,
            pretrained=True,
            pretrained_cfg_overlay={"file": str(weights)},
            img_size=size_px,
            num_classes=0,
        )
    except Exception as error:  # safetensors, torch and timm each have their own
        raise ModelError(
            f"weights {weights} are not of {name}: {_first_line(error)}", code="weights_invalid"
        ) from None


def _open_student(weights: Path | None, *, random_weights: bool) -> Backbone:
    """Return the trained student of ``training/``, its last layer apart."""
    try:
        from training.backbone import LITE0_ID, LITE0_LICENCE, LITE0_MEAN, LITE0_STD
        from training.student import answers, load_student
    except ImportError as error:
        raise FileError(
            f"the student's code cannot be loaded ({error}); run efiqa export in the repository, which holds "
            "training/, with the extra [train]",
            code="student_unavailable",
        ) from None
    if random_weights or weights is None:
        raise OptionError("backbone is student, expected --weights whole.pt of a training run with it")
    try:
        student = load_student(weights)
    except FileNotFoundError:
        raise FileError(f"weights {weights} does not exist", code="not_found") from None
    except Exception as error:
        raise ModelError(
            f"weights {weights} are not a student of training/: {_first_line(error)}", code="weights_invalid"
        ) from None
    features, head = split_head(student)
    return Backbone(
        features,
        head.in_channels,
        LITE0_MEAN,
        LITE0_STD,
        LITE0_ID,
        LITE0_LICENCE,
        trained=True,
        head=head,
        answers=answers(),
    )


def split_head(student: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Return copies of a student without its last layer, and of that layer, frozen."""
    features = copy.deepcopy(student).eval().requires_grad_(False)
    head, features.head = features.head, nn.Identity()
    return features, head


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] if lines else type(error).__name__
