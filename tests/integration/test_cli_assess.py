"""``efiqa assess`` from outside, as a program, and from inside where a terminal or a signal is played."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from efiqa import cli
from tests.helpers import drawn_eye, encoded, write_tiny_model

EFIQA = (sys.executable, "-c", "import sys; from efiqa.cli import main; sys.exit(main())")
DIAGNOSIS = ["main_reason", "remedy", "remedy_clock_hour", "remedy_text", "reasons"]
LINE_FIELDS = [
    "path", "score", "verdict", "reason", *DIAGNOSIS, "not_a_fundus", "fov", "regions", "timings_ms", "model",
]  # fmt: skip


@pytest.fixture
def work(tmp_path, monkeypatch, tiny_model):
    """A folder to work in, with three good pictures in it."""
    for name, level in (("photos/b.png", 220), ("photos/a/eye.jpg", 180), ("photos/a/deep/eye.tif", 30)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = {"png": "PNG", "jpg": "JPEG", "tif": "TIFF"}[name[-3:]]
        path.write_bytes(encoded(drawn_eye(level=level), kind))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def efiqa(*arguments, expect: int = 0, **options):
    """Run the program; no traceback may show, whatever happens."""
    done = subprocess.run(
        [*EFIQA, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120, **options
    )
    assert "Traceback" not in done.stderr + done.stdout
    assert done.returncode == expect, done.stderr
    return done


@pytest.fixture
def assess(tiny_model):
    def run(*arguments, **options):
        return efiqa("assess", "--model", tiny_model, *arguments, **options)

    return run


def lines(text: str) -> list[dict]:
    def refuse(name):
        pytest.fail(f"{name} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def test_assess_json_to_stdout_is_one_object_a_line_with_the_documented_fields(work, assess):
    done = assess("photos", "--json", "-")
    assert done.stderr == ""
    rows = lines(done.stdout)
    assert [row["path"] for row in rows] == ["photos/a/deep/eye.tif", "photos/a/eye.jpg", "photos/b.png"]
    for row in rows:
        assert list(row) == LINE_FIELDS
        assert set(row["model"]) == {"id", "sha256"}
        assert row["verdict"] in {"good", "usable", "reject"}
        assert row["fov"]["shape"] == "circle"
        assert set(row["timings_ms"]) == {"fov", "preprocess", "engine", "postprocess", "total"}
    assert rows[0]["verdict"] == "reject"
    assert rows[0]["reason"] == "low_anatomy_visible"
    assert set(rows[0]["regions"][0]) == {
        "x_px", "y_px", "width_px", "height_px",
        "area_share", "mean_probability", "clock_hour", "center_distance", *DIAGNOSIS,
    }  # fmt: skip


def test_assess_says_why_and_what_to_do_to_people_and_programs(work, telling_model):
    blue = np.ascontiguousarray(drawn_eye()[:, :, ::-1])
    Path("photos/blue.png").write_bytes(encoded(blue, "PNG"))
    done = efiqa("assess", "photos", "--model", telling_model, "--json", "out.jsonl")
    rows = {row["path"]: row for row in lines(Path("out.jsonl").read_text())}
    dark, other = rows["photos/a/deep/eye.tif"], rows["photos/blue.png"]
    assert (dark["verdict"], dark["main_reason"], dark["remedy"]) == ("reject", "under_exposed", "more_light")
    assert dark["reasons"]["under_exposed"] > 0.5
    assert dark["regions"][0]["main_reason"] == "under_exposed"
    assert (other["verdict"], other["reason"], other["main_reason"]) == ("unknown", "not_a_fundus", "")
    assert other["not_a_fundus"] > 0.5
    rows = [line.rstrip() for line in done.stdout.splitlines()]
    for name, cause, advice in (
        ("photos/a/deep/eye.tif", "under_exposed", dark["remedy_text"]),
        ("photos/blue.png", "not_a_fundus", other["remedy_text"]),
    ):
        (row,) = (row for row in rows if name in row)
        assert row.endswith(advice)
        assert cause in row
    assert "what to do" in done.stdout


def test_assess_bad_pictures_do_not_stop_the_others(work, assess):
    eye = Image.fromarray(drawn_eye())
    bad = {
        "01-empty.jpg": (b"", "empty_file"),
        "02-text.jpg": (b"no picture\n" * 20, "not_a_picture"),
        "03-truncated.jpg": (encoded(eye, "JPEG")[:3000], "truncated"),
        "04-truncated.png": (encoded(eye, "PNG")[:900], "truncated"),
        "05-1x1.png": (encoded(np.zeros((1, 1, 3), np.uint8), "PNG"), "invalid_frame"),
        "06-63x63.png": (encoded(np.zeros((63, 63, 3), np.uint8), "PNG"), "invalid_frame"),
        "07-huge.png": (encoded(Image.new("1", (20000, 20000)), "PNG"), "too_large"),
        "08-cmyk.jpg": (encoded(eye.convert("CMYK"), "JPEG"), "cmyk"),
        "09-deep.png": (cv2.imencode(".png", drawn_eye().astype(np.uint16))[1].tobytes(), "bit_depth"),
        "10-animated.webp": (
            encoded(eye, "WEBP", save_all=True, append_images=[eye.rotate(9)], duration=20),
            "animated",
        ),
        "11-pages.tif": (encoded(eye, "TIFF", save_all=True, append_images=[eye]), "multi_page"),
        "12-animated.gif.jpg": (encoded(eye, "GIF"), "unsupported_format"),
    }
    for name, (data, _) in bad.items():
        Path(name).write_bytes(data)
    done = assess("photos/b.png", *bad, "missing.jpg", "--json", "-", expect=1)
    assert done.stderr == ""
    rows = {row["path"]: row for row in lines(done.stdout)}
    assert rows.pop("photos/b.png")["score"] is not None
    expected = {name: code for name, (_, code) in bad.items()} | {"missing.jpg": "not_found"}
    assert {path: row["error"]["code"] for path, row in rows.items()} == expected
    assert all(list(row) == ["path", "error"] and row["error"]["message"] for row in rows.values())


@pytest.mark.parametrize("level", [0, 255], ids=["black", "white"])
def test_assess_picture_without_field_of_view_is_unknown_with_its_reason(work, assess, level):
    Path("flat.png").write_bytes(encoded(np.full((200, 300, 3), level, np.uint8), "PNG"))
    row = lines(assess("flat.png", "--json", "-").stdout)[0]
    assert (row["score"], row["verdict"], row["reason"]) == (None, "unknown", "no_field_of_view")


def test_assess_folder_without_pictures_and_pattern_without_match_are_named(work, assess):
    Path("empty").mkdir()
    done = assess("empty", "x*.jpg", "--json", "-", expect=1)
    assert [row["error"]["code"] for row in lines(done.stdout)] == ["no_pictures", "no_match"]


def test_assess_patterns_are_expanded_without_a_shell(work, assess):
    done = assess("photos/**/eye.*", "--json", "-")
    assert [row["path"] for row in lines(done.stdout)] == ["photos/a/deep/eye.tif", "photos/a/eye.jpg"]


def test_assess_table_is_the_default_and_in_a_pipe_whole_and_plain(work, assess):
    long = Path("photos") / ("x" * 120 + ".png")
    long.write_bytes(Path("photos/b.png").read_bytes())
    done = assess("photos", "missing.jpg", expect=1)
    assert str(long) in done.stdout, "nothing is cut"
    assert "\x1b" not in done.stdout, "no colours"
    assert "[not_found]" in done.stdout
    assert "4 pictures" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith("5 pictures: ")
    assert done.stdout.splitlines()[-1].endswith("1 not assessed")
    assert done.stderr == ""


def test_assess_json_to_a_file_appears_whole_beside_the_table(work, assess):
    done = assess("photos", "--json", "out.jsonl")
    assert len(lines(Path("out.jsonl").read_text())) == 3
    assert "3 pictures" in done.stdout
    assert sorted(path.name for path in work.iterdir()) == ["out.jsonl", "photos"]


def test_assess_json_file_that_cannot_be_written_is_named_before_any_work(work, assess):
    Path("file").touch()
    for target in ("photos", "file/out.jsonl", "none/out.jsonl"):
        done = assess("photos", "--json", target, expect=1)
        assert done.stdout == ""
        assert "[file_unwritable]" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_assess_overlays_mirror_the_folders(work, assess):
    Path("photos/a/eye.png").write_bytes(Path("photos/b.png").read_bytes())
    assess("photos", "--overlay", "out")
    assert sorted(str(path) for path in Path("out").rglob("*.png")) == [
        "out/a/deep/eye.overlay.png",
        "out/a/eye.jpg.overlay.png",
        "out/a/eye.png.overlay.png",
        "out/b.overlay.png",
    ]
    overlay = cv2.imread("out/a/deep/eye.overlay.png")
    assert overlay.shape == (240, 320, 3)
    assert not np.array_equal(overlay[:, :, ::-1], drawn_eye(level=30))
    assert not [path for path in Path("out").rglob("*") if path.suffix == ".tmp"]


def test_assess_overlays_beside_the_pictures_are_not_assessed_the_next_time(work, assess):
    assess("photos", "--overlay", "photos")
    assert len(lines(assess("photos", "--json", "-").stdout)) == 3


def test_assess_overlay_folder_that_cannot_be_made_is_named(work, assess):
    Path("file").touch()
    done = assess("photos", "--overlay", "file/out", expect=1)
    assert "file/out cannot be made" in done.stderr
    assert "[file_unwritable]" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into every folder")
def test_assess_read_only_overlay_folder_is_named_for_each_picture(work, assess):
    Path("out").mkdir(mode=0o500)
    done = assess("photos", "--overlay", "out", "--json", "-", expect=1)
    assert {row["error"]["code"] for row in lines(done.stdout)} == {"file_unwritable"}


def test_assess_overlay_that_cannot_be_written_stays_with_its_picture(work, assess):
    Path("out/b.overlay.png").mkdir(parents=True)  # a folder stands where the file should
    done = assess("photos", "--overlay", "out", "--json", "-", expect=1)
    rows = lines(done.stdout)
    assert [row.get("error", {}).get("code") for row in rows] == [None, None, "file_unwritable"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["assess"],
        ["assess", "--threads", "0", "x.jpg"],
        ["assess", "--threads", "two", "x.jpg"],
        ["assess", "--threads", "-1", "x.jpg"],
        ["assess", "--frobnicate", "x.jpg"],
        ["paint"],
    ],
)
def test_usage_errors_exit_with_2_and_leave_stdout_clean(arguments):
    done = efiqa(*arguments, expect=2)
    assert done.stdout == ""
    assert "usage: efiqa" in done.stderr


def test_assess_unknown_operating_point_is_a_usage_error_that_lists_the_known(work, assess):
    done = assess("photos", "--operating-point", "strict", expect=2)
    assert "strict" in done.stderr
    assert "screening" in done.stderr
    assert done.stdout == ""


def test_assess_operating_point_is_used(work, assess):
    strict = lines(assess("photos", "--json", "-").stdout)
    lenient = lines(assess("photos", "--json", "-", "--operating-point", "lenient").stdout)
    assert [row["score"] for row in strict] == [row["score"] for row in lenient]


def test_assess_model_errors_are_one_line_and_exit_1(work, tmp_path):
    model = write_tiny_model(tmp_path)
    cases = {"none.onnx": "model_missing", "engine.plan": "backend_unavailable", "photos": "model_missing"}
    Path("bare.onnx").write_bytes(model.read_bytes())
    cases["bare.onnx"] = "contract_missing"
    for name, code in cases.items():
        done = efiqa("assess", "photos", "--model", name, "--json", "-", expect=1)
        assert done.stdout == ""
        assert done.stderr.endswith(f"[{code}]\n")
        assert len(done.stderr.splitlines()) == 1


def test_assess_names_that_are_no_text_survive(work, assess):
    name = os.fsdecode(b"photos/\xff\xfe eye\n.png")
    Path(name).write_bytes(Path("photos/b.png").read_bytes())
    rows = lines(assess("photos", "--json", "-", "--overlay", "out").stdout)
    assert name in [row["path"] for row in rows]
    table = assess(
        "photos", env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    )
    assert len(table.stdout.splitlines()) > 4


def _started(arguments: list[str]) -> subprocess.Popen[str]:
    """Start the program as from a terminal; a background job's children ignore SIGINT from the start."""
    return subprocess.Popen(
        [*EFIQA, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def _many(work: Path, count: int) -> None:
    data = encoded(drawn_eye(1500, 1500), "JPEG")
    for number in range(count):
        (work / "photos" / f"many-{number:04}.jpg").write_bytes(data)


def test_assess_interrupted_exits_130_and_keeps_what_is_finished(work, tiny_model):
    _many(work, 300)
    arguments = ["assess", "photos", "--model", str(tiny_model), "--json", "out.jsonl"]
    process = _started(arguments)
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in work.glob(".out.jsonl.*.tmp")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    finished = lines(Path("out.jsonl").read_text())
    assert 1 <= len(finished) < 303
    assert stdout.splitlines()[-1].startswith(f"{len(finished)} pictures")
    assert not list(work.glob(".out.jsonl.*"))


def test_assess_reader_that_goes_away_is_no_error_message(work, tiny_model):
    _many(work, 100)
    arguments = ["assess", "photos", "--model", str(tiny_model), "--json", "-"]
    process = _started(arguments)
    assert process.stdout.readline().startswith("{")
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == ""
    process.stderr.close()


def test_assess_shows_a_bar_on_a_terminal_only_and_on_stderr_only(work, tiny_model):
    import pty

    arguments = ["assess", "photos", "--model", str(tiny_model), "--json", "-"]
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [*EFIQA, *arguments], stdout=subprocess.PIPE, stderr=terminal, env={**os.environ, "TERM": "xterm"}
    ) as process:
        os.close(terminal)
        stdout = process.stdout.read().decode()
        bar = b""
        while True:
            try:
                piece = os.read(controller, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            bar += piece
    os.close(controller)
    assert len(lines(stdout)) == 3
    assert b"3/3" in bar


def test_main_unexpected_exception_is_one_line_with_how_to_report(work, tiny_model, capsys, monkeypatch):
    monkeypatch.setattr("efiqa.cli.assess.find_pictures", lambda _paths: 1 // 0)
    assert cli.main(["assess", "photos", "--model", str(tiny_model)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "ZeroDivisionError" in captured.err
    assert "please report it" in captured.err


def test_main_unexpected_exception_of_one_picture_stays_with_it(work, tiny_model, capsys, monkeypatch):
    monkeypatch.setattr("efiqa.report.QualityReport.to_dict", lambda _report: 1 // 0)
    assert cli.main(["assess", "photos", "--model", str(tiny_model), "--json", "-"]) == 1
    rows = lines(capsys.readouterr().out)
    assert [row["error"]["code"] for row in rows] == ["internal"] * 3
