"""Writes the tables of README.md and docs/ from benchmarks/results/*.json.

``python -m benchmarks.tables``          rewrites what stands between ``<!-- NAME:begin -->`` and ``<!--
NAME:end -->`` ``python -m benchmarks.tables --check``  exit status 1 where a document differs from its
results

A table whose result file is not there says which command makes it. Of the GPUs' result files, which have the
GPU's name and the commit in theirs, the newest that holds the table's part counts.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.earlier_model import earlier_model
from benchmarks.markdown import Results, origin, percent, table
from benchmarks.tables_adapters import adapters
from benchmarks.tables_gpu import GPU_PARTS, GPU_RESULTS, gpu_frame, gpu_kernels, newest, plans
from benchmarks.tables_judgement import JUDGEMENT_TABLES

DOCUMENTS = ("README.md", "docs/quality.md", "docs/performance.md", "docs/reliability.md")
_MARKER = re.compile(r"<!-- (?P<name>[\w-]+):begin -->\n(?P<body>.*?)<!-- (?P=name):end -->", re.DOTALL)
_BEGIN = re.compile(r"<!-- ([\w-]+):(begin|end) -->")


def interval(figures: dict[str, Any]) -> str:
    """Return an AUROC with its interval, in percent."""
    low, high = figures["auroc_interval"]
    return f"{percent(figures['auroc'])} ({percent(low)}-{percent(high)})"


def method_title(method: dict[str, Any]) -> str:
    """Return a method's name; one that was fitted to quality labels says so."""
    return f"{method['title']} *(trained on labels)*" if method["uses_labels"] else str(method["title"])


def quality(results: Results) -> str:
    """Return AUROC of every method on every task; intervals for efiqa."""
    tasks = list(results["tasks"].values())
    header = ["AUROC, %", *(f"{task['title']} ({task['n_good']} / {task['n_bad']})" for task in tasks)]
    rows = []
    for name, method in results["methods"].items():
        show = interval if name == "model" else lambda figures: percent(figures["auroc"])
        cells = [show(task["methods"][name]) for task in tasks]
        rows.append([f"**{method['title']}**" if name == "model" else method_title(method), *cells])
    return table(header, rows) + origin(results)


def quality_detail(results: Results) -> str:
    """Return one table a task with every figure."""
    parts = []
    for task in results["tasks"].values():
        header = [
            f"{task['title']} ({task['n_good']} / {task['n_bad']}, {task['n_groups']} groups)",
            "AUROC (95 %)",
            "AUPRC of bad",
            "BAcc",
            "MCC",
        ]
        rows = [
            [
                method_title(method),
                interval(task["methods"][name]),
                percent(task["methods"][name]["auprc_bad"]),
                percent(task["methods"][name]["balanced_accuracy"]),
                percent(task["methods"][name]["matthews"]),
            ]
            for name, method in results["methods"].items()
        ]
        parts.append(table(header, rows))
    return "\n".join(parts) + origin(results)


def verdicts(results: Results) -> str:
    """Return how many pictures of each label got which verdict at the shipped operating point."""
    names = ("good", "usable", "reject", "unknown")
    rows = []
    for family, labels in results["verdicts"].items():
        for label, counts in labels.items():
            total = sum(counts.values())
            readable = counts.get("good", 0) + counts.get("usable", 0)
            cells = [str(counts.get(name, 0)) for name in names]
            rejected = percent(counts.get("reject", 0) / total)
            rows.append([f"{family} {label}", str(total), *cells, percent(readable / total), rejected])
    header = [
        f"operating point `{results['operating_point']}`",
        "pictures",
        *names,
        "good or usable, %",
        "reject, %",
    ]
    return table(header, rows) + origin(results)


def local(results: Results) -> str:
    """Return the figures of the map against known local defects, a kind and a camera."""
    found = results["local"]
    header = [
        "",
        "pictures",
        "patch AUROC",
        "same, measured truth",
        "pixel AUROC",
        "Dice",
        "clean cells alarmed, %",
    ]
    rows = []
    overall = [("**all**", found["all"])]
    if "first_kinds" in found:
        overall.append(("blur, dark, glare and haze", found["first_kinds"]))
    for name, figures in [*overall, *found["kinds"].items(), *found["cameras"].items()]:
        cells = [
            percent(figures[k]) for k in ("patch_auroc", "patch_auroc_measured_truth", "pixel_auroc", "dice")
        ]
        alarmed = percent(found["clean_alarm_share"].get(name))
        rows.append([name, str(figures["n_pictures"]), *cells, alarmed])
    return table(header, rows) + origin(results)


