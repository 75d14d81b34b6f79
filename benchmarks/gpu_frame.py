"""How long a frame takes on an NVIDIA GPU, from the frame to the report, and against what.

``python -m benchmarks.gpu_frame PLAN... [--runs 300] [--out FILE]``

Each plan is one of ``efiqa build``, of a DINO backbone with an adapter; opening it runs its parity gate. The
frame is that of benchmarks.latency, in host memory and as a torch tensor in device memory, with and without
an overlay on the host. The peer is OpenCV on the CPU (crop, INTER_AREA, normalise), torch.compile in bfloat16
of the same backbone and form of adapter with random weights of its own, and the copy back; it is given the
field of view for nothing and colours with one opacity. All run in turn, round after round, without a pause,
in which the GPU would lower its clocks. Writes benchmarks/results/gpu-frame-GPU-COMMIT.json.

The floor of a network is the longer of its FLOPs over what a large bfloat16 product reaches on this device
and of its bytes (weights, input, output: each moved once) over what a large copy reaches, both measured in
the same run. A CUDA graph does not tell how long its engine part takes, so that the floor's share is of the
whole frame (``roofline_share_of_frame``); ``roofline_share``, of the engine alone, is there where there is no
CUDA graph. ``efiqa_network_call`` copies its input from and its answer to pageable memory, outside the graph.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import machine
from benchmarks.gpu_peers import PEERS, chain_programs, make_peers, network_work, plan_facts
from benchmarks.gpu_roofline import Limits, device_limits, roofline, shares
from benchmarks.latency import NETWORK_TOLERANCE, camera_frame, checked, summary
from benchmarks.tables_gpu import gpu_file
from efiqa import EfiqaError, Runtime, _core, golden
from efiqa._files import write_atomically

ByteArray = NDArray[np.uint8]

WARM_UP = 30
# 16 frames of 6.2 MB: together beyond the 50 MB L2 cache of an H100, as a camera's frames are not in it.
FRAMES_IN_TURN = 16


def ratios(peer: str, times_ms: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the peer's p50 over efiqa's for each kind of frame that both were timed with."""
    return {
        kind: times_ms[f"{peer}_{kind}"]["p50"] / times_ms[f"efiqa_{kind}"]["p50"]
        for kind in ("host", "host_overlay", "device", "device_overlay")
        if f"{peer}_{kind}" in times_ms
    }


def time_in_turn(
    programs: Mapping[str, Callable[[int], object]], runs: int, warm_up: int = WARM_UP
) -> dict[str, list[float]]:
    """Return ``runs`` milliseconds of each program, called in turn after ``warm_up`` rounds.

    Each call gets the next number, so that no two in a row take the same frame.
    """
    times: dict[str, list[float]] = {name: [] for name in programs}
    number = 0
    for index in range(warm_up + runs):
        for name, program in programs.items():
            began = time.perf_counter()
            program(number)
            if index >= warm_up:
                times[name].append((time.perf_counter() - began) * 1e3)
            number += 1
    return times


def described(result: Mapping[str, Any]) -> str:
    """Return the lines that are printed of one plan's result."""
    if "error" in result:
        return f"{result['plan']}: failed: {result['error']}"
    lines = [f"{result['plan']}: {result['backbone']} {result['precision']}, {result['input_px']} px"]
    lines += [
        f"  {name:24} p50 {t['p50']:7.3f}  p95 {t['p95']:7.3f}  p99 {t['p99']:7.3f}  max {t['max']:7.3f} ms"
        for name, t in result["times_ms"].items()
    ]
    for peer, found in result["peer_over_efiqa_p50"].items():
        lines += [f"  {peer} / efiqa, {kind}: {ratio:.1f}x" for kind, ratio in found.items()]
    lines += [f"  {peer} left out: {reason}" for peer, reason in result["left_out"].items()]
    if "roofline" in result:
        lines.append(f"  floor {result['roofline']['floor_ms']:.3f} ms ({result['roofline']['bound']})")
    return "\n".join(lines)


