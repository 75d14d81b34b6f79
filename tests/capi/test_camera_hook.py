"""examples/camera_hook.c, built against the installed library, on streams made from a real photograph."""

import os
import subprocess

import cv2
import numpy as np
import pytest

from tests.capi.conftest import pkg_config
from tests.helpers import REPOSITORY

WIDTH_PX, HEIGHT_PX = 640, 480
SIZE = f"{WIDTH_PX}x{HEIGHT_PX}"


@pytest.fixture(scope="module")
def hook(prefix, tmp_path_factory):
    """Run the hook: hook(*arguments, stdin=bytes, **environment) -> (status, rows, standard error)."""
    program = tmp_path_factory.mktemp("hook") / "camera_hook"
    source = REPOSITORY / "examples" / "camera_hook.c"
    strict = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
    flags = pkg_config(prefix.libdir, "--cflags", "--libs")
    rpath = f"-Wl,-rpath,{prefix.libdir}"
    subprocess.run(["cc", *strict, source, "-o", program, *flags, rpath], check=True)

    def call(*arguments, stdin=b"", **variables):
        command = [program, *map(str, arguments)]
        environment = {**os.environ, **variables}
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=120, env=environment)
        rows = [line.split("\t") for line in done.stdout.decode().splitlines()]
        return done.returncode, rows, done.stderr.decode()

    return call


@pytest.fixture(scope="module")
def frames(retina):
    """The photograph as the camera's preview; badly defocused; the shutter closed."""
    eye = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    left = (WIDTH_PX - HEIGHT_PX) // 2
    eye[:, left : left + HEIGHT_PX] = cv2.resize(retina, (HEIGHT_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)
    strongest = 0.016 * HEIGHT_PX  # about as much as the disc of training.degrade's strongest defocus spreads
    return [eye, cv2.GaussianBlur(eye, None, strongest), np.zeros_like(eye)]


def as_nv12(rgb):
    """Full-swing Y'CbCr would be another range: OpenCV's I420 is BT.601 with limited range."""
    planes = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420).reshape(-1)
    luma, quarter = HEIGHT_PX * WIDTH_PX, HEIGHT_PX * WIDTH_PX // 4
    u, v = planes[luma : luma + quarter], planes[luma + quarter :]
    return np.concatenate([planes[:luma], np.stack([u, v], 1).reshape(-1)])