def _threads(count: str) -> str:
    return f"{count} thread{'' if count == '1' else 's'}"


def _milliseconds(times: dict[str, float]) -> list[str]:
    return [f"{times[key]:.1f}" for key in ("p50", "p95", "p99", "max")]


def latency(results: Results) -> str:
    """Return end-to-end times of efiqa and its peers."""
    rows = []
    for threads, found in results["threads"].items():
        times = found["times_ms"]
        rows.append(
            [
                f"**efiqa**, {_threads(threads)}: frame to report + overlay",
                *_milliseconds(times["efiqa"]["total"]),
                "",
            ]
        )
        if "chain" in times:
            ratio = f"{found['chain_over_efiqa_p50']:.1f}x"
            rows.append(
                [
                    f"Pillow + torch + matplotlib, {_threads(threads)}",
                    *_milliseconds(times["chain"]["total"]),
                    ratio,
                ]
            )
        rows.append(
            [f"efiqa, {_threads(threads)}: the network alone", *_milliseconds(times["efiqa"]["engine"]), ""]
        )
        if "onnxruntime" in times:
            ratio = f"{found['onnxruntime_over_engine_p50']:.2f}x"
            rows.append(
                [
                    f"ONNX Runtime, {_threads(threads)}: the same network",
                    *_milliseconds(times["onnxruntime"]["network"]),
                    ratio,
                ]
            )
    width, height = results["frame_px"]
    header = [f"{width} x {height} frame, ms", "p50", "p95", "p99", "max", "time / efiqa's, p50"]
    cold = results["cold_start_s"]
    facts = (
        f"\nCold start, from starting Python to the first report: {cold['median']:.2f} s (median of "
        f"{cold['runs']} processes, slowest {cold['max']:.2f} s). "
        f"Model file: {results['model']['bytes'] / 1e6:.2f} MB.\n"
    )
    return table(header, rows) + facts + origin(results)


def stages(results: Results) -> str:
    """Return efiqa's times a stage and the chain's."""
    parts = []
    for threads, found in results["threads"].items():
        rows = [
            [f"{who}: {stage}", *_milliseconds(times)]
            for who, label in (("efiqa", "efiqa"), ("chain", "Pillow + torch + matplotlib"))
            if who in found["times_ms"]
            for who, rows_of in ((label, found["times_ms"][who]),)
            for stage, times in rows_of.items()
        ]
        parts.append(table([f"{_threads(threads)}, ms", "p50", "p95", "p99", "max"], rows))
    return "\n".join(parts) + origin(results)


def kernels(results: Results) -> str:
    """Return the core's pixel work against OpenCV's."""
    rows = []
    for threads, found in results["threads"].items():
        for stage, ratio in found["opencv_over_efiqa_p50"].items():
            ours, theirs = (found["times_ms"][f"{who}_{stage}"]["p50"] for who in ("efiqa", "opencv"))
            name = stage.replace("_", " ")
            rows.append([f"{name}, {_threads(threads)}", f"{ours:.2f}", f"{theirs:.2f}", f"{ratio:.1f}x"])
    return table(["p50, ms", "efiqa", "OpenCV", "OpenCV / efiqa"], rows) + origin(results)


def fov(results: Results) -> str:
    """Return the field of view's overlap with manual masks, a set."""
    rows = [
        [name, str(each["n"]), *(f"{each[key]:.3f}" for key in ("median", "p5", "min"))]
        for name, each in results["sets"].items()
    ]
    return table(
        ["IoU with the manual mask", "pictures", "median", "5th percentile", "worst"], rows
    ) + origin(results)


