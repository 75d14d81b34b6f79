"""Which keys are trusted, and whether one of them signed a model's contract. Needs the core alone.

``docs/security.md`` specifies the signature file ``NAME.onnx.json.sig`` byte by byte.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from pathlib import Path

from efiqa import _core
from efiqa._files import reading
from efiqa.contract import Contract
from efiqa.errors import FileError, OptionError, SignatureError, core_errors

PublicKey = bytes | str | os.PathLike[str]

PUBLIC_KEY_BYTES = 32
PEM_BEGIN, PEM_END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
# DER of a SubjectPublicKeyInfo of Ed25519, up to the key's own bytes. Source: RFC 8410, sections 3 and 4.
PEM_PREFIX = bytes.fromhex("302a300506032b6570032100")
_MAX_KEY_FILE_BYTES = 4096


def trusted_key_bytes(keys: Iterable[PublicKey]) -> list[bytes]:
    """Return the 32 bytes of each public key: given as they are, or as the path of its PEM file.

    Raises:
        OptionError: a key of another type or length, or a file that holds no Ed25519 public key.
        FileError: a file that cannot be read.
    """
    if isinstance(keys, bytes | str | os.PathLike):
        kind = type(keys).__name__
        raise OptionError(f"trusted_keys is of type {kind}, expected a list of keys; put it into [ ]")
    return [_one_key(key, index) for index, key in enumerate(keys)]


def _one_key(key: PublicKey, index: int) -> bytes:
    if isinstance(key, bytes):
        if len(key) != PUBLIC_KEY_BYTES:
            raise OptionError(
                f"trusted_keys[{index}] has {len(key)} bytes, expected the {PUBLIC_KEY_BYTES} of an Ed25519 "
                "public key, or the path of its file"
            )
        return key
    if isinstance(key, str | os.PathLike):
        return read_public_key(key)
    raise OptionError(
        f"trusted_keys[{index}] is of type {type(key).__name__}, expected {PUBLIC_KEY_BYTES} bytes, "
        "or the path of a public key file"
    )


def read_public_key(path: str | os.PathLike[str]) -> bytes:
    """Return the 32 bytes of the Ed25519 public key in the PEM file ``path``.

    Raises:
        OptionError: the file holds something else. The message never shows what.
        FileError: the file cannot be read.
    """
    lines = read_small_file(path, "public key").decode("ascii", "replace").split()
    text = " ".join(lines)
    if "PRIVATE KEY" in text:
        raise OptionError(f"{path} is a private key, expected the public one (NAME.pub of efiqa keygen)")
    body = text.removeprefix(PEM_BEGIN).removesuffix(PEM_END).replace(" ", "")
    try:
        der = base64.b64decode(body, validate=True)
    except ValueError:
        der = b""
    well_formed = text.startswith(PEM_BEGIN) and text.endswith(PEM_END)
    if not well_formed or not der.startswith(PEM_PREFIX) or len(der) != len(PEM_PREFIX) + PUBLIC_KEY_BYTES:
        raise OptionError(f"{path} is not an Ed25519 public key as PEM; efiqa keygen writes one")
    return der[len(PEM_PREFIX) :]


def read_small_file(path: str | os.PathLike[str], what: str) -> bytes:
    """Return the content of a key file, which is never larger than a page.

    Raises:
        FileError: the file is missing, unreadable or too large.
    """
    with reading(f"{what} {path}"), Path(path).open("rb") as stream:
        data = stream.read(_MAX_KEY_FILE_BYTES + 1)
    if len(data) > _MAX_KEY_FILE_BYTES:
        raise FileError(f"{what} {path} has more than {_MAX_KEY_FILE_BYTES} bytes, so it is no key")
    return data


def signature_path(model: str | os.PathLike[str]) -> Path:
    """Return where the signature of ``model``'s contract is: ``NAME.onnx`` -> ``NAME.onnx.json.sig``."""
    return Path(_core.contract_path(os.fspath(model)) + ".sig")


def verify_signature(
    model: str | os.PathLike[str], contract: Contract, trusted_keys: Iterable[PublicKey]
) -> str:
    """Return the id of the trusted key that signed ``contract``, whose signature lies beside ``model``.

    Raises:
        SignatureError: there is no signature, it does not fit, or its key is not trusted.
        BackendError: this installation cannot check signatures.
        OptionError: no key at all, or one that is none.
    """
    keys = trusted_key_bytes(trusted_keys)
    path = signature_path(model)
    with reading(f"signature {path}"):
        try:
            with path.open("rb") as stream:
                signature = stream.read(_MAX_KEY_FILE_BYTES)
        except FileNotFoundError:
            raise SignatureError(
                f"signature {path} does not exist; copy it along, or make one with efiqa sign"
            ) from None
    with core_errors():
        return _core.verify_signature(
            contract.text.encode("utf-8"), _shown(contract.origin), signature, _shown(path), keys
        )


def _shown(path: str | os.PathLike[str]) -> str:
    """Return ``path`` as text for messages; bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
