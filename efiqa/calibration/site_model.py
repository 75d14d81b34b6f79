"""A model's folder with a new contract: the same model bytes, one operating point more, another id."""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from efiqa import _core
from efiqa._files import reading, write_atomically
from efiqa.contract import Contract, OperatingPoint
from efiqa.errors import FileError, OptionError
from efiqa.overlay import PICTURE_SUFFIXES

if TYPE_CHECKING:
    from efiqa.runtime import Runtime

REPORT_NAME = "calibration.json"
_NAME = re.compile(r"[a-z0-9_-]{1,64}")  # csrc/contract_field.h; a test holds the two together
_MAX_POINTS = 16  # csrc/contract.cpp; likewise


@dataclass(frozen=True)
class Plan:
    """What will be written where; made before the pictures are assessed, so that it fails early."""

    source: Path
    contract: Contract
    model_path: Path
    contract_id: str
    name: str

    def files(self) -> list[Path]:
        """Return what will be written: model, golden file where there is one, report, contract."""
        golden = self.contract.golden
        names = [REPORT_NAME] if golden is None else [golden.file, REPORT_NAME]
        beside = [self.model_path.with_name(name) for name in names]
        return [self.model_path, *beside, Path(_core.contract_path(os.fspath(self.model_path)))]


def plan(runtime: Runtime, name: str, contract_id: str | None, out: str | os.PathLike[str] | None) -> Plan:
    """Return the plan for the model of ``runtime`` with the operating point ``name``.

    Raises:
        OptionError: a name that is taken or that no contract allows.
        FileError: ``file_exists``: the folder ``out`` has a model or contract of this name.
    """
    contract = runtime.info.contract
    new_id = contract_id or f"{contract.id}-{name}"
    for field, value, fix in (
        ("name", name, "choose another name"),
        ("id", new_id, "give an id of your own"),
    ):
        if not _NAME.fullmatch(value):
            raise OptionError(f"{field} is {value!r}, expected 1 to 64 of a-z 0-9 _ -; {fix}")
    if name in contract.operating_points:
        taken = ", ".join(contract.operating_points)
        raise OptionError(f"name is {name!r}, expected another than {contract.id} has: {taken}")
    if len(contract.operating_points) >= _MAX_POINTS:
        raise OptionError(
            f"{contract.id} has {_MAX_POINTS} operating points, expected room for one more; start from a "
            "contract with fewer"
        )
    if new_id == contract.id:
        raise OptionError(
            f"id is {new_id!r}, expected another than the model's: two contracts are never alike"
        )
    source = Path(runtime.info.model_path)
    model_path = Path(out if out is not None else new_id) / source.name
    made = Plan(source, contract, model_path, new_id, name)
    for path in made.files():
        if os.path.lexists(path):
            raise FileError(
                f"{path} exists already, and is not replaced; choose another folder with out",
                code="file_exists",
            )
    return made


def check_plot(path: str | os.PathLike[str]) -> None:
    """Raise OptionError unless the suffix of ``path`` is one of a picture."""
    suffix = Path(path).suffix.lower()
    if suffix not in PICTURE_SUFFIXES:
        raise OptionError(f"plot is {os.fspath(path)!r}, expected a suffix of {' '.join(PICTURE_SUFFIXES)}")


def write(plan: Plan, point: OperatingPoint, report: dict[str, Any], note: str) -> None:
    """Write model, golden file, report and, last, the contract, which makes the folder a model; or nothing.

    Raises:
        ContractError: the model file has changed meanwhile.
        FileError: a file cannot be read or written.
    """
    contract = _contract(plan, point, note)
    data = _read(plan.source)
    contract.check_model(plan.source, _core.sha256_hex(data))
    contents = [data, (json.dumps(report, indent=2, allow_nan=False) + "\n").encode(), contract.text.encode()]
    if contract.golden is not None:
        contents.insert(1, _read(plan.source.with_name(contract.golden.file)))
    with contextlib.ExitStack() as undo:
        for path, content in zip(plan.files(), contents, strict=True):
            write_atomically(path, content)
            undo.callback(path.unlink)
        undo.pop_all()


def _contract(plan: Plan, point: OperatingPoint, note: str) -> Contract:
    document = plan.contract.to_dict()
    document["id"] = plan.contract_id
    document["operating_points"][plan.name] = point.to_dict()
    document["default_operating_point"] = plan.name
    document["provenance"]["training_data"] = (
        f"{document['provenance']['training_data'].rstrip('. ')}. {note}"
    )
    return Contract.from_dict(document)


def _read(path: Path) -> bytes:
    with reading(path):
        return path.read_bytes()
