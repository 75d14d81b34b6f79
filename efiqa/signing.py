"""Making keys and signing contracts. Needs the extra [sign]; checking a signature does not (``trust``).

A private key is never part of a message, and leaves this module only as a file of mode 0600.
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from efiqa import _core
from efiqa._files import AtomicFile, reading, write_atomically
from efiqa.contract import Contract
from efiqa.errors import FileError, OptionError, core_errors
from efiqa.trust import read_small_file, signature_path

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PRIVATE_SUFFIX, PUBLIC_SUFFIX = ".key", ".pub"
_SECRET_MODE = 0o600


@dataclass(frozen=True)
class KeyPair:
    """Where ``make_key_pair`` wrote the keys, and what a runtime is given to trust them."""

    private_path: Path
    public_path: Path
    public_key: bytes
    key_id: str


@dataclass(frozen=True)
class SignedContract:
    """What ``sign_model`` signed, with which key, and where the signature is."""

    contract_path: Path
    signature_path: Path
    key_id: str


def make_key_pair(name: str | os.PathLike[str], *, passphrase: bytes | None = None) -> KeyPair:
    """Return a new pair of Ed25519 keys, written to ``NAME.key`` (mode 0600) and ``NAME.pub``.

    The private key is PEM of PKCS8, encrypted when there is a ``passphrase``; the public key is PEM of a
    SubjectPublicKeyInfo. No file is ever replaced, and the private key appears last and whole.

    Raises:
        FileError: ``file_exists`` when one of the files is there already, ``file_unwritable``.
        OptionError: the extra [sign] is missing, or the passphrase is empty.
    """
    _require_cryptography()
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if passphrase == b"":
        raise OptionError("the passphrase is empty; give one, or write the key without encryption")
    base = Path(name)
    paths = [base.with_name(base.name + suffix) for suffix in (PRIVATE_SUFFIX, PUBLIC_SUFFIX)]
    key = Ed25519PrivateKey.generate()
    lock = pem.BestAvailableEncryption(passphrase) if passphrase is not None else pem.NoEncryption()
    secret = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, lock)
    public = key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    with AtomicFile(paths[0], mode=_SECRET_MODE, replace=False) as private_file:
        private_file.write(secret)
        with AtomicFile(paths[1], replace=False) as public_file:
            public_file.write(public)
    raw = key.public_key().public_bytes_raw()
    return KeyPair(paths[0], paths[1], raw, _core.key_id(raw))


def sign_model(
    target: str | os.PathLike[str],
    key_file: str | os.PathLike[str],
    *,
    ask_passphrase: Callable[[], bytes] | None = None,
) -> SignedContract:
    """Return what was signed: the contract ``target``, or the contract of the model ``target``.

    The contract must be valid and the model beside it must have the SHA-256 that it names: only what a
    runtime would open is signed. ``ask_passphrase`` is called when the key is encrypted.

    Raises:
        ContractError, FileError: contract or model is missing, invalid, or of the other one.
        OptionError: the extra [sign] is missing, or the key cannot be used.
        FileError: the key is readable by others, or the signature cannot be written.
    """
    _require_cryptography()
    model = Path(target)
    if model.suffix == ".json":
        model = model.with_suffix("")
    contract = Contract.of_model(model)
    _check_model(model, contract)
    key = _read_private_key(Path(key_file), ask_passphrase)
    message = contract.text.encode("utf-8")
    raw = key.public_key().public_bytes_raw()
    signature = signature_file(_core.key_id(raw), key.sign(message))
    path = signature_path(model)
    if _core.signature_support()["built_in"]:
        with core_errors():  # what is written must be what is read
            _core.verify_signature(message, "the contract", signature, "the new signature", [raw])
    write_atomically(path, signature)
    return SignedContract(Path(_core.contract_path(os.fspath(model))), path, _core.key_id(raw))


def signature_file(key_id: str, signature: bytes) -> bytes:
    """Return the 159 bytes of a signature file (``docs/security.md``)."""
    text = base64.b64encode(signature).decode("ascii")
    return f"efiqa-signature 1\nalgorithm ed25519\nkey_id {key_id}\nsignature {text}\n".encode("ascii")


def _check_model(model: Path, contract: Contract) -> None:
    with reading(f"model {model}", fix="a contract is signed only beside the model that it describes"):
        found = _core.sha256_hex(model.read_bytes())
    contract.check_model(model, found)


def _read_private_key(path: Path, ask_passphrase: Callable[[], bytes] | None) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = read_small_file(path, "private key")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise FileError(
            f"private key {path} has the mode {mode:04o}, so others can read it; chmod 600 it, and make a "
            "new key if somebody may have"
        )
    passphrase = None
    if b"BEGIN ENCRYPTED PRIVATE KEY" in data:
        if ask_passphrase is None:
            raise OptionError(
                f"private key {path} is encrypted and there is nobody to ask for its passphrase"
            )
        passphrase = ask_passphrase()
    try:
        key = load_pem_private_key(data, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # their texts may speak of the key's content
        wrong = (
            "the passphrase is wrong, or it is damaged" if passphrase is not None else "it is no PEM of PKCS8"
        )
        raise OptionError(f"private key {path} cannot be used: {wrong}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise OptionError(f"private key {path} is not an Ed25519 key; efiqa keygen makes one")
    return key


def _require_cryptography() -> None:
    try:
        import cryptography.hazmat.primitives.asymmetric.ed25519  # noqa: F401
    except ImportError:
        raise OptionError(
            "making keys and signing need the package cryptography; pip install 'efiqa[sign]'"
        ) from None
