"""int8 as explicit Q/DQ nodes, by ONNX Runtime's quantiser, calibrated on real pictures."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

FloatArray = NDArray[np.float32]

_LAYER_OPS = ("MatMul", "Gemm", "Conv")
# Symmetric, without zero points, float biases, and nothing on a layer's answer: the form that TensorRT fuses.
_OPTIONS = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "QuantizeBias": False,
    "OpTypesToExcludeOutputQuantization": list(_LAYER_OPS),
}


class _Pictures(CalibrationDataReader):
    """Hands the quantiser one input after another."""

    def __init__(self, inputs: FloatArray) -> None:
        self._images = iter(inputs)

    def get_next(self) -> dict[str, FloatArray] | None:
        """Return the next input by name, or None at the end."""
        image = next(self._images, None)
        return None if image is None else {"image": image[None]}


def choices(model: onnx.ModelProto) -> list[tuple[str, list[str]]]:
    """Return which layers to try in int8, by node name, from most to fewest.

    Layers have constant weights; a product of two activations is attention's and stays float32. So do the
    first layer and the adapter, which begins at the tensor ``features``: with the first and the last layer a
    random ViT-S loses 0.019 of the logits' norm, without them 0.009. The second choice also leaves out the
    layers that narrow, an MLP's second one: of its four kinds of layers that one lost most (0.0049; the MLP's
    first 0.0043, attention's output 0.0029, its input 0.0014).
    """
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    layers = [
        (node, shapes[node.input[1]])
        for node in _nodes_before(model, "features")
        if node.op_type in _LAYER_OPS and node.input[1] in shapes
    ][1:]
    wide = [node.name for node, shape in layers if node.op_type != "MatMul" or shape[0] <= shape[1]]
    everything = [node.name for node, _ in layers]
    return [("the backbone without its first layer", everything), ("its layers that do not narrow", wide)]


def _nodes_before(model: onnx.ModelProto, tensor: str) -> list[onnx.NodeProto]:
    """Return the nodes that ``tensor`` is computed from, in the graph's order."""
    wanted, found = {tensor}, []
    for node in reversed(model.graph.node):  # sorted: whoever makes a tensor stands before its users
        if wanted.intersection(node.output):
            wanted.update(node.input)
            found.append(node)
    return found[::-1]


def quantised(model: onnx.ModelProto, inputs: FloatArray, names: Sequence[str]) -> onnx.ModelProto:
    """Return ``model`` with the layers ``names`` in int8.

    Weights have a scale a channel, activations one scale from their range over ``inputs`` (n, 3, S, S).
    """
    with tempfile.TemporaryDirectory(prefix="efiqa-int8-") as folder, _quiet():
        source, target = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, source)  # by way of a file: given a model, the quantiser empties it
        quantize_static(
            source,
            target,
            _Pictures(inputs),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_LAYER_OPS),
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=list(names),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options=_OPTIONS,
        )
        return onnx.load(target)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantiser's advice to preprocess the graph from the terminal: the exporter has done that."""
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.root.setLevel(level)
