"""The figures: embedded model and baselines on the same pictures, and the map against known defects.

``python -m training.evaluate --data DIR [--model M.onnx] [--run runs/NAME] --out
benchmarks/results/quality.json``
    final figures, on the pictures of split ``eval`` and of the vessel sets' test split
``... --baselines FILE --out FILE``
    the same, the baselines' rows taken over from an earlier result on the same pictures
``... --development --out FILE``
    no labelled picture is read and none of the test split: local defects, severity ranking, causes, macula
    and rim on the vessel sets' training split, refusals also on the pool, and how much the scores of a
    patient's two eyes agree there; what a recipe is chosen by
``... --labels FILE.csv --out FILE``
    the pictures of a CSV file with the columns path, label (good, usable, reject, bad, outlier) and perhaps
    group

The model is scored through the installed package, core and all. A picture with verdict ``unknown`` gets the
score -1, below every other.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine
from efiqa import Runtime
from efiqa.errors import EfiqaError
from training import baselines, metrics
from training.data import Picture, crop_frame, load_rgb, manifest_sha256, read_manifest, vessel_pictures
from training.eye_agreement import eye_agreement
from training.judgement import (
    development_pictures,
    final_pictures,
    judgement_figures,
    pool_pictures,
    thinned,
)
from training.local_defects import local_benchmark
from training.progress import track
from training.quality_sets import TASKS, Labelled, Task, evaluation_pictures, labels_file
from training.refusals import labelled_refusals, refusal
from training.severity_ranking import severity_ranking

UNKNOWN = -1.0
SEED = 20260801
RANKING_PICTURES = 30  # of the clean ones, spread evenly: 9 kinds x 4 severities each
DoubleArray = NDArray[np.float64]


@dataclass(frozen=True)
class Method:
    """A score for every picture, (N,), or, for the probe, one for each task."""

    title: str
    uses_labels: bool
    scores: dict[str, DoubleArray]  # task key -> (N,); "*" for all tasks
    unknown: int = 0

    def of(self, task: Task) -> DoubleArray:
        """Return the scores (N,) for ``task``."""
        return self.scores.get(task.key, self.scores["*"])


@dataclass(frozen=True)
class Assessed:
    """What the model said of each picture."""

    scores: DoubleArray
    verdicts: list[str]
    refusals: list[str]  # why it was refused, or an empty text
    not_a_fundus: DoubleArray  # probability, NaN where the model did not say


def assess(runtime: Runtime, pictures: Sequence[Labelled]) -> Assessed:
    """Return the model's score (unknown: -1), verdict and refusal of every picture."""
    found = Assessed(np.full(len(pictures), UNKNOWN), [], [], np.full(len(pictures), np.nan))
    for index, picture in enumerate(track(pictures, "model")):
        report = runtime.assess(load_rgb(picture.path))
        found.verdicts.append(report.verdict)
        found.refusals.append(refusal(report))
        if report.score is not None:
            found.scores[index] = report.score
        if report.not_a_fundus is not None:
            found.not_a_fundus[index] = report.not_a_fundus
    return found


def baseline_methods(
    pictures: Sequence[Labelled], tasks: Sequence[Task], run: Path | None, *, probe: bool
) -> dict[str, Method]:
    """Return the baselines' scores on ``pictures``. Those that need ``run`` are left out without it."""
    vessels = baselines.VesselModels.load(run) if run else None
    extract = baselines.ProbeFeatures() if probe else None
    contrast, laplacian, density, area = (np.full(len(pictures), UNKNOWN) for _ in range(4))
    features: list[NDArray[np.float32] | None] = []
    for index, picture in enumerate(track(pictures, "baselines")):
        frame = load_rgb(picture.path)
        crop = crop_frame(frame, baselines.SIDE_PX)
        if crop is not None:
            contrast[index] = baselines.local_contrast(crop)
            laplacian[index] = baselines.laplacian_variance(crop)
        found = vessels.scores(frame) if vessels else None
        if found:
            density[index], area[index] = found
        features.append(extract(frame) if extract else None)
    unknown = int((contrast == UNKNOWN).sum())
    methods = {
        "local_contrast": Method("local contrast", False, {"*": contrast}, unknown),
        "laplacian_variance": Method("variance of the Laplacian", False, {"*": laplacian}, unknown),
    }
    if vessels:
        methods["vessel_density"] = Method("vessel density", False, {"*": density}, unknown)
        methods["vuad_area"] = Method("VUAD area", False, {"*": area}, unknown)
    if extract:
        methods["supervised_probe"] = probe_method(pictures, tasks, features)
    return methods