def soak(results: Results) -> str:
    """Return what did and did not change over a long run of libefiqa."""
    latency, processor = results["latency_ms"], results["cpu_ms"]
    rows = [
        ["frames, after a warm-up", f"{results['frames']:,}"],
        ["growth of the resident memory, KiB", str(results["resident_growth_kib"])],
        ["median latency of the last tenth / of the first", f"{latency['ratio']:.3f}"],
        ["the same for the processor's time", f"{processor['ratio']:.3f}"],
        ["slowest frame, ms", f"{latency['max']:.0f}"],
        # The run ends without a file at the first of these.
        ["frames answered differently than the same frame before", "0"],
    ]
    return table(["soak run", ""], rows) + origin(results)


TABLES: dict[str, tuple[str, str, Callable[[Results], str]]] = {
    "quality": ("quality.json", "python -m training.evaluate", quality),
    "quality-detail": ("quality.json", "python -m training.evaluate", quality_detail),
    "verdicts": ("quality.json", "python -m training.evaluate", verdicts),
    "local": ("quality.json", "python -m training.evaluate", local),
    "adapters": (
        "adapters.json",
        "python -m training.compare_adapters --run runs/NAME --out benchmarks/results/adapters.json",
        adapters,
    ),
    **{
        name: ("quality.json", "python -m training.evaluate", render)
        for name, (_, render) in JUDGEMENT_TABLES.items()
    },
    "latency": ("latency.json", "python -m benchmarks.latency", latency),
    "stages": ("latency.json", "python -m benchmarks.latency", stages),
    "earlier-model": ("earlier_model.json", "python -m benchmarks.earlier_model", earlier_model),
    "kernels": ("kernels.json", "python -m benchmarks.kernels", kernels),
    "soak": ("soak.json", "python -m benchmarks.soak", soak),
    "fov": ("fov.json", "python -m benchmarks.fov", fov),
    "plans": ("build_plans.json", "python -m benchmarks.build_plans MODEL.onnx...", plans),
    "gpu-frame": (GPU_RESULTS, "bash benchmarks/gpu_check.sh", gpu_frame),
    "gpu-kernels": (GPU_RESULTS, "bash benchmarks/gpu_check.sh", gpu_kernels),
}


def content_of(name: str, results_folder: Path) -> str:
    """Return the text of table ``name``.

    Raises:
        ValueError: no such table, or its result file lacks a field.
    """
    if name not in TABLES:
        raise ValueError(f"marker {name!r} is unknown, expected one of {', '.join(TABLES)}")
    file, command, render = TABLES[name]
    path = newest(name, results_folder) if name in GPU_PARTS else results_folder / file
    missing = f"*Not measured yet: `{command}` writes `benchmarks/results/{file}`.*\n"
    if path is None or not path.is_file():
        return missing
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        if name in JUDGEMENT_TABLES and JUDGEMENT_TABLES[name][0] not in results:
            return missing  # the file is of a time before this part
        # A result file that does not say its command was made by the one that is known.
        return render({"command": command} | results)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} lacks {error} for table {name!r}; run `{command}` again") from error


def renewed(text: str, results_folder: Path) -> str:
    """Return ``text`` with every known pair of markers filled anew; other pairs belong to other programs.

    Raises:
        ValueError: a known marker has no partner, or as for ``content_of``.
    """
    complete = [match["name"] for match in _MARKER.finditer(text)]
    for name in TABLES:
        marks = sum(1 for match in _BEGIN.finditer(text) if match[1] == name)
        if marks != 2 * complete.count(name):
            raise ValueError(
                f"marker {name!r} has no partner, expected <!-- {name}:begin --> and <!-- {name}:end -->"
            )

    def fill(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in TABLES:
            return match[0]
        return f"<!-- {name}:begin -->\n{content_of(name, results_folder)}<!-- {name}:end -->"

    return _MARKER.sub(fill, text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit status 1 where a document is stale"
    )
    parser.add_argument("--root", type=Path, default=machine.ROOT, help="the repository")
    options = parser.parse_args(arguments)
    stale = []
    for name in DOCUMENTS:
        path = options.root / name
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        try:
            new = renewed(text, options.root / "benchmarks" / "results")
        except ValueError as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            return 2
        if new != text:
            stale.append(name)
            if not options.check:
                path.write_text(new, encoding="utf-8")
    if options.check and stale:
        print(f"stale: {', '.join(stale)}; run `python -m benchmarks.tables`", file=sys.stderr)
        return 1
    print(f"{'wrote' if stale else 'up to date'}: {', '.join(stale or DOCUMENTS)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
