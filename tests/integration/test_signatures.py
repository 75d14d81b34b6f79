"""Signed models: keys, signatures, and what a Runtime refuses. Attackers here can replace any file."""

import base64
import ctypes
import json
import os
import shutil
import stat
import struct
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

import efiqa
from efiqa import _core, cli, signing
from efiqa.trust import read_public_key, signature_path, verify_signature
from tests.helpers import contract_of, write_tiny_model

CLI = "import sys; from efiqa.cli import main; sys.exit(main())"
SUPPORT = _core.signature_support()
needs_signatures = [
    pytest.mark.signatures,
    pytest.mark.skipif(not SUPPORT["built_in"], reason=f"signatures are {SUPPORT['version']}"),
]


@pytest.fixture
def keys(tmp_path):
    return signing.make_key_pair(tmp_path / "maker")


@pytest.fixture
def stranger(tmp_path):
    return signing.make_key_pair(tmp_path / "stranger")


@pytest.fixture
def signed(tmp_path, keys):
    """Path of a tiny model whose contract is signed by ``keys``."""
    model = write_tiny_model(tmp_path)
    signing.sign_model(model, keys.private_path)
    return model


def edit_contract(model, section, field, value):
    document = json.loads(contract_of(model).read_text())
    document[section][field] = value
    contract_of(model).write_text(json.dumps(document))


class TestRuntime:
    pytestmark = needs_signatures

    def test_runtime_signed_model_opens_and_says_by_whom(self, signed, keys):
        for key in (keys.public_key, keys.public_path, str(keys.public_path)):
            with efiqa.Runtime(signed, threads=1, trusted_keys=[key]) as runtime:
                assert runtime.info.signed_by == keys.key_id
        with efiqa.Runtime(signed, threads=1) as runtime:
            assert runtime.info.signed_by == ""  # nobody was trusted, so nothing was checked

    def test_runtime_one_of_several_trusted_keys_is_enough(self, signed, keys, stranger):
        trusted = [stranger.public_key, keys.public_key]
        with efiqa.Runtime(signed, threads=1, trusted_keys=trusted, require_signature=True) as runtime:
            assert runtime.info.signed_by == keys.key_id

    def test_runtime_unsigned_model_is_refused(self, tmp_path, keys):
        model = write_tiny_model(tmp_path)
        with pytest.raises(efiqa.SignatureError, match=r"tiny\.onnx\.json\.sig does not exist") as caught:
            efiqa.Runtime(model, trusted_keys=[keys.public_key])
        assert caught.value.code == "signature_invalid"

    def test_runtime_altered_contract_is_refused(self, signed, keys):
        edit_contract(signed, "map", "region_threshold", 0.99)
        with pytest.raises(efiqa.SignatureError, match=f"by the key {keys.key_id} does not fit"):
            efiqa.Runtime(signed, trusted_keys=[keys.public_key])

    def test_runtime_contract_with_other_line_ends_is_refused(self, signed, keys):
        text = contract_of(signed).read_bytes()
        contract_of(signed).write_bytes(text + b"\n")
        with pytest.raises(efiqa.SignatureError, match="altered after signing"):
            efiqa.Runtime(signed, trusted_keys=[keys.public_key])

    def test_runtime_altered_model_is_refused_by_the_signed_hash(self, signed, keys):
        signed.write_bytes(signed.read_bytes()[:-1] + b"\0")
        with pytest.raises(efiqa.ContractError, match="SHA-256"):
            efiqa.Runtime(signed, trusted_keys=[keys.public_key])

    def test_runtime_everything_replaced_and_signed_by_a_stranger_is_refused(self, signed, keys, stranger):
        edit_contract(signed, "map", "region_threshold", 0.99)
        signing.sign_model(signed, stranger.private_path)
        message = f"by the key {stranger.key_id}, which is not among the trusted ones: {keys.key_id}"
        with pytest.raises(efiqa.SignatureError, match=message):
            efiqa.Runtime(signed, trusted_keys=[keys.public_key])

    def test_runtime_signature_of_another_contract_is_refused(self, signed, keys, tmp_path):
        other = tmp_path / "other"
        other.mkdir()
        model = write_tiny_model(other, id="other-v1")
        shutil.copy(signature_path(signed), signature_path(model))
        with pytest.raises(efiqa.SignatureError, match="does not fit"):
            efiqa.Runtime(model, trusted_keys=[keys.public_key])

    @pytest.mark.parametrize("content", [b"", b"\0" * 159, b"x" * 160, b"{}"])
    def test_runtime_garbage_for_a_signature_is_refused(self, signed, keys, content):
        signature_path(signed).write_bytes(content)
        with pytest.raises(efiqa.SignatureError, match=r"tiny\.onnx\.json\.sig"):
            efiqa.Runtime(signed, trusted_keys=[keys.public_key])

    def test_runtime_contract_of_a_stranger_is_not_even_parsed(self, signed, keys):
        contract_of(signed).write_bytes(b"\xff not a contract")
        with pytest.raises(efiqa.SignatureError, match="altered after signing"):
            efiqa.Runtime(signed, trusted_keys=[keys.public_key])

    def test_runtime_reads_each_file_once(self, signed, keys):
        """What is checked is what is used: a second opening could meet another file."""
        files = [signed, contract_of(signed), signature_path(signed)]
        with Openings(files) as openings:
            efiqa.Runtime(signed, threads=1, trusted_keys=[keys.public_key]).close()
        assert openings.counts == dict.fromkeys(files, 1)

    def test_runtime_contract_of_the_report_is_the_one_that_was_checked(self, signed, keys):
        text = contract_of(signed).read_bytes()
        with efiqa.Runtime(signed, threads=1, trusted_keys=[keys.public_key]) as runtime:
            contract_of(signed).write_bytes(b"replaced meanwhile")
            assert runtime.info.contract.text.encode() == text


