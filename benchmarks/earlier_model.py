"""What a model costs beside an earlier one: writes benchmarks/results/earlier_model.json.

``python -m benchmarks.earlier_model [--model M.onnx] [--earlier E.onnx] [--runs 200] [--out FILE]``

The frame is that of benchmarks.latency. Both models assess it and draw its overlay in turn, round after
round, in one process; which goes first changes with every round.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.latency import SETTLE_S, WARM_UP, ByteArray, camera_frame, summary
from benchmarks.markdown import Results, origin, table
from efiqa import Runtime
from efiqa.errors import EfiqaError

EARLIER = machine.ROOT / "training" / "weights" / "efiqa-lite0-384-v1.onnx"


def timed_ms(runtime: Runtime, frame: ByteArray) -> float:
    """Return the milliseconds that one assessment with its overlay takes."""
    time.sleep(SETTLE_S)
    began = time.perf_counter()
    runtime.assess(frame).overlay()
    return (time.perf_counter() - began) * 1e3


def measure(now: Runtime, earlier: Runtime, frame: ByteArray, runs: int) -> dict[str, Any]:
    """Return both models' times over ``runs`` rounds, and the median of the rounds' ratios."""
    rows: list[tuple[float, float]] = []
    for index in range(WARM_UP + runs):
        if index % 2:
            second, first = timed_ms(earlier, frame), timed_ms(now, frame)
        else:
            first, second = timed_ms(now, frame), timed_ms(earlier, frame)
        if index >= WARM_UP:
            rows.append((first, second))
    ours, theirs = zip(*rows, strict=True)
    return {
        "times_ms": {"model": summary(ours), "earlier": summary(theirs)},
        "ratio": statistics.median(first / second for first, second in rows),
    }


def earlier_model(results: Results) -> str:
    """Return the table of both models' times."""
    rows = []
    for threads, each in results["threads"].items():
        ours, theirs = each["times_ms"]["model"], each["times_ms"]["earlier"]
        rows.append(
            [
                f"{threads} thread{'s' if threads != '1' else ''}",
                *(f"{side['p50']:.1f} / {side['p99']:.1f}" for side in (ours, theirs)),
                f"{each['ratio']:.3f}",
            ]
        )
    header = ["p50 / p99, ms", results["model"]["id"], results["earlier"]["id"], "ratio of a round, median"]
    return table(header, rows) + origin(results)


def _identity(runtime: Runtime) -> dict[str, str]:
    return {"id": runtime.info.model_id, "sha256": runtime.info.model_sha256}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.earlier_model", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--model", type=Path, help="ONNX model with its contract; default: the embedded one")
    parser.add_argument("--earlier", type=Path, default=EARLIER, help="default: the first released one")
    parser.add_argument("--runs", type=int, default=200, help="timed rounds for each number of threads")
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument(
        "--out", type=Path, default=machine.ROOT / "benchmarks" / "results" / "earlier_model.json"
    )
    options = parser.parse_args(given)
    frame, threads = camera_frame(), {}
    try:
        for count in options.threads:
            now, earlier = (Runtime(path, threads=count) for path in (options.model, options.earlier))
            found = threads[str(count)] = measure(now, earlier, frame, options.runs)
            print(f"{count} threads: {found['ratio']:.3f} times the earlier model's time", flush=True)
    except EfiqaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    content = {
        "command": " ".join(["python -m benchmarks.earlier_model", *given]),
        "machine": machine.describe(),
        "model": _identity(now),
        "earlier": _identity(earlier),
        "runs": options.runs,
        "threads": threads,
    }
    machine.write_results(options.out, content)
    print(f"wrote {options.out.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
