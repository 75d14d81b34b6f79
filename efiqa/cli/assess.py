"""``efiqa assess``: score pictures, one JSON object a line for programs or a table for people."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from efiqa._files import make_folder
from efiqa.cli import output
from efiqa.cli.paths import Item, find_pictures, overlay_paths
from efiqa.errors import EfiqaError, InternalError

if TYPE_CHECKING:
    from efiqa.runtime import Runtime


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this sub-command to ``commands``."""
    parser = commands.add_parser(
        "assess",
        help="score pictures",
        description="Score pictures. Exit code 0: all were assessed; 1: some could not be; 2: usage.",
    )
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="file, folder (searched recursively) or pattern"
    )
    parser.add_argument("--model", metavar="M", help="an .onnx model with its contract beside it")
    parser.add_argument(
        "--json", metavar="FILE", help="write one JSON object a line to FILE, or - for stdout"
    )
    parser.add_argument(
        "--overlay", metavar="DIR", type=Path, help="write NAME.overlay.png of each picture here"
    )
    parser.add_argument("--threads", metavar="N", type=positive_integer, help="CPU threads for one picture")
    parser.add_argument(
        "--operating-point", metavar="NAME", help="limits of the verdict, by name in the contract"
    )
    parser.set_defaults(run=run)


def positive_integer(text: str) -> int:
    """Return ``text`` as an integer from 1, for argparse."""
    value = int(text) if text.isascii() and text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"is {text!r}, expected an integer from 1")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Return 0 when all pictures were assessed, 1 when some were not, 130 when it was interrupted."""
    from efiqa.runtime import Runtime

    items = find_pictures(arguments.paths)
    overlays: dict[str, Path] = {}
    if arguments.overlay is not None:
        make_folder(arguments.overlay)
        overlays = overlay_paths(items, arguments.overlay)
    with Runtime(
        arguments.model, threads=arguments.threads, operating_point=arguments.operating_point
    ) as runtime:
        lines = output.JsonLines(arguments.json) if arguments.json else None
        try:
            return _assess_all(runtime, items, overlays, lines, table=arguments.json != "-")
        finally:
            if lines is not None:
                lines.discard()


def _assess_all(
    runtime: Runtime,
    items: list[Item],
    overlays: dict[str, Path],
    lines: output.JsonLines | None,
    *,
    table: bool,
) -> int:
    results: list[dict[str, Any]] = []  # for the table only: a long stream of JSON keeps nothing
    failed = interrupted = False
    try:
        with output.progress(items, what="assess", streaming=not table) as bar:
            for item in bar:
                result = _assess_one(runtime, item, overlays.get(item.path))
                if lines is not None:
                    lines.write(result)
                if table:
                    results.append(result)
                failed = failed or "error" in result
    except KeyboardInterrupt:  # what is finished is kept
        interrupted = True
    if lines is not None:
        lines.commit()
    if table:
        _print_results(results)
    if interrupted:
        return 130
    return 1 if failed else 0


def _assess_one(runtime: Runtime, item: Item, overlay: Path | None) -> dict[str, Any]:
    """Return the JSON object of one picture; whatever goes wrong with it stays with it."""
    from efiqa.io import read_image

    try:
        if item.error is not None:
            raise item.error
        report = runtime.assess(read_image(item.path))
        if overlay is not None:
            make_folder(overlay.parent)
            report.save(overlay)
        return output.report_line(item.path, report)
    except EfiqaError as error:
        return output.error_line(item.path, error)
    except Exception as error:
        text = f"{type(error).__name__}: {error}; this is a defect of efiqa, please report it"
        return output.error_line(item.path, InternalError(text))


def _print_results(results: list[dict[str, Any]]) -> None:
    columns = ("picture", "verdict", "score", "bad regions", "ms", "why", "what to do")
    output.print_table(columns, [_table_row(result) for result in results])
    counts = Counter("not assessed" if "error" in result else result["verdict"] for result in results)
    summary = ", ".join(f"{counts[name]} {name}" for name in _SUMMARY_ORDER if counts[name])
    print(f"{len(results)} pictures: {summary}" if results else "no picture was assessed")


_SUMMARY_ORDER = ("good", "usable", "reject", "unknown", "not assessed")


def _table_row(result: dict[str, Any]) -> tuple[str, ...]:
    if "error" in result:
        error = result["error"]
        return (result["path"], "error", "-", "", "", f"{error['message']} [{error['code']}]", "")
    regions = result["regions"]
    share = sum(region["area_share"] for region in regions)
    return (
        result["path"],
        result["verdict"],
        "-" if result["score"] is None else f"{result['score']:.3f}",
        f"{len(regions)} ({share:.0%} of the field)" if regions else "none",
        f"{result['timings_ms']['total']:.1f}",
        result["main_reason"] or result["reason"],
        result["remedy_text"],
    )
