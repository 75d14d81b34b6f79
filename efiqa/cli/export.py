"""``efiqa export``: one ONNX graph of a backbone and its adapter, judged before it is written."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from efiqa.cli import output
from efiqa.errors import FileError

if TYPE_CHECKING:
    from efiqa.export.gate import Trial

# Said here as well, because --help must work without PyTorch; a test holds them equal to the export's own.
PRECISIONS = ("fp32", "bf16", "fp16", "int8")
ADAPTER_KINDS = ("linear", "dense")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this sub-command to ``commands``."""
    parser = commands.add_parser(
        "export",
        help="write a backbone with its adapter as one ONNX graph with its contract",
        description="Write a frozen backbone with its quality adapter as one ONNX graph, its contract and a "
        "golden sample beside it, if the graph computes what PyTorch computes. Needs the extra [train].",
    )
    parser.add_argument("-o", "--output", metavar="MODEL.onnx", type=Path, required=True)
    parser.add_argument(
        "--backbone", metavar="NAME", required=True, help="vit_small_patch16_dinov3, ..., student"
    )
    parser.add_argument("--size", metavar="PX", type=int, required=True, help="side of the square input")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="default: fp32")
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument(
        "--weights", metavar="FILE", type=Path, help="of the backbone; by default the hub's download"
    )
    weights.add_argument("--random-weights", action="store_true", help="for latency work: an untrained graph")
    parser.add_argument(
        "--adapter", metavar="FILE", type=Path, help="safetensors; its keys say linear or dense"
    )
    parser.add_argument(
        "--adapter-kind", choices=ADAPTER_KINDS, default="linear", help="of a random one; default: linear"
    )
    parser.add_argument(
        "--pictures",
        metavar="FOLDER",
        type=Path,
        help="to judge and calibrate on; default: one photograph's views",
    )
    parser.add_argument(
        "--operating-points", metavar="JSON", type=Path, help="limits of the verdicts; default: neutral ones"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of random weights and pictures")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Return 0 when the graph is written; a graph that fails the gate is shown and not written."""
    try:
        from efiqa.export.pipeline import ExportOptions, ParityError, export
    except ImportError as error:
        raise FileError(
            f"export needs the extra [train], which is not installed ({error}); pip install 'efiqa[train]'",
            code="export_unavailable",
        ) from None
    options = ExportOptions(
        backbone=arguments.backbone,
        size_px=arguments.size,
        precision=arguments.precision,
        weights=arguments.weights,
        random_weights=arguments.random_weights,
        adapter=arguments.adapter,
        adapter_kind=arguments.adapter_kind,
        pictures=arguments.pictures,
        operating_points=arguments.operating_points,
        seed=arguments.seed,
    )
    start = time.monotonic()
    try:
        done = export(options, arguments.output, note=_note)
    except ParityError as error:
        _print_trials(error.trials)
        raise
    _print_trials(done.trials)
    trained = "" if done.contract.trained else ", untrained"
    seconds = time.monotonic() - start
    print(f"{done.path}: {done.contract.id}{trained}, {done.size_bytes / 1e6:.1f} MB, {seconds:.0f} s")
    return 0


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _print_trials(trials: list[Trial]) -> None:
    columns = (
        "against PyTorch fp32",
        "pictures",
        "cosine",
        "patch cosine, p1",
        "relative Frobenius",
        "max error",
        "",
    )
    rows = [
        (
            trial.runner,
            str(trial.figures.pictures),
            f"{trial.figures.cosine:.6f}",
            f"{trial.figures.patch_cosine_p1:.6f}",
            f"{trial.figures.relative_frobenius:.2e}",
            f"{trial.figures.max_abs_error:.2e}",
            "failed" if trial.failures else "passed",
        )
        for trial in trials
    ]
    output.print_table(columns, rows)
