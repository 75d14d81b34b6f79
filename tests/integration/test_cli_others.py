"""``efiqa info``, ``demo``, ``doctor`` and the options of the whole command."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import efiqa
from efiqa import cli
from efiqa.cli import doctor
from tests.helpers import TELLING, contract_of


def test_version_and_help(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"efiqa {efiqa.__version__}\n"
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("assess", "info", "verify", "calibrate", "build", "demo", "doctor"))


def test_info_json_holds_contract_back_ends_versions_and_processor(tiny_model, capsys):
    assert cli.main(["info", str(tiny_model), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["efiqa"] == efiqa.__version__
    assert facts["cpu"]
    assert facts["cores_usable"] >= 1
    assert facts["libraries"]["openvino"]
    assert {row["name"] for row in facts["backends"]} >= {"openvino", "tensorrt"}
    assert all(set(row) == {"flavour", "version"} for row in facts["builders"])
    assert facts["model"]["contract"] == json.loads(contract_of(tiny_model).read_text())
    assert facts["model"]["engine"].startswith("OpenVINO")


def test_info_table_shows_the_contract(tiny_model, capsys):
    assert cli.main(["info", str(tiny_model)]) == 0
    text = capsys.readouterr().out
    for expected in (
        "operating_points.screening.good_min_score",
        "openvino",
        "OpenVINO 2026.4",
        "training_data",
    ):
        assert expected in text


def test_info_table_shows_channels_and_thresholds(tiny_model, telling_model, capsys):
    assert cli.main(["info", str(telling_model)]) == 0
    rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for expected in (
        "output.channels " + ", ".join(TELLING),
        "reasons.region_min_strength 0.2",
        "reasons.picture_min_strength 0.1",
        "not_a_fundus.min_probability 0.5",
        "not_a_fundus.max_score 1.0",
    ):
        assert expected in rows
    assert cli.main(["info", str(tiny_model)]) == 0
    rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert {"output.channels anatomy_not_visible", "reasons none", "not_a_fundus none"} <= set(rows)


def test_info_of_a_missing_model_still_shows_the_rest(capsys):
    assert cli.main(["info", "none.onnx"]) == 1
    text = capsys.readouterr().out
    assert "openvino" in text
    assert "[model_missing]" in text
    assert cli.main(["info", "none.onnx", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["model"]["error"]["code"] == "model_missing"


def test_demo_writes_the_sheet_and_a_table(tiny_model, tmp_path, capsys, retina):
    assert cli.main(["demo", "--out", str(tmp_path / "new" / "demo"), "--model", str(tiny_model)]) == 0
    captured = capsys.readouterr()
    for name in ("photograph", "defocus", "under-exposure", "haze, right half"):
        assert name in captured.out
    assert captured.err == ""
    assert cv2.imread(str(tmp_path / "new" / "demo" / "efiqa-demo.png")).shape == (872, 1608, 3)


def test_demo_table_says_why_and_what_to_do(telling_model, tmp_path, capsys, retina):
    assert cli.main(["demo", "--out", str(tmp_path), "--model", str(telling_model)]) == 0
    (dark,) = (line for line in capsys.readouterr().out.splitlines() if "under-exposure" in line)
    assert "under_exposed" in dark
    assert "light" in dark


def test_demo_into_a_file_is_named(tiny_model, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert cli.main(["demo", "--out", str(tmp_path / "file"), "--model", str(tiny_model)]) == 1
    assert "[file_unwritable]" in capsys.readouterr().err


def test_demo_without_skimage_says_what_to_install(tiny_model, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "skimage", None)
    assert cli.main(["demo", "--out", str(tmp_path), "--model", str(tiny_model)]) == 1
    assert "pip install 'efiqa[demo]'" in capsys.readouterr().err


def test_embedded_model_judges_the_green_light_of_a_retina_alone(embedded_model, retina):
    from efiqa import demo

    frame = next(iter(demo.pictures().values()))
    with efiqa.Runtime(embedded_model, threads=1) as runtime:
        report = runtime.assess(np.ascontiguousarray(frame[..., 1]))
    assert report.verdict != "unknown"


def test_demo_verdicts_of_the_embedded_model_fit_the_degradations(embedded_model, retina):
    from efiqa import demo

    with efiqa.Runtime(embedded_model) as runtime:
        scores = {name: runtime.assess(frame).score for name, frame in demo.pictures().items()}
    best = scores.pop("photograph")
    assert best is not None
    assert all(score is None or score < best - 0.1 for score in scores.values()), scores


@pytest.fixture
def with_tiny_as_embedded(tiny_model, monkeypatch):
    monkeypatch.setattr("efiqa.runtime.EMBEDDED_MODEL", tiny_model)
    return tiny_model


def test_doctor_all_well_exits_0(with_tiny_as_embedded, capsys):
    assert cli.main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "efiqa can assess pictures here" in text
    assert "failed" not in text


def test_doctor_self_test_takes_a_drawn_disc_for_no_retina(telling_model, tmp_path, monkeypatch):
    document = json.loads(contract_of(telling_model).read_text())
    document["not_a_fundus"]["min_probability"] = 1e-9
    model = tmp_path / "tiny.onnx"
    model.write_bytes(telling_model.read_bytes())
    contract_of(model).write_text(json.dumps(document))
    monkeypatch.setattr("efiqa.runtime.EMBEDDED_MODEL", model)
    assert {check.name: check.state for check in doctor.examine()}["self test"] == "ok"


def test_doctor_json_is_one_check_a_line(with_tiny_as_embedded, capsys):
    assert cli.main(["doctor", "--json"]) == 0
    checks = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [check["name"] for check in checks] == [
        "openvino", "instruction set", "extension", "pictures", "embedded model", "self test",
        "efiqa demo", "training", "TensorRT", "efiqa build", "signed models", "efiqa sign",
    ]  # fmt: skip
    assert {check["state"] for check in checks} <= {"ok", "missing"}
    assert all(check["fix"] for check in checks if check["state"] == "missing")


@pytest.mark.parametrize(("value", "code"), [("AVX2", 1), ("avx512_core", 1), ("ALL", 0), ("default", 0)])
def test_doctor_held_to_fewer_instructions_exits_1(with_tiny_as_embedded, monkeypatch, capsys, value, code):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", value)
    assert cli.main(["doctor", "--json"]) == code
    checks = {check["name"]: check for check in map(json.loads, capsys.readouterr().out.splitlines())}
    found = checks["instruction set"]
    assert found["state"] == ("failed" if code else "ok")
    if code:
        assert f"ONEDNN_MAX_CPU_ISA is {value}" in found["detail"]
        assert found["fix"] == "unset ONEDNN_MAX_CPU_ISA"


def test_doctor_without_the_model_exits_1_and_says_what_mends_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("efiqa.runtime.EMBEDDED_MODEL", tmp_path / "efiqa.onnx")
    assert cli.main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "efiqa cannot assess pictures here" in text
    assert "pip install" in text


def test_doctor_altered_model_is_found_by_its_hash(with_tiny_as_embedded, tmp_path, monkeypatch):
    altered = tmp_path / "tiny.onnx"
    altered.write_bytes(with_tiny_as_embedded.read_bytes() + b"\0")
    Path(contract_of(altered)).write_bytes(contract_of(with_tiny_as_embedded).read_bytes())
    monkeypatch.setattr("efiqa.runtime.EMBEDDED_MODEL", altered)
    states = {check.name: check.state for check in doctor.examine()}
    assert states["embedded model"] == "failed"
    assert states["self test"] == "failed"


def test_doctor_optional_features_that_are_missing_name_their_extra(with_tiny_as_embedded, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec

    def find(name, *rest):
        hidden = {"torch", "skimage", "tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings"}
        return None if name in hidden else real(name, *rest)

    monkeypatch.setattr("importlib.util.find_spec", find)
    checks = {check.name: check for check in doctor.examine()}
    assert checks["efiqa demo"].fix == "pip install 'efiqa[demo]'"
    assert checks["training"].fix == "pip install 'efiqa[train]'"
    assert "torch" in checks["training"].detail
    assert checks["efiqa build"].fix == "pip install 'efiqa[tensorrt]'"


def test_doctor_core_that_does_not_load_is_a_finding_not_a_crash(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "efiqa._core", None)
    monkeypatch.delattr(efiqa, "_core", raising=False)
    assert cli.main(["doctor"]) == 1
    assert "efiqa cannot assess pictures here" in capsys.readouterr().out
