"""What a student starts from: the weights, and the maps of the pool, of an earlier model in training/weights.

The judge of the new student learns beside them. What the earlier model makes of cameras that no training
picture came from stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
from training.inner_channels import fit_to
from training.progress import track
from training.pseudo_labels import crop_on_grid
from training.views import normalised

if TYPE_CHECKING:
    from training.student import Student

WEIGHTS = Path(__file__).parent / "weights"
# Batch normalisation that the exporter folded into the convolution before it: the names of both.
_FOLDED = {
    "conv_stem": "bn1",
    "conv_pwl": "bn3",
    "fold": "norm",
    "widen": "norm",
    "spread": "norm2",
    "narrow": "norm3",
}
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
    head = nn.Conv2d(student.shape.width, 1, 1)
    _fill({"backbone.": student.backbone, "": student.sight, "head.": head}, _stored(name), name)
    head.weight /= temperature
    head.bias /= temperature
    return head


def load_exported(student: Student, name: str, seen: Iterable[torch.Tensor]) -> None:
    """Read the model ``name``, a student's as exported, into ``student``: it answers as the model does.

    What a feature adds that ``student`` has not, the rim, is left out; a channel that the model has not stays
    as it is.

    The exporter folds normalisations away; to learn on, they are given the statistics of what passes them of
    ``seen``, normalised images (B, 3, S, S), and the weights and biases that leave the answers as they are.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: the model is of another shape.
    """
    stored = _stored_student(name)
    rows = {key: stored[f"head.{key}"] for key in ("weight", "bias")}
    rows["weight"] = rows["weight"][:, : student.shape.features]
    for key, each in student.head.state_dict().items():
        own = each.numpy()[len(rows[key]) :]  # of channels that the model has not
        stored[f"head.{key}"] = np.concatenate([rows[key], own])
    fit_to(student, stored)
    _fill({"": student}, stored, name)
    _measure_normalisations(student.eval(), seen)


def exported_readers(name: str) -> tuple[int, int, int, int]:
    """Return width and rounds of the layout and of the place of a student's model, ``name``, as exported.

    All are 0 where there is no such reader.

    Raises:
        FileNotFoundError: there is no such model.
    """
    stored = _stored_student(name)

    def shape(reader: str) -> tuple[int, int]:
        rounds = f"{reader}.rounds."
        count = sum(key.startswith(rounds) and key.endswith(".spread.weight") for key in stored)
        return len(stored.get(f"{reader}.fold.weight", ())), count

    return *shape("layout"), *shape("place")


@torch.no_grad()
def _measure_normalisations(network: nn.Module, seen: Iterable[torch.Tensor]) -> None:
    """Give each normalisation of ``network`` the mean and variance of its input; its output stays."""
    layers = [each for each in network.modules() if isinstance(each, nn.BatchNorm2d)]
    inputs: dict[nn.Module, list[torch.Tensor]] = {layer: [] for layer in layers}

    def note(layer: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        x = given[0].double()
        inputs[layer].append(torch.stack([x.mean((0, 2, 3)), x.square().mean((0, 2, 3))]))

    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    for images in seen:
        network(images)
    for hook in hooks:
        hook.remove()
    for layer, moments in inputs.items():
        mean, square = torch.stack(moments).mean(0)
        slope = layer.weight / (layer.running_var + layer.eps).sqrt()
        variance = square - mean.square()
        layer.bias += slope * (mean - layer.running_mean)
        layer.weight.copy_(slope * (variance + layer.eps).sqrt())
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)


def _stored(name: str) -> dict[str, FloatArray]:
    graph = onnx.load(WEIGHTS / f"{name}.onnx").graph
    return {
        each.name.removesuffix("_half"): numpy_helper.to_array(each).astype(np.float32)
        for each in graph.initializer
    }


def _stored_student(name: str) -> dict[str, FloatArray]:
    return {
        key.removeprefix("backbone.").replace("adapter.", "head."): each
        for key, each in _stored(name).items()
    }


@torch.no_grad()
def _fill(parts: Mapping[str, nn.Module], stored: Mapping[str, FloatArray], name: str) -> None:
    """Copy what ``stored`` holds of the ``parts``, by the prefixes of their names there, into them."""
    targets = {
        prefix + key: each for prefix, part in parts.items() for key, each in part.state_dict().items()
    }
    normalisations = {
        prefix + key: each.eps
        for prefix, part in parts.items()
        for key, each in part.named_modules()
        if isinstance(each, nn.BatchNorm2d)
    }
    found = dict(stored) | _unfolded(stored, normalisations)
    for key in [key for key, each in targets.items() if key in found and found[key].shape == each.shape]:
        targets.pop(key).copy_(torch.from_numpy(found[key]))
    left = [key for key in targets if not key.endswith("num_batches_tracked")]
    if left:
        raise ValueError(f"{name} holds no {left[0]} of shape {tuple(targets[left[0]].shape)}")


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
        if norm not in eps:  # of a part that the student lacks
            continue
        one = np.ones_like(bias)
        out |= {
            f"{norm}.weight": one,
            f"{norm}.bias": bias,
            f"{norm}.running_mean": 0 * one,
            f"{norm}.running_var": one - np.float32(eps[norm]),
        }
    return out
