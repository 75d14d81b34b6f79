"""Whether libefiqa runs for months: memory, latency and answers over many frames; writes a JSON.

``python -m benchmarks.soak [--frames 100000] [--library build/cpp/libefiqa.so] [--model M.onnx] [--out F]``

Frames of varying size, format and content go through the C door, in an order that a seed fixes: the retina
photograph as it is, defocused whole and in part, dark and bright, frames without a retina, and one in ten
that must be refused. The resident memory is read after the warm-up and at the end. Every answer to a frame
must equal, bit by bit, the first answer to it.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine

SIZES_PX = ((320, 240), (640, 480), (800, 800), (1280, 720), (1920, 1080))
RGB8, GRAY8 = 0, 2  # EFIQA_FORMAT_ of efiqa.h
OK, INVALID_FRAME = 0, 2  # EFIQA_STATUS_
VERDICTS = ("unknown", "reject", "usable", "good")
REFUSED_EVERY = 10  # one frame in so many has a stride that is too small
MIN_WARM_UP = 200  # frames; every size has been seen, and the engine's own caches are filled
MAX_GROWTH_KIB = 1024
MAX_LATENCY_RATIO = 1.1

ByteArray = NDArray[np.uint8]


class Options(ctypes.Structure):
    """efiqa_options."""

    _fields_ = (
        ("struct_size", ctypes.c_uint32),
        *(
            (name, ctypes.c_int32)
            for name in ("backend", "threads", "deadline_ms", "allow_untrained", "reserved")
        ),
        ("model_path", ctypes.c_char_p),
        ("operating_point", ctypes.c_char_p),
        ("trusted_keys", ctypes.c_void_p),
        *((name, ctypes.c_int32) for name in ("trusted_key_count", "require_signature")),
    )


class Frame(ctypes.Structure):
    """efiqa_frame."""

    _fields_ = (
        ("struct_size", ctypes.c_uint32),
        *((name, ctypes.c_int32) for name in ("format", "width_px", "height_px")),
        ("data", ctypes.c_void_p),
        ("data_size_bytes", ctypes.c_size_t),
        ("row_stride_bytes", ctypes.c_ssize_t),
        ("uv_data", ctypes.c_void_p),
        ("uv_size_bytes", ctypes.c_size_t),
        ("uv_stride_bytes", ctypes.c_ssize_t),
        *((name, ctypes.c_int32) for name in ("matrix", "range", "memory", "reserved")),
        ("stream", ctypes.c_void_p),
    )


class Report(ctypes.Structure):
    """efiqa_report: the fields that are used here by name, the others as numbers."""

    _fields_ = (
        ("struct_size", ctypes.c_uint32),
        ("status", ctypes.c_int32),
        ("verdict", ctypes.c_int32),
        ("reason", ctypes.c_int32),
        ("score", ctypes.c_float),
        ("geometry", ctypes.c_uint32 * 15),
        *((name, ctypes.c_int32) for name in ("grid_width", "grid_height", "region_count")),
        ("timings_ms", ctypes.c_float * 5),
        *((name, ctypes.c_void_p) for name in ("map", "weights")),
        *((name, ctypes.c_char_p) for name in ("model_id", "model_sha256", "contract_sha256")),
        *((name, ctypes.c_int32) for name in ("main_reason", "remedy")),
        ("remedy_clock_hour", ctypes.c_float),
        ("reason_strengths", ctypes.c_float * 6),
        ("not_a_fundus", ctypes.c_float),
        ("macula", ctypes.c_void_p),
        ("optic_disc", ctypes.c_void_p),
    )


class Library:
    """One runtime of libefiqa."""

    def __init__(self, path: Path, model: Path | None, threads: int) -> None:
        self._library = ctypes.CDLL(str(path.resolve()))
        self._handle = ctypes.c_void_p()
        self._message = ctypes.create_string_buffer(512)
        options = Options(
            struct_size=ctypes.sizeof(Options), threads=threads, allow_untrained=int(model is not None)
        )
        options.model_path = str(model).encode() if model else None
        status = self._library.efiqa_runtime_open(
            ctypes.byref(options), ctypes.byref(self._handle), self._message, ctypes.c_size_t(512)
        )
        if status != OK:
            raise RuntimeError(self._message.value.decode(errors="replace"))
        self._report = Report(struct_size=ctypes.sizeof(Report))

    def assess(self, frame: Frame) -> Report:
        """Return the runtime's one report, overwritten by the next call."""
        self._library.efiqa_runtime_assess(
            self._handle, ctypes.byref(frame), ctypes.byref(self._report), self._message, ctypes.c_size_t(512)
        )
        return self._report

    def close(self) -> None:
        """Close the runtime."""
        self._library.efiqa_runtime_close(ctypes.byref(self._handle))


def contents() -> list[tuple[str, ByteArray]]:
    """Return named RGB pictures of what a camera sees in an exam."""
    import cv2
    from skimage import data

    retina = np.ascontiguousarray(data.retina()[..., :3])
    defocused = cv2.GaussianBlur(retina, (0, 0), 25)
    dark = (retina * 0.3).astype(np.uint8)
    bright = np.clip(retina.astype(np.float32) * 1.6, 0, 255).astype(np.uint8)
    partly, third = retina.copy(), retina.shape[1] // 3
    partly[:, :third] = defocused[:, :third]
    noise = np.random.default_rng(1).integers(0, 256, retina.shape, np.uint8)
    return [
        ("sharp", retina), ("defocused", defocused), ("partly", partly), ("dark", dark), ("bright", bright),
        ("closed", np.zeros_like(retina)), ("noise", noise),
    ]  # fmt: skip


