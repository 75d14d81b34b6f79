"""Does a model compute on this machine what its original does? Each check, or why it cannot run here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from efiqa import _core
from efiqa._files import reading
from efiqa.contract import Contract
from efiqa.errors import BackendError, EfiqaError
from efiqa.golden import Golden, read_golden
from efiqa.parity import ParityFigures, compare
from efiqa.trust import PublicKey, verify_signature


@dataclass(frozen=True)
class Finding:
    """One check: ``state`` is ``passed``, ``failed``, or ``not run`` with the reason in ``detail``."""

    check: str
    state: str
    detail: str


def verify(model: str | os.PathLike[str], *, trusted_keys: Sequence[PublicKey] = ()) -> list[Finding]:
    """Return the findings about the model, in order; what goes wrong is a finding, never an exception.

    contract: it is there and valid. signature (only with ``trusted_keys``): one of them signed the contract;
    where signatures cannot be checked this has failed too, for it was asked for. model: the file is the one
    that the contract describes. record: what the contract says about parity. target: a plan's TensorRT and
    devices are those of this machine. golden: the golden file is whole. gate: its logits, computed here by
    efiqa's own engine, keep to the limits.
    """
    path = Path(model)
    try:
        contract = Contract.of_model(path)
    except EfiqaError as error:
        return [Finding("contract", "failed", _text(error))]
    return [
        Finding("contract", "passed", f"{contract.id}, version {_core.CONTRACT_VERSION}"),
        *([_signature_finding(path, contract, trusted_keys)] if trusted_keys else []),
        *_of_files(path, contract),
    ]


def _of_files(path: Path, contract: Contract) -> Iterator[Finding]:
    document = contract.to_dict()
    whole = _model_finding(path, contract)
    yield whole
    yield _record_finding(document["parity"])
    target = _target_finding(document["plan"], path) if contract.is_plan else None
    if target is not None:
        yield target
    golden: Golden | None = None
    if contract.golden is None:
        reason = "the contract names no golden file; efiqa export writes one"
        yield Finding("golden", "not run", reason)
    else:
        try:
            golden = read_golden(path, contract)
            yield Finding("golden", "passed", f"{contract.golden.file}, {len(golden.inputs)} pictures")
        except EfiqaError as error:
            yield Finding("golden", "failed", _text(error))
    if whole.state != "passed":
        yield Finding("gate", "not run", "the model is not the one that the contract describes")
    elif golden is None:
        yield Finding("gate", "not run", "there is no golden file to run it with")
    elif target is not None and target.state != "passed":
        yield Finding("gate", "not run", "the plan cannot run here, see target")
    else:
        yield _gate_finding(path, golden)


def _signature_finding(path: Path, contract: Contract, trusted_keys: Sequence[PublicKey]) -> Finding:
    try:
        return Finding("signature", "passed", f"by the key {verify_signature(path, contract, trusted_keys)}")
    except EfiqaError as error:
        return Finding("signature", "failed", _text(error))


def _model_finding(path: Path, contract: Contract) -> Finding:
    from efiqa.build.cache import file_sha256

    try:
        with reading(path):
            size = path.stat().st_size
            found = file_sha256(path)
        contract.check_model(path, found)
    except EfiqaError as error:
        return Finding("model", "failed", _text(error))
    return Finding("model", "passed", f"{size / 2**20:.2f} MiB, SHA-256 as in the contract")


def _record_finding(parity: dict[str, Any]) -> Finding:
    if parity["status"] == "not_run":
        return Finding("record", "not run", f"parity was not measured: {parity['reason']}")
    figures = ParityFigures(*(parity[field.name] for field in fields(ParityFigures)))
    who = f"{parity['runner']} against {parity['reference']}"
    return Finding("record", "passed", f"{who}: {_figures(figures)}")


def _target_finding(plan: dict[str, Any], path: Path) -> Finding:
    """Return whether the plan's TensorRT and devices are those of this machine."""
    from efiqa.build import device
    from efiqa.build.provider import NAMES

    built_with = f"{NAMES[plan['flavour']]} {plan['version']}"
    again = f"build it again here: efiqa build MODEL.onnx -o {path.name} --force"
    backend = next((row for row in _core.backends() if row["name"] == "tensorrt"), None)
    if backend is None or not backend["built_in"]:
        return Finding("target", "not run", f"built with {built_with}; this efiqa is built without TensorRT")
    if not _same_library(plan, str(backend["version"])):
        detail = f"built with {built_with}, this efiqa runs TensorRT {backend['version']}; {again}"
        return Finding("target", "failed", detail)
    gpu = device.compute_capability()
    targets = ", ".join(plan["compute_capabilities"])
    if not gpu:
        return Finding("target", "not run", f"built for compute capability {targets}; there is no GPU here")
    if not device.fits(gpu, plan["compute_capabilities"]):
        detail = f"built for compute capability {targets}, the GPU here has {gpu}; {again}"
        return Finding("target", "failed", detail)
    return Finding("target", "passed", f"{built_with}, compute capability {targets}, the GPU here has {gpu}")


def _same_library(plan: dict[str, Any], library: str) -> bool:
    """Return whether the core's TensorRT, for example ``10.13.3`` or ``RTX 1.7.1``, built the plan."""
    flavour = "tensorrt_rtx" if library.startswith("RTX ") else "tensorrt"
    version = library.removeprefix("RTX ")
    return bool(plan["flavour"] == flavour and f"{plan['version']}.".startswith(f"{version}."))


def _gate_finding(path: Path, golden: Golden) -> Finding:
    from efiqa.runtime import Runtime

    try:
        with Runtime(path, allow_untrained=True) as runtime:
            figures = compare(golden.logits, runtime.run_network(golden.inputs))
            engine = runtime.info.engine
    except BackendError as error:
        return Finding("gate", "not run", _text(error))
    except EfiqaError as error:
        return Finding("gate", "failed", _text(error))
    if broken := figures.failures():
        return Finding("gate", "failed", f"{engine}: {'; '.join(broken)}")
    return Finding("gate", "passed", f"{engine}: {_figures(figures)}")


def _figures(figures: ParityFigures) -> str:
    return (
        f"{figures.pictures} pictures, cosine {figures.cosine:.6f}, "
        f"patch cosine p1 {figures.patch_cosine_p1:.6f}, "
        f"relative Frobenius {figures.relative_frobenius:.2e}, largest error {figures.max_abs_error:.2e}"
    )


def _text(error: EfiqaError) -> str:
    return f"{error} [{error.code}]"
