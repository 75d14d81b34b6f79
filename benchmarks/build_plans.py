"""Measure ``efiqa build``: seconds, peak memory and size of the plan of each ONNX model named.

``python -m benchmarks.build_plans MODEL.onnx... [--provider tensorrt_rtx]``

Each model is built in a process of its own, without the cache, and its plan is removed at once: that of a
ViT-L in fp32 has 1.2 GB. Writes benchmarks/results/build_plans.json; models of a later run are added.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from efiqa._files import write_atomically
from efiqa.contract import Contract

RESULT = Path(__file__).parent / "results" / "build_plans.json"
COMMAND = "import sys; from efiqa.cli import main; sys.exit(main())"


def measure(model: Path, provider: str) -> dict[str, Any]:
    """Return what one build of ``model`` took and gave; raises when it fails."""
    document = Contract.of_model(model).to_dict()
    with tempfile.TemporaryDirectory(prefix="efiqa-build-") as folder:
        arguments = ["build", str(model), "-o", f"{folder}/engine.plan", "--provider", provider]
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments, "--no-cache", "--json"], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"efiqa build {model} ended with {process.returncode}")
        facts = json.loads(text)
    return {
        "backbone": document["provenance"]["backbone"],
        "precision": facts["precision"],
        "input_px": document["input"]["width_px"],
        "layers": facts["network"]["layers"],
        "onnx_bytes": model.stat().st_size,
        "plan_bytes": facts["size_bytes"],
        "build_seconds": facts["build_seconds"],
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "command_seconds": round(time.monotonic() - started, 1),
        "peak_rss_bytes": usage.ru_maxrss * 1024,
        "provider": facts["provider"],
        "compute_capabilities": facts["compute_capabilities"],
    }


def main(argv: list[str] | None = None) -> int:
    """Measure, print and store; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.onnx")
    parser.add_argument("--provider", choices=("auto", "tensorrt", "tensorrt_rtx"), default="auto")
    arguments = parser.parse_args(argv)
    before = json.loads(RESULT.read_text(encoding="utf-8"))["plans"] if RESULT.is_file() else []
    plans = {(row["backbone"], row["precision"], row["input_px"]): row for row in before}
    for model in arguments.models:
        row = measure(model, arguments.provider)
        plans[row["backbone"], row["precision"], row["input_px"]] = row
        print(json.dumps(row), flush=True)
        result = {"machine": describe(), "load_average": os.getloadavg()[0], "plans": list(plans.values())}
        write_atomically(RESULT, (json.dumps(result, indent=2) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
