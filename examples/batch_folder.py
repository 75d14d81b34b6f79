"""Assess every picture of a folder, several at a time, and write a CSV sorted from worst to best.

    python examples/batch_folder.py photos/ -o quality.csv --workers 4

One Runtime per thread, each with one CPU thread, so that the workers do not compete for cores.
"""

from __future__ import annotations

import argparse
import csv
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import efiqa
from efiqa.io import PICTURE_SUFFIXES

COLUMNS = ("path", "verdict", "score", "reason", "main_reason", "remedy", "worst_region_share", "error")
_own = threading.local()


def open_runtime(model: str | None) -> None:
    """Open this worker's own Runtime."""
    _own.runtime = efiqa.Runtime(model, threads=1)


def assess(path: Path) -> dict[str, str | float | None]:
    """Return one row of the CSV; a picture that cannot be read gets its error's code."""
    try:
        report = _own.runtime.assess(efiqa.read_image(path))
    except efiqa.EfiqaError as error:
        return {"path": str(path), "verdict": "unknown", "error": error.code}
    worst = max((region.area_share for region in report.regions), default=0.0)
    return {
        "path": str(path),
        "verdict": report.verdict,
        "score": report.score,
        "reason": report.reason,
        "main_reason": report.main_reason,
        "remedy": report.remedy,
        "worst_region_share": worst,
    }


def main() -> int:
    """Return 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("quality.csv"))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--model", help="an .onnx model; by default the embedded one")
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    with ThreadPoolExecutor(arguments.workers, initializer=open_runtime, initargs=(arguments.model,)) as pool:
        rows = list(pool.map(assess, paths))
    rows.sort(key=lambda row: -1.0 if row.get("score") is None else float(row["score"] or 0))
    with arguments.output.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} pictures: {arguments.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
