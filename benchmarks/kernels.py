"""Preprocess and overlay of a 1920x1080 frame against OpenCV doing the same: benchmarks/results/kernels.json.

``python -m benchmarks.kernels [--runs 200] [--threads 2 1] [--out FILE]``

OpenCV's side is ``resize`` with INTER_AREA and the conversion to float32 NCHW, and ``applyColorMap`` with
``addWeighted``; that its colour index must first be enlarged to the frame is not even counted. efiqa's side
is the runtime's own stages. Before anything is timed both
outputs are held against each other. Then all run in turn, round after round.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import machine
from benchmarks.latency import camera_frame, checked, summary
from efiqa import _core
from tests.golden.make_tiny_model import tiny_contract, tiny_model

INPUT_PX = 384
MEAN = STD = 0.5
MAX_ALPHA = 0.6
WARM_UP = 20
GRID = 24
# Where the scale is whole, a box filter is INTER_AREA, which rounds to whole grey levels: half a level, and
# what float32 adds.
WHOLE_SCALE = 2
PREPROCESS_LEVELS_MAX = 0.51
KEPT = np.array([1, 6, 1]) / 8  # a cell's mean in a bilinear interpolation of cells' values
# Tables of 256 opacities and colours: as in tests/integration/test_core_overlay.py.
OVERLAY_LEVELS_MAX = 8.0
OVERLAY_LEVELS_MEAN = 0.6

ByteArray = NDArray[np.uint8]


def open_runtime(threads: int) -> _core.Runtime:
    """Return a runtime of the tests' model in a real one's size: stages around the network are timed."""
    model = tiny_model(INPUT_PX, GRID)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tiny.onnx")
        path.write_bytes(model)
        contract = json.dumps(tiny_contract(model, path.name, INPUT_PX, GRID))
        Path(_core.contract_path(str(path))).write_text(contract, encoding="utf-8")
        return _core.Runtime(str(path), allow_untrained=True, threads=threads)


class Work:
    """One frame, its report, and both ways to make the network's input and the overlay of it."""

    def __init__(self, frame: ByteArray, threads: int) -> None:
        self.frame = frame
        self.threads = threads
        self.runtime = open_runtime(threads)
        self.pool = self.runtime.pool
        self.report = self.runtime.assess(frame, "rgb")
        x, y, side = self.report.crop
        # OpenCV cannot crop outside the frame; this frame's field of view is a pixel or two from its border.
        top, left = max(y, 0), max(x, 0)
        self.crop = (left, top, min(side, frame.shape[0] - top, frame.shape[1] - left))
        side = WHOLE_SCALE * INPUT_PX
        self.whole_crop = ((frame.shape[1] - side) // 2, (frame.shape[0] - side) // 2, side)
        self.index = np.rint(255 * self._probability()).astype(np.uint8)

    def _probability(self) -> NDArray[np.float64]:
        """Return the map at each pixel (height, width): bilinear between values that keep its cells' means.

        Outside cells take their neighbours'.
        """
        height, width = self.frame.shape[:2]
        grid = np.where(self.report.weights > 0, np.nan_to_num(self.report.map), np.nan).astype(np.float64)
        while np.isnan(grid).any():
            padded = np.pad(grid, 1, constant_values=np.nan)
            around = [
                padded[dy : dy + grid.shape[0], dx : dx + grid.shape[1]] for dy in range(3) for dx in range(3)
            ]
            known = np.sum([~np.isnan(window) for window in around], axis=0)
            mean = np.nansum(around, axis=0) / np.maximum(known, 1)
            grid = np.where(np.isnan(grid), np.where(known > 0, mean, np.nan), grid)
        kept = cv2.sepFilter2D(grid, -1, KEPT, KEPT, borderType=cv2.BORDER_REPLICATE)
        grid = np.clip(2 * grid - kept, 0, 1)
        x, y, side = self.report.crop
        rows = np.clip((np.arange(height) + 0.5 - y) * grid.shape[0] / side - 0.5, 0, grid.shape[0] - 1)
        columns = np.clip((np.arange(width) + 0.5 - x) * grid.shape[1] / side - 0.5, 0, grid.shape[1] - 1)
        cells = [np.arange(n) for n in grid.shape]
        tall = np.stack([np.interp(rows, cells[0], column) for column in grid.T], axis=1)
        return np.stack([np.interp(columns, cells[1], row) for row in tall])

    def _preprocess(
        self, crop: tuple[int, int, int], resize_filter: str, *, blank_outside: bool
    ) -> NDArray[np.float32]:
        """Return what the core feeds a network (3, height, width)."""
        return _core.preprocess(
            self.frame,
            "rgb",
            crop,
            self.report.fov,
            width_px=INPUT_PX,
            height_px=INPUT_PX,
            resize_filter=resize_filter,
            blank_outside=blank_outside,
            mean=(MEAN,) * 3,
            std=(STD,) * 3,
            threads=self.threads,
        )

    def opencv_preprocess(self) -> NDArray[np.float32]:
        """Return the same (3, height, width) by OpenCV."""
        return self._opencv_preprocess(self.crop)

    def _opencv_preprocess(self, crop: tuple[int, int, int]) -> NDArray[np.float32]:
        x, y, side = crop
        square = self.frame[y : y + side, x : x + side]
        small = cv2.resize(square, (INPUT_PX, INPUT_PX), interpolation=cv2.INTER_AREA)
        return cv2.dnn.blobFromImage(small, 1 / (255 * STD), mean=(255 * MEAN,) * 3)[0]

    def overlay(self) -> ByteArray:
        """Return the core's overlay; its threads are made anew in every call."""
        return _core.render_overlay(self.frame, "rgb", self.report, max_alpha=MAX_ALPHA, pool=self.pool)

    def opencv_overlay(self) -> ByteArray:
        """Return the frame under its coloured index, of the same opacity everywhere."""
        colored = cv2.applyColorMap(self.index, cv2.COLORMAP_TURBO)
        return cv2.addWeighted(self.frame, 1 - MAX_ALPHA, colored, MAX_ALPHA, 0)

    def agreement(self) -> dict[str, float]:
        """Return how far the outputs differ, in grey levels, checked."""
        ours = self._preprocess(self.whole_crop, "box", blank_outside=False)
        levels = np.abs(ours - self._opencv_preprocess(self.whole_crop)) * (255 * STD)
        mask = self.report.fov.mask(*self.frame.shape[:2])
        alpha = MAX_ALPHA * np.where(mask, self._probability(), 0.0)[:, :, None]
        colored = cv2.applyColorMap(self.index, cv2.COLORMAP_TURBO)[:, :, ::-1]
        expected = self.frame * (1 - alpha) + colored * alpha
        difference = np.abs(self.overlay() - expected)
        return {
            "preprocess_box_max": checked("preprocess", float(levels.max()), PREPROCESS_LEVELS_MAX),
            "overlay_max": checked("overlay", float(difference.max()), OVERLAY_LEVELS_MAX),
            "overlay_mean": checked("overlay's mean", float(difference.mean()), OVERLAY_LEVELS_MEAN),
        }


def elapsed_ms(work: Callable[[], object]) -> float:
    """Return the milliseconds that one call takes."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


def measure(frame: ByteArray, threads: int, runs: int) -> dict[str, Any]:
    """Return times, ratios and agreement with ``threads`` threads on both sides, all run in turn."""
    cv2.setNumThreads(threads)
    work = Work(frame, threads)
    result: dict[str, Any] = {"agreement_grey_levels": work.agreement()}
    times: dict[str, list[float]] = defaultdict(list)
    for index in range(WARM_UP + runs):
        if index == WARM_UP:
            times.clear()
        stages = work.runtime.assess(frame, "rgb").timings_ms
        ours_pre, ours_post = stages["preprocess"], stages["postprocess"]
        theirs_pre = elapsed_ms(work.opencv_preprocess)
        ours_over, theirs_over = elapsed_ms(work.overlay), elapsed_ms(work.opencv_overlay)
        for name, value in {
            "efiqa_preprocess": ours_pre,
            "opencv_preprocess": theirs_pre,
            "efiqa_overlay": ours_over,
            "opencv_overlay": theirs_over,
            "efiqa_pre_and_post": ours_pre + ours_post + ours_over,
            "opencv_pre_and_post": theirs_pre + theirs_over,
            "efiqa_field_of_view": stages["fov"],
            "efiqa_postprocess": ours_post,
        }.items():
            times[name].append(value)
    result["times_ms"] = {name: summary(values) for name, values in times.items()}
    result["opencv_over_efiqa_p50"] = {
        stage: result["times_ms"][f"opencv_{stage}"]["p50"] / result["times_ms"][f"efiqa_{stage}"]["p50"]
        for stage in ("preprocess", "overlay", "pre_and_post")
    }
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 1 where OpenCV was faster."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kernels", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--runs", type=int, default=200, help="timed rounds for each number of threads")
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--out", type=Path, default=machine.ROOT / "benchmarks" / "results" / "kernels.json")
    options = parser.parse_args(given)
    frame = camera_frame()
    results = {str(threads): measure(frame, threads, options.runs) for threads in options.threads}
    for threads, result in results.items():
        for stage, ratio in result["opencv_over_efiqa_p50"].items():
            ours, theirs = (result["times_ms"][f"{name}_{stage}"] for name in ("efiqa", "opencv"))
            print(
                f"{threads} threads, {stage:12}: p50 {ours['p50']:6.2f} and p95 {ours['p95']:6.2f} ms, "
                f"OpenCV {theirs['p50']:6.2f} and {theirs['p95']:6.2f} ms: {ratio:.1f} times as fast"
            )
    content = {
        "command": " ".join(["python -m benchmarks.kernels", *given]),
        "machine": machine.describe(),
        "frame_px": [frame.shape[1], frame.shape[0]],
        "input_px": [INPUT_PX, INPUT_PX],
        "runs": options.runs,
        "threads": results,
    }
    machine.write_results(options.out, content)
    print(f"wrote {options.out}")
    slower = [r for result in results.values() for r in result["opencv_over_efiqa_p50"].values() if r < 1]
    return 1 if slower else 0


if __name__ == "__main__":
    raise SystemExit(main())
