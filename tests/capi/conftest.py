"""The built C library: EFIQA_CPP_BUILD names the CMake build folder (`make test-capi` sets it)."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers import REPOSITORY

HEADER = REPOSITORY / "csrc" / "include" / "efiqa" / "efiqa.h"


@dataclass(frozen=True)
class Prefix:
    """Where ``cmake --install`` put the library."""

    folder: Path
    libdir: Path


def required(path: Path) -> Path:
    """Return ``path``; fails, and never skips, where there is nothing: the checks would check nothing."""
    if not path.exists():
        pytest.fail(f"{path} does not exist; build it first (make test-cpp)")
    return path


def pkg_config(libdir: Path, *questions: str) -> list[str]:
    """Return what ``pkg-config`` answers for the library in ``libdir``; skips where there is none."""
    if shutil.which("pkg-config") is None:
        pytest.skip("pkg-config is not installed")
    environment = {**os.environ, "PKG_CONFIG_PATH": str(libdir / "pkgconfig")}
    done = subprocess.run(
        ["pkg-config", *questions, "efiqa"], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(scope="session")
def build() -> Path:
    """The CMake build folder."""
    folder = os.environ.get("EFIQA_CPP_BUILD")
    if not folder:
        pytest.skip("EFIQA_CPP_BUILD names no build of the C library; run make test-capi")
    return required(Path(folder).resolve())


@pytest.fixture(scope="session")
def library(build: Path) -> Path:
    """libefiqa.so."""
    return required(build / "libefiqa.so")


@pytest.fixture(scope="session")
def prefix(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Prefix:
    """A fresh prefix with the library and, beside it, OpenVINO's."""
    folder = tmp_path_factory.mktemp("prefix")
    for component in ((), ("--component", "openvino")):
        command = ["cmake", "--install", build, "--prefix", folder, *component]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
    (found,) = folder.rglob("libefiqa.so")
    return Prefix(folder, found.parent)
