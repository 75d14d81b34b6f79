"""The least time that an NVIDIA GPU needs for a network, by what the GPU itself reaches in the same run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

MATMUL_SIDE = 8192
COPY_BYTES = 256 << 20  # beyond any cache
WARM_UP = 30
RUNS = 30


@dataclass(frozen=True)
class Work:
    """What one answer of a network takes at least: ``flops`` of its products and convolutions, ``bytes``."""

    flops: int
    bytes: int


@dataclass(frozen=True)
class Limits:
    """What a device reached in this run: a large bfloat16 product, and a large copy (read and write)."""

    bf16_flops_per_s: float
    copy_bytes_per_s: float


def roofline(work: Work, limits: Limits) -> dict[str, Any]:
    """Return work, the least milliseconds that the limits allow for it, and which limit that is."""
    arithmetic_ms = 1e3 * work.flops / limits.bf16_flops_per_s
    memory_ms = 1e3 * work.bytes / limits.copy_bytes_per_s
    bound = "arithmetic" if arithmetic_ms >= memory_ms else "memory"
    return {**asdict(work), "floor_ms": max(arithmetic_ms, memory_ms), "bound": bound}


def shares(floor_ms: float, times_ms: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the floor's share of the device frame's p50, and of the engine's where that was measured."""
    found = {"roofline_share_of_frame": floor_ms / times_ms["efiqa_device"]["p50"]}
    if "efiqa_engine" in times_ms:
        found["roofline_share"] = floor_ms / times_ms["efiqa_engine"]["p50"]
    return found


def device_limits() -> Limits:
    """Return what the GPU reaches now, p50 of RUNS."""
    import torch

    a = torch.randn(MATMUL_SIDE, MATMUL_SIDE, device="cuda", dtype=torch.bfloat16)
    b = torch.randn_like(a)
    product = torch.empty_like(a)
    source = torch.ones(COPY_BYTES, device="cuda", dtype=torch.uint8)
    target = torch.empty_like(source)
    matmul_s = _event_seconds(lambda: torch.mm(a, b, out=product))
    copy_s = _event_seconds(lambda: target.copy_(source))
    return Limits(2 * MATMUL_SIDE**3 / matmul_s, 2 * COPY_BYTES / copy_s)


def _event_seconds(put: Callable[[], object]) -> float:
    import torch

    times = []
    for index in range(WARM_UP + RUNS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        put()
        end.record()
        end.synchronize()
        if index >= WARM_UP:
            times.append(begin.elapsed_time(end) / 1e3)
    return float(np.median(times))
