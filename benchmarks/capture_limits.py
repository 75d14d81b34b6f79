"""How the gate's limits of light and focus stand to real and degraded pictures: capture_limits.json.

``python -m benchmarks.capture_limits [--data DIR] [--step 3] [--pool 60] [--out FILE]``

The pictures are the vessel sets' training split and the unlabelled pool; the limits were chosen on them,
never on a test or an evaluation split. Each is shown as it is; of the training pictures also one degraded
version for each defect and severity. For every group: quantiles of each measure, how often the gate would
refuse the frame by a measure alone, and what it advises.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import efiqa
from benchmarks import machine
from benchmarks.capture_streams import Photograph, Scene
from benchmarks.fov import default_data
from training.data import load_rgb, read_manifest

# Defect and the advice that fits it.
ADVICE = {
    "defocus": "out_of_focus",
    "motion": "out_of_focus",
    "under_exposed": "too_dark",
    "over_exposed": "too_bright",
    "haze": "haze",
}
SEVERITIES = (0.3, 0.6, 0.9)
QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)
MEASURES = ("level", "green", "saturated_share", "sharpness", "contrast", "lid_share")


def pictures(data: Path, step: int, pool: int) -> Iterator[tuple[str, Path]]:
    """Yield group and path: each ``step``-th training picture, and ``pool`` of the pool at even steps."""
    rows = read_manifest(data)
    train = [row for row in rows if row.split == "train" and row.role == "vessel_image"]
    unlabelled = [row for row in rows if row.split == "pool"]
    for row in train[::step]:
        yield row.dataset, row.path
    for row in unlabelled[:: max(1, len(unlabelled) // pool)][:pool]:
        yield "pool", row.path


def observations(
    runtime: efiqa.Runtime, data: Path, step: int, pool: int
) -> Iterator[tuple[str, str, efiqa.CaptureDecision]]:
    """Yield group, the advice that fits, and the gate's answer to one preview of it."""
    rng = np.random.default_rng(11)
    gate = efiqa.CaptureGate(runtime, keep_frames=False)

    def shown(photograph: Photograph, scene: Scene) -> efiqa.CaptureDecision:
        gate.reset()
        return gate.update(photograph.render(scene, rng), timestamp_ms=0)

    for group, path in pictures(data, step, pool):
        try:
            photograph = Photograph(path.name, load_rgb(path))
        except ValueError:  # without a field of view
            continue
        yield f"{group}, as it is", "hold_still", shown(photograph, Scene())
        if group == "pool":
            continue
        for defect, advice in ADVICE.items():
            for severity in SEVERITIES:
                yield f"{defect} {severity}", advice, shown(photograph, Scene(defect, severity))
        yield "lid over 0.35", "eyelid", shown(photograph, Scene(lid=0.35))


def refused_by_measures(decision: efiqa.CaptureDecision, params: efiqa.GateParams) -> bool:
    """Return whether a measure breaks its limit, whatever the score."""
    m = decision.measures
    values = [getattr(m, name) for name in MEASURES]
    if any(value is None for value in values):
        return True
    level, green, saturated, sharpness, contrast, lid = values
    kept = (
        level >= params.min_level
        and green <= params.max_green
        and saturated <= params.max_saturated
        and sharpness >= params.min_sharpness
        and contrast >= params.min_contrast
        and lid <= params.max_lid
    )
    return not kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and write the results; return 2 where there is no data."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.capture_limits", description="Measure the gate's limits."
    )
    parser.add_argument("--data", type=Path, default=default_data(), help="folder with manifest.csv")
    parser.add_argument("--step", type=int, default=3, help="of the training pictures, each so many-th")
    parser.add_argument("--pool", type=int, default=60, help="pictures of the pool")
    results_folder = machine.ROOT / "benchmarks" / "results"
    parser.add_argument("--out", type=Path, default=results_folder / "capture_limits.json")
    options = parser.parse_args(arguments)
    if not (options.data / "manifest.csv").is_file():
        print(f"{options.data}/manifest.csv is missing; name the photographs with --data", file=sys.stderr)
        return 2
    cv2.setNumThreads(1)
    described = machine.describe()
    groups: dict[str, list[efiqa.CaptureDecision]] = {}
    fitting: dict[str, str] = {}
    with efiqa.Runtime(threads=1) as runtime:
        params = efiqa.CaptureGate(runtime).params
        for group, advice, decision in observations(runtime, options.data, options.step, options.pool):
            groups.setdefault(group, []).append(decision)
            fitting[group] = advice
    print(f"{'group':<24}{'n':>4}{'refused':>9}{'low score':>11}{'advice fits':>13}  advice")
    rows: dict[str, Any] = {}
    for group, decisions in groups.items():
        refused = sum(refused_by_measures(each, params) for each in decisions)
        low = [each for each in decisions if each.report.verdict != "good"]
        advice = Counter(each.guidance for each in decisions)
        fits = advice[fitting[group]]
        rows[group] = {
            "n": len(decisions),
            "refused_by_measures": refused,
            "score_below_good": len(low),
            "advice": dict(advice.most_common()),
            "measures": {
                name: [
                    round(float(value), 4)
                    for value in np.quantile(
                        [getattr(each.measures, name) or 0 for each in decisions], QUANTILES
                    )
                ]
                for name in MEASURES
            },
        }
        said = ", ".join(f"{name} {count}" for name, count in advice.most_common(4))
        print(f"{group:<24}{len(decisions):>4}{refused:>9}{len(low):>11}{fits:>13}  {said}")
    results = {
        "command": "python -m benchmarks.capture_limits",
        "machine": described,
        "params": asdict(params),
        "quantiles": QUANTILES,
        "groups": rows,
    }
    machine.write_results(options.out, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
