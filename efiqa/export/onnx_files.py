"""From a PyTorch module to the bytes of an ONNX file: traced, checked, and without traces of the machine."""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from efiqa.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

OPSET = 18
# Smaller tensors stay as they are: biases, depthwise kernels, the first layers. All that follows amplifies
# their rounding; in half precision they moved a student's logits by 0.37 instead of 0.008, to save 5 % of it.
_FEW_VALUES = 4096


def trace(network: nn.Module, size_px: int, outputs: Sequence[str] = ("logits",)) -> onnx.ModelProto:
    """Return the graph image (1, 3, S, S) -> ``outputs`` of ``network``, with fixed shapes."""
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            network.eval(),
            (torch.zeros(1, 3, size_px, size_px),),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=list(outputs),
            verbose=False,
        )
    model: onnx.ModelProto = program.model_proto
    strip_names(model)
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes about its own insides from the terminal; its errors are exceptions."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def serialised(model: onnx.ModelProto) -> bytes:
    """Return the file's bytes, the same for the same graph, after ONNX's own check of types and shapes."""
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def check_logits(model: onnx.ModelProto, channels: Sequence[str], grid: Sequence[int]) -> None:
    """Raise ModelError unless the graph answers float32 ``logits`` (1, channels, h, w); grid: h, w."""
    found = {value.name: value.type.tensor_type for value in model.graph.output}["logits"]
    shape = tuple(side.dim_value for side in found.shape.dim)
    wanted = (1, len(channels), *grid)
    if found.elem_type != TensorProto.FLOAT or shape != wanted:
        kind = TensorProto.DataType.Name(found.elem_type)
        raise ModelError(
            f"the graph answers logits {kind} {shape}, expected FLOAT {wanted} for the channels "
            f"{', '.join(channels)}; name the channels that the network has"
        )


def store_half(model: onnx.ModelProto) -> None:
    """Store large float32 weights as float16 with a Cast: half the file, the same float32 arithmetic.

    Raises:
        ValueError: a weight is too large for float16.
    """
    casts, kept = [], []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < _FEW_VALUES:
            kept.append(tensor)
            continue
        if np.abs(values).max() > np.finfo(np.float16).max:
            raise ValueError(f"{tensor.name} holds {np.abs(values).max()}, too large for half precision")
        stored = numpy_helper.from_array(values.astype(np.float16), tensor.name + "_half")
        kept.append(stored)
        casts.append(helper.make_node("Cast", [stored.name], [tensor.name], to=TensorProto.FLOAT))
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def strip_names(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes about source files: it names folders of the machine."""
    model.doc_string = ""
    model.graph.doc_string = ""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]


def drop_output(model: onnx.ModelProto, name: str) -> None:
    """Take ``name`` off the graph's answers; what computes it stays where another answer needs it."""
    kept = [value for value in model.graph.output if value.name != name]
    del model.graph.output[:]
    model.graph.output.extend(kept)
