"""Fixtures for all tests, and EFIQA_REQUIRE, which turns skips into failures.

EFIQA_DATA       folder of the fundus photographs; by default ../shared/data/fundus beside the repository
EFIQA_REQUIRE    comma-separated: gpu, tensorrt, data, signatures, namespaces. A test with such a
                 marker may then not be skipped.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import efiqa
from efiqa.runtime import EMBEDDED_MODEL
from tests.helpers import REPOSITORY, write_telling_model, write_tiny_model

REQUIRABLE = {"gpu", "tensorrt", "data", "signatures", "namespaces"}


def pytest_configure() -> None:
    unknown = _required() - REQUIRABLE
    if unknown:
        allowed = ", ".join(sorted(REQUIRABLE))
        raise pytest.UsageError(
            f"EFIQA_REQUIRE names {', '.join(sorted(unknown))}, expected some of {allowed}"
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use the photographs, so that EFIQA_REQUIRE=data reaches them."""
    for item in items:
        if "fundus_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    required = _required() & {mark.name for mark in item.iter_markers()}
    if report.skipped and required and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = (
            f"EFIQA_REQUIRE has {', '.join(sorted(required))}, so this may not be skipped: {reason}"
        )
    return report


def _required() -> set[str]:
    return set(filter(None, os.environ.get("EFIQA_REQUIRE", "").replace(" ", "").split(",")))


@pytest.fixture(scope="session")
def fundus_data() -> Path:
    """The folder of the fundus photographs, with manifest.csv."""
    folder = Path(os.environ.get("EFIQA_DATA") or REPOSITORY.parent / "shared" / "data" / "fundus")
    if not (folder / "manifest.csv").is_file():
        pytest.skip(
            f"no fundus photographs: {folder}/manifest.csv is missing (EFIQA_DATA names another folder)"
        )
    return folder


@pytest.fixture(scope="session")
def retina() -> NDArray[np.uint8]:
    """scikit-image's CC0 photograph, uint8 (1411, 1411, 3) RGB."""
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed (extra [demo])")
    frame: NDArray[np.uint8] = np.ascontiguousarray(data.retina())
    return frame


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of a tiny ONNX model that takes dark cells for bad, with its contract beside it."""
    return write_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def telling_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of a tiny ONNX model that tells reasons, and blue frames for no retina."""
    return write_telling_model(tmp_path_factory.mktemp("telling"))


@pytest.fixture
def telling(telling_model: Path) -> Iterator[efiqa.Runtime]:
    """A Runtime of the telling model with one thread."""
    with efiqa.Runtime(telling_model, threads=1) as opened:
        yield opened


@pytest.fixture
def runtime(tiny_model: Path) -> Iterator[efiqa.Runtime]:
    """A Runtime of the tiny model with one thread."""
    with efiqa.Runtime(tiny_model, threads=1) as opened:
        yield opened


@pytest.fixture(scope="session")
def embedded_model() -> Path:
    """Path of the model that is installed with the package."""
    if not EMBEDDED_MODEL.is_file():
        pytest.skip(f"the embedded model {EMBEDDED_MODEL.name} is not in this checkout")
    return EMBEDDED_MODEL
