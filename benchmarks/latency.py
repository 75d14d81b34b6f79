"""How long one camera frame takes, and against what: writes benchmarks/results/latency.json.

``python -m benchmarks.latency [--model M.onnx] [--runs 200] [--out FILE]``

The frame is scikit-image's CC0 retina photograph on a black 1920x1080 frame. Before anything is timed,
efiqa's map and overlay are held against those of the peers. Then all are run in turn, round after round, in
one process.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine
from efiqa import QualityReport, Runtime, golden

FRAME_WIDTH_PX, FRAME_HEIGHT_PX = 1920, 1080
WARM_UP = 20
STAGES = ("fov", "preprocess", "engine", "postprocess", "overlay")
# The same numbers go in, so the networks may only differ by the order of their sums.
NETWORK_TOLERANCE = 1e-3
# Before each timed program: the thread pools of torch and ONNX Runtime spin on for a while after their work,
# and the program after them would pay for it. It is also about the pause between two frames of a camera.
SETTLE_S = 0.05
# Pillow rounds the resized picture to grey levels, the core does not, and a network amplifies that: mean
# absolute difference of the map. A wrong crop, mean or channel order gives tenths.
MAP_TOLERANCE = 0.03
OVERLAY_TOLERANCE = 2.0  # mean absolute difference in grey levels
COLD_START = """
import sys, time
import numpy as np
frame = np.load(sys.argv[1])
import efiqa
model = sys.argv[2] or None
report = efiqa.Runtime(model, allow_untrained=bool(model)).assess(frame)
print(time.time())
"""

ByteArray = NDArray[np.uint8]


def camera_frame() -> ByteArray:
    """Return (1080, 1920, 3): scikit-image's retina photograph at the frame's height, centred on black."""
    import cv2
    from skimage import data

    retina = np.ascontiguousarray(data.retina()[..., :3])
    scale = FRAME_HEIGHT_PX / retina.shape[0]
    size = (round(retina.shape[1] * scale), FRAME_HEIGHT_PX)
    retina = cv2.resize(retina, size, interpolation=cv2.INTER_AREA)
    frame = np.zeros((FRAME_HEIGHT_PX, FRAME_WIDTH_PX, 3), np.uint8)
    left = (FRAME_WIDTH_PX - size[0]) // 2
    frame[:, left : left + size[0]] = retina
    return frame


def summary(times_ms: Sequence[float]) -> dict[str, float]:
    """Return p50, p95, p99 and max in milliseconds."""
    values = np.asarray(times_ms, np.float64)
    p50, p95, p99 = np.quantile(values, [0.5, 0.95, 0.99])
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99), "max": float(values.max())}


def network_input(frame: ByteArray, contract: dict[str, Any]) -> NDArray[np.float32]:
    """Return what the core feeds the network, (1, 3, H, W)."""
    return golden.network_input(frame, contract["input"])[None]


def probability(logits: NDArray[np.float32], contract: dict[str, Any]) -> NDArray[np.float32]:
    """Return sigmoid(scale * logits + offset)."""
    calibration = contract["output"]["calibration"]
    return 1 / (1 + np.exp(-(calibration["scale"] * logits + calibration["offset"])))


def checked(what: str, difference: float, tolerance: float) -> float:
    """Return ``difference``.

    Raises:
        RuntimeError: it is above ``tolerance``: times of different computations are not compared.
    """
    if not difference <= tolerance:
        raise RuntimeError(f"{what} differs by {difference:.4f}, expected at most {tolerance}")
    return difference


def agreement(
    report: QualityReport,
    overlay: ByteArray,
    peers: dict[str, Any],
    frame: ByteArray,
    contract: dict[str, Any],
) -> dict[str, float]:
    """Return the differences from the peers' results, checked."""
    known = np.isfinite(report.map)
    image = network_input(frame, contract)
    found: dict[str, float] = {}
    for name, peer in peers.items():
        logits = peer.logits(image)
        difference = float(np.abs(probability(logits, contract) - report.map)[known].max())
        found[f"{name}_network_max"] = checked(f"the network of {name}", difference, NETWORK_TOLERANCE)
    if "chain" in peers:
        result = peers["chain"](frame)
        difference = float(np.abs(result.map - report.map)[known].mean())
        found["chain_map_mean"] = checked("the chain's map", difference, MAP_TOLERANCE)
        grey = float(np.abs(result.overlay.astype(np.int16) - overlay).mean())
        found["chain_overlay_mean_grey_levels"] = checked("the chain's overlay", grey, OVERLAY_TOLERANCE)
    return found


