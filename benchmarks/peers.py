"""What efiqa's speed is compared with: the chain that users have today, and ONNX Runtime's network.

The chain: Pillow crops and resizes, torch runs the same network eagerly, matplotlib colours the map, NumPy
blends it over the frame. It is given the field of view for nothing, and its network is the exported graph
with batch normalisation already folded in, so it is a little faster here than in practice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from efiqa import QualityReport

if TYPE_CHECKING:
    import torch

ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
MAX_ALPHA = 0.6  # the default of QualityReport.overlay
# Modes of torch's interpolate, in ONNX's words.
RESIZES = {
    "nearest": {
        "mode": b"nearest",
        "coordinate_transformation_mode": b"asymmetric",
        "nearest_mode": b"floor",
    },
    "bilinear": {"mode": b"linear", "coordinate_transformation_mode": b"half_pixel"},
}


class TorchGraph:
    """An ONNX graph run node by node in torch, eagerly: enough operators for the student networks."""

    def __init__(self, model: Path) -> None:
        """Read ``model``.

        Raises:
            ValueError: the graph has an operator that is not known here; the message names it.
        """
        import onnx
        import torch
        from onnx import helper, numpy_helper

        graph = onnx.load(str(model)).graph
        self._input, self._output = graph.input[0].name, graph.output[0].name
        self._values: dict[str, torch.Tensor] = {
            each.name: torch.from_numpy(numpy_helper.to_array(each).copy()) for each in graph.initializer
        }
        self._steps: list[tuple[Callable[..., Any], list[str], list[str]]] = []
        for node in graph.node:
            attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
            if node.op_type == "Constant":
                self._values[node.output[0]] = torch.from_numpy(
                    numpy_helper.to_array(attributes["value"]).copy()
                )
            elif node.op_type == "Cast" and node.input[0] in self._values:  # half-precision weights: once
                self._values[node.output[0]] = self._values[node.input[0]].float()
            else:
                self._steps.append((_operator(node.op_type, attributes), list(node.input), list(node.output)))

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Return the logits of ``image`` (1, 3, H, W)."""
        values = {**self._values, self._input: image}
        for run, inputs, outputs in self._steps:
            found = run(*(values[name] if name else None for name in inputs))
            values |= zip(outputs, [found] if len(outputs) == 1 else found, strict=True)
        return values[self._output]


def _operator(kind: str, attributes: dict[str, Any]) -> Callable[..., Any]:
    import torch
    from torch.nn import functional as F

    if kind == "Conv":
        pads = attributes.get("pads", [0, 0, 0, 0])
        stride, groups = attributes.get("strides", [1, 1]), attributes.get("group", 1)
        top, left, bottom, right = pads
        if (top, left) == (bottom, right):
            return lambda x, w, b=None: F.conv2d(x, w, b, stride, (top, left), 1, groups)
        return lambda x, w, b=None: F.conv2d(F.pad(x, (left, right, top, bottom)), w, b, stride, 0, 1, groups)
    if kind == "Clip":
        return lambda x, low=None, high=None: torch.clamp(x, low, high)
    if kind == "ReduceMean":
        axes, keep = attributes.get("axes"), bool(attributes.get("keepdims", 1))
        return lambda x, given=None: x.mean(tuple(axes if given is None else given.tolist()), keepdim=keep)
    if kind == "MaxPool":
        sides, strides = attributes["kernel_shape"], attributes.get("strides", [1, 1])
        top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
        padded = (left, right, top, bottom)
        return lambda x: F.max_pool2d(F.pad(x, padded, value=-torch.inf), sides, strides)
    if kind == "Gemm":
        flip_a, flip_b = attributes.get("transA", 0), attributes.get("transB", 0)
        return lambda a, b, c=None: torch.addmm(
            torch.zeros(1) if c is None else c, a.T if flip_a else a, b.T if flip_b else b
        )
    if kind == "BatchNormalization":
        epsilon = attributes.get("epsilon", 1e-5)
        return lambda x, w, b, mean, var: F.batch_norm(x, mean, var, w, b, False, 0.0, epsilon)
    if kind == "Resize":
        modes = [mode for mode, expected in RESIZES.items() if expected.items() <= attributes.items()]
        if not modes:
            raise ValueError(f"graph has a Resize with {attributes}, expected one of {RESIZES}")
        return lambda x, roi, scales, sizes: F.interpolate(x, sizes.tolist()[2:], mode=modes[0])
    plain: dict[str, Callable[..., torch.Tensor]] = {
        "Add": torch.add,
        "Sub": torch.sub,
        "Mul": torch.mul,
        "Div": torch.div,
        "Neg": torch.neg,
        "Pow": torch.pow,
        "Log": torch.log,
        "Max": torch.maximum,
        "Greater": torch.gt,
        "Where": torch.where,
        "MatMul": torch.matmul,
        "Relu": F.relu,
        "Sigmoid": torch.sigmoid,
        "Softplus": F.softplus,
        "Identity": lambda x: x,
        "GlobalAveragePool": lambda x: x.mean((2, 3), keepdim=True),
        "Reshape": lambda x, shape: x.reshape(shape.tolist()),
        "Unsqueeze": lambda x, axes: _unsqueezed(x, axes.tolist()),
        "Flatten": lambda x: x.flatten(attributes.get("axis", 1)),
        "Concat": lambda *parts: torch.cat(parts, attributes["axis"]),
        "Split": lambda x: x.chunk(attributes["num_outputs"], attributes.get("axis", 0)),
        "Slice": _sliced,
        "Pad": lambda x, pads, value=None: _padded(x, pads.tolist(), 0.0 if value is None else float(value)),
    }
    if kind not in plain:
        raise ValueError(f"graph has the operator {kind}, expected one of {', '.join(sorted(plain))}")
    return plain[kind]


