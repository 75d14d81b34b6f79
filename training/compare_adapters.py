"""Adapters side by side on the pseudo-labels of one run: linear, multi-layer, dense, and a student.

``python -m training.compare_adapters --data DIR --run runs/NAME --out benchmarks/results/adapters.json``

The three adapters read EfficientNet-Lite0's maps at the recipe's size and learn from the same pictures of the
pool, from pseudo-labels alone: no ranking term, no synthetic degradation. The student, the run's own or that
of another (``--student``), has seen both. Each is a graph with a contract and is scored through the installed
Runtime, core and all.

What is done is kept in RUN/adapters: a second call goes on where the first stopped. ``--fit-only`` needs no
student and ends before the scores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks import machine
from benchmarks.latency import camera_frame, summary
from efiqa import Runtime
from efiqa.errors import EfiqaError
from training import config as recipe
from training.adapter_fits import ADAPTERS, fitted, read_lesson
from training.data import Picture, manifest_sha256
from training.dense_adapter import prior_of
from training.evaluate import SEED, UNKNOWN, Method, assess, task_figures, write_json
from training.export import MODEL_NAME
from training.judgement import vessel_pictures
from training.local_defects import local_benchmark
from training.progress import track
from training.quality_sets import TASKS, Labelled, evaluation_pictures
from training.run import Pipeline, make_fabric
from training.student import load_student
from training.viewing import WHOLE

TITLES = {
    "linear": "linear, stride 32 alone",
    "multi_layer": "multi-layer, strides 4 to 32",
    "dense": "dense, strides 4 to 32",
    "student": "the student",
}
WARM_UP, ROUNDS = 5, 60


def assessed(
    runtime: Runtime, labelled: Sequence[Labelled], clean: Sequence[Picture], label: str
) -> dict[str, Any]:
    """Return what takes minutes, ready for JSON: scores of the labelled pictures and the local benchmark."""
    scores = assess(runtime, labelled).scores
    local = local_benchmark(runtime, clean, seed=SEED, label=f"local defects, {label}")
    return {"scores": scores.tolist(), "local": local}


def kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the content of the JSON file ``path``, making and writing it first when it is not there."""
    if not path.is_file():
        write_json(path, make())
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def network_times(runtimes: dict[str, Runtime]) -> dict[str, dict[str, float]]:
    """Return the engine's milliseconds on one camera frame, all runtimes in turn."""
    frame = camera_frame()
    times: dict[str, list[float]] = {kind: [] for kind in runtimes}
    for number in track(range(WARM_UP + ROUNDS), "times in turn"):
        for kind, runtime in runtimes.items():
            elapsed = runtime.assess(frame).timings_ms["engine"]
            if number >= WARM_UP:
                times[kind].append(elapsed)
    return {kind: summary(each) for kind, each in times.items()}


def parameters(network: nn.Module, trained: Iterable[nn.Parameter]) -> dict[str, int]:
    """Return how many parameters a row's network has, and how many of them training moved."""
    return {
        "total": sum(p.numel() for p in network.parameters()),
        "trained": sum(p.numel() for p in trained),
    }