def measure(plan: Path, frame: ByteArray, limits: Limits, runs: int) -> dict[str, Any]:
    """Return what is known of one plan after timing it and its peers in turn.

    Raises:
        EfiqaError: the plan does not open, or fails its parity gate.
        RuntimeError: results that ought to be alike are not.
        ValueError: as for ``plan_facts``.
    """
    import torch

    with Runtime(plan, allow_untrained=True) as runtime:
        document = runtime.info.contract.to_dict()
        facts = plan_facts(document)
        host = [frame.copy() for _ in range(FRAMES_IN_TURN)]
        device = [torch.from_numpy(frame).cuda() for _ in range(FRAMES_IN_TURN)]
        torch.cuda.synchronize()
        report, on_device = runtime.assess(host[0]), runtime.assess(device[0])
        known = np.isfinite(report.map)
        difference = float(np.abs(report.map - on_device.map)[known].max())
        agreement = {"host_device_map_max": checked("the device frame's map", difference, NETWORK_TOLERANCE)}
        image = golden.network_input(frame, document["input"])[None]
        peers, left_out, peers_agreement = make_peers(facts, frame, report, image)

        engine_ms: list[float] = []

        def assess_device(i: int) -> None:
            engine_ms.append(runtime.assess(device[i % FRAMES_IN_TURN]).timings_ms["engine"])

        programs: dict[str, Callable[[int], object]] = {
            "efiqa_host": lambda i: runtime.assess(host[i % FRAMES_IN_TURN]),
            "efiqa_host_overlay": lambda i: runtime.assess(host[i % FRAMES_IN_TURN]).overlay(),
            "efiqa_device": assess_device,
            "efiqa_device_overlay": lambda i: runtime.assess(device[i % FRAMES_IN_TURN]).overlay(),
            "efiqa_network_call": lambda _: runtime.run_network(image),
        }
        for name, chain in peers.items():
            programs |= chain_programs(name, chain, host, device)
        times = time_in_turn(programs, runs)
        if all(value > 0 for value in engine_ms):  # zero inside a CUDA graph
            times["efiqa_engine"] = engine_ms[WARM_UP:]
        times_ms = {name: summary(values) for name, values in times.items()}
        result: dict[str, Any] = {
            "plan": plan.name,
            "id": runtime.info.model_id,
            "sha256": runtime.info.model_sha256,
            "bytes": plan.stat().st_size,
            "backbone": facts.backbone,
            "adapter": facts.adapter,
            "precision": facts.precision,
            "input_px": facts.size_px,
            "engine": runtime.info.engine,
            "agreement": agreement | peers_agreement,
            "left_out": left_out,
            "times_ms": times_ms,
            "peer_over_efiqa_p50": {name: ratios(name, times_ms) for name in peers},
        }
    if peers:  # counted on the same network that the peers are made of
        result["roofline"] = roofline(network_work(facts), limits)
        result |= shares(result["roofline"]["floor_ms"], times_ms)
    return result


def missing() -> str | None:
    """Return why nothing can be timed on this machine, as one sentence, or None."""
    try:
        import torch
    except ImportError:
        return "gpu_frame needs torch with CUDA, and torch is not installed."
    if not torch.cuda.is_available():
        return f"gpu_frame needs an NVIDIA GPU with CUDA, and torch {torch.__version__} finds none."
    if importlib.util.find_spec("skimage") is None:
        return "gpu_frame needs scikit-image, whose retina photograph is its frame, and it is not installed."
    if not any(row["name"] == "tensorrt" and row["built_in"] for row in _core.backends()):
        return "gpu_frame needs an efiqa with TensorRT, and it is not built into this installation."
    return None


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options; ends the program with status 2 and a reason where they cannot be."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_frame", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("plans", nargs="+", type=Path, metavar="PLAN", help="made by efiqa build")
    parser.add_argument("--runs", type=int, default=300, help="timed rounds for each plan")
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/gpu-frame-GPU-COMMIT.json")
    options = parser.parse_args(arguments)
    if options.runs < 1:
        parser.error(f"--runs is {options.runs}, expected 1 or more")
    for plan in options.plans:
        if not plan.is_file():
            parser.error(f"plan {plan} does not exist; make it with efiqa build MODEL.onnx -o {plan}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 1 where a plan could not be timed."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parsed(given)
    reason = missing()
    if reason is not None:
        print(reason, file=sys.stderr)
        return 1
    import torch

    gpu = machine.gpu() or torch.cuda.get_device_name(0)
    out = options.out or machine.ROOT / "benchmarks" / "results" / gpu_file(
        gpu, machine.commit(), "gpu-frame"
    )
    frame = camera_frame()
    limits = device_limits()
    plans: list[dict[str, Any]] = []
    content = {
        "command": " ".join(["python -m benchmarks.gpu_frame", *given]),
        "made_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "gpu": gpu,
        "frame": {
            "frame_px": [frame.shape[1], frame.shape[0]],
            "frames_in_turn": FRAMES_IN_TURN,
            "runs": options.runs,
            "warm_up": WARM_UP,
            "torch": torch.__version__,
            "opencv_threads": cv2.getNumThreads(),
            "peers": PEERS,
            "limits": asdict(limits),
            "plans": plans,
        },
    }
    for plan in options.plans:
        try:
            result = measure(plan, frame, limits, options.runs)
        except (EfiqaError, RuntimeError, ValueError) as error:  # the other plans' figures still count
            result = {"plan": plan.name, "error": str(error)}
        torch._dynamo.reset()
        torch.cuda.empty_cache()
        plans.append(result)
        print(described(result), flush=True)
        # After each plan: what a time limit cuts off is only the next one.
        write_atomically(out, (json.dumps(content, indent=1) + "\n").encode())
    print(f"wrote {out}")
    return 1 if any("error" in each for each in plans) else 0


if __name__ == "__main__":
    raise SystemExit(main())
