"""Export from end to end: backbone and adapter, the typed graph, the gate, and the three files."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from efiqa import _core
from efiqa._files import AtomicFile
from efiqa.contract import Contract
from efiqa.errors import EfiqaError, OptionError
from efiqa.export import adapters, backbones, document, gate, onnx_files, pictures, quantise
from efiqa.export.pictures import FloatArray
from efiqa.export.precision import DTYPES, apply_precision
from efiqa.golden import golden_path

OUTPUTS = ("logits", "features")


class ParityError(EfiqaError):
    """The graph does not compute what PyTorch computes; ``trials`` has the figures. Nothing was written."""

    default_code = "parity_failed"

    def __init__(self, message: str, trials: list[gate.Trial]) -> None:
        super().__init__(message)
        self.trials = trials


@dataclass(frozen=True)
class ExportOptions:
    """The options of ``efiqa export``; docs/export.md describes them.

    ``adapter`` is a file, or None for a random one of ``adapter_kind``; a student needs neither.
    """

    backbone: str
    size_px: int
    precision: str = "fp32"
    weights: Path | None = None
    random_weights: bool = False
    adapter: Path | None = None
    adapter_kind: str = "linear"
    pictures: Path | None = None
    operating_points: Path | None = None
    seed: int = 0


@dataclass(frozen=True)
class Exported:
    """What was written, and the gate's figures."""

    path: Path
    contract: Contract
    trials: list[gate.Trial]
    size_bytes: int