def pictures() -> list[ByteArray]:
    """Return the pool of frames, colour (h, w, 3) and grey (h, w): each content in each size."""
    import cv2

    pool: list[ByteArray] = []
    for width, height in SIZES_PX:
        side = min(width, height)
        for _, content in contents():
            frame = np.zeros((height, width, 3), np.uint8)
            left, top = (width - side) // 2, (height - side) // 2
            frame[top : top + side, left : left + side] = cv2.resize(
                content, (side, side), interpolation=cv2.INTER_AREA
            )
            pool += [frame, np.ascontiguousarray(frame[:, :, 1])]
    return pool


def c_frame(picture: ByteArray, *, refused: bool) -> Frame:
    """Return the frame of ``picture``, which must outlive it."""
    stride = picture.strides[0]
    return Frame(
        struct_size=ctypes.sizeof(Frame),
        format=RGB8 if picture.ndim == 3 else GRAY8,
        width_px=picture.shape[1],
        height_px=picture.shape[0],
        data=picture.ctypes.data,
        data_size_bytes=picture.nbytes,
        row_stride_bytes=stride - 1 if refused else stride,
    )


def answer(report: Report) -> bytes:
    """Return a digest of all that must be the same for the same frame."""
    cells = report.grid_width * report.grid_height
    digest = hashlib.sha256(bytes(memoryview(report))[4 : Report.timings_ms.offset])
    for grid in (report.map, report.weights):
        if grid:
            digest.update(ctypes.string_at(grid, 4 * cells))
    return digest.digest()


def resident_kib() -> int:
    """Return VmRSS of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError("/proc/self/status has no VmRSS")


def drift(times_ms: NDArray[np.float32]) -> dict[str, float]:
    """Return median and maximum, and the median of the last tenth against that of the first."""
    tenth = max(1, len(times_ms) // 10)
    first, last = (float(np.nanmedian(part)) for part in (times_ms[:tenth], times_ms[-tenth:]))
    return {
        "median": float(np.nanmedian(times_ms)),
        "max": float(np.nanmax(times_ms)),
        "first_tenth_median": first,
        "last_tenth_median": last,
        "ratio": last / first,
    }


def soak(library: Library, frames: int, seed: int) -> dict[str, Any]:
    """Return the figures of one run.

    Raises:
        RuntimeError: a frame was answered differently than before, or a refused one was not unknown.
    """
    pool = pictures()
    good = [c_frame(picture, refused=False) for picture in pool]
    bad = [c_frame(picture, refused=True) for picture in pool]
    order = random.Random(seed)
    seen: dict[int, bytes] = {}
    verdicts = dict.fromkeys(VERDICTS, 0)
    warm_up = max(MIN_WARM_UP, 4 * len(pool), frames // 20)
    # The tables are made before the memory is read: what grows afterwards is the library's.
    times_ms, cpu_ms = np.zeros((2, frames), np.float32)
    resident: list[int] = []
    every = max(1, frames // 20)
    for index in range(-warm_up, frames):
        which = index % len(pool) if index < 0 else order.randrange(len(pool))
        refused = index % REFUSED_EVERY == 0
        began, cpu_began = time.perf_counter(), time.process_time()
        report = library.assess(bad[which] if refused else good[which])
        elapsed_ms, spent_ms = (time.perf_counter() - began) * 1e3, (time.process_time() - cpu_began) * 1e3
        if report.status != (INVALID_FRAME if refused else OK):
            raise RuntimeError(f"frame {index} was answered with status {report.status}")
        if refused:
            if report.verdict != 0 or report.score == report.score:
                raise RuntimeError(f"frame {index} was refused, and its verdict is not unknown")
        else:
            got = answer(report)
            if seen.setdefault(which, got) != got:
                raise RuntimeError(f"frame {index} was answered differently than the same frame before")
        if index >= 0:
            times_ms[index], cpu_ms[index] = (np.nan, np.nan) if refused else (elapsed_ms, spent_ms)
            verdicts[VERDICTS[report.verdict]] += 1
            if index % every == 0 or index == frames - 1:
                resident.append(resident_kib())
    return {
        "frames": frames,
        "warm_up_frames": warm_up,
        "distinct_frames": len(pool),
        "verdicts": verdicts,
        "resident_kib": resident,
        "resident_growth_kib": resident[-1] - resident[0],
        "latency_ms": drift(times_ms),
        "cpu_ms": drift(cpu_ms),  # of all threads: the drift that other programs' load cannot make
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 where the memory grew by more than MAX_GROWTH_KIB."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.split("\n\n")[0])
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--library", type=Path, default=machine.ROOT / "build" / "cpp" / "libefiqa.so")
    parser.add_argument("--model", type=Path, help="default: the embedded model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=machine.ROOT / "benchmarks" / "results" / "soak.json")
    options = parser.parse_args(given)
    if options.frames < 20:
        parser.error(f"--frames is {options.frames}, expected at least 20")
    library = Library(options.library, options.model, options.threads)
    began = time.time()
    result = soak(library, options.frames, options.seed)
    library.close()
    content = {
        "command": " ".join(["python -m benchmarks.soak", *given]),
        "machine": machine.describe(),
        "seconds": round(time.time() - began, 1),
        **result,
    }
    machine.write_results(options.out, content)
    growth, ratio = result["resident_growth_kib"], result["latency_ms"]["ratio"]
    print(f"{options.frames} frames: memory {growth:+d} KiB (limit {MAX_GROWTH_KIB}), ", end="")
    print(f"latency of the last tenth / the first {ratio:.3f} (wanted: at most {MAX_LATENCY_RATIO})")
    print(f"wrote {options.out}")
    return int(growth > MAX_GROWTH_KIB)


if __name__ == "__main__":
    raise SystemExit(main())
