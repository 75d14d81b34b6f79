"""``engine.plan`` from ``model.onnx``: build or find it, check it on a GPU, write it with its contract."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from efiqa import _core
from efiqa._files import reading
from efiqa.build import device
from efiqa.build.builder import Builder, BuildOptions, NetworkFacts, Tensor
from efiqa.build.cache import PlanCache, cache_key, default_folder, file_sha256
from efiqa.build.monitor import OnProgress
from efiqa.build.provider import Provider, load_provider
from efiqa.build.staging import staging
from efiqa.contract import Contract
from efiqa.errors import BackendError, BuildError, FileError, ModelError
from efiqa.golden import Golden, golden_path, make_golden, read_golden
from efiqa.parity import compare

PLAN_SUFFIXES = (".plan", ".engine")
# What TensorRT-RTX builds for when it is told nothing: Ampere and all later ones.
RTX_DEFAULT_CAPABILITY = "8.0+"


@dataclass(frozen=True)
class BuildReport:
    """What was written, and how it came about."""

    plan: Path
    contract: Contract
    provider: str  # "TensorRT-RTX 1.7.1.116"
    network: NetworkFacts
    size_bytes: int
    build_seconds: (
        float  # that the build took, also when it was an earlier one and the plan is from the cache
    )
    cached: bool
    golden_made: bool  # drawn here, because the ONNX model has no golden file


def build_plan(
    model: Path,
    output: Path,
    *,
    provider: str = "auto",
    options: BuildOptions | None = None,
    cache_folder: Path | None = None,
    use_cache: bool = True,
    force: bool = False,
    on_progress: OnProgress | None = None,
) -> BuildReport:
    """Return how ``output`` was made from the ONNX file ``model``, with contract and golden file beside it.

    Args:
        model: with its contract beside it.
        output: NAME.plan or NAME.engine.
        provider: ``auto``, ``tensorrt`` or ``tensorrt_rtx``.
        options: by default TensorRT's own.
        cache_folder: by default the user's, see ``efiqa.build.cache``.
        use_cache: look for the plan there, and keep it there.
        force: replace an ``output`` that exists.
        on_progress: called from the building thread with the share done, 0..1, and TensorRT's phase.

    Raises:
        EfiqaError: model, contract, golden file, options or TensorRT do not fit, each by name.
        BuildError: TensorRT gave no plan, or the plan does not compute what the original does.
        KeyboardInterrupt: it was interrupted; nothing is written.
    """
    options = options or BuildOptions()
    _check_output(output, force=force)
    data, contract = _read_model(model)
    trt = load_provider(provider)
    gpu = device.compute_capability()
    if trt.flavour == "tensorrt" and not gpu:
        raise BackendError(
            f"{trt.name} builds on a machine with an NVIDIA GPU alone, and this one has none that the driver "
            "shows; --provider tensorrt_rtx builds on any"
        )
    builder = Builder(trt, options)  # refuses options that do not fit, also when the plan is in the cache
    facts = {
        "onnx_sha256": contract.model_sha256,
        "flavour": trt.flavour,
        "version": trt.version,
        "compute_capabilities": _targets(trt, options, gpu),
        "workspace_mib": builder.workspace_mib,
        "optimization_level": builder.optimization_level,
    }
    golden_made = contract.golden is None
    golden = make_golden(model) if golden_made else read_golden(model, contract)
    cache = PlanCache(cache_folder or default_folder()) if use_cache else None
    cached = cache.find(cache_key(facts)) if cache else None
    if cached is None:
        network = builder.parse(data, model)
        check_network(network, contract, model)
        built = builder.build(network, on_progress)
    else:
        built = cached

    with staging(output) as staged:
        staged.take(built.plan)
        sha256 = file_sha256(staged.plan)
        size_bytes = staged.plan.stat().st_size
        entry = golden.write(golden_path(staged.plan))
        document = contract.to_dict()
        document["model"].update(file=output.name, sha256=sha256, format="tensorrt_plan")
        document["golden"] = {"file": entry.file, "sha256": entry.sha256}
        document["plan"] = facts
        reference = _reference(document["parity"], golden_made=golden_made)
        document["parity"] = _gate(staged.plan, document, golden, gpu, reference=reference, runner=trt.name)
        written = Contract.from_dict(document)
        if cache is not None and cached is None:
            cache.store(cache_key(facts), staged.plan, sha256, built)
        staged.publish(written)
    return BuildReport(
        plan=output,
        contract=written,
        provider=trt.name,
        network=built.network,
        size_bytes=size_bytes,
        build_seconds=built.seconds,
        cached=cached is not None,
        golden_made=golden_made,
    )


def check_network(network: NetworkFacts, contract: Contract, path: Path) -> None:
    """Raise ModelError unless the network's input and output are those of the contract."""
    document = contract.to_dict()
    given, answered = document["input"], document["output"]
    wanted = (
        Tensor(given["name"], "FLOAT", (1, 3, given["height_px"], given["width_px"])),
        Tensor(answered["name"], "FLOAT", (1, len(contract.channels), answered["height"], answered["width"])),
    )
    for what, tensors, tensor in (
        ("input", network.inputs, wanted[0]),
        ("output", network.outputs, wanted[1]),
    ):
        if tensors != (tensor,):
            found = ", ".join(map(str, tensors)) or "nothing"
            raise ModelError(
                f"{path} has as {what} {found}, its contract says {tensor}; export the model again"
            )


