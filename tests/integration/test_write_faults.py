"""What happens to files when the folder, the disk or the process fails while they are written.

Each writer of files is run against each fault, in a process of its own.
"""

import os
import resource
import shlex
import shutil
import signal
import stat
import subprocess
import sys

import cv2
import numpy as np
import pytest

from efiqa import signing
from efiqa.cli.paths import find_pictures
from tests.helpers import drawn_eye, encoded, write_tiny_model

CLI = "import sys; from efiqa.cli import main; sys.exit(main())"
SAVE = """
import sys, efiqa
try:
    with efiqa.Runtime(sys.argv[1], threads=1) as runtime:
        runtime.assess(efiqa.read_image(sys.argv[2])).save(sys.argv[3])
except efiqa.EfiqaError as error:
    sys.exit(f"{error} [{error.code}]")
"""
# name: (script, arguments, the file that it makes). {in} is a folder of inputs, {out} the one that fails.
WRITERS = {
    "report.json": (SAVE, "{in}/tiny.onnx {in}/eye.png {out}/report.json", "report.json"),
    "report.png": (SAVE, "{in}/tiny.onnx {in}/eye.png {out}/report.png", "report.png"),
    "assess --json": (
        CLI,
        "assess --model {in}/tiny.onnx {in}/eye.png --json {out}/lines.json",
        "lines.json",
    ),
    "assess --overlay": (
        CLI,
        "assess --model {in}/tiny.onnx {in}/eye.png --overlay {out}",
        "eye.overlay.png",
    ),
    "sign": (CLI, "sign {out}/tiny.onnx --key {in}/maker.key", "tiny.onnx.json.sig"),
    "keygen": (CLI, "keygen -o {out}/new", "new.key"),
}
every_writer = pytest.mark.parametrize("writer", WRITERS)


class Bench:
    """Inputs, and a folder ``out`` with a model, whose files are to be signed and made anew."""

    def __init__(self, folder):
        self.inputs, self.out = folder / "in", folder / "out"
        for place in (self.inputs, self.out):
            place.mkdir()
            write_tiny_model(place)
        cv2.imwrite(str(self.inputs / "eye.png"), drawn_eye()[:, :, ::-1])
        signing.make_key_pair(self.inputs / "maker")

    def command(self, writer, script=None):
        own, arguments, _ = WRITERS[writer]
        words = arguments.format(**{"in": self.inputs, "out": self.out}).split()
        return [sys.executable, "-c", script or own, *words]

    def result(self, writer):
        return self.out / WRITERS[writer][2]

    def new_files(self):
        return {path.name for path in self.out.iterdir()} - {"tiny.onnx", "tiny.onnx.json"}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)


def in_own_mounts(setup, command):
    """Run ``command`` after the shell text ``setup``, where mounts are this process's own, or skip."""
    if shutil.which("unshare") is None:
        pytest.skip("util-linux's unshare is not installed")
    prefix = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    probe = run([*prefix, "mount", "-t", "tmpfs", "tmpfs", "/tmp"])
    if probe.returncode:
        pytest.skip(f"this kernel does not let us mount in a namespace: {probe.stderr.strip()}")
    return run([*prefix, "sh", "-ec", f"{setup}\n{shlex.join(command)}"])


def assert_refused(done, reason):
    shown = done.stdout + done.stderr
    assert done.returncode == 1, shown
    assert "[file_unwritable]" in shown
    assert reason in shown
    assert "Traceback" not in shown


@every_writer
def test_writer_that_nothing_hinders_makes_its_file(bench, writer):
    """So that the tests below cannot pass by a wrong command."""
    done = run(bench.command(writer))
    assert done.returncode == 0, done.stderr
    assert bench.result(writer).stat().st_size > 0


@pytest.mark.namespaces
@every_writer
def test_writer_read_only_file_system_is_named_and_nothing_changes(bench, writer):
    out = shlex.quote(str(bench.out))
    setup = f"mount --bind {out} {out}; mount -o remount,bind,ro {out}"
    assert_refused(in_own_mounts(setup, bench.command(writer)), "Read-only file system")
    assert bench.new_files() == set()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to any folder")
@every_writer
def test_writer_folder_without_permission_is_named_and_nothing_changes(bench, writer):
    bench.out.chmod(0o555)
    try:
        assert_refused(run(bench.command(writer)), "Permission denied")
    finally:
        bench.out.chmod(0o755)
    assert bench.new_files() == set()