def probe_method(
    pictures: Sequence[Labelled], tasks: Sequence[Task], features: Sequence[NDArray[np.float32] | None]
) -> Method:
    """Return the supervised probe: by cross-validation on EyeQ, by transfer from all of EyeQ elsewhere.

    Each EyeQ task trains its own probe; DRIMDB and other sets get the one of good + usable against reject. A
    picture without a field of view scores below every other.
    """
    known = np.array([each is not None for each in features])
    width = next(len(each) for each in features if each is not None)
    table = np.stack([np.zeros(width, np.float32) if each is None else each for each in features])
    floor = -1e9
    scores: dict[str, DoubleArray] = {"*": np.full(len(pictures), floor)}
    for task in tasks:
        chosen, good = task.select(pictures)
        out = np.full(len(pictures), floor)
        if task.family == "eyeq":
            groups = [pictures[k].group for k in chosen]
            fold = metrics.group_folds(good, groups)
            out[chosen] = baselines.cross_validated_probe(table[chosen], list(good), fold)
        else:
            source = np.array([p.family == "eyeq" for p in pictures]) & known
            if source.any():
                labels = [p.label != "reject" for p, used in zip(pictures, source, strict=True) if used]
                out[chosen] = baselines.transferred_probe(table[source], labels, table[chosen])
        out[~known] = floor
        scores[task.key] = out
    return Method("supervised probe", True, scores, int((~known).sum()))


def task_figures(task: Task, pictures: Sequence[Labelled], methods: dict[str, Method]) -> dict[str, Any]:
    """Return every method's figures on one task."""
    chosen, good = task.select(pictures)
    groups = [pictures[k].group for k in chosen]
    figures: dict[str, Any] = {}
    for name, method in methods.items():
        score = method.of(task)[chosen]
        calibrated = metrics.calibrated(good, score, groups)
        figures[name] = {
            "auroc": metrics.auroc(good, score),
            "auroc_interval": list(metrics.auroc_interval(good, score, groups)),
            "auprc_bad": metrics.auprc(good, score),
            "balanced_accuracy": calibrated.balanced_accuracy,
            "matthews": calibrated.matthews,
            "threshold": calibrated.threshold,
        }
    return {
        "title": task.title,
        "n_good": int(good.sum()),
        "n_bad": int((~good).sum()),
        "n_groups": len(set(groups)),
        "methods": figures,
    }


def verdict_figures(pictures: Sequence[Labelled], assessed: Assessed) -> dict[str, Any]:
    """Return how often each label got each verdict, a family of pictures at a time."""
    out: dict[str, Any] = {}
    for picture, verdict in zip(pictures, assessed.verdicts, strict=True):
        out.setdefault(picture.family, {}).setdefault(picture.label, Counter())[verdict] += 1
    return {family: {label: dict(count) for label, count in rows.items()} for family, rows in out.items()}


def earlier_result(path: Path, manifest_hash: str, pictures: Sequence[Labelled]) -> dict[str, Any]:
    """Return the content of ``path``, an earlier result on the same ``pictures``.

    Raises:
        ValueError: it is of another manifest or of other pictures, or no such result.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    missing = {"manifest_sha256", "pictures", "methods", "tasks"} - content.keys()
    if missing:
        raise ValueError(f"{path.name} has no {sorted(missing)[0]}, expected the final figures of a model")
    if content["manifest_sha256"] != manifest_hash:
        raise ValueError(
            f"{path.name} is of manifest {content['manifest_sha256']}, expected {manifest_hash}; "
            "leave --baselines out to compute them"
        )
    if [(each["name"], each["label"]) for each in content["pictures"]] != [
        (each.name, each.label) for each in pictures
    ]:
        raise ValueError(f"{path.name} is of other pictures; leave --baselines out to compute them")
    return dict(content)


def take_baselines(content: dict[str, Any], earlier: dict[str, Any]) -> None:
    """Add the rows of the baselines in ``earlier`` to ``content``, and where they are from."""
    pairs = [(content, earlier)]
    pairs += [(each, earlier["tasks"][name]) for name, each in content["tasks"].items()]
    for now, before in pairs:
        now["methods"] |= {name: each for name, each in before["methods"].items() if name != "model"}
    origin = {"commit": earlier["machine"]["commit"], "command": earlier["command"]}
    content["baselines"] = earlier.get("baselines", origin)


def final_figures(
    runtime: Runtime,
    pictures: Sequence[Labelled],
    tasks: Sequence[Task],
    run: Path | None,
    *,
    probe: bool,
    earlier: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the figures of model and baselines on labelled pictures; the probe needs EyeQ's.

    ``earlier``: a result whose baselines are taken over.
    """
    assessed = assess(runtime, pictures)
    unknown = assessed.verdicts.count("unknown")
    methods = {"model": Method("efiqa", False, {"*": assessed.scores}, unknown)}
    if earlier is None:
        methods |= baseline_methods(pictures, tasks, run, probe=probe)
    content = _labelled_figures(runtime, pictures, tasks, assessed, methods)
    if earlier is not None:
        take_baselines(content, earlier)
    return content


