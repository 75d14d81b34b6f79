"""The parity gate of an export: does the graph compute what PyTorch computes in float32?

The figures and their limits are efiqa/parity.py's, over at least 32 pictures. ``patch_cosine_p1`` is here
the worse of two: of each cell's logits over the pictures in each channel, as everywhere, and of each patch's
feature vector where the adapter reads it. A map has one number a cell, which the adapter's bias may dominate;
what a patch knows is its feature vector, and there a wrong block cannot hide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from efiqa.errors import ModelError
from efiqa.parity import ParityFigures, compare, worst_of

if TYPE_CHECKING:
    import openvino
    from torch import nn

FloatArray = NDArray[np.float32]

REFERENCE = "PyTorch fp32"
# Sums of some thousand float32 products in another order, over twelve to twenty-four blocks.
MAX_ABS_ERROR_FP32 = 1e-4


class Answers(NamedTuple):
    """Of n pictures: ``logits`` (n, channels, h, w), ``features`` (n, C, H, W) as the adapter reads them."""

    logits: FloatArray
    features: FloatArray


@dataclass(frozen=True)
class Trial:
    """What one ``runner`` answered, as figures against the reference, and which limits they break."""

    runner: str
    figures: ParityFigures
    failures: tuple[str, ...]


def run_network(network: nn.Module, inputs: FloatArray) -> Answers:
    """Return the answers of a PyTorch module (image -> logits, features) to inputs (n, 3, S, S)."""
    with torch.inference_mode():
        pairs = [network(torch.from_numpy(image[None])) for image in inputs]
    return Answers(*(np.concatenate([pair[k].numpy() for pair in pairs]) for k in range(2)))


def compiled_graph(graph: bytes) -> tuple[str, openvino.CompiledModel]:
    """Return OpenVINO's name and the graph as it runs it, in float32.

    Raises:
        ModelError: OpenVINO does not take the graph.
    """
    import openvino

    core = openvino.Core()
    name = f"OpenVINO {openvino.get_version().partition('-')[0]}"
    try:
        # The graph says every type; without the hint a processor may choose bfloat16 on its own.
        compiled = core.compile_model(core.read_model(graph), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except RuntimeError as error:
        raise ModelError(f"{name} refuses the exported graph: {str(error).splitlines()[0]}") from None
    return name, compiled


def run_graph(graph: bytes, inputs: FloatArray) -> tuple[str, Answers]:
    """Return OpenVINO's name and its answers to inputs (n, 3, S, S); the graph answers logits and features.

    Raises:
        ModelError: OpenVINO does not take the graph.
    """
    name, compiled = compiled_graph(graph)
    logits, features = [], []
    for image in inputs:
        answer = compiled({"image": image[None]})
        logits.append(np.array(answer["logits"]))
        features.append(np.array(answer["features"]))
    return name, Answers(np.concatenate(logits), np.concatenate(features))


def judge(runner: str, found: Answers, reference: Answers, *, max_abs_error: float = float("inf")) -> Trial:
    """Return the figures of ``found`` against the reference's answers to the same pictures, and the failures.

    ``max_abs_error`` is a limit beside those of efiqa/parity.py: the largest error of a logit.

    Raises:
        ModelError: the reference itself is not finite, so that there is nothing to compare with.
    """
    if not all(np.isfinite(each).all() for each in reference):
        raise ModelError(
            f"{REFERENCE} answers with NaN or infinity, expected numbers; the weights are damaged"
        )
    figures = compare(reference.logits, found.logits)
    # Then a cell's vector is a patch's features.
    patches = compare(_patches_as_cells(reference.features), _patches_as_cells(found.features))
    # NaN where either is: both fail.
    worse = float(np.minimum(figures.patch_cosine_p1, patches.patch_cosine_p1))
    figures = replace(figures, patch_cosine_p1=worse)
    failures = figures.failures()
    if not figures.max_abs_error <= max_abs_error:
        failures.append(f"max_abs_error is {figures.max_abs_error:.2g}, expected at most {max_abs_error}")
    return Trial(runner, figures, tuple(failures))


def worst(trials: list[Trial]) -> Trial:
    """Return each figure's worst value over several runners of the same pictures."""
    return Trial(
        " and ".join(trial.runner for trial in trials),
        worst_of([trial.figures for trial in trials]),
        tuple(f"{trial.runner}: {failure}" for trial in trials for failure in trial.failures),
    )


def _patches_as_cells(features: FloatArray) -> FloatArray:
    """Return features (n, C, H, W) as (C, 1, n * H, W): channels in the place of pictures."""
    channels, width = features.shape[1], features.shape[3]
    return features.transpose(1, 0, 2, 3).reshape(channels, 1, -1, width)