@pytest.mark.namespaces
@every_writer
def test_writer_full_disk_is_named_and_no_part_of_a_file_stays(bench, writer):
    out, result = shlex.quote(str(bench.out)), shlex.quote(str(bench.result(writer)))
    # A disk of 256 KiB with the model on it and no byte left.
    setup = f"""cp -r {out} {out}.saved; mount -t tmpfs -o size=256k tmpfs {out}; cp {out}.saved/* {out}
        cat /dev/zero > {out}/fill 2>/dev/null || true
        trap 'code=$?; ls -A {out} >&2; test ! -e {result} || code=9; exit $code' EXIT"""
    done = in_own_mounts(setup, bench.command(writer))
    assert_refused(done, "No space left on device")
    assert ".tmp" not in done.stderr


def forbid_bytes():
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


@every_writer
def test_writer_file_size_limit_keeps_what_was_there(bench, writer):
    """As on a full disk, and without a namespace; an older file of that name must survive."""
    result = bench.result(writer)
    if writer != "keygen":  # which refuses to touch an older key, test_keygen_never_replaces_a_file
        result.write_bytes(b"older")
    assert_refused(run(bench.command(writer), preexec_fn=forbid_bytes), "File too large")
    if writer != "keygen":
        assert result.read_bytes() == b"older"
    assert bench.new_files() <= {result.name}
    assert writer != "keygen" or bench.new_files() == set()


# Stops the process for good at a chosen moment of writing, and says so.
HALTING = """
import sys, time
from efiqa import _files
moment, real = {moment!r}, _files.AtomicFile.write
def halt(*arguments):
    print("halted", flush=True)
    time.sleep(600)
def half(self, data):
    real(self, data[: len(data) // 2])
    halt()
if moment == "half": _files.AtomicFile.write = half
else: _files.AtomicFile.commit = halt
"""


@pytest.mark.parametrize("moment", ["half", "before the rename"])
@every_writer
def test_writer_killed_leaves_no_part_under_the_final_name(bench, writer, moment):
    result = bench.result(writer)
    if writer != "keygen":
        result.write_bytes(b"older")
    script = HALTING.format(moment=moment) + WRITERS[writer][0]
    with subprocess.Popen(bench.command(writer, script), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "halted\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    if writer == "keygen":
        assert not result.exists()
    else:
        assert result.read_bytes() == b"older"

    # What is left is named as documented, is no picture for efiqa, and is in nobody's way.
    left = [bench.out / name for name in bench.new_files() - {result.name}]
    assert left
    for path in left:
        assert path.name.startswith(".")
        assert path.name.endswith(".tmp")
        if ".key." in path.name:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not {str(path) for path in left} & {item.path for item in find_pictures([str(bench.out)])}
    assert run(bench.command(writer)).returncode == 0
    assert result.read_bytes() != b"older"


@pytest.mark.parametrize(
    "words", ["info", "assess --model {in}/tiny.onnx {in}/eye.png --json -", "keygen -o {out}/k"]
)
def test_command_full_standard_output_is_named(bench, words):
    words = words.format(**{"in": bench.inputs, "out": bench.out}).split()
    with open("/dev/full", "w") as full:  # noqa: PTH123 (a device, opened for a child)
        done = subprocess.run(
            [sys.executable, "-c", CLI, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert "the output cannot be written: No space left on device [file_unwritable]" in done.stderr
    assert "defect" not in done.stderr


READ = """
import sys, efiqa
for path in sys.argv[1:]:
    try:
        print(efiqa.read_image(path).shape)
    except efiqa.PictureError as error:
        print(error.code)
"""


@pytest.mark.namespaces
def test_read_image_without_a_place_for_temporary_files_still_tells_damage(bench):
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    whole = encoded(noise, "JPEG")
    middle = len(whole) // 2
    damaged = whole[:middle] + bytes(400) + whole[middle + 400 :]
    for name, data in (("whole.jpg", whole), ("damaged.jpg", damaged)):
        (bench.inputs / name).write_bytes(data)
    command = [sys.executable, "-c", READ, str(bench.inputs / "whole.jpg"), str(bench.inputs / "damaged.jpg")]
    places = "/tmp /var/tmp"
    setup = (
        f"unset TMPDIR; for p in {places}; do mount --bind $p $p; mount -o remount,bind,ro $p; done; cd /proc"
    )
    done = in_own_mounts(setup, command)
    assert done.stdout.splitlines() == ["(200, 300, 3)", "damaged"], done.stderr