def _check_output(output: Path, *, force: bool) -> None:
    if output.suffix.lower() not in PLAN_SUFFIXES:
        suffixes = " or ".join(PLAN_SUFFIXES)
        raise FileError(
            f"output is {output}, expected a name that ends in {suffixes}", code="file_unwritable"
        )
    if not output.parent.is_dir():
        raise FileError(
            f"{output.parent} is not a folder, and {output.name} was to go there", code="file_unwritable"
        )
    if output.is_dir():
        raise FileError(f"{output} is a folder, expected the name of a file", code="file_unwritable")
    if output.exists() and not force:
        raise FileError(f"{output} exists; --force replaces it", code="file_exists")


def _read_model(model: Path) -> tuple[bytes, Contract]:
    with reading(f"model {model}", kind=ModelError, code="model_missing"):
        data = model.read_bytes()
    contract = Contract.of_model(model)
    if contract.is_plan:
        raise ModelError(
            f"{model} is a TensorRT plan by its contract, expected the .onnx model that it came from"
        )
    contract.check_model(model, _core.sha256_hex(data))
    return data, contract


def _targets(trt: Provider, options: BuildOptions, gpu: str) -> list[str]:
    if options.compute_capabilities:
        return list(options.compute_capabilities)
    return [RTX_DEFAULT_CAPABILITY if trt.flavour == "tensorrt_rtx" else gpu]


def _reference(parity: dict[str, Any], *, golden_made: bool) -> str:
    """Return whose logits the golden file holds; ``parity`` is the ONNX contract's."""
    if golden_made:
        return "the ONNX model in OpenVINO fp32"
    return str(parity.get("reference", "golden logits of the ONNX model"))


def _gate(
    plan: Path, document: dict[str, Any], golden: Golden, gpu: str, *, reference: str, runner: str
) -> dict[str, Any]:
    """Return the contract's ``parity`` of the staged ``plan``, measured where it can run.

    Raises:
        BuildError: the figures break a limit.
    """
    if reason := _why_not_run(document["plan"]["compute_capabilities"], gpu):
        return {"status": "not_run", "reason": reason}
    from efiqa.runtime import Runtime

    staged = Contract.from_dict({**document, "parity": {"status": "not_run", "reason": "under way"}})
    staged.write(_core.contract_path(str(plan)))
    try:
        with Runtime(plan, backend="tensorrt", allow_untrained=True) as runtime:
            figures = compare(golden.logits, runtime.run_network(golden.inputs))
    except ModelError as error:
        raise BuildError(f"the plan does not open: {error}") from None
    if broken := figures.failures():
        raise BuildError(
            f"the plan does not compute what {reference} does, so it is not written: {'; '.join(broken)}; "
            "export in another precision, or use another version of TensorRT",
            code="parity_failed",
        )
    return figures.to_contract(reference=reference, runner=runner)


def _why_not_run(targets: list[str], gpu: str) -> str:
    """Return why a plan for ``targets`` cannot be run here; empty when it can."""
    if not gpu:
        return "no GPU"
    if not any(row["name"] == "tensorrt" and row["built_in"] for row in _core.backends()):
        return "this efiqa is built without TensorRT"
    if not device.fits(gpu, targets):
        return f"built for compute capability {', '.join(targets)}, the GPU here has {gpu}"
    return ""
