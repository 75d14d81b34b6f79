"""``efiqa build``: a TensorRT plan from an ONNX model, with its contract and golden file beside it."""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from efiqa.cli import output
from efiqa.cli.assess import positive_integer

if TYPE_CHECKING:
    from efiqa.build import BuildReport

_PROVIDERS = ("auto", "tensorrt", "tensorrt_rtx")
_MAX_OPTIMIZATION_LEVEL = 5


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this sub-command to ``commands``."""
    parser = commands.add_parser(
        "build",
        help="build a TensorRT plan from an ONNX model",
        description="Build a TensorRT plan from an ONNX model. The precision is the model's. Writes PLAN, "
        "PLAN.json (its contract) and PLAN.golden.safetensors. With TensorRT-RTX this needs no GPU.",
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help="an .onnx model, its contract beside it")
    parser.add_argument("-o", "--output", metavar="PLAN", type=Path, required=True, help="NAME.plan")
    parser.add_argument(
        "--provider",
        choices=_PROVIDERS,
        default="auto",
        help="default: the TensorRT that is installed",
    )
    parser.add_argument(
        "--compute-capability",
        metavar="X.Y",
        type=_compute_capability,
        action="append",
        default=[],
        help="of a target device, for example 8.9; may be repeated; TensorRT-RTX only",
    )
    parser.add_argument("--workspace-mib", metavar="N", type=positive_integer, help="limit of scratch memory")
    parser.add_argument(
        "--optimization-level",
        metavar="N",
        type=int,
        choices=range(_MAX_OPTIMIZATION_LEVEL + 1),
        help="0 (quick build) to 5 (quick plan); default: TensorRT's",
    )
    parser.add_argument(
        "--timing-cache", metavar="FILE", type=Path, help="read and written; TensorRT only, not TensorRT-RTX"
    )
    parser.add_argument("--no-cache", action="store_true", help="neither use nor keep plans in the cache")
    parser.add_argument("--force", action="store_true", help="replace PLAN when it exists")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.set_defaults(run=run)


def _compute_capability(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,2}\.[0-9]", text):
        raise argparse.ArgumentTypeError(f"is {text!r}, expected a compute capability such as 8.7")
    return text


def run(arguments: argparse.Namespace) -> int:
    """Return 0 when the plan is written."""
    from efiqa.build import BuildOptions, build_plan

    options = BuildOptions(
        compute_capabilities=tuple(dict.fromkeys(arguments.compute_capability)),
        workspace_mib=arguments.workspace_mib,
        optimization_level=arguments.optimization_level,
        timing_cache=arguments.timing_cache,
    )
    with _progress_bar() as on_progress:
        report = build_plan(
            arguments.model,
            arguments.output,
            provider=arguments.provider,
            options=options,
            use_cache=not arguments.no_cache,
            force=arguments.force,
            on_progress=on_progress,
        )
    facts = facts_of(report)
    if arguments.json:
        print(json.dumps(facts, allow_nan=False))
    else:
        _print_report(report)
    return 0


def facts_of(report: BuildReport) -> dict[str, Any]:
    """Return the JSON object of a finished build."""
    document = report.contract.to_dict()
    plan = document["plan"]
    return {
        "plan": str(report.plan),
        "provider": report.provider,
        "precision": document["model"]["precision"],
        "compute_capabilities": plan["compute_capabilities"],
        "workspace_mib": plan["workspace_mib"],
        "optimization_level": plan["optimization_level"],
        "network": asdict(report.network),
        "size_bytes": report.size_bytes,
        "build_seconds": round(report.build_seconds, 3),
        "cached": report.cached,
        "golden_made": report.golden_made,
        "parity": document["parity"],
    }


def _print_report(report: BuildReport) -> None:
    document = report.contract.to_dict()
    plan, parity = document["plan"], document["parity"]
    golden = document["golden"]["file"]
    passed = parity["status"] == "passed"
    figures = f"passed, cosine {parity['cosine']:.6f}" if passed else f"not run: {parity['reason']}"
    options = f"workspace {plan['workspace_mib']} MiB, optimisation level {plan['optimization_level']}"
    rows = [
        ("provider", report.provider),
        ("target", "compute capability " + ", ".join(plan["compute_capabilities"])),
        ("precision", document["model"]["precision"]),
        ("network", f"{report.network.layers} layers"),
        *(("input", str(tensor)) for tensor in report.network.inputs),
        *(("output", str(tensor)) for tensor in report.network.outputs),
        ("options", options),
        ("size", f"{report.size_bytes / 2**20:.1f} MiB"),
        ("time", "from the cache" if report.cached else f"{report.build_seconds:.1f} s"),
        ("parity", figures),
        ("golden file", golden + (" (drawn pictures: the model has none)" if report.golden_made else "")),
    ]
    output.print_table(("", str(report.plan)), rows)


@contextlib.contextmanager
def _progress_bar() -> Iterator[Callable[[float, str], None] | None]:
    """Yield what shows a share and a phase on standard error when that is a terminal, otherwise None."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    layout = (BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    console = Console(stderr=True)
    bar = Progress(*layout, console=console, transient=True, redirect_stdout=False, redirect_stderr=False)
    with bar:
        task = bar.add_task("read the model", total=1.0)

        def show(share: float, phase: str) -> None:
            bar.update(task, completed=share, description=phase)

        yield show
