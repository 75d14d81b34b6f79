"""The bill of materials (`make sbom`): valid by CycloneDX's schema, and its hashes are those of the files."""

import hashlib
import importlib.metadata
import importlib.util
import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from efiqa import _core
from tests.helpers import REPOSITORY

pytest.importorskip("cyclonedx.validation.json", reason="cyclonedx-python-lib is not installed (extra [dev])")
_SPEC = importlib.util.spec_from_file_location("efiqa_sbom", REPOSITORY / ".ci" / "sbom.py")
sbom = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(sbom)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "efiqa-7.8.9-cp311-cp311-linux_x86_64.whl"
    files = {
        "efiqa/__init__.py": b"",
        "efiqa/_core.so": b"\x7fELF..OpenSSL 3.0.19 27 Jan 2026\0..",
        "efiqa/models/efiqa.onnx": b"a model",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path, files


def components(document):
    return {component["name"]: component for component in document["components"]}


def test_sbom_of_a_wheel_has_every_file_and_package(wheel):
    path, files = wheel
    document = json.loads(sbom.sbom(path))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    product = document["metadata"]["component"]
    assert (product["name"], product["version"]) == ("efiqa", "7.8.9")
    assert product["hashes"] == [{"alg": "SHA-256", "content": sha256(path.read_bytes())}]
    found = components(document)
    for name, data in files.items():
        assert found[name]["hashes"] == [{"alg": "SHA-256", "content": sha256(data)}]
    assert found["efiqa/models/efiqa.onnx"]["type"] == "machine-learning-model"
    assert (found["openssl"]["version"], found["openssl"]["type"]) == ("3.0.19", "library")
    for name in (
        "numpy",
        "openvino",
        "opencv-python-headless",
        "rich",
        "markdown-it-py",
    ):  # the last is rich's
        assert found[name]["version"] == importlib.metadata.version(name)
        record = importlib.metadata.distribution(name).read_text("RECORD")
        assert found[name]["properties"][0]["value"] == sha256(record.encode())
    assert not {"torch", "pytest", "cryptography"} & set(found)  # extras are not in the wheel's needs


def test_sbom_is_the_same_for_the_same_artifact(wheel, monkeypatch):
    path, _ = wheel
    first = sbom.sbom(path)
    assert sbom.sbom(path) == first
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert '"timestamp": "1970-01-02T00:00:00+00:00"' in sbom.sbom(path)


def test_sbom_of_a_library_has_what_the_loader_brings(tmp_path):
    mapped = re.search(r"(/\S+/libm\.so\.6|/\S+/libm-[0-9.]+\.so)\n", Path("/proc/self/maps").read_text())
    library = tmp_path / "libefiqa.so.1.2.3.4"
    shutil.copy(mapped[1], library)
    (tmp_path / "efiqa").mkdir()
    (tmp_path / "efiqa" / "libplugin.so").write_bytes(b"loaded later")
    assert sbom.main([str(library)]) == 0
    document = json.loads((tmp_path / "libefiqa.so.1.2.3.4.cdx.json").read_text())
    product = document["metadata"]["component"]
    assert (product["name"], product["version"]) == ("libefiqa", "2.3.4")
    assert product["hashes"][0]["content"] == sha256(library.read_bytes())
    assert components(document)["libplugin.so"]["hashes"][0]["content"] == sha256(b"loaded later")
    assert re.fullmatch("[0-9a-f]{64}", components(document)["libc.so.6"]["hashes"][0]["content"])


def test_sbom_library_with_missing_parts_is_refused(tmp_path):
    library = tmp_path / "libefiqa.so.1.0.1.0"
    shutil.copy(_core.__file__, library)  # its OpenVINO is looked for beside it, and is not there
    with pytest.raises(ValueError, match="needs libraries that are not here"):
        sbom.sbom(library)


def test_sbom_that_breaks_the_schema_is_refused(wheel):
    document = json.loads(sbom.sbom(wheel[0]))
    sbom.check(json.dumps(document))
    for key, value in (("bomFormat", "SPDX"), ("invented", 1), ("components", [{"name": "without type"}])):
        with pytest.raises(ValueError, match="breaks the CycloneDX schema"):
            sbom.check(json.dumps({**document, key: value}))
