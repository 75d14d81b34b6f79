"""The tables of plans and of what was measured on GPUs, and where their result files are."""

from __future__ import annotations

import json
import re
from pathlib import Path

from benchmarks.markdown import Results, origin, percent, table


def plans(results: Results) -> str:
    """Return what ``efiqa build`` took and gave, a plan."""
    rows = [
        [
            f"{each['backbone']}, {each['input_px']} px, {each['precision']}",
            str(each["layers"]),
            f"{each['onnx_bytes'] / 1e6:.0f}",
            f"{each['plan_bytes'] / 1e6:.0f}",
            f"{each['build_seconds']:.0f}",
            f"{each['cpu_seconds']:.0f}",
            f"{each['peak_rss_bytes'] / 1e9:.1f}",
        ]
        for each in results["plans"]
    ]
    header = ["plan", "layers", "ONNX, MB", "plan, MB", "build, s", "processor, s", "peak memory, GB"]
    providers = " and ".join(sorted({each["provider"] for each in results["plans"]}))
    targets = ", ".join(sorted({name for each in results["plans"] for name in each["compute_capabilities"]}))
    load, cores = results["load_average"], results["machine"]["cores"]
    facts = (
        f"\nBuilt by {providers} for compute capability {targets}. *build* is by the clock, *processor* what "
        f"the whole command computed; the load average was {load:.1f} on {cores} cores at the end.\n"
    )
    return table(header, rows) + facts + origin(results)


FRAME_ROWS = {
    "efiqa_host": "**efiqa**, frame in host memory",
    "efiqa_device": "**efiqa**, frame in device memory",
    "efiqa_host_overlay": "**efiqa**, frame in host memory, with overlay",
    "efiqa_device_overlay": "**efiqa**, frame in device memory, with overlay",
    "efiqa_engine": "efiqa: the engine alone",
    "compiled_host": "OpenCV + torch.compile, frame in host memory",
    "compiled_device": "OpenCV + torch.compile, frame in device memory",
    "compiled_host_overlay": "OpenCV + torch.compile, frame in host memory, with overlay",
    "compiled_device_overlay": "OpenCV + torch.compile, frame in device memory, with overlay",
    "eager_host": "OpenCV + eager torch, frame in host memory",
}


def gpu_frame(results: Results) -> str:
    """Return the times from frame to report on a GPU, one table a plan."""
    frame = results["frame"]
    width, height = frame["frame_px"]
    parts = []
    for plan in frame["plans"]:
        if "error" in plan:
            parts.append(f"`{plan['plan']}` could not be timed: {plan['error']}\n")
            continue
        rows = []
        for name, title in FRAME_ROWS.items():
            if name not in plan["times_ms"]:
                continue
            times = plan["times_ms"][name]
            peer, _, kind = name.partition("_")
            ratio = plan["peer_over_efiqa_p50"].get(peer, {}).get(kind)
            cells = [f"{times[key]:.2f}" for key in ("p50", "p95", "p99", "max")]
            rows.append([title, *cells, "" if ratio is None else f"{ratio:.1f}x"])
        what = f"{plan['backbone']}, {plan['input_px']} px, {plan['precision']}"
        header = [f"{what}; {width} x {height}, ms", "p50", "p95", "p99", "max", "time / efiqa's, p50"]
        facts = [f"`{plan['plan']}` on {plan['engine']}."]
        if "roofline" in plan:
            line = plan["roofline"]
            facts.append(
                f"The network's floor is {line['floor_ms']:.3f} ms ({line['flops'] / 1e9:.1f} GFLOP, "
                f"{line['bytes'] / 1e6:.0f} MB; bound by {line['bound']}), "
                f"{percent(plan['roofline_share_of_frame'])} % of the device frame's p50"
                + (
                    f" and {percent(plan['roofline_share'])} % of the engine's."
                    if "roofline_share" in plan
                    else "."
                )
            )
        facts += [f"Left out: {peer} ({reason})." for peer, reason in plan["left_out"].items()]
        parts.append(table(header, rows) + "\n" + " ".join(facts) + "\n")
    limits = frame["limits"]
    reached = (
        f"\nReached in the same run: {limits['bf16_flops_per_s'] / 1e12:.0f} TFLOP/s in a large bfloat16 "
        f"product, {limits['copy_bytes_per_s'] / 1e9:.0f} GB/s in a large copy. "
        f"{frame['runs']} timed rounds.\n"
    )
    return "\n".join(parts) + reached + gpu_origin(results)


def gpu_kernels(results: Results) -> str:
    """Return the kernels' times on a GPU against the least that their bytes take."""
    found = results["kernels"]
    rows = []
    for size in found["sizes"]:
        where = f"{size['width_px']} x {size['height_px']} to {size['input_px']} px"
        for name, each in size["kernels"].items():
            cells = [f"{each[key]:.1f}" for key in ("p50_us", "p95_us", "p99_us", "max_us")]
            floor = (
                [f"{each['floor_us']:.1f}", f"{each['ratio_to_floor']:.2f}x"]
                if "floor_us" in each
                else ["", ""]
            )
            rows.append([f"{where}: {name.replace('_', ' ')}", *cells, *floor])
    header = ["kernels, us", "p50", "p95", "p99", "max", "floor", "p50 / floor"]
    facts = (
        f"\nThe floor is a kernel's bytes over the copy bandwidth, {found['copy_gb_per_s']:.0f} GB/s here.\n"
    )
    return table(header, rows) + facts + gpu_origin(results)


def gpu_origin(results: Results) -> str:
    """Return the line below a GPU's table: the device, then as below every table."""
    return f"\n<sub>{results['gpu']}</sub>\n" + origin(results)


GPU_RESULTS = "gpu-*.json"
# What a GPU's result file must hold for a table, and what the part is known by.
GPU_PARTS = {"gpu-frame": ("frame", "plans"), "gpu-kernels": ("kernels", "sizes")}


def gpu_file(gpu: str, commit: str, kind: str = "gpu") -> str:
    """Return the name of a result file; ``gpu`` is nvidia-smi's line, which begins with the GPU's name."""
    name = "-".join(re.findall(r"[a-z0-9.]+", gpu.partition(",")[0].lower()))
    return f"{kind}-{name or 'unknown'}-{commit}.json"


def newest(name: str, folder: Path) -> Path | None:
    """Return the GPU result file with the latest ``made_at`` that holds what table ``name`` shows.

    Raises:
        ValueError: a file is no JSON object with ``made_at``.
    """
    part, content = GPU_PARTS[name]
    found = []
    for path in sorted(folder.glob(GPU_RESULTS)):
        try:
            results = json.loads(path.read_text(encoding="utf-8"))
            if results.get(part, {}).get(content):
                found.append((results["made_at"], path.name))
        except (AttributeError, KeyError, ValueError) as error:
            raise ValueError(f"{path} is no result file of benchmarks/gpu_check.sh ({error})") from error
    return folder / max(found)[1] if found else None