def as_yuyv(rgb):
    planes = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420).reshape(-1)
    luma, quarter = HEIGHT_PX * WIDTH_PX, HEIGHT_PX * WIDTH_PX // 4
    y = planes[:luma].reshape(HEIGHT_PX, WIDTH_PX)
    shape = (HEIGHT_PX // 2, WIDTH_PX // 2)
    u = planes[luma : luma + quarter].reshape(shape).repeat(2, axis=0)
    v = planes[luma + quarter :].reshape(shape).repeat(2, axis=0)
    return np.stack([y[:, ::2], u, y[:, 1::2], v], 2)


PACKED = {"rgb8": np.asarray, "bgr8": lambda rgb: rgb[:, :, ::-1], "nv12": as_nv12, "yuyv": as_yuyv}


def stream(frames, kind):
    return b"".join(PACKED[kind](frame).tobytes() for frame in frames)


@pytest.mark.parametrize("kind", sorted(PACKED))
def test_hook_judges_a_stream_in_every_format_alike(hook, frames, kind):
    status, rows, error = hook("-f", kind, "-s", SIZE, "-", stdin=stream(frames, kind))
    assert (status, error) == (0, "")
    assert [row[:2] for row in rows] == [["1", "good"], ["2", "reject"], ["3", "unknown"]]
    assert float(rows[0][2]) > 0.9
    assert float(rows[1][2]) < 0.3
    assert rows[2][2] == "-"
    assert {len(row) for row in rows} == {6}
    assert rows[0][4:] == ["", ""]
    # The cause where the model tells one, or else the verdict's reason.
    assert rows[1][4] in {"low_anatomy_visible", "defocus"}
    assert rows[2][4] == "no_field_of_view"
    assert rows[2][5].startswith("No retina in view")


def test_hook_reads_files_stops_after_n_and_writes_overlays(hook, frames, tmp_path):
    raw = tmp_path / "stream.rgb"
    raw.write_bytes(stream(frames, "rgb8"))
    folder = tmp_path / "overlays"
    folder.mkdir()
    status, rows, error = hook("-f", "rgb8", "-s", SIZE, "-n", 2, "-o", folder, raw)
    assert (status, len(rows), error) == (0, 2, "")
    assert sorted(path.name for path in folder.iterdir()) == ["000001.ppm", "000002.ppm"]
    drawn = cv2.cvtColor(cv2.imread(str(folder / "000002.ppm")), cv2.COLOR_BGR2RGB)
    assert drawn.shape == frames[1].shape
    assert np.array_equal(drawn[:, :60], frames[1][:, :60])  # outside the field of view
    assert not np.array_equal(drawn[200:280, 280:360], frames[1][200:280, 280:360])


def test_hook_refuses_the_short_last_frame_of_a_stream_that_was_cut(hook, frames):
    data = stream(frames[:2], "nv12")
    status, rows, _ = hook("-f", "nv12", "-s", SIZE, "-", stdin=data[: len(data) - 1000])
    assert status == 0
    assert [row[1] for row in rows] == ["good", "unknown"]
    assert rows[1][4].startswith("invalid_frame: frame.uv_size_bytes is 152600, too small for 240 rows")


def test_hook_says_when_the_deadline_is_missed_and_goes_on(hook, frames):
    status, rows, _ = hook("-f", "rgb8", "-s", SIZE, "-d", 1, "-", stdin=stream([frames[0]] * 3, "rgb8"))
    assert status == 0
    assert [row[1] for row in rows] == ["unknown"] * 3
    assert all(row[4].startswith("deadline: the frame took longer than deadline_ms 1") for row in rows)


def test_hook_full_disk_is_an_error_and_leaves_no_half_picture(hook, frames, tmp_path):
    (tmp_path / "000001.ppm.partial").symlink_to("/dev/full")
    status, rows, error = hook("-f", "rgb8", "-s", SIZE, "-o", tmp_path, "-", stdin=stream(frames, "rgb8"))
    assert status == 1
    assert "No space left on device" in error
    assert list(tmp_path.iterdir()) == []
    assert len(rows) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ((), 2, "usage: camera_hook"),
        (("-f", "rgb8", "-"), 2, "usage: camera_hook"),
        (("-f", "rgb16", "-s", SIZE, "-"), 2, "usage: camera_hook"),
        (("-f", "rgb8", "-s", "640x", "-"), 2, "usage: camera_hook"),
        (("-f", "rgb8", "-s", SIZE, "-n", "0", "-"), 2, "usage: camera_hook"),
        (("-f", "rgb8", "-s", SIZE, "-m", "/nowhere/m.onnx", "-"), 1, "model /nowhere/m.onnx does not exist"),
        (("-f", "rgb8", "-s", SIZE, "/nowhere/stream"), 1, "/nowhere/stream: No such file"),
        (("-f", "rgb8", "-s", SIZE, "/dev/null"), 1, "VIDIOC_S_FMT: Inappropriate ioctl for device"),
        (("-f", "rgba8", "-s", SIZE, "/dev/null"), 1, "this format does not exist for V4L2 devices"),
    ],
)
def test_hook_says_what_is_wrong_with_its_arguments(hook, arguments, status, message):
    got, rows, error = hook(*arguments)
    assert got == status
    assert rows == []
    assert message in error


@pytest.fixture(scope="module")
def device(tmp_path_factory, frames):
    """Variables that make /dev/null a V4L2 device with four YUYV frames."""
    folder = tmp_path_factory.mktemp("device")
    double = folder / "v4l2_double.so"
    source = REPOSITORY / "tests" / "capi" / "v4l2_double.c"
    command = ["cc", "-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([*command, source, "-o", double], check=True)
    order = [frames[0], frames[0], frames[1], frames[2]]
    (folder / "frames").write_bytes(stream(order, "yuyv"))
    return {"LD_PRELOAD": str(double), "V4L2_DOUBLE": str(folder / "frames")}


def test_hook_reads_a_device_with_padded_rows_and_judges_no_damaged_frame(hook, device):
    status, rows, error = hook("-f", "yuyv", "-s", SIZE, "-n", 4, "/dev/null", **device)
    assert (status, error) == (0, "")
    assert [row[1] for row in rows] == ["good", "unknown", "reject", "unknown"]
    assert rows[1][4].startswith("invalid_frame: frame.data_size_bytes is 0, too small")
    assert rows[3][4] == "no_field_of_view"


def test_hook_ends_when_the_device_delivers_no_more(hook, device):
    status, rows, error = hook("-f", "yuyv", "-s", SIZE, "/dev/null", **device)
    assert (status, len(rows)) == (1, 4)
    assert "no frame from the device: Connection timed out" in error


def test_hook_refuses_a_device_that_gives_another_format(hook, device):
    status, rows, error = hook("-f", "nv12", "-s", SIZE, "/dev/null", **device)
    assert (status, rows) == (1, [])
    assert "the device does not deliver this format and size" in error