def _sliced(
    x: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor, axes: torch.Tensor, steps: torch.Tensor
) -> torch.Tensor:
    cuts = [slice(None)] * x.dim()
    for axis, *cut in zip(*(each.tolist() for each in (axes, starts, ends, steps)), strict=True):
        cuts[axis] = slice(*cut)
    return x[tuple(cuts)]


def _padded(x: torch.Tensor, pads: list[int], value: float) -> torch.Tensor:
    from torch.nn import functional as F

    before, after = pads[: x.dim()], pads[x.dim() :]
    return F.pad(
        x, [side for pair in zip(before[::-1], after[::-1], strict=True) for side in pair], value=value
    )


def _unsqueezed(x: torch.Tensor, axes: list[int]) -> torch.Tensor:
    for axis in sorted(axes):
        x = x.unsqueeze(axis)
    return x


@dataclass(frozen=True)
class ChainResult:
    """Map (h, w), overlay (H, W, 3) and how long each stage took."""

    map: FloatArray
    overlay: ByteArray
    stages_ms: dict[str, float]


class TorchChain:
    """Pillow, torch and matplotlib, as a Python user would put them together."""

    def __init__(self, model: Path, contract: dict[str, Any], report: QualityReport) -> None:
        """``report``: the field of view, crop and frame size that the chain is given for nothing."""
        import matplotlib

        self._network = TorchGraph(model)
        self._size = (contract["input"]["width_px"], contract["input"]["height_px"])
        self._mean = np.array(contract["input"]["mean"], np.float32)
        self._std = np.array(contract["input"]["std"], np.float32)
        self._colors = matplotlib.colormaps["turbo"]
        self._crop = report.crop
        x, y, side = report.crop
        height, width = report.frame_size
        self._inside_frame = report.fov.contains(np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5)
        centres = (np.arange(self._size[0]) + 0.5) * side / self._size[0]
        self._inside_input = report.fov.contains(x + centres, (y + centres)[:, None])

    def logits(self, image: FloatArray) -> FloatArray:
        """Return the network's logits (h, w) of ``image`` (1, 3, H, W)."""
        import torch

        with torch.inference_mode():
            return np.asarray(self._network(torch.from_numpy(image))[0, 0].numpy(), np.float32)

    def __call__(self, frame: ByteArray) -> ChainResult:
        """Return map and overlay of ``frame`` (H, W, 3)."""
        import torch
        from PIL import Image

        marks = [time.perf_counter()]
        x, y, side = self._crop
        picture = Image.fromarray(frame).crop((x, y, x + side, y + side))
        picture = picture.resize(self._size, Image.Resampling.BILINEAR)
        values = np.asarray(picture) * self._inside_input[..., None]
        values = (values.astype(np.float32) / 255 - self._mean) / self._std
        image = torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)[None]))
        marks.append(time.perf_counter())
        with torch.inference_mode():
            probability = torch.sigmoid(self._network(image))[0, 0].numpy()
        marks.append(time.perf_counter())
        enlarged = np.asarray(Image.fromarray(probability).resize((side, side), Image.Resampling.BILINEAR))
        full = np.zeros(frame.shape[:2], np.float32)
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + side, full.shape[1]), min(y + side, full.shape[0])
        full[y0:y1, x0:x1] = enlarged[y0 - y : y1 - y, x0 - x : x1 - x]
        color = self._colors(full)[..., :3] * 255
        alpha = (MAX_ALPHA * full * self._inside_frame)[..., None]
        overlay = np.rint(frame * (1 - alpha) + color * alpha).astype(np.uint8)
        marks.append(time.perf_counter())
        names = ("resize", "network", "colouring")
        stages = {name: (marks[k + 1] - marks[k]) * 1e3 for k, name in enumerate(names)}
        return ChainResult(probability, overlay, stages | {"total": (marks[-1] - marks[0]) * 1e3})


class OnnxRuntimeNetwork:
    """The network alone in ONNX Runtime's CPU provider."""

    def __init__(self, model: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._name = self._session.get_inputs()[0].name

    def logits(self, image: FloatArray) -> FloatArray:
        """Return the logits (h, w) of ``image`` (1, 3, H, W)."""
        return np.asarray(self._session.run(None, {self._name: image})[0])[0, 0]
