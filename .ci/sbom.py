"""Software bill of materials: CycloneDX 1.6 JSON of a wheel or a shared library, written beside it.

``python .ci/sbom.py ARTIFACT...`` writes ``ARTIFACT.cdx.json``. A wheel's lists each file in it with its
SHA-256, the libraries that are linked into its extension, and the packages that it requires, in the versions
of this environment. A library's lists the shared libraries that the loader brings with it here, with the
SHA-256 of each file, and the plugins in the folder ``efiqa`` beside it. The same artifact in the same
environment gives the same bytes.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

SCHEMA = SchemaVersion.V1_6
PRODUCT = "efiqa"
# Any UUID of our own: with the artifact's hash it makes the serial number.
NAMESPACE = uuid.UUID("7b6d3c1e-3d0f-4e59-9f0f-6a1d5a0b7e11")
_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)[^;]*(?:;(.*))?$")
_LDD_LINE = re.compile(r"^\s*(\S+) => (/\S+) \(0x", re.MULTILINE)
_LINKED_OPENSSL = re.compile(rb"OpenSSL (3\.[0-9]+\.[0-9]+)[ \0]")


def sbom(artifact: Path) -> str:
    """Return the bill of materials of a ``.whl`` or a shared library as JSON, valid by the schema."""
    data = artifact.read_bytes()
    bom = Bom()
    bom.serial_number = uuid.uuid5(NAMESPACE, _sha256(data))
    bom.metadata.timestamp = _timestamp(artifact)
    product = Component(
        name=PRODUCT if artifact.suffix == ".whl" else artifact.name.split(".so")[0],
        version=_product_version(artifact),
        type=ComponentType.LIBRARY,
        bom_ref=artifact.name,
        hashes=[_hash(data)],
        licenses=[LicenseExpression("Apache-2.0")],
        properties=[Property(name="efiqa:file", value=artifact.name)],
    )
    bom.metadata.component = product
    if artifact.suffix == ".whl":
        parts, required = list(_files_of_wheel(artifact)), list(_packages())
    else:
        parts, required = list(_linked_in(data)), list(_shared_libraries(artifact))
    for component in (*parts, *required):
        bom.components.add(component)
    bom.register_dependency(product, [*parts, *required])
    text = make_outputter(bom, OutputFormat.JSON, SCHEMA).output_as_string(indent=2)
    check(text)
    return text + "\n"


def check(text: str) -> None:
    """Raise ValueError unless ``text`` is valid by the CycloneDX schema, without unknown fields."""
    error = JsonStrictValidator(SCHEMA).validate_str(text)
    if error is not None:
        raise ValueError(f"the SBOM breaks the CycloneDX schema: {error}")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hash(data: bytes) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=_sha256(data))


def _timestamp(artifact: Path) -> datetime:
    """Return the artifact's own time, or SOURCE_DATE_EPOCH, so that a repeat gives the same document."""
    seconds = os.environ.get("SOURCE_DATE_EPOCH") or int(artifact.stat().st_mtime)
    return datetime.fromtimestamp(int(seconds), tz=timezone.utc)


def _product_version(artifact: Path) -> str:
    if artifact.suffix == ".whl":
        return artifact.name.split("-")[1]
    found = re.search(r"\.so\.[0-9]+\.([0-9.]+)$", artifact.resolve().name)  # libefiqa.so.ABI.VERSION
    if found is None:
        raise ValueError(f"{artifact} is named {artifact.resolve().name}, expected libNAME.so.ABI.VERSION")
    return found[1]


def _files_of_wheel(wheel: Path) -> Iterator[Component]:
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            data = archive.read(name)
            model = name.endswith((".onnx", ".plan"))
            kind = ComponentType.MACHINE_LEARNING_MODEL if model else ComponentType.FILE
            yield Component(name=name, type=kind, bom_ref=f"file:{name}", hashes=[_hash(data)])
            if name.endswith(".so"):
                yield from _linked_in(data)


def _linked_in(binary: bytes) -> Iterator[Component]:
    """Yield the foreign code inside ``binary``: a static libcrypto says its version of itself."""
    for version in sorted({match.decode() for match in _LINKED_OPENSSL.findall(binary)}):
        yield Component(
            name="openssl",
            version=version,
            type=ComponentType.LIBRARY,
            bom_ref=f"linked-in:openssl@{version}",
            purl=PackageURL("generic", name="openssl", version=version),
            licenses=[LicenseExpression("Apache-2.0")],
            scope=ComponentScope.REQUIRED,
            properties=[Property(name="efiqa:linkage", value="static")],
        )


def _packages() -> Iterator[Component]:
    """Yield what the wheel requires, and what that requires, without extras."""
    for name in sorted(_closure(PRODUCT) - {PRODUCT}):
        package = importlib.metadata.distribution(name)
        record = package.read_text("RECORD")
        licence = package.metadata.get("License-Expression")
        properties = []
        if record is not None:  # it holds the SHA-256 of every installed file
            properties = [Property(name="efiqa:record-sha256", value=_sha256(record.encode()))]
        yield Component(
            name=name,
            version=package.version,
            type=ComponentType.LIBRARY,
            bom_ref=f"pypi:{name}@{package.version}",
            purl=PackageURL("pypi", name=name, version=package.version),
            licenses=[LicenseExpression(licence)] if licence else [],
            scope=ComponentScope.REQUIRED,
            properties=properties,
        )


def _closure(root: str) -> set[str]:
    found: set[str] = set()
    waiting = [root]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform or Python: its marker kept it out of this environment
        found.add(name)
        for requirement in requirements:
            match = _REQUIREMENT.match(requirement)
            if match and "extra ==" not in (match[2] or ""):
                waiting.append(match[1])
    return found


def _shared_libraries(library: Path) -> Iterator[Component]:
    done = subprocess.run(["ldd", str(library)], capture_output=True, text=True, check=True)
    if "not found" in done.stdout:
        raise ValueError(f"{library} needs libraries that are not here:\n{done.stdout}")
    found = dict(_LDD_LINE.findall(done.stdout))
    # What OpenVINO loads when it is asked to: installed beside the library, and not named in it.
    for plugin in (library.parent / "efiqa").glob("*.so*"):
        if not plugin.is_symlink() and plugin.resolve() not in {
            Path(place).resolve() for place in found.values()
        }:
            found[plugin.name] = str(plugin)
    for name, place in sorted(found.items()):
        version = re.search(r"\.so\.([0-9.]+)$", Path(place).resolve().name)
        yield Component(
            name=name,
            version=version[1] if version else None,
            type=ComponentType.LIBRARY,
            bom_ref=f"shared:{name}",
            hashes=[_hash(Path(place).read_bytes())],
            scope=ComponentScope.REQUIRED,
        )


def main(arguments: list[str]) -> int:
    """Write the SBOM of each artifact beside it; return 2 without any."""
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    for argument in arguments:
        artifact = Path(argument)
        target = artifact.with_name(artifact.name + ".cdx.json")
        target.write_text(sbom(artifact), encoding="utf-8")
        print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
