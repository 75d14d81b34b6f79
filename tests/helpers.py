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
from numpy.typing import NDArray
from PIL import Image

from tests.golden.make_tiny_model import tiny_contract, tiny_model

REPOSITORY = Path(__file__).resolve().parents[1]
U8Array = NDArray[np.uint8]


def write_tiny_model(folder: Path, *, trained: bool = True, **fields: Any) -> Path:
    """Return the path of a tiny model in ``folder``, contract beside it, with these top-level fields."""
    model = tiny_model()
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
