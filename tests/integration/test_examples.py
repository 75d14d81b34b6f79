"""The README's example and the programs in examples/, run as they stand."""

import csv
import subprocess
import sys

import cv2
import numpy as np
import pytest

from benchmarks import readme_example
from tests.helpers import REPOSITORY, drawn_eye, encoded


def run(name, *arguments, expect=0):
    command = [sys.executable, str(REPOSITORY / "examples" / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == expect, done.stderr
    return done


def test_batch_folder_sorts_from_worst_to_best_and_keeps_errors(tmp_path, tiny_model):
    for name, level in (("good.png", 220), ("dark.png", 30), ("a/fair.png", 110)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded(drawn_eye(level=level), "PNG"))
    (tmp_path / "broken.jpg").write_text("no picture")
    output = tmp_path / "out.csv"
    done = run("batch_folder.py", tmp_path, "-o", output, "--model", tiny_model, "--workers", 2)
    assert "4 pictures" in done.stdout
    rows = list(csv.DictReader(output.open(newline="")))
    assert [row["path"].rsplit("/")[-1] for row in rows] == ["broken.jpg", "dark.png", "fair.png", "good.png"]
    assert rows[0]["error"] == "not_a_picture"
    scores = [float(row["score"]) for row in rows[1:]]
    assert scores == sorted(scores)


def test_batch_folder_has_columns_for_main_reason_and_remedy(tmp_path, telling_model):
    (tmp_path / "dark.png").write_bytes(encoded(drawn_eye(level=30), "PNG"))
    output = tmp_path / "out.csv"
    run("batch_folder.py", tmp_path, "-o", output, "--model", telling_model, "--workers", 1)
    (row,) = csv.DictReader(output.open(newline=""))
    assert (row["reason"], row["main_reason"], row["remedy"]) == (
        "low_anatomy_visible", "under_exposed", "more_light",
    )  # fmt: skip


def test_live_preview_judges_a_video_and_saves_the_worst_frame(tmp_path, telling_model):
    video = tmp_path / "exam.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 240))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write a video")
    for level in (200, 180, 40, 190, 210):
        writer.write(np.ascontiguousarray(drawn_eye(level=level)[:, :, ::-1]))
    writer.release()
    arguments = ("--no-window", "--model", telling_model, "--save", tmp_path / "worst.png")
    done = run("live_preview.py", video, "--frames", 4, *arguments)
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    assert [line.split()[1] for line in lines].index("reject") == 2
    assert " ms under_exposed More light" in lines[2]
    assert cv2.imread(str(tmp_path / "worst.png")).shape == (240, 320, 3)


def test_live_preview_without_a_source_says_so(tmp_path, tiny_model):
    done = run("live_preview.py", tmp_path / "none.avi", "--no-window", "--model", tiny_model, expect=1)
    assert "gives no frame" in done.stderr


def write_video(path, frames):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20, (320, 240))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write a video")
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
    writer.release()


def test_live_capture_takes_the_best_frame_of_a_video(tmp_path, tiny_model):
    video, picture = tmp_path / "exam.avi", tmp_path / "eye.png"
    write_video(video, [drawn_eye(level=level) for level in [20] * 5 + [190] * 12 + [220] * 20])
    done = run(
        "live_capture.py",
        video,
        "--no-window",
        "--model",
        tiny_model,
        "--save",
        picture,
        "--set=min_score=0.7",
    )
    states = [line.split()[1] for line in done.stdout.splitlines()[:-1]]
    assert list(dict.fromkeys(states))[-3:] == ["hold_still", "ready", "captured"]
    assert done.stdout.splitlines()[-1].startswith("took frame ")
    assert cv2.imread(str(picture)).shape == (240, 320, 3)


def test_live_capture_without_a_good_frame_takes_nothing(tmp_path, tiny_model):
    video, picture = tmp_path / "exam.avi", tmp_path / "eye.png"
    write_video(video, [drawn_eye(level=30)] * 40)
    arguments = (video, "--no-window", "--model", tiny_model, "--save", picture, "--set=min_score=0.7")
    assert "no picture was taken" in run("live_capture.py", *arguments, expect=3).stderr
    assert not picture.exists()


@pytest.fixture
def readme():
    return (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_readme_example_has_six_lines_and_runs(readme, tiny_model, monkeypatch, retina):
    monkeypatch.setattr("efiqa.runtime.EMBEDDED_MODEL", tiny_model)
    code, _ = readme_example.example(readme)
    assert len([line for line in code.splitlines() if line.strip()]) == 6
    assert "score 0." in readme_example.output_of(code)


def test_readme_example_shows_its_real_output(readme, embedded_model, retina):
    code, output = readme_example.example(readme)
    assert readme_example.output_of(code) == output, "run `make readme`"


def test_readme_keeps_the_markers_of_its_tables_and_its_picture(readme):
    for name in ("example", "quality", "latency"):
        assert readme.count(f"<!-- {name}:begin -->") == readme.count(f"<!-- {name}:end -->") == 1
    assert "docs/images/demo.png" in readme
    assert "not a medical device" in readme


def test_readme_picture_is_small(embedded_model):
    assert (REPOSITORY / "docs" / "images" / "demo.png").stat().st_size <= 600_000
