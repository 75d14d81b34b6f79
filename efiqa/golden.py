"""The golden file: inputs of a network with the original's logits, so that any device can be checked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from efiqa import _core
from efiqa._files import reading, write_atomically
from efiqa.contract import Contract, GoldenFile
from efiqa.errors import ModelError

FloatArray = NDArray[np.float32]

_DRAWN_PICTURES = 8
_DRAWN_SIDE_PX = 512


@dataclass(frozen=True)
class Golden:
    """``inputs`` (N, 3, H, W) as the network takes them, ``logits`` (N, C, h, w) as the original answers."""

    inputs: FloatArray
    logits: FloatArray

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        from safetensors.numpy import save

        return save({"inputs": self.inputs, "logits": self.logits})

    def write(self, path: Path) -> GoldenFile:
        """Write the file ``path`` and return the contract's entry for it."""
        data = self.to_bytes()
        write_atomically(path, data)
        return GoldenFile(path.name, _core.sha256_hex(data))


def golden_path(model_path: str | os.PathLike[str]) -> Path:
    """Return where a model's golden file is written: ``NAME.plan`` -> ``NAME.plan.golden.safetensors``."""
    path = Path(model_path)
    return path.with_name(path.name + ".golden.safetensors")


def read_golden(model_path: str | os.PathLike[str], contract: Contract) -> Golden:
    """Return the golden file that ``contract``, of the model at ``model_path``, names.

    Raises:
        ModelError: ``golden_missing`` when there is none, ``golden_invalid`` when its hash, its tensors or
            their shapes are not what the contract says.
    """
    entry = contract.golden
    if entry is None:
        raise ModelError(
            f"the contract of {model_path} names no golden file; export the model again with efiqa export",
            code="golden_missing",
        )
    path = Path(model_path).with_name(entry.file)
    with reading(
        f"golden file {path}", kind=ModelError, code="golden_missing", fix="copy it along with the model"
    ):
        data = path.read_bytes()
    actual = _core.sha256_hex(data)
    if actual != entry.sha256:
        raise _invalid(path, f"has the SHA-256 {actual}, the contract expects {entry.sha256}")
    return _parse(path, data, contract)


def _parse(path: Path, data: bytes, contract: Contract) -> Golden:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise _invalid(path, f"is not a safetensors file ({error})") from None
    if set(tensors) != {"inputs", "logits"}:
        raise _invalid(path, f"holds {', '.join(sorted(tensors)) or 'nothing'}, expected inputs and logits")
    document = contract.to_dict()
    pictures = len(tensors["inputs"]) if tensors["inputs"].ndim else 0
    sizes = {
        "inputs": (pictures, 3, document["input"]["height_px"], document["input"]["width_px"]),
        "logits": (
            pictures,
            len(contract.channels),
            document["output"]["height"],
            document["output"]["width"],
        ),
    }
    for name, size in sizes.items():
        tensor = tensors[name]
        if tensor.dtype != np.float32 or tensor.shape != size or pictures == 0:
            wanted = f"float32 (N, {', '.join(map(str, size[1:]))}) with one N from 1"
            raise _invalid(path, f"has {name} of {tensor.dtype} {tensor.shape}, expected {wanted}")
        if not np.isfinite(tensor).all():
            raise _invalid(path, f"has {name} that are not finite")
    return Golden(tensors["inputs"], tensors["logits"])


def _invalid(path: Path, what: str) -> ModelError:
    return ModelError(
        f"golden file {path} {what}; copy it again, or export the model again with efiqa export",
        code="golden_invalid",
    )


def make_golden(model_path: str | os.PathLike[str]) -> Golden:
    """Return drawn pictures and what the ONNX model at ``model_path`` answers, where it has no golden file.

    What it can show is that a plan computes what the ONNX model computes; that this one computes what the
    original does is shown by its own contract.

    Raises:
        EfiqaError: the model cannot be opened by the CPU back end.
    """
    from efiqa.runtime import Runtime

    with Runtime(model_path, backend="openvino", allow_untrained=True) as runtime:
        given = runtime.info.contract.to_dict()["input"]
        inputs = np.stack([network_input(_drawn_eye(seed), given) for seed in range(_DRAWN_PICTURES)])
        return Golden(inputs, runtime.run_network(inputs))


def _drawn_eye(seed: int) -> NDArray[np.uint8]:
    """Return an RGB frame: a lit disc with dark lines as vessels and bright and dark spots, on black."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:_DRAWN_SIDE_PX, :_DRAWN_SIDE_PX] / _DRAWN_SIDE_PX - 0.5
    radius = np.hypot(x, y) / 0.46
    light = 1.1 - 0.5 * radius**2
    for _ in range(8):
        angle, phase = rng.uniform(0, np.pi, 2)
        wave = np.sin(2 * np.pi * rng.uniform(2, 5) * (x * np.cos(angle) + y * np.sin(angle)) + phase)
        light = np.where(np.abs(wave) < 0.05, 0.7 * light, light)
    for _ in range(4):
        spot = np.hypot(x - rng.uniform(-0.3, 0.3), y - rng.uniform(-0.3, 0.3)) / rng.uniform(0.03, 0.12)
        light = light * (1 + rng.uniform(-0.7, 0.5) * np.exp(-(spot**2)))
    light = np.where(radius <= 1, light * rng.uniform(0.3, 1.0), 0)[:, :, None]
    frame: NDArray[np.uint8] = np.clip(light * (200, 105, 55), 0, 255).round().astype(np.uint8)
    return frame


def network_input(frame: NDArray[np.uint8], given: dict[str, Any]) -> FloatArray:
    """Return what the network sees of ``frame``, (3, H, W); ``given`` is the contract's ``input``."""
    fov = _core.find_field_of_view(frame, "rgb")
    return _core.preprocess(
        frame,
        "rgb",
        _core.square_crop(fov),
        fov,
        width_px=given["width_px"],
        height_px=given["height_px"],
        resize_filter=given["resize_filter"],
        blank_outside=given["outside"] == "black",
        mean=given["mean"],
        std=given["std"],
    )