def compare(
    models: dict[str, Path], pictures: Sequence[Picture], folder: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """Return every row's figures; scores and local figures of a model are kept in ``folder``."""
    labelled = evaluation_pictures(pictures)
    clean = vessel_pictures(pictures, "test")[:: options.stride]
    runtimes = {kind: Runtime(path, threads=options.threads) for kind, path in models.items()}
    # With the commit, because the Runtime's own code has a say in what is scored.
    asked = json.dumps([[p.name for p in labelled], [p.name for p in clean], SEED, machine.commit()])
    found = {}
    for kind, runtime in runtimes.items():
        digest = hashlib.sha256(models[kind].read_bytes() + asked.encode()).hexdigest()
        path = folder / f"assessed-{kind}-{digest[:16]}.json"
        found[kind] = kept(path, lambda runtime=runtime, kind=kind: assessed(runtime, labelled, clean, kind))
    scores = {kind: np.array(each["scores"]) for kind, each in found.items()}
    methods = {
        kind: Method(TITLES[kind], False, {"*": values}, int((values == UNKNOWN).sum()))
        for kind, values in scores.items()
    }
    times = network_times(runtimes)
    return {
        "methods": {
            kind: {
                "title": method.title,
                "uses_labels": False,
                "n_unknown": method.unknown,
                "local": found[kind]["local"],
                "network_ms": times[kind],
                "engine": runtimes[kind].info.engine,
                "sha256": hashlib.sha256(models[kind].read_bytes()).hexdigest(),
            }
            for kind, method in methods.items()
        },
        "tasks": {task.key: task_figures(task, labelled, methods) for task in TASKS},
        "n_clean_pictures": len(clean),
    }


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    out = argparse.ArgumentParser(
        prog="python -m training.compare_adapters", description=__doc__.split("\n\n")[0]
    )
    default = Path(os.environ.get("EFIQA_DATA", "../shared/data/fundus"))
    out.add_argument("--data", type=Path, default=default, help="folder with manifest.csv (EFIQA_DATA)")
    out.add_argument("--run", type=Path, required=True, help="folder of training.run, pseudo-labels done")
    out.add_argument(
        "--config", type=Path, default=machine.ROOT / "training/configs/cpu.toml", help="the run's recipe"
    )
    out.add_argument("--student", type=Path, help="folder of the run with the student; default: --run")
    out.add_argument("--pictures", type=int, default=1200, help="of the pool to learn from, 0 for all")
    out.add_argument("--stride", type=int, default=2, help="every so many test pictures get local defects")
    out.add_argument("--threads", type=int, default=2, help="of the runtime and of torch")
    out.add_argument("--fit-only", action="store_true", help="end before the scores; needs no student")
    out.add_argument("--out", type=Path, required=True, help="JSON file to write")
    return out


def run(options: argparse.Namespace, given: Sequence[str]) -> dict[str, Any] | None:
    """Return the content of the result file; None with ``--fit-only``."""
    config = recipe.load(options.config)
    taught_by = options.student or options.run
    student = taught_by / "export" / MODEL_NAME
    if not options.fit_only and not student.is_file():
        raise ValueError(
            f"{student} is missing, expected a run's student; finish python -m training.run, name its folder "
            "by --student, or pass --fit-only"
        )
    torch.set_num_threads(options.threads)
    fabric = make_fabric(config)
    fabric.launch()
    pipeline = Pipeline(config, options.data, options.run, fabric)
    pool = pipeline.pool()
    lesson = read_lesson(pipeline, pool, options.run / "adapters", options.pictures)
    taught = f"{recipe.settings_hash(*lesson.settings.values())}-{lesson.key}"
    folder = options.run / "adapters" / taught
    folder.mkdir(parents=True, exist_ok=True)
    networks = {kind: fitted(kind, lesson, folder, pool, fabric) for kind in ADAPTERS}
    if options.fit_only:
        return None
    models = {kind: folder / f"{kind}.onnx" for kind in ADAPTERS} | {"student": student}
    figures = compare(models, pipeline.pictures, folder, options)
    for kind, network in networks.items():
        figures["methods"][kind]["parameters"] = parameters(network, network.adapter.parameters())
    whole = load_student(taught_by / WHOLE)
    whole.freeze_for(config.student)
    moved = [p for p in whole.parameters() if p.requires_grad]
    figures["methods"]["student"]["parameters"] = parameters(whole, moved)
    dense = lesson.settings["dense"]
    return {
        "command": " ".join(["python -m training.compare_adapters", *given]),
        "machine": machine.describe(),
        "manifest_sha256": manifest_sha256(options.data),
        "pool_pictures": len(lesson.maps),
        "size_px": dense.size_px,
        "dense": {
            "width": dense.dense.width,
            "epochs": dense.epochs,
            "prior": prior_of(dense.dense, lesson.labels.bad, lesson.labels.valid),
        },
        **figures,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    try:
        content = run(options, given)
    except (EfiqaError, FileNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if content is None:
        print(f"fitted; without --fit-only the rest follows and {options.out} is written")
        return 0
    write_json(options.out, content)
    print(f"wrote {options.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
