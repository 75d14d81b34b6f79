"""Write tiny.onnx and tiny.onnx.json, a model small enough to commit, for the tests of the runtime.

It averages blocks of 8 x 8 pixels and takes dark ones for bad: nobody trained it. Run it from anywhere with
the extra ``[dev]`` installed; the tests check that the committed files are what it makes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

INPUT_PX = 64
GRID = 8
# logit = bias + weight * (r + g + b) of the normalised colours in -1..1: black has 2.5, white -6.5.
WEIGHT = -1.5
BIAS = -2.0


def tiny_model(input_px: int = INPUT_PX, grid: int = GRID) -> bytes:
    """Return the ONNX file of a model for (1, 3, input_px, input_px) that answers (1, 1, grid, grid)."""
    block = input_px // grid
    nodes = [
        helper.make_node(
            "AveragePool", ["image"], ["blocks"], kernel_shape=[block, block], strides=[block, block]
        ),
        helper.make_node("Conv", ["blocks", "weight", "bias"], ["logits"], kernel_shape=[1, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, input_px, input_px])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1, grid, grid])],
        [
            helper.make_tensor("weight", TensorProto.FLOAT, [1, 3, 1, 1], [WEIGHT] * 3),
            helper.make_tensor("bias", TensorProto.FLOAT, [1], [BIAS]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def tiny_contract(
    model: bytes, file_name: str = "tiny.onnx", input_px: int = INPUT_PX, grid: int = GRID
) -> dict[str, Any]:
    """Return the contract of ``model`` as the JSON document's dict."""
    return {
        "contract_version": 3,
        "id": "tiny-v1",
        "model": {
            "file": file_name,
            "sha256": hashlib.sha256(model).hexdigest(),
            "format": "onnx",
            "precision": "fp32",
            "trained": False,
        },
        "input": {
            "name": "image",
            "width_px": input_px,
            "height_px": input_px,
            "layout": "NCHW",
            "dtype": "float32",
            "color_order": "RGB",
            "crop": "field_of_view_square",
            "resize_filter": "triangle",
            "outside": "black",
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
        },
        "output": {
            "name": "logits",
            "width": grid,
            "height": grid,
            "dtype": "float32",
            "channels": ["anatomy_not_visible"],
            "activation": "sigmoid",
            "calibration": {"scale": 1.0, "offset": 0.0},
        },
        "map": {"region_threshold": 0.5},
        "reasons": None,
        "not_a_fundus": None,
        "operating_points": {
            "screening": {"good_min_score": 0.85, "usable_min_score": 0.6},
            "lenient": {"good_min_score": 0.8, "usable_min_score": 0.5},
        },
        "default_operating_point": "screening",
        "provenance": {
            "backbone": "none",
            "backbone_licence": "Apache-2.0",
            "adapter": "block-mean",
            "training_data": "none: for tests only",
            "licence": "Apache-2.0",
        },
        "parity": {"status": "not_run", "reason": "no original to compare with"},
        "golden": None,
    }


def write(folder: Path) -> None:
    """Write both files into ``folder``."""
    model = tiny_model()
    (folder / "tiny.onnx").write_bytes(model)
    text = json.dumps(tiny_contract(model), indent=2) + "\n"
    (folder / "tiny.onnx.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).parent)