class TestVerify:
    pytestmark = needs_signatures

    def test_verify_answers_with_the_key_id(self, signed, keys, stranger):
        contract = efiqa.Contract.of_model(signed)
        assert verify_signature(signed, contract, [keys.public_path]) == keys.key_id
        with pytest.raises(efiqa.SignatureError, match="not among the trusted ones"):
            verify_signature(signed, contract, [stranger.public_path])
        signature_path(signed).unlink()
        with pytest.raises(efiqa.SignatureError, match="does not exist"):
            verify_signature(signed, contract, [keys.public_path])

    def test_verify_command_takes_keys_and_fails_without_a_signature(self, signed, keys, stranger, capsys):
        command = ["verify", str(signed), "--json", "--trusted-key"]
        both = [str(stranger.public_path), str(keys.public_path)]
        cli.main([*command, *both])
        assert signature_finding(capsys) == {
            "check": "signature", "state": "passed", "detail": f"by the key {keys.key_id}",
        }  # fmt: skip
        assert cli.main([*command, both[0]]) == 1
        finding = signature_finding(capsys)
        assert finding["state"] == "failed"
        assert "not among the trusted ones" in finding["detail"]
        signature_path(signed).unlink()
        assert cli.main([*command, both[1]]) == 1
        assert "does not exist" in signature_finding(capsys)["detail"]
        assert cli.main([*command, str(keys.private_path)]) == 2

    @given(data=st.data())
    def test_verify_no_changed_bit_passes(self, golden, data):
        public_key, contract, signature = golden
        parts = [bytearray(contract), bytearray(signature)]
        part = data.draw(st.sampled_from(parts))
        part[data.draw(st.integers(0, len(part) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        with pytest.raises(_core.CoreError) as caught:
            _core.verify_signature(bytes(parts[0]), "c", bytes(parts[1]), "s", [public_key])
        assert caught.value.code == "signature_invalid"

    @pytest.mark.skipif(
        "linked in" not in SUPPORT["version"], reason="the system's OpenSSL reads its settings"
    )
    def test_verify_own_libcrypto_reads_no_settings_of_the_system(self, golden, tmp_path):
        os.mkfifo(tmp_path / "openssl.cnf")  # whoever opens it waits for a writer, who never comes
        script = (
            "import sys; from efiqa import _core; a, b, c = map(bytes.fromhex, sys.argv[1:]);"
            "print(_core.verify_signature(b, 'c', c, 's', [a]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, *(part.hex() for part in golden)],
            env={**os.environ, "OPENSSL_CONF": str(tmp_path / "openssl.cnf")},
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert done.stdout.strip() == _core.key_id(golden[0])


def signature_finding(capsys):
    findings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return next(finding for finding in findings if finding["check"] == "signature")


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    """A public key, a contract and its signature file."""
    folder = tmp_path_factory.mktemp("golden")
    pair = signing.make_key_pair(folder / "k")
    model = write_tiny_model(folder)
    signing.sign_model(model, pair.private_path)
    return pair.public_key, contract_of(model).read_bytes(), signature_path(model).read_bytes()


@pytest.mark.skipif(bool(SUPPORT["built_in"]), reason="this core can check signatures")
def test_runtime_core_without_signatures_refuses_rather_than_trusts(signed, keys):
    with pytest.raises(efiqa.BackendError, match="signature cannot be checked, so the model is not opened"):
        efiqa.Runtime(signed, trusted_keys=[keys.public_key])


def test_runtime_required_signature_without_keys_is_an_error(tiny_model):
    with pytest.raises(efiqa.OptionError, match="require_signature is set and trusted_keys is empty"):
        efiqa.Runtime(tiny_model, require_signature=True)


@pytest.mark.parametrize(
    ("keys_given", "message"),
    [
        ([b"short"], r"trusted_keys\[0\] has 5 bytes, expected the 32"),
        ([bytes(32)], r"trusted_keys\[0\] is all zeros"),
        ([3], r"trusted_keys\[0\] is of type int"),
        (b"x" * 32, r"trusted_keys is of type bytes, expected a list"),
        ("maker.pub", r"trusted_keys is of type str, expected a list"),
    ],
)
def test_runtime_keys_that_are_none_are_named(tiny_model, keys_given, message):
    with pytest.raises(efiqa.OptionError, match=message):
        efiqa.Runtime(tiny_model, trusted_keys=keys_given)


def test_public_key_file_of_another_kind_is_refused(tmp_path, keys):
    rsa_key = rsa.generate_private_key(65537, 2048).public_key()
    texts = {
        "rsa": rsa_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "garbage": b"\xff\0",
        "empty": b"",
        "cut": keys.public_path.read_bytes()[:-30],
        "body": base64.b64encode(b"x" * 44),
    }
    for name, content in texts.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(efiqa.OptionError, match="not an Ed25519 public key"):
            read_public_key(tmp_path / name)
    with pytest.raises(efiqa.OptionError, match="is a private key, expected the public one") as caught:
        read_public_key(keys.private_path)
    assert secret_of(keys) not in str(caught.value)
    (tmp_path / "large").write_bytes(b"x" * 10_000)
    for path, message in (("large", "more than 4096 bytes"), ("none", "No such file"), (".", "directory")):
        with pytest.raises(efiqa.FileError, match=message):
            read_public_key(tmp_path / path)


def secret_of(pair):
    """Return the line of the private key's file that must never be seen anywhere else."""
    return pair.private_path.read_text().splitlines()[1]


def test_keygen_private_key_is_for_its_owner_alone_whatever_the_umask(tmp_path):
    for umask in (0, 0o077):
        before = os.umask(umask)
        try:
            pair = signing.make_key_pair(tmp_path / f"k{umask}")
        finally:
            os.umask(before)
        assert stat.S_IMODE(pair.private_path.stat().st_mode) == 0o600
    key = load_pem_private_key(pair.private_path.read_bytes(), None)
    assert key.public_key().public_bytes_raw() == pair.public_key == read_public_key(pair.public_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".key", ".pub"}  # no temporary is left


@pytest.mark.parametrize("suffix", [".key", ".pub"])
def test_keygen_never_replaces_a_file(tmp_path, suffix):
    (tmp_path / f"k{suffix}").write_bytes(b"precious")
    with pytest.raises(efiqa.FileError, match="exists already, and is not replaced") as caught:
        signing.make_key_pair(tmp_path / "k")
    assert caught.value.code == "file_exists"
    assert (tmp_path / f"k{suffix}").read_bytes() == b"precious"
    assert len(list(tmp_path.iterdir())) == 1


def test_keygen_and_sign_commands_never_show_the_private_key(tmp_path, capsys):
    model = write_tiny_model(tmp_path)
    name = str(tmp_path / "k")
    assert cli.main(["keygen", "-o", name]) == 0
    assert cli.main(["sign", str(model), "--key", f"{name}.key"]) == 0
    assert cli.main(["sign", str(contract_of(model)), "--key", f"{name}.key"]) == 0
    assert cli.main(["keygen", "-o", name]) == 1
    assert cli.main(["sign", str(model), "--key", f"{name}.pub"]) == 1  # its mode is that of a public file
    captured = capsys.readouterr()
    pair = load_pem_private_key((tmp_path / "k.key").read_bytes(), None)
    raw = pair.private_bytes_raw()
    shown = captured.out + captured.err
    assert pair.public_key().public_bytes_raw().hex() in shown
    for secret in (
        raw.hex(),
        base64.b64encode(raw).decode(),
        (tmp_path / "k.key").read_text().split("\n")[1],
    ):
        assert secret not in shown


def test_sign_signature_is_of_the_exact_bytes_and_has_the_documented_form(tmp_path, keys):
    model = write_tiny_model(tmp_path)
    done = signing.sign_model(contract_of(model), keys.private_path)
    assert done.signature_path == tmp_path / "tiny.onnx.json.sig"
    data = done.signature_path.read_bytes()
    assert len(data) == 159
    lines = data.decode("ascii").split("\n")
    assert lines[:3] == ["efiqa-signature 1", "algorithm ed25519", f"key_id {keys.key_id}"]
    signature = base64.b64decode(lines[3].removeprefix("signature "), validate=True)
    # By another implementation than the core's; raises when it does not fit.
    Ed25519PublicKey.from_public_bytes(keys.public_key).verify(signature, contract_of(model).read_bytes())


def test_sign_model_of_another_contract_is_refused(tmp_path, keys):
    model = write_tiny_model(tmp_path)
    model.write_bytes(b"another model")
    with pytest.raises(efiqa.ContractError, match="has the SHA-256"):
        signing.sign_model(model, keys.private_path)
    model.unlink()
    with pytest.raises(efiqa.FileError, match="signed only beside the model"):
        signing.sign_model(model, keys.private_path)
    contract_of(model).write_text("{}")
    with pytest.raises(efiqa.ContractError):
        signing.sign_model(model, keys.private_path)
    assert not signature_path(model).exists()


def test_sign_key_that_others_can_read_is_refused(tmp_path, keys):
    model = write_tiny_model(tmp_path)
    keys.private_path.chmod(0o644)
    with pytest.raises(efiqa.FileError, match="has the mode 0644, so others can read it; chmod 600"):
        signing.sign_model(model, keys.private_path)


def test_sign_key_files_that_are_none_are_refused_without_their_content(tmp_path, keys):
    model = write_tiny_model(tmp_path)
    other = rsa.generate_private_key(65537, 2048)
    texts = {
        "is not an Ed25519 key": other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "cannot be used: it is no PEM": keys.private_path.read_bytes()[:80],
    }
    for message, content in texts.items():
        path = tmp_path / "bad.key"
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(efiqa.OptionError, match=message) as caught:
            signing.sign_model(model, path)
        assert secret_of(keys)[:20] not in str(caught.value)
        assert caught.value.__cause__ is None  # nor what the library said about it


def test_sign_encrypted_key_asks_for_its_passphrase(tmp_path, monkeypatch, capsys):
    model = write_tiny_model(tmp_path)
    typed = iter(["geheim", "geheim", "wrong", "geheim"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))
    assert cli.main(["keygen", "-o", str(tmp_path / "k"), "--passphrase"]) == 0
    assert "ENCRYPTED PRIVATE KEY" in (tmp_path / "k.key").read_text()
    assert cli.main(["sign", str(model), "--key", str(tmp_path / "k.key")]) == 2
    assert "the passphrase is wrong" in capsys.readouterr().err
    assert not signature_path(model).exists()
    assert cli.main(["sign", str(model), "--key", str(tmp_path / "k.key")]) == 0
    assert "geheim" not in "".join(capsys.readouterr())


def test_keygen_two_different_passphrases_write_nothing(tmp_path, monkeypatch, capsys):
    typed = iter(["one", "two"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))
    assert cli.main(["keygen", "-o", str(tmp_path / "k"), "--passphrase"]) == 2
    assert "nothing was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_keygen_passphrase_without_a_terminal_is_refused(tmp_path):
    command = [sys.executable, "-c", CLI, "keygen", "-o", str(tmp_path / "k"), "--passphrase"]
    done = subprocess.run(
        command, input="secret\n", capture_output=True, text=True, start_new_session=True, check=False
    )
    assert done.returncode == 2
    assert "only be typed on a terminal" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_keygen_without_cryptography_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    assert cli.main(["keygen", "-o", str(tmp_path / "k")]) == 2
    assert "pip install 'efiqa[sign]'" in capsys.readouterr().err


class Openings:
    """Counts how often each of some files is opened within a block, by whatever code (inotify)."""

    IN_OPEN, IN_CLOSE = 0x20, 0x10  # closings keep the kernel from merging two openings into one event

    def __init__(self, files):
        self.counts = dict.fromkeys(files, 0)
        self._libc = ctypes.CDLL(None, use_errno=True)

    def __enter__(self):
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._descriptor >= 0
        self._watches = {
            self._libc.inotify_add_watch(
                self._descriptor, os.fsencode(path), self.IN_OPEN | self.IN_CLOSE
            ): path
            for path in self.counts
        }
        assert min(self._watches) > 0
        return self

    def __exit__(self, *error):
        data = os.read(self._descriptor, 1 << 16)
        os.close(self._descriptor)
        while data:  # struct inotify_event: wd, mask, cookie, len, name
            watch, mask, _, size = struct.unpack_from("iIII", data)
            self.counts[self._watches[watch]] += bool(mask & self.IN_OPEN)
            data = data[16 + size :]
