"""The benchmark of a model beside an earlier one."""

import json

import pytest

from benchmarks import earlier_model


def test_earlier_model_writes_times_and_their_ratio(tmp_path):
    out = tmp_path / "made" / "earlier.json"
    arguments = ["--earlier", str(earlier_model.EARLIER), "--runs", "4", "--threads", "1", "--out", str(out)]
    assert earlier_model.main(["--model", str(earlier_model.EARLIER), *arguments]) == 0
    content = json.loads(out.read_text())
    found = content["threads"]["1"]
    assert found["times_ms"]["model"]["p50"] > 0
    assert found["ratio"] > 0
    text = earlier_model.earlier_model(content)
    assert text.splitlines()[0].count(content["model"]["id"]) == 2  # the columns
    assert f"| {found['ratio']:.3f} |" in text


def test_earlier_model_rounds_change_who_goes_first(monkeypatch):
    calls = []
    monkeypatch.setattr(earlier_model, "WARM_UP", 0)
    times = {"new": 3.0, "old": 2.0}
    monkeypatch.setattr(earlier_model, "timed_ms", lambda which, _frame: calls.append(which) or times[which])
    found = earlier_model.measure("new", "old", None, 3)
    assert calls == ["new", "old", "old", "new", "new", "old"]
    assert found["ratio"] == pytest.approx(1.5)
    assert found["times_ms"]["earlier"]["max"] == pytest.approx(2)


def test_earlier_model_that_is_not_there_is_named(tmp_path, capsys):
    status = earlier_model.main(["--earlier", str(tmp_path / "none.onnx"), "--runs", "1", "--threads", "1"])
    assert status == 2
    assert "none.onnx" in capsys.readouterr().err
