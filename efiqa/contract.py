"""The model contract: the JSON sidecar that says everything a runtime must not guess about a model."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from efiqa import _core
from efiqa._files import reading, write_atomically
from efiqa.errors import ContractError, core_errors


@dataclass(frozen=True)
class ZoneWeights:
    """How much a visible area counts in the score, 0.01..1, by its distance from the middle of the field.

    With the radius of the field as 1 (half the side of the square around it): centre up to 0.4, where the
    macula of a centred photograph lies, middle up to 0.8, with its disc and arcades, and the periphery.
    """

    center: float
    middle: float
    periphery: float


@dataclass(frozen=True)
class OperatingPoint:
    """Least scores, 0..1, of the verdicts ``good`` and ``usable``; below is ``reject``.

    ``zone_weights``: of the score; None where every visible area counts the same. ``macula_margin`` and
    ``optic_disc_margin``, 0..1: the score is at most so much above the share of the macula, and of the disc
    and what is around it, that can be seen, 1 where that does not count; each needs a model that tells where
    that is.
    """

    good_min_score: float
    usable_min_score: float
    zone_weights: ZoneWeights | None = None
    macula_margin: float = 1.0
    optic_disc_margin: float = 1.0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> OperatingPoint:
        """Return the point that a contract's document holds as ``values``."""
        zones = values.get("zone_weights")
        limits = (values["good_min_score"], values["usable_min_score"])
        margins = {name: values[name] for name in MARGINS if name in values}
        return cls(*limits, None if zones is None else ZoneWeights(**zones), **margins)

    def to_dict(self) -> dict[str, Any]:
        """Return the point as a contract's document holds it; what changes no score is left out."""
        held = asdict(self)
        if self.zone_weights is None:
            del held["zone_weights"]
        for name in MARGINS:
            if held[name] == 1:
                del held[name]
        return held


MARGINS = ("macula_margin", "optic_disc_margin")


@dataclass(frozen=True)
class GoldenFile:
    """Name, beside the contract, and SHA-256 of the file that shows whether a device computes the same."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Contract:
    """A complete, valid contract; every way to make one validates it in the core, where the rules are.

    ``text`` is the JSON document as it stands in the file; ``origin`` says in messages where it came from.

    Raises:
        ContractError: names the field, its value, the rule it breaks and the fix.
    """

    text: str
    origin: str = field(default="contract", compare=False, repr=False)

    def __post_init__(self) -> None:
        with core_errors():
            _core.validate_contract(self.text, self.origin)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Contract:
        """Return the contract with the fields of ``values``.

        Raises:
            ContractError: a field is missing, unknown or ill-typed, or a value has no JSON form (NaN).
        """
        try:
            text = json.dumps(dict(values), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        except (TypeError, ValueError) as error:
            raise ContractError(f"contract has a value that JSON cannot hold: {error}") from None
        return cls(text)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Contract:
        """Return the contract in the file ``path``.

        Raises:
            ContractError: ``contract_missing`` when there is no such file, ``contract_unreadable`` when it
                cannot be read as UTF-8 text, ``contract_invalid`` when its content breaks a rule.
        """
        path = Path(path)
        with reading(path, kind=ContractError, code="contract_unreadable"):
            try:
                text = path.read_bytes().decode("utf-8")
            except FileNotFoundError:
                raise ContractError(
                    f"{path} is missing: a model is opened only with its contract beside it; "
                    "copy NAME.onnx.json from where NAME.onnx came from",
                    code="contract_missing",
                ) from None
            except UnicodeDecodeError as error:
                raise ContractError(
                    f"{path} is not UTF-8 text (byte {error.start}); copy it again",
                    code="contract_unreadable",
                ) from None
        return cls(text, origin=str(path))

    @classmethod
    def of_model(cls, model_path: str | os.PathLike[str]) -> Contract:
        """Return the contract that belongs to ``model_path``: ``NAME.onnx`` -> ``NAME.onnx.json``."""
        return cls.read(_core.contract_path(os.fspath(model_path)))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the document to ``path`` by way of a temporary file, so that it is never half-written."""
        write_atomically(path, self.text.encode("utf-8"))

    def to_dict(self) -> dict[str, Any]:
        """Return a fresh copy of the document as nested dicts and lists."""
        document: dict[str, Any] = json.loads(self.text)
        return document

    def check_model(self, path: str | os.PathLike[str], sha256: str) -> None:
        """Raise ContractError unless ``sha256`` of the model file ``path`` is what this contract says."""
        if sha256 == self.model_sha256:
            return
        again = (
            "build the plan again with efiqa build"
            if self.is_plan
            else "export the model again with efiqa export"
        )
        raise ContractError(
            f"{path} has the SHA-256 {sha256}, its contract expects {self.model_sha256}; the contract is of "
            f"another model, or the file is damaged: copy both again, or {again}"
        )

    @property
    def id(self) -> str:
        """Name of this contract, for example ``efiqa-lite0-384-v1``."""
        return str(self.to_dict()["id"])

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the model file, 64 lower-case hexadecimal digits."""
        return str(self.to_dict()["model"]["sha256"])

    @property
    def channels(self) -> tuple[str, ...]:
        """What the channels of the model's output mean, in their order; the first is the map's."""
        return tuple(self.to_dict()["output"]["channels"])

    @property
    def is_plan(self) -> bool:
        """True for a TensorRT plan, false for an ONNX model."""
        return bool(self.to_dict()["model"]["format"] == "tensorrt_plan")

    @property
    def golden(self) -> GoldenFile | None:
        """The golden inputs and logits beside the model; None where an ONNX model has none."""
        golden = self.to_dict()["golden"]
        return None if golden is None else GoldenFile(**golden)

    @property
    def trained(self) -> bool:
        """False for a model with random weights, which a Runtime refuses unless it is told otherwise."""
        return bool(self.to_dict()["model"]["trained"])

    @property
    def operating_points(self) -> Mapping[str, OperatingPoint]:
        """The named operating points, read-only."""
        return MappingProxyType(
            {
                name: OperatingPoint.from_dict(limits)
                for name, limits in self.to_dict()["operating_points"].items()
            }
        )

    @property
    def default_operating_point(self) -> str:
        """Name of the operating point that is used when none is asked for."""
        return str(self.to_dict()["default_operating_point"])
