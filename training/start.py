"""What a student starts from: the weights, and the maps of the pool, of an earlier model in training/weights.

The judge of the new student learns beside them. What the earlier model makes of cameras that no training
picture came from stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from scipy.special import expit
from torch import nn

from efiqa import Runtime
from training.data import CropSet, FloatArray
from training.progress import track
from training.pseudo_labels import crop_on_grid
from training.views import normalised

if TYPE_CHECKING:
    from training.student import Student

WEIGHTS = Path(__file__).parent / "weights"
# Batch normalisation that the exporter folded into the convolution before it: the names of both.
_FOLDED = {"conv_stem": "bn1", "conv_pwl": "bn3", "spread": "norm2"}
_FOLDED_IN_FIRST_BLOCK = {"conv_dw": "bn1", "conv_pw": "bn2"}
_FOLDED_IN_BLOCKS = {"conv_pw": "bn1", "conv_dw": "bn2"}


def maps_of_start(name: str, crops: CropSet, size_px: int, grid: int) -> FloatArray:
    """Return the first channel's logits (N, g, g) of ``crops`` by the model ``name``.

    Each is the mean over the picture's four mirror images.

    Raises:
        ValueError: the model's input or grid are of other sizes.
        EfiqaError: the model does not open.
    """
    out = np.empty((len(crops), grid, grid), np.float32)
    with Runtime(WEIGHTS / f"{name}.onnx") as runtime:
        contract = runtime.info.contract.to_dict()
        sizes = [contract["input"]["width_px"], contract["output"]["width"]]
        if sizes != [size_px, grid]:
            raise ValueError(f"{name} has input and grid of {sizes}, expected {[size_px, grid]}")
        for index in track(range(len(crops)), f"maps of {name}"):
            image = normalised(crop_on_grid(crops, index, size_px, grid)[0]).numpy()
            found = [
                runtime.run_network(np.ascontiguousarray(image[None, :, ::down, ::across]))[
                    0, 0, ::down, ::across
                ]
                for down in (1, -1)
                for across in (1, -1)
            ]
            out[index] = np.mean(found, axis=0)
    return out


def softened(logits: FloatArray, temperature: float) -> FloatArray:
    """Return the probabilities of ``logits`` divided by ``temperature``."""
    return np.asarray(expit(logits / temperature), np.float32)


@torch.no_grad()
def load_start(student: Student, name: str, temperature: float) -> nn.Conv2d:
    """Read backbone and sight of the model ``name`` into ``student``.

    Return the layer that the model reads its map's logits by from the sight's features, these divided by
    ``temperature``.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: the model is of another shape.
    """
    graph = onnx.load(WEIGHTS / f"{name}.onnx").graph
    stored = {
        each.name.removesuffix("_half"): numpy_helper.to_array(each).astype(np.float32)
        for each in graph.initializer
    }
    head = nn.Conv2d(student.shape.width, 1, 1)
    parts = {"backbone.": student.backbone, "": student.sight, "head.": head}
    targets = {
        prefix + key: each for prefix, part in parts.items() for key, each in part.state_dict().items()
    }
    normalisations = {
        prefix + key: each.eps
        for prefix, part in parts.items()
        for key, each in part.named_modules()
        if isinstance(each, nn.BatchNorm2d)
    }
    stored |= _unfolded(stored, normalisations)
    for key in [key for key, each in targets.items() if key in stored and stored[key].shape == each.shape]:
        targets.pop(key).copy_(torch.from_numpy(stored[key]))
    left = [key for key in targets if not key.endswith("num_batches_tracked")]
    if left:
        raise ValueError(f"{name} holds no {left[0]} of shape {tuple(targets[left[0]].shape)}")
    head.weight /= temperature
    head.bias /= temperature
    return head


def _unfolded(stored: Mapping[str, FloatArray], eps: Mapping[str, float]) -> dict[str, FloatArray]:
    """Return what the normalisations that were folded into a graph's weights amount to: their bias is left.

    ``eps``: of each normalisation that a student has.
    """
    out: dict[str, FloatArray] = {}
    for key, bias in stored.items():
        if not key.endswith(".weight_bias"):
            continue
        before, dot, layer = key.removesuffix(".weight_bias").rpartition(".")
        in_block = _FOLDED_IN_FIRST_BLOCK if before.startswith("backbone.blocks.0.") else _FOLDED_IN_BLOCKS
        norm = f"{before}{dot}{_FOLDED.get(layer) or in_block[layer]}"
        one = np.ones_like(bias)
        out |= {
            f"{norm}.weight": one,
            f"{norm}.bias": bias,
            f"{norm}.running_mean": 0 * one,
            f"{norm}.running_var": one - np.float32(eps[norm]),
        }
    return out
