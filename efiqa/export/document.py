"""What is written beside an exported graph: its contract and the golden sample."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from efiqa import _core
from efiqa._files import reading
from efiqa.errors import OptionError
from efiqa.export.pictures import RESIZE_FILTER, FloatArray, InputSpec, network_inputs
from efiqa.golden import Golden, golden_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GOLDEN_PICTURES = 4
# An exported DINO model has seen no quality label. Half of the anatomy hidden is where a picture stops being
# usable, a quarter where it stops being good: round numbers, named for what they are.
NEUTRAL_POINTS = {"uncalibrated": {"good_min_score": 0.75, "usable_min_score": 0.5}}


@dataclass(frozen=True)
class Channels:
    """What a graph's channels mean, in order, and the contract's thresholds of those beside the first.

    ``reasons`` and ``not_a_fundus`` are the contract's fields of these names, each None exactly where the
    graph has no such channel. The core judges them, with the rest of the contract.
    """

    names: tuple[str, ...]
    reasons: Mapping[str, float] | None = None
    not_a_fundus: Mapping[str, float] | None = None


ANATOMY_ALONE = Channels(("anatomy_not_visible",))


@dataclass(frozen=True)
class Graph:
    """A graph's bytes and what the contract says of it; ``parity`` is the contract's field.

    ``region_threshold``: probability from which a cell belongs to a bad region.
    """

    data: bytes
    precision: str
    trained: bool
    channels: Channels
    grid: tuple[int, int]  # height, width
    parity: Mapping[str, Any]
    region_threshold: float = 0.5


def make_contract(
    name: str,
    file_name: str,
    graph: Graph,
    spec: InputSpec,
    points: Mapping[str, Mapping[str, Any]],
    provenance: Mapping[str, str],
    golden: bytes | None,
) -> dict[str, Any]:
    """Return the contract of ``graph`` in the file ``file_name``; the first operating point is the default.

    ``golden``: the bytes of the golden sample that is written beside it, if any.
    """
    return {
        "contract_version": _core.CONTRACT_VERSION,
        "id": name,
        "model": {
            "file": file_name,
            "sha256": hashlib.sha256(graph.data).hexdigest(),
            "format": "onnx",
            "precision": graph.precision,
            "trained": graph.trained,
        },
        "input": {
            "name": "image",
            "width_px": spec.size_px,
            "height_px": spec.size_px,
            "layout": "NCHW",
            "dtype": "float32",
            "color_order": "RGB",
            "crop": "field_of_view_square",
            "resize_filter": RESIZE_FILTER,
            "outside": "black",
            "mean": list(spec.mean),
            "std": list(spec.std),
        },
        "output": {
            "name": "logits",
            "width": graph.grid[1],
            "height": graph.grid[0],
            "dtype": "float32",
            "channels": list(graph.channels.names),
            "activation": "sigmoid",
            "calibration": {"scale": 1.0, "offset": 0.0},
        },
        "map": {"region_threshold": graph.region_threshold},
        "reasons": graph.channels.reasons and dict(graph.channels.reasons),
        "not_a_fundus": graph.channels.not_a_fundus and dict(graph.channels.not_a_fundus),
        "operating_points": {key: dict(limits) for key, limits in points.items()},
        "default_operating_point": next(iter(points)),
        "provenance": dict(provenance),
        "parity": dict(graph.parity),
        "golden": golden
        and {"file": golden_path(file_name).name, "sha256": hashlib.sha256(golden).hexdigest()},
    }


def golden_sample(spec: InputSpec, answer: Callable[[FloatArray], FloatArray]) -> bytes:
    """Return the content of the golden file with the logits (n, C, h, w) of ``answer`` to its inputs.

    The inputs show the CC0 photograph, never the caller's pictures: the file travels with the model.
    """
    inputs = network_inputs(None, spec, GOLDEN_PICTURES)
    return Golden(inputs, np.ascontiguousarray(answer(inputs))).to_bytes()


def read_points(path: Path | None) -> dict[str, dict[str, float]]:
    """Return the operating points in the JSON file ``path``, the neutral ones for None.

    The file is an object as in a contract: {"screening": {"good_min_score": 0.7, "usable_min_score": 0.5}}.
    The core judges what it holds, with the rest of the contract.

    Raises:
        FileError, OptionError: the file cannot be read, or is no such object.
    """
    if path is None:
        return NEUTRAL_POINTS
    try:
        with reading(path):
            values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise OptionError(f"operating points {path} is not JSON: {error}") from None
    if (
        not isinstance(values, dict)
        or not values
        or not all(isinstance(each, dict) for each in values.values())
    ):
        raise OptionError(
            f"operating points {path} is {json.dumps(values)[:80]}, expected an object like "
            + json.dumps(NEUTRAL_POINTS)
        )
    return values
