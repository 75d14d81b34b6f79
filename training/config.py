"""The recipe: a TOML file read into typed settings; an unknown or missing key is an error.

A recipe may name another beside it as its ``base`` and then gives only what differs.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomllib
from pydantic import TypeAdapter, ValidationError

from training.landmark_answer import LandmarkSettings
from training.map_answer import MapSettings
from training.pruning import PruneSettings
from training.pseudo_labels import PseudoSettings
from training.refusal_answer import RefusalSettings
from training.segment import SegmenterSettings
from training.settings import settings, values_of
from training.student_samples import StudentSettings
from training.teacher import TeacherSettings
from training.viewing import ViewingSettings
from training.vuad import VuadSettings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@settings
class DataSettings:
    """Which pictures, and how large their cached crops are.

    ``crop_px``: side of the pool's crops; ``limit``: pictures of the pool to use, 0 for all;
    ``synthetic``: make that many toy pictures instead of reading ``--data``, 0 for none.
    """

    crop_px: int
    limit: int
    synthetic: int


@settings
class ExportSettings:
    """``name`` is the contract's id; ``calibration_pictures`` are used for the operating points."""

    name: str
    calibration_pictures: int


@settings
class Config:
    """One recipe. ``precision``, ``accelerator`` and ``devices`` are Lightning Fabric's words."""

    seed: int
    accelerator: str
    devices: int
    precision: str
    data: DataSettings
    segmenter: SegmenterSettings
    vuad: VuadSettings
    pseudo: PseudoSettings
    teacher: TeacherSettings
    student: StudentSettings
    refusal: RefusalSettings
    landmarks: LandmarkSettings
    map: MapSettings
    prune: PruneSettings
    viewing: ViewingSettings
    export: ExportSettings


def load(path: Path) -> Config:
    """Return the recipe in the TOML file ``path``.

    Raises:
        ValueError: a key is unknown, missing or of another type, and the message names each such key; or
            the recipe's base has a base itself.
    """
    table = _table(path)
    base = table.pop("base", None)
    if base is not None:
        below = _table(path.with_name(base))
        if "base" in below:
            raise ValueError(f"{path.name}: base is {base!r}, which has a base itself; name that one")
        table = _laid_over(below, table)
    try:
        return TypeAdapter(Config).validate_python(table)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise ValueError(f"{path.name}: " + "; ".join(faults)) from None


def _table(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return tomllib.load(file)


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return ``below`` with the values of ``above`` in place of its own, table by table."""
    out = dict(below)
    for key, value in above.items():
        tables = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = _laid_over(out[key], value) if tables else value
    return out


def settings_hash(*parts: DataclassInstance) -> str:
    """Return a short hash of settings, by which a stage knows that it was run with these."""
    text = json.dumps([values_of(each) for each in parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