def _labelled_figures(
    runtime: Runtime,
    pictures: Sequence[Labelled],
    tasks: Sequence[Task],
    assessed: Assessed,
    methods: dict[str, Method],
) -> dict[str, Any]:
    return {
        "methods": {
            name: {"title": m.title, "uses_labels": m.uses_labels, "n_unknown": m.unknown}
            for name, m in methods.items()
        },
        "tasks": {task.key: task_figures(task, pictures, methods) for task in tasks},
        "operating_point": runtime.info.operating_point,
        "verdicts": verdict_figures(pictures, assessed),
        "labelled_refusals": labelled_refusals(
            pictures, assessed.refusals, assessed.not_a_fundus, assessed.scores
        ),
        "pictures": [
            {"name": p.name, "label": p.label, "verdict": verdict, "score": round(float(score), 5)}
            for p, verdict, score in zip(pictures, assessed.verdicts, assessed.scores, strict=True)
        ],
    }


def ranked(clean: Sequence[Picture]) -> Sequence[Picture]:
    """Return those of ``clean`` pictures that the severity ranking is made on."""
    return clean[:: max(1, len(clean) // RANKING_PICTURES)]


def defect_figures(runtime: Runtime, clean: Sequence[Picture]) -> dict[str, Any]:
    """Return local defects and severity ranking on ``clean`` pictures, also behind a camera."""
    return {
        "local": local_benchmark(runtime, clean, seed=SEED),
        "ranking": severity_ranking(runtime, ranked(clean), seed=SEED),
        "local_by_camera": local_benchmark(runtime, clean, seed=SEED, by_camera=True),
        "ranking_by_camera": severity_ranking(runtime, ranked(clean), seed=SEED, by_camera=True),
    }


def development_figures(runtime: Runtime, pictures: Sequence[Picture], limit: int) -> dict[str, Any]:
    """Return figures that need no labelled picture and none of the test split."""
    clean = thinned(vessel_pictures(pictures, "train"), limit)
    return {
        **defect_figures(runtime, clean),
        "eye_agreement": eye_agreement(runtime, pool_pictures(pictures))[0],
        **judgement_figures(runtime, development_pictures(pictures, limit), seed=SEED),
    }


def provenance(arguments: Sequence[str], runtime: Runtime, data: Path | None) -> dict[str, Any]:
    """Return what the figures were made from: command, machine, model, data."""
    path = Path(runtime.info.model_path)
    return {
        "command": " ".join(["python -m training.evaluate", *arguments]),
        "machine": machine.describe(),
        "model": {
            "id": runtime.info.model_id,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        },
        "manifest_sha256": manifest_sha256(data) if data else None,
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` to ``path``, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    out = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__.split("\n\n")[0])
    default = Path(os.environ.get("EFIQA_DATA", "../shared/data/fundus"))
    out.add_argument("--data", type=Path, default=default, help="folder with manifest.csv (EFIQA_DATA)")
    out.add_argument("--model", type=Path, help="ONNX model with its contract; default: the embedded one")
    out.add_argument("--run", type=Path, help="folder of training.run, for the vessel baselines")
    out.add_argument("--baselines", type=Path, help="earlier result whose baselines' rows are taken over")
    out.add_argument("--labels", type=Path, help="CSV file path,label[,group] to assess instead")
    out.add_argument("--development", action="store_true", help="figures to choose by; reads no label")
    out.add_argument(
        "--limit", type=int, default=0, help="with --development: at most about so many pictures"
    )
    out.add_argument("--threads", type=int, help="of the runtime")
    out.add_argument("--allow-untrained", action="store_true", help="for a model with random weights")
    out.add_argument("--out", type=Path, required=True, help="JSON file to write")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    if options.baselines and (options.run or options.labels or options.development):
        parser().error("--baselines excludes --run, --labels and --development")
    try:
        runtime = Runtime(options.model, threads=options.threads, allow_untrained=options.allow_untrained)
        if options.labels:
            content = provenance(given, runtime, None)
            labelled, tasks = labels_file(options.labels)
            content |= final_figures(runtime, labelled, tasks, options.run, probe=False)
        else:
            pictures = read_manifest(options.data)
            content = provenance(given, runtime, options.data)
            if options.development:
                content |= development_figures(runtime, pictures, options.limit)
            else:
                labelled = evaluation_pictures(pictures)
                earlier = (
                    earlier_result(options.baselines, content["manifest_sha256"], labelled)
                    if options.baselines
                    else None
                )
                content |= final_figures(runtime, labelled, TASKS, options.run, probe=True, earlier=earlier)
                content |= defect_figures(runtime, vessel_pictures(pictures, "test"))
                content |= judgement_figures(runtime, final_pictures(pictures), seed=SEED)
    except (EfiqaError, FileNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    write_json(options.out, content)
    print(f"wrote {options.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
