"""Every kernel compiles for its devices without warnings and stays within its documented resources."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers import REPOSITORY

SOURCES = sorted((REPOSITORY / "csrc").glob("*.cu"))
TARGETS = ("sm_87", "sm_90", "sm_110")  # Orin, Hopper, Thor
# Registers a thread, in the steps of 8 that a GPU gives them out in, and shared memory a block; at most, over
# all targets and pixel formats.
LIMITS: dict[str, dict[str, int]] = json.loads((REPOSITORY / "tests/kernels/resources.json").read_text())
CACHE = REPOSITORY / "build" / "kernels"
JOBS = 2


@dataclass(frozen=True)
class Resources:
    """One kernel's line of ptxas' report."""

    kernel: str
    target: str
    registers: int
    shared_bytes: int
    stack_bytes: int
    spill_bytes: int


def nvcc() -> str:
    path = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
    if path is None:
        pytest.skip("nvcc is not installed")
    return path


def build_flags() -> list[str]:
    """Return the flags with which CMakeLists.txt compiles kernels."""
    text = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    flags = re.search(r"COMPILE_LANGUAGE:CUDA>:([^>]+)>", text)
    assert flags is not None, "CMakeLists.txt has no flags for CUDA"
    return ["-std=c++17", "-O3", *flags[1].split(";")]


def command(source: Path, output: Path) -> list[str]:
    targets = [f"-gencode=arch={name.replace('sm', 'compute')},code={name}" for name in TARGETS]
    include = f"-I{REPOSITORY / 'csrc'}"
    return [nvcc(), "-c", *build_flags(), *targets, "-Xptxas=-v", include, str(source), "-o", str(output)]


def compiled(source: Path, folder: Path) -> str:
    """Return what ptxas reports of ``source``, kept from the last time where nothing has changed since."""
    version = subprocess.run([nvcc(), "--version"], check=True, capture_output=True).stdout
    headers = sorted((REPOSITORY / "csrc").glob("*.h"))
    parts = [version, *(path.read_bytes() for path in (*headers, source))]
    parts.append(" ".join(command(source.relative_to(REPOSITORY), Path("x"))[1:]).encode())
    kept = CACHE / f"{source.stem}-{hashlib.sha256(b'|'.join(parts)).hexdigest()[:16]}.txt"
    if kept.is_file():
        return kept.read_text(encoding="utf-8")
    run = subprocess.run(
        command(source, folder / f"{source.stem}.o"), check=False, capture_output=True, text=True
    )
    assert run.returncode == 0, f"{source.name} does not compile:\n{run.stdout}{run.stderr}"
    CACHE.mkdir(parents=True, exist_ok=True)
    for old in CACHE.glob(f"{source.stem}-*.txt"):
        old.unlink()
    fresh = folder / kept.name
    fresh.write_text(run.stdout + run.stderr, encoding="utf-8")
    shutil.move(fresh, kept)
    return run.stdout + run.stderr


def parsed(report: str) -> Iterator[Resources]:
    """Yield the kernels of ptxas' report.

    Raises:
        ValueError: a kernel whose figures are not where they are looked for.
    """
    entries = re.split(r"Compiling entry function ", report)[1:]
    for entry in entries:
        head = re.match(r"'(\w+)' for '(sm_\d+)'", entry)
        name = re.search(r"\d+([a-z][a-z_]*_kernel)", head[1]) if head else None
        spills = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill", entry)
        used = re.search(r"Used (\d+) registers", entry)
        if head is None or name is None or spills is None or used is None:
            raise ValueError(f"not understood: {entry}")
        shared = re.search(r"(\d+) bytes smem", entry)
        yield Resources(
            kernel=name[1],
            target=head[2],
            registers=int(used[1]),
            shared_bytes=int(shared[1]) if shared else 0,
            stack_bytes=int(spills[1]),
            spill_bytes=int(spills[2]) + int(spills[3]),
        )


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> list[Resources]:
    nvcc()
    folder = tmp_path_factory.mktemp("kernels")
    with ThreadPoolExecutor(JOBS) as pool:
        reports = list(pool.map(lambda source: compiled(source, folder), SOURCES))
    return [entry for report in reports for entry in parsed(report)]


def test_kernels_report_is_parsed_or_refused() -> None:
    report = (
        "ptxas info    : Compiling entry function '_ZN5efiqa12_GLOBAL__N11grid_kernelEv' for 'sm_87'\n"
        "ptxas info    : Function properties for _ZN5efiqa12_GLOBAL__N11grid_kernelEv\n"
        "    48 bytes stack frame, 52 bytes spill stores, 40 bytes spill loads\n"
        "ptxas info    : Used 64 registers, used 1 barriers, 48 bytes cumulative stack size, "
        "12296 bytes smem\n"
    )
    assert list(parsed(report)) == [Resources("grid_kernel", "sm_87", 64, 12296, 48, 92)]
    with pytest.raises(ValueError, match="not understood"):
        list(parsed(report.replace("registers", "cells")))


def test_kernels_are_all_documented_and_compiled_for_every_target(resources: list[Resources]) -> None:
    assert {(entry.kernel, entry.target) for entry in resources} == {
        (kernel, target) for kernel in LIMITS for target in TARGETS
    }


def test_kernels_keep_everything_in_registers(resources: list[Resources]) -> None:
    assert [entry for entry in resources if entry.stack_bytes or entry.spill_bytes] == []


def test_kernels_stay_within_their_documented_resources(resources: list[Resources]) -> None:
    over = [
        entry
        for entry in resources
        if entry.registers > LIMITS[entry.kernel]["registers"]
        or entry.shared_bytes > LIMITS[entry.kernel]["shared_bytes"]
    ]
    assert over == []
