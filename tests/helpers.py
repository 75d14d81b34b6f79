"""What several tests need: a tiny model, drawn frames, picture files of all kinds, the data's manifest."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image

from tests.golden.make_tiny_model import BIAS, WEIGHT, tiny_contract, tiny_model

REASONS = ("under_exposed", "over_exposed", "defocus", "haze", "occlusion")
# A channel's logit is bias + weights . (r, g, b), the cell's mean colours in -1..1. What the model cannot
# see in a mean colour it never tells.
TELLING = {
    "anatomy_not_visible": ((WEIGHT, WEIGHT, WEIGHT), BIAS),
    "under_exposed": ((-4.0, -4.0, -4.0), -8.0),
    "over_exposed": ((4.0, 4.0, 4.0), -8.0),
    "defocus": ((0.0, 0.0, 0.0), -8.0),
    "haze": ((0.0, 0.0, 0.0), -8.0),
    "occlusion": ((0.0, 0.0, 0.0), -8.0),
    "not_a_fundus": ((-8.0, 0.0, 8.0), -4.0),  # blue is no retina
}
# Beside all of TELLING: what is not red is a macula, what is hardly red a disc.
LANDMARKS = {"macula": ((-6.0, 0.0, 0.0), 1.0), "optic_disc": ((-9.0, 0.0, 0.0), 1.0)}
REPOSITORY = Path(__file__).resolve().parents[1]
U8Array = NDArray[np.uint8]
Channels = dict[str, tuple[tuple[float, float, float], float]]


def write_tiny_model(folder: Path, *, trained: bool = True, **fields: Any) -> Path:
    """Return the path of a tiny model in ``folder``, contract beside it, with these top-level fields."""
    return _write_model(folder, tiny_model(), trained=trained, **fields)


def write_telling_model(folder: Path, channels: Channels = TELLING, **fields: Any) -> Path:
    """Return the path of a tiny model with these channels, all reasons among them, likewise."""
    model = telling_model(channels)
    output = {**tiny_contract(model)["output"], "channels": list(channels)}
    thresholds = {
        "reasons": {"region_min_strength": 0.2, "picture_min_strength": 0.1},
        "not_a_fundus": {"min_probability": 0.5, "max_score": 1.0},
    }
    return _write_model(folder, model, trained=True, **{"output": output, **thresholds, **fields})


def telling_model(channels: Channels = TELLING) -> bytes:
    """Return the tiny model's ONNX file with these channels."""
    model = onnx.load_from_string(tiny_model())
    values = {
        "weight": np.array([weights for weights, _ in channels.values()], np.float32)[:, :, None, None],
        "bias": np.array([bias for _, bias in channels.values()], np.float32),
    }
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(values[tensor.name], tensor.name))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = len(channels)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _write_model(folder: Path, model: bytes, *, trained: bool, **fields: Any) -> Path:
    document = tiny_contract(model)
    document["model"]["trained"] = trained
    path = folder / "tiny.onnx"
    path.write_bytes(model)
    contract_of(path).write_text(json.dumps({**document, **fields}), encoding="utf-8")
    return path


def contract_of(model: Path) -> Path:
    """Return the path of the contract beside ``model``."""
    return model.with_name(model.name + ".json")


def drawn_eye(height_px: int = 240, width_px: int = 320, *, level: int = 200) -> U8Array:
    """Return an RGB frame with a lit disc, its vessels drawn as dark lines, on a black surround."""
    y, x = np.mgrid[:height_px, :width_px]
    radius = 0.45 * min(height_px, width_px)
    distance = np.hypot(y - height_px / 2, x - width_px / 2) / radius
    inside = distance <= 1
    vessel = (np.abs(np.sin((x + y) / 17.0)) < 0.08) | (np.abs(np.sin((x - y) / 23.0)) < 0.06)
    # As in every camera the light falls off outwards: without, neighbours are as unlike as in noise.
    light = np.where(inside, np.where(vessel, 0.6, 1.0) * (1.2 - 0.4 * distance**2), 0.0)
    rgb = light[:, :, None] * (level, 0.55 * level, 0.35 * level)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def encoded(frame: U8Array | Image.Image, kind: str, **options: Any) -> bytes:
    """Return ``frame`` as the bytes of a file of Pillow's format ``kind``."""
    picture = frame if isinstance(frame, Image.Image) else Image.fromarray(frame)
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def run_in_threads(work: Callable[[], None], count: int) -> None:
    """Run ``work`` in ``count`` threads at once and wait for all of them."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def read_manifest(data: Path, **wanted: str) -> list[dict[str, str]]:
    """Return the manifest's rows whose columns have the ``wanted`` values, for example split="test"."""
    with (data / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        return [row for row in csv.DictReader(stream) if all(row[key] == wanted[key] for key in wanted)]
