"""The live capture gate on streams made from real photographs: benchmarks/results/capture.json.

``python -m benchmarks.capture [--data DIR] [--photographs 6] [--threads 1] [--out FILE]``

Streams run at 15, 20 and 30 previews a second of simulated time. A capture is false when the frame that was
taken is not clean by the script, or when the stream has no clean stretch at all; it is missed when there is
one that lasts to the end and nothing was taken. Regret is the score of the stream's best clean frame less
that of the frame that was taken; the results also hold it against all frames, those in motion or half outside
the picture with them. Exit code 1 when a capture is false. Without photographs
scikit-image's retina stands in for all of them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import efiqa
from benchmarks import machine
from benchmarks.capture_streams import BAD, GOOD, Photograph, Script, moving
from benchmarks.fov import default_data
from training.data import load_rgb, read_manifest

RATES = (15, 20, 30)  # previews a second
LENGTH_S = 2.6
AFTER_CAPTURE_S = 0.3  # the stream's best is sought so long after a capture


@dataclass(frozen=True)
class Outcome:
    """What the gate did with one stream; times in milliseconds, None where there is none."""

    script: str
    photograph: str
    rate: int
    frames: int
    first_clean_ms: int | None
    captured_ms: int | None
    taken_clean: bool | None
    taken_score: float | None
    best_score: float | None
    best_clean_score: float | None

    @property
    def wait_ms(self) -> int | None:
        """Return the time from the first clean frame to the capture."""
        if self.captured_ms is None or self.first_clean_ms is None:
            return None
        return self.captured_ms - self.first_clean_ms

    def regret(self, best: float | None) -> float | None:
        """Return the score ``best`` of a frame of the stream less that of the frame that was taken."""
        return None if self.taken_score is None or best is None else best - self.taken_score


def play(
    gate: efiqa.CaptureGate, name: str, script: Script, photograph: Photograph, rate: int, seed: int
) -> Outcome:
    """Return what the gate does with the stream of ``script``."""
    gate.reset()
    rng = np.random.default_rng(seed)
    clean: list[bool] = []
    first_clean: int | None = None
    captured: int | None = None
    taken: efiqa.BestFrame | None = None
    scores: list[float] = []
    clean_scores: list[float] = []
    times: list[int] = []
    for index in range(int(LENGTH_S * rate)):
        t = index / rate
        now_ms = round(1000 * t)
        scene = script(t)
        clean.append(photograph.clean(scene) and not moving(script, t, 1 / rate))
        decision = gate.update(photograph.render(scene, rng), timestamp_ms=now_ms)
        times.append(now_ms)
        if decision.report.score is not None:
            scores.append(decision.report.score)
            if clean[-1]:
                clean_scores.append(decision.report.score)
        if captured is None and decision.state == "captured":
            captured, taken = now_ms, decision.best
        if captured is not None and now_ms - captured >= 1000 * AFTER_CAPTURE_S:
            break
    if any(clean):  # a blink after that costs the gate time
        first_clean = times[clean.index(True)]
    return Outcome(
        script=name,
        photograph=photograph.name,
        rate=rate,
        frames=len(clean),
        first_clean_ms=first_clean,
        captured_ms=captured,
        taken_clean=None if taken is None else clean[taken.frame_index],
        taken_score=None if taken is None else taken.score,
        best_score=max(scores, default=None),
        best_clean_score=max(clean_scores, default=None),
    )


def photographs(data: Path, count: int, runtime: efiqa.Runtime) -> tuple[list[Photograph], str]:
    """Return up to ``count`` photographs that are good as they are, and where they are from.

    They come in turn from the vessel sets' test split and the pool, in the manifest's order at even steps.
    """
    if not (data / "manifest.csv").is_file():
        from skimage.data import retina

        return [Photograph("skimage.data.retina", np.ascontiguousarray(retina()))], "scikit-image"
    rows = read_manifest(data)
    found: list[Photograph] = []
    sources: dict[str, list[Path]] = {}
    for row in rows:
        if (row.split == "test" and row.role == "vessel_image") or row.split == "pool":
            sources.setdefault(row.dataset, []).append(row.path)
    attempt = 0
    while len(found) < count and attempt < 20:
        for paths in sources.values():
            if len(found) == count:
                break
            path = paths[(attempt * 7919 + 3) % len(paths)]
            rgb = load_rgb(path)
            if runtime.assess(_preview(rgb)).verdict == "good":
                found.append(Photograph(str(path.relative_to(data)), rgb))
        attempt += 1
    return found, "vessel sets (test split) and pool"


def _preview(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    side = max(rgb.shape[:2])
    return np.ascontiguousarray(
        cv2.resize(rgb, None, fx=600 / side, fy=600 / side, interpolation=cv2.INTER_AREA)
    )


def table_row(outcomes: Sequence[Outcome], *, good: bool) -> dict[str, Any]:
    """Return the figures of some streams; ``good`` says that each has a clean stretch to its end."""
    waits = [each.wait_ms for each in outcomes if each.wait_ms is not None]
    regrets = [r for each in outcomes if (r := each.regret(each.best_score)) is not None]
    clean_regrets = [r for each in outcomes if (r := each.regret(each.best_clean_score)) is not None]
    captured = [each for each in outcomes if each.captured_ms is not None]
    false = [each for each in captured if not good or not each.taken_clean]
    row: dict[str, Any] = {
        "streams": len(outcomes),
        "frames": sum(each.frames for each in outcomes),
        "captured": len(captured),
        "false": len(false),
    }
    if good:
        row["missed"] = len(outcomes) - len(captured)
        if waits and clean_regrets:
            row["wait_ms"] = _median_and_max(waits)
            row["regret"] = _median_and_max(clean_regrets)
            row["regret_of_all_frames"] = _median_and_max(regrets)
    return row


def _median_and_max(values: Sequence[float]) -> dict[str, float]:
    return {"median": float(np.median(values)), "max": float(max(values))}


def print_table(rows: dict[str, dict[str, Any]]) -> None:
    """Print one line a script."""
    print(
        f"{'stream':<26}{'n':>4}{'captured':>10}{'false':>7}{'missed':>8}{'wait ms':>14}{'regret':>16}\n"
        f"{'':<55}{'median   max':>14}{'median     max':>16}"
    )
    for name, row in rows.items():
        line = (
            f"{name:<26}{row['streams']:>4}{row['captured']:>10}{row['false']:>7}{row.get('missed', '-'):>8}"
        )
        if "wait_ms" in row:
            wait, regret = row["wait_ms"], row["regret"]
            line += f"{wait['median']:>8.0f}{wait['max']:>6.0f}{regret['median']:>9.4f}{regret['max']:>8.4f}"
        print(line)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, write the results; return 1 where a capture is false."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.capture", description="Measure the live capture gate."
    )
    parser.add_argument("--data", type=Path, default=default_data(), help="folder with manifest.csv")
    parser.add_argument("--photographs", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=machine.ROOT / "benchmarks" / "results" / "capture.json")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    described = machine.describe()  # of the start: the checkout may change meanwhile
    began = time.process_time()
    outcomes: dict[str, list[Outcome]] = {name: [] for name in (*GOOD, *BAD)}
    with efiqa.Runtime(threads=options.threads) as runtime:
        gate = efiqa.CaptureGate(runtime, keep_frames=False)
        pictures, source = photographs(options.data, options.photographs, runtime)
        for number, photograph in enumerate(pictures):
            for place, (name, script) in enumerate({**GOOD, **BAD}.items()):
                rate = RATES[(number + place) % len(RATES)]
                seed = 1000 * number + place
                outcomes[name].append(play(gate, name, script, photograph, rate, seed))
        model = {"id": runtime.info.model_id, "sha256": runtime.info.model_sha256}
        engine = runtime.info.engine
    rows = {name: table_row(each, good=name in GOOD) for name, each in outcomes.items()}
    rows["all with a clean stretch"] = table_row([o for n in GOOD for o in outcomes[n]], good=True)
    rows["all without"] = table_row([o for n in BAD for o in outcomes[n]], good=False)
    print_table(rows)
    results = {
        "command": "python -m benchmarks.capture",
        "machine": described,
        "model": model,
        "engine": engine,
        "params": asdict(gate.params),
        "source": source,
        "photographs": [each.name for each in pictures],
        "rates": RATES,
        "processor_seconds": round(time.process_time() - began, 1),
        "scripts": rows,
    }
    machine.write_results(options.out, results)
    false = [each for row in outcomes.values() for each in row if _is_false(each)]
    for each in false:
        print(f"false capture: {each}", file=sys.stderr)
    return 1 if false else 0


def _is_false(outcome: Outcome) -> bool:
    if outcome.captured_ms is None:
        return False
    return outcome.script in BAD or not outcome.taken_clean


if __name__ == "__main__":
    sys.exit(main())