class Network(nn.Module):
    """Image (B, 3, S, S) -> logits (B, channels, h, w) and the features that the adapter reads."""

    def __init__(self, backbone: nn.Module, adapter: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.adapter = adapter

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both, float32."""
        features = self.backbone(image)
        return self.adapter(features), features


def export(
    options: ExportOptions, path: str | os.PathLike[str], *, note: Callable[[str], None] = lambda _: None
) -> Exported:
    """Write the graph to ``path``, its contract and golden sample beside it, if the graph passes the gate.

    ``note`` is called with a line about each step. Three files appear together, or none.

    Raises:
        OptionError: a size, name or combination that cannot be.
        FileError, ModelError: weights, adapter or pictures are missing or unfit.
        ParityError: the graph failed the gate.
    """
    path = Path(path)
    _check(options, path)
    torch.manual_seed(options.seed)
    points = document.read_points(options.operating_points)
    note(f"building {options.backbone}")
    backbone, adapter = _parts(options)
    spec = pictures.InputSpec(options.size_px, backbone.mean, backbone.std)
    calibration = pictures.CALIBRATION_PICTURES if options.precision == "int8" else 0
    wanted = pictures.GATE_PICTURES + calibration
    inputs = pictures.network_inputs(options.pictures, spec, wanted, options.seed)
    judged, calibrating = np.split(inputs, [pictures.GATE_PICTURES])
    network = Network(backbone.network, adapter.network).eval()
    note(f"{gate.REFERENCE} answers {len(judged)} pictures")
    reference = gate.run_network(network, judged)
    golden = document.golden_sample(spec, lambda inputs: gate.run_network(network, inputs).logits)
    apply_precision(network, options.precision, adapter.keep)
    model, trials = _graph_and_trials(network, options, judged, calibrating, reference, note)
    verdict = gate.worst(trials)
    if verdict.failures:
        raise ParityError(f"parity: {'; '.join(verdict.failures)}; {path} was not written", trials)
    onnx_files.drop_output(model, "features")
    grid = reference.logits.shape[2:]
    onnx_files.check_logits(model, backbone.answers.names, grid)
    graph = document.Graph(
        onnx_files.serialised(model),
        options.precision,
        backbone.trained and adapter.trained,
        backbone.answers,
        grid,
        verdict.figures.to_contract(reference=gate.REFERENCE, runner=verdict.runner),
    )
    contract = Contract.from_dict(
        document.make_contract(
            f"{options.backbone}-{adapter.kind}-{options.size_px}-{options.precision}",
            path.name,
            graph,
            spec,
            points,
            _provenance(options, backbone, adapter),
            golden,
        )
    )
    write_files(path, graph.data, golden, contract)
    return Exported(path, contract, trials, len(graph.data))


def _check(options: ExportOptions, path: Path) -> None:
    """Refuse what can be refused before the weights are read."""
    if path.suffix != ".onnx":
        raise OptionError(f"output is {path}, expected a name that ends in .onnx")
    if options.precision not in DTYPES:
        raise OptionError(f"precision is {options.precision!r}, expected one of {', '.join(DTYPES)}")
    if options.backbone not in backbones.NAMES:
        raise OptionError(f"backbone is {options.backbone!r}, expected one of {', '.join(backbones.NAMES)}")
    backbones.check_size(options.backbone, options.size_px, backbones.CELL_PX[options.backbone])
    if options.weights is not None and options.random_weights:
        raise OptionError("weights and random-weights exclude each other; leave one out")
    is_student = options.backbone == backbones.STUDENT
    if is_student and options.adapter is not None:
        raise OptionError("adapter is given, expected none for the student, which ends in its own layer")
    if not is_student and options.adapter is None and not options.random_weights:
        raise OptionError(
            f"adapter is missing, expected a .safetensors file for {options.backbone}; "
            "--random-weights exports the graph with random ones"
        )


def _parts(options: ExportOptions) -> tuple[backbones.Backbone, adapters.Adapter]:
    backbone = backbones.open_backbone(
        options.backbone, options.size_px, weights=options.weights, random_weights=options.random_weights
    )
    if backbone.head is not None:
        adapter = adapters.student_head(backbone.head)
    elif options.adapter is None:
        adapter = adapters.random_adapter(options.adapter_kind, backbone.channels)
    else:
        adapter = adapters.load_adapter(options.adapter, backbone.channels)
    cell_px = backbones.CELL_PX[options.backbone] * adapter.stride
    backbones.check_size(f"{options.backbone} with a {adapter.kind} adapter", options.size_px, cell_px)
    return backbone, adapter


def _graph_and_trials(
    network: Network,
    options: ExportOptions,
    judged: FloatArray,
    calibrating: FloatArray,
    reference: gate.Answers,
    note: Callable[[str], None],
) -> tuple[onnx.ModelProto, list[gate.Trial]]:
    """Return the graph of the typed ``network`` and what each runner makes of it."""
    note(f"tracing the graph in {options.precision}")
    traced = onnx_files.trace(network, options.size_px, OUTPUTS)
    if options.precision == "int8":
        return _first_that_passes(traced, calibrating, judged, reference, note)
    if options.precision == "fp32":
        limit = gate.MAX_ABS_ERROR_FP32
        return traced, [_graph_trial(traced, judged, reference, note, max_abs_error=limit)]
    # A processor computes 16-bit layers in float32, in OpenVINO too; PyTorch rounds as a GPU does.
    runner = f"PyTorch {options.precision}"
    note(f"{runner} answers {len(judged)} pictures")
    rounding = gate.judge(runner, gate.run_network(network, judged), reference)
    return traced, [_graph_trial(traced, judged, reference, note), rounding]


def _graph_trial(
    model: onnx.ModelProto,
    judged: FloatArray,
    reference: gate.Answers,
    note: Callable[[str], None],
    *,
    max_abs_error: float = float("inf"),
) -> gate.Trial:
    note(f"OpenVINO answers {len(judged)} pictures")
    runner, found = gate.run_graph(onnx_files.serialised(model), judged)
    return gate.judge(runner, found, reference, max_abs_error=max_abs_error)


def _first_that_passes(
    traced: onnx.ModelProto,
    calibrating: FloatArray,
    judged: FloatArray,
    reference: gate.Answers,
    note: Callable[[str], None],
) -> tuple[onnx.ModelProto, list[gate.Trial]]:
    """Return the first int8 graph that passes the gate, from most to fewest layers, or the last one tried."""
    for label, names in quantise.choices(traced):
        note(f"ONNX Runtime quantises {label} ({len(names)} layers) after {len(calibrating)} pictures")
        model = quantise.quantised(traced, calibrating, names)
        trial = _graph_trial(model, judged, reference, note)
        if not trial.failures:
            break
    return model, [replace(trial, runner=f"{trial.runner}, {label} in int8")]


def _provenance(
    options: ExportOptions, backbone: backbones.Backbone, adapter: adapters.Adapter
) -> dict[str, str]:
    unstated = (
        "random weights: nobody trained it" if not adapter.trained else "not stated in the adapter's file"
    )
    trained_on = adapter.notes.get("training_data", unstated)
    if options.operating_points is None:
        trained_on += ". The operating point is neutral: no label and no score chose it"
    licence = f"The backbone's licence applies ({backbone.licence}). Not a medical device."
    return {
        "backbone": backbone.id if backbone.trained else f"{backbone.id}, random weights",
        "backbone_licence": backbone.licence,
        "adapter": adapter.id,
        "training_data": trained_on,
        "licence": adapter.notes.get("licence", licence),
    }


def write_files(path: Path, graph: bytes, golden: bytes, contract: Contract) -> None:
    """Write the graph to ``path``, golden sample and contract beside it.

    All three have temporary names first: a disk that fills up leaves none of them.
    """
    with ExitStack() as stack:
        for target, data in (
            (path, graph),
            (golden_path(path), golden),
            (Path(_core.contract_path(os.fspath(path))), contract.text.encode()),
        ):
            stack.enter_context(AtomicFile(target)).write(data)
