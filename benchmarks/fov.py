"""The field of view against manual masks, and its time on a 1920x1080 frame: benchmarks/results/fov.json.

``python -m benchmarks.fov [--data DIR] [--runs 200] [--threads 2 1] [--out FILE]``

Every picture of the manifest that has a mask of role ``fov_mask`` counts. The overlap is intersection over
union of pixels. Exit code 1 when it falls below the bars below.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import machine
from benchmarks.latency import camera_frame, summary
from efiqa import _core

# What the field of view must reach over all pictures.
BARS = {"median": 0.98, "p5": 0.94, "min": 0.85}
# A runtime keeps its threads and buffers from frame to frame; the model behind it does not matter here.
MODEL = machine.ROOT / "tests" / "golden" / "tiny.onnx"
WARM_UP = 20


def pictures(data: Path) -> Iterator[tuple[str, Path, Path]]:
    """Yield set, picture and mask of each picture that has a manual mask of its field of view."""
    with (data / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    images = {row["pair_id"]: row["path"] for row in rows if row["role"] == "vessel_image"}
    for row in rows:
        if row["role"] == "fov_mask" and row["pair_id"] in images:
            yield row["dataset"], data / images[row["pair_id"]], data / row["path"]


def overlap(picture: Path, mask: Path) -> float:
    """Return the intersection over union of the field that is found and the manual ``mask``."""
    with Image.open(picture) as image:
        frame = np.asarray(image.convert("RGB"))
    with Image.open(mask) as image:
        manual = np.asarray(image.convert("L")) > 127
    found = _core.find_field_of_view(frame, "rgb").mask(*frame.shape[:2])
    return float((found & manual).sum() / (found | manual).sum())


def distribution(values: Sequence[float]) -> dict[str, float]:
    """Return the number of values, their median, 5th percentile and least."""
    array: NDArray[np.float64] = np.asarray(values, np.float64)
    return {
        "n": len(array),
        "median": float(np.median(array)),
        "p5": float(np.quantile(array, 0.05)),
        "min": float(array.min()),
    }


def times(threads: int, runs: int) -> dict[str, dict[str, float]]:
    """Return the milliseconds of the field of view and of preprocessing a 1920x1080 RGB frame."""
    frame = camera_frame()
    runtime = _core.Runtime(str(MODEL), allow_untrained=True, threads=threads)
    stages: dict[str, list[float]] = {"fov": [], "preprocess": []}
    for run in range(WARM_UP + runs):
        timings = runtime.assess(frame, "rgb").timings_ms
        if run >= WARM_UP:
            for stage, values in stages.items():
                values.append(timings[stage])
    return {stage: summary(values) for stage, values in stages.items()}


def default_data() -> Path:
    """Return the folder of photographs that EFIQA_DATA names, or the one beside the repository."""
    return Path(os.environ.get("EFIQA_DATA") or machine.ROOT.parent / "shared" / "data" / "fundus")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, write the results; return 1 where a bar is missed, 2 where there is no data."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fov", description="Measure the field of view."
    )
    parser.add_argument("--data", type=Path, default=default_data(), help="folder with manifest.csv")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--out", type=Path, default=machine.ROOT / "benchmarks" / "results" / "fov.json")
    options = parser.parse_args(arguments)
    if not (options.data / "manifest.csv").is_file():
        print(f"{options.data}/manifest.csv is missing; name the photographs with --data", file=sys.stderr)
        return 2

    overlaps: dict[str, list[float]] = defaultdict(list)
    for name, picture, mask in pictures(options.data):
        value = overlap(picture, mask)
        overlaps[name].append(value)
        overlaps["all"].append(value)
    results: dict[str, Any] = {
        "command": "python -m benchmarks.fov",
        "machine": machine.describe(),
        "bars": BARS,
        "sets": {name: distribution(values) for name, values in overlaps.items() if name != "all"},
    }
    results["sets"]["all"] = distribution(overlaps["all"])
    results["times_ms_1920x1080"] = {str(n): times(n, options.runs) for n in options.threads}

    print(f"{'set':<12}{'n':>5}{'median':>9}{'p5':>8}{'min':>8}")
    for name, each in results["sets"].items():
        print(f"{name:<12}{each['n']:>5}{each['median']:>9.4f}{each['p5']:>8.4f}{each['min']:>8.4f}")
    for n, stages in results["times_ms_1920x1080"].items():
        figures = ", ".join(
            f"{stage} p50 {s['p50']:.2f} p95 {s['p95']:.2f} ms" for stage, s in stages.items()
        )
        print(f"1920x1080, {n} threads: {figures}")
    machine.write_results(options.out, results)
    missed = [name for name, bar in BARS.items() if results["sets"]["all"][name] < bar]
    if missed:
        print(f"below the bar: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
