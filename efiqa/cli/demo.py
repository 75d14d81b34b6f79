"""``efiqa demo``: one photograph and three degradations of it, each assessed; a table and a sheet."""

from __future__ import annotations

import argparse
from pathlib import Path

from efiqa._files import make_folder
from efiqa.cli import output

SHEET_NAME = "efiqa-demo.png"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this sub-command to ``commands``."""
    parser = commands.add_parser(
        "demo",
        help="assess a real photograph and three degradations of it",
        description="Assess the CC0 retina photograph that scikit-image ships, and it defocused, "
        "under-exposed and with haze in one half. "
        f"Writes the sheet {SHEET_NAME}: photographs above, map overlays below.",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("demo"), help="default: demo")
    parser.add_argument("--model", metavar="M", help="an .onnx model with its contract beside it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Return 0 when the sheet is written."""
    from efiqa import demo
    from efiqa.overlay import write_picture
    from efiqa.report import place_text, score_text, why_text
    from efiqa.runtime import Runtime

    make_folder(arguments.out)
    pictures = demo.pictures()
    with Runtime(arguments.model) as runtime:
        runtime.assess(next(iter(pictures.values())))  # the first frame also makes the buffers
        reports = {name: runtime.assess(frame) for name, frame in pictures.items()}
        info = runtime.info
    rows = []
    for name, report in reports.items():
        worst = place_text(report.regions[0]) if report.regions else "-"
        milliseconds = f"{report.timings_ms['total']:.1f}"
        why, advice = why_text(report), report.remedy_text
        rows.append((name, report.verdict, score_text(report.score), why, advice, worst, milliseconds))
    columns = ("photograph", "verdict", "score", "why", "what to do", "largest bad region", "ms")
    output.print_table(columns, rows)
    path = arguments.out / SHEET_NAME
    write_picture(path, demo.sheet(reports))
    print(f"{info.model_id} on {info.engine}; sheet: {path}")
    return 0
