"""``efiqa info``: the model's contract, the back ends, the versions and the processor."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

from efiqa.cli import output
from efiqa.errors import EfiqaError

_LIBRARIES = ("numpy", "openvino", "opencv-python-headless", "opencv-python")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this sub-command to ``commands``."""
    parser = commands.add_parser("info", help="show the model's contract, back ends, versions and processor")
    parser.add_argument(
        "model", nargs="?", metavar="MODEL", help="an .onnx model; by default the embedded one"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Return 0, or 1 when the model cannot be opened; everything else is shown all the same."""
    facts = collect(arguments.model)
    if arguments.json:
        print(json.dumps(facts, allow_nan=False))
    else:
        _print_facts(facts)
    return 1 if "error" in facts["model"] else 0


def collect(model: str | None) -> dict[str, Any]:
    """Return what ``efiqa info`` knows, ready for JSON."""
    from efiqa import _core
    from efiqa.build.provider import installed

    return {
        "efiqa": _core.__version__,
        "contract_version": _core.CONTRACT_VERSION,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": processor_name(),
        "cores_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "libraries": {name: found for name in _LIBRARIES if (found := version_of(name))},
        "backends": _core.backends(),
        "signatures": _core.signature_support(),
        "builders": [{"flavour": flavour, "version": version} for flavour, version in installed()],
        "model": _model_facts(model),
    }


def version_of(distribution: str) -> str:
    """Return the installed version of ``distribution`` without importing it; empty when it is not there."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def processor_name() -> str:
    """Return the processor's name as the operating system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names else platform.processor() or platform.machine()


def _model_facts(model: str | None) -> dict[str, Any]:
    from efiqa.runtime import Runtime

    try:
        with Runtime(model, allow_untrained=True) as runtime:
            info = runtime.info
    except EfiqaError as error:
        return {"path": model or "embedded", "error": {"code": error.code, "message": str(error)}}
    return {
        "path": info.model_path,
        "engine": info.engine,
        "threads": info.threads,
        "contract": info.contract.to_dict(),
    }


def _print_facts(facts: dict[str, Any]) -> None:
    machine = [(name, str(facts[name])) for name in ("efiqa", "python", "platform", "cpu", "cores_usable")]
    output.print_table(("", "installation"), [*machine, *facts["libraries"].items()])
    rows = [
        (row["name"], "yes" if row["built_in"] else "no", str(row["version"])) for row in facts["backends"]
    ]
    signatures = facts["signatures"]
    rows.append(("signed models", "yes" if signatures["built_in"] else "no", str(signatures["version"])))
    output.print_table(("back end", "built in", "version"), rows)
    builders = [(row["flavour"], row["version"]) for row in facts["builders"]] or [("none", "")]
    output.print_table(("builder of plans", "version"), builders)
    model = facts["model"]
    if "error" in model:
        print(f"model {model['path']}: {model['error']['message']} [{model['error']['code']}]")
        return
    opened = [("path", model["path"]), ("engine", model["engine"]), *_flat(model["contract"])]
    output.print_table(("", "model"), opened)


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return the leaves of nested dicts as (dotted name, text)."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, _text(value)))
    return rows


def _text(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return value if isinstance(value, str) else json.dumps(value)
