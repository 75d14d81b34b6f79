"""Opening a model and assessing frames needs no network, and does not even try to reach one."""

import ctypes
import json
import os
import platform
import shutil
import signal
import struct
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import drawn_eye

ASSESS = """
import json, sys
import numpy as np
import efiqa
with efiqa.Runtime(sys.argv[1], threads=2) as runtime:
    report = runtime.assess(np.load(sys.argv[2]))
    report.save(sys.argv[3])
print(json.dumps({"score": report.score, "verdict": report.verdict}))
"""
# Ends the process at any attempt to reach beyond it, whatever code makes it.
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ALLOW = 0x80000000, 0x7FFF0000
SOCKET_CALLS = {"x86_64": 41, "aarch64": 198}  # socket(2)
needs_seccomp = pytest.mark.skipif(
    platform.machine() not in SOCKET_CALLS, reason=f"no number of socket(2) for {platform.machine()} here"
)
AUDIT_HOOK = (
    "import sys\n"
    "def deny(event, arguments):\n"
    "    if event.startswith('socket.'): raise SystemExit(f'network: {event}')\n"
    "sys.addaudithook(deny)\n"
)


@pytest.fixture
def arguments(tiny_model, tmp_path):
    np.save(tmp_path / "frame.npy", drawn_eye())
    return [str(tiny_model), str(tmp_path / "frame.npy"), str(tmp_path / "report.json")]


@pytest.fixture
def expected(tiny_model, runtime):
    report = runtime.assess(drawn_eye())
    assert report.score is not None
    return {"score": pytest.approx(report.score, abs=1e-6), "verdict": report.verdict}


def run(prefix, script, arguments, **options):
    return subprocess.run(
        [*prefix, sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def unshare_network():
    """Return the command before a command that has no network, or skip."""
    if shutil.which("unshare") is None:
        pytest.skip("util-linux's unshare is not installed")
    prefix = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    done = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this kernel does not let us make a network namespace: {done.stderr.strip()}")
    return prefix


@pytest.mark.namespaces
def test_assess_without_any_network_answers_as_with_one(arguments, expected):
    prefix = unshare_network()
    probe = run(prefix, "import socket; print([name for _, name in socket.if_nameindex()])", [])
    assert probe.stdout.strip() == "['lo']"  # the network is really gone
    done = run(prefix, ASSESS, arguments)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected


def kill_at_socket():
    """Let the kernel kill this process (SIGSYS) at its first socket(2); for preexec_fn."""
    number = SOCKET_CALLS[platform.machine()]
    instructions = [
        (0x20, 0, 0, 0),  # load the number of the system call
        (0x15, 0, 1, number),  # is it socket? otherwise skip one
        (0x06, 0, 0, SECCOMP_RET_KILL_PROCESS),
        (0x06, 0, 0, SECCOMP_RET_ALLOW),
    ]
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(instructions), ctypes.addressof(buffer))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


@needs_seccomp
def test_assess_makes_no_socket_of_any_kind(arguments, expected):
    try:
        probe = run([], "import socket; socket.socket()", [], preexec_fn=kill_at_socket)
    except subprocess.SubprocessError:
        pytest.skip("this kernel has no seccomp filters for us")
    assert probe.returncode == -signal.SIGSYS  # the filter works
    done = run([], ASSESS, arguments, preexec_fn=kill_at_socket)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected


def test_assess_uses_no_socket_from_python(arguments, expected):
    """Works on every system; the two tests above also see what compiled code does."""
    probe = run([], AUDIT_HOOK + "import socket; socket.socket()", [])
    assert probe.returncode != 0
    assert "network: socket." in probe.stderr
    done = run([], AUDIT_HOOK + ASSESS, arguments)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected


@needs_seccomp
def test_embedded_model_makes_no_socket_either(embedded_model, arguments):
    done = run([], ASSESS, [str(embedded_model), *arguments[1:]], preexec_fn=kill_at_socket)
    assert done.returncode == 0, done.stderr
