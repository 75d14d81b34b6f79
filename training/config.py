"""The recipe: a TOML file read into typed settings; an unknown or missing key is an error."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import tomllib
from pydantic import TypeAdapter, ValidationError

from training.pseudo_labels import PseudoSettings
from training.refusal_answer import RefusalSettings
from training.segment import SegmenterSettings
from training.settings import settings, values_of
from training.student_samples import StudentSettings
from training.teacher import TeacherSettings
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
    export: ExportSettings


def load(path: Path) -> Config:
    """Return the recipe in the TOML file ``path``.

    Raises:
        ValueError: a key is unknown, missing or of another type; the message names each such key.
    """
    with path.open("rb") as file:
        table = tomllib.load(file)
    try:
        return TypeAdapter(Config).validate_python(table)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise ValueError(f"{path.name}: " + "; ".join(faults)) from None


def settings_hash(*parts: DataclassInstance) -> str:
    """Return a short hash of settings, by which a stage knows that it was run with these."""
    text = json.dumps([values_of(each) for each in parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