def make_peers(model: Path, contract: dict[str, Any], report: QualityReport, threads: int) -> dict[str, Any]:
    """Return the peers that are installed; says which are not."""
    from benchmarks.peers import OnnxRuntimeNetwork, TorchChain

    peers: dict[str, Any] = {}
    try:
        import torch

        torch.set_num_threads(threads)
        peers["chain"] = TorchChain(model, contract, report)
    except ImportError as error:
        print(f"left out the Pillow + torch + matplotlib chain: {error}")
    try:
        peers["onnxruntime"] = OnnxRuntimeNetwork(model, threads)
    except ImportError as error:
        print(f"left out ONNX Runtime: {error}")
    return peers


def measure(model: Path | None, frame: ByteArray, threads: int, runs: int) -> dict[str, Any]:
    """Return the times of efiqa and its peers with ``threads`` threads, run in turn."""
    runtime = Runtime(model, threads=threads, allow_untrained=model is not None)
    contract = runtime.info.contract.to_dict()
    report = runtime.assess(frame)
    peers = make_peers(Path(runtime.info.model_path), contract, report, threads)
    result: dict[str, Any] = {"agreement": agreement(report, report.overlay(), peers, frame, contract)}
    image = network_input(frame, contract)
    times: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in ("efiqa", *peers)}
    for index in range(WARM_UP + runs):
        if index == WARM_UP:
            for each in times.values():
                each.clear()
        time.sleep(SETTLE_S)
        began = time.perf_counter()
        report = runtime.assess(frame)
        assessed = time.perf_counter()
        report.overlay()
        ended = time.perf_counter()
        for stage in STAGES[:-1]:
            times["efiqa"][stage].append(report.timings_ms[stage])
        times["efiqa"]["overlay"].append((ended - assessed) * 1e3)
        times["efiqa"]["total"].append((ended - began) * 1e3)
        time.sleep(SETTLE_S)
        if "chain" in peers:
            for stage, value in peers["chain"](frame).stages_ms.items():
                times["chain"][stage].append(value)
        if "onnxruntime" in peers:
            time.sleep(SETTLE_S)
            began = time.perf_counter()
            peers["onnxruntime"].logits(image)
            times["onnxruntime"]["network"].append((time.perf_counter() - began) * 1e3)
    result["times_ms"] = {name: {k: summary(v) for k, v in rows.items()} for name, rows in times.items()}
    ours = result["times_ms"]["efiqa"]
    if "chain" in peers:
        result["chain_over_efiqa_p50"] = result["times_ms"]["chain"]["total"]["p50"] / ours["total"]["p50"]
    if "onnxruntime" in peers:
        network = result["times_ms"]["onnxruntime"]["network"]["p50"]
        result["onnxruntime_over_engine_p50"] = network / ours["engine"]["p50"]
    return result


def cold_start(model: Path | None, frame: ByteArray, runs: int) -> dict[str, Any]:
    """Return seconds from starting a Python process to its first report, ``runs`` fresh processes."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "frame.npy")
        np.save(path, frame)
        for _ in range(runs):
            began = time.time()
            command = [sys.executable, "-c", COLD_START, str(path), str(model.resolve()) if model else ""]
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
            seconds.append(float(done.stdout.split()[-1]) - began)
    return {"median": statistics.median(seconds), "max": max(seconds), "runs": runs}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.latency", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--model", type=Path, help="ONNX model with its contract; default: the embedded one")
    parser.add_argument("--runs", type=int, default=200, help="timed frames for each number of threads")
    parser.add_argument("--cold-runs", type=int, default=7, help="fresh processes for the cold start")
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--out", type=Path, default=machine.ROOT / "benchmarks" / "results" / "latency.json")
    options = parser.parse_args(given)
    frame = camera_frame()
    results: dict[str, Any] = {}
    for threads in options.threads:
        results[str(threads)] = measure(options.model, frame, threads, options.runs)
        total = results[str(threads)]["times_ms"]["efiqa"]["total"]
        print(f"{threads} threads: p50 {total['p50']:.1f} ms, p99 {total['p99']:.1f} ms", flush=True)
    runtime = Runtime(options.model, allow_untrained=options.model is not None)
    content = {
        "command": " ".join(["python -m benchmarks.latency", *given]),
        "machine": machine.describe(),
        "model": {
            "id": runtime.info.model_id,
            "sha256": runtime.info.model_sha256,
            "bytes": Path(runtime.info.model_path).stat().st_size,
        },
        "engine": runtime.info.engine,
        "frame_px": [FRAME_WIDTH_PX, FRAME_HEIGHT_PX],
        "runs": options.runs,
        "threads": results,
        "cold_start_s": cold_start(options.model, frame, options.cold_runs),
    }
    machine.write_results(options.out, content)
    print(f"wrote {options.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
