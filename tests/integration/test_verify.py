"""``efiqa verify``: what each kind of misfit looks like, with an ONNX model that really runs."""

import json

import numpy as np
import pytest

from efiqa import cli, verify
from efiqa.contract import Contract
from efiqa.golden import Golden, golden_path, make_golden
from efiqa.parity import compare
from tests.helpers import TELLING, contract_of, write_telling_model, write_tiny_model


@pytest.fixture
def model(tmp_path):
    """A tiny model with a golden file of its own answers, and parity on record."""
    path = write_tiny_model(tmp_path)
    name(path, make_golden(path))
    return path


def name(path, golden: Golden) -> None:
    """Write ``golden`` beside the model and into its contract."""
    entry = golden.write(golden_path(path))
    figures = compare(golden.logits, golden.logits)
    change(
        path,
        golden={"file": entry.file, "sha256": entry.sha256},
        parity=figures.to_contract(reference="PyTorch fp32", runner="OpenVINO"),
    )


def change(path, **fields) -> None:
    document = {**json.loads(contract_of(path).read_text()), **fields}
    contract_of(path).write_text(json.dumps(document))


def found(path) -> dict[str, tuple[str, str]]:
    return {finding.check: (finding.state, finding.detail) for finding in verify.verify(path)}


def test_verify_model_that_computes_the_same_passes_every_check(model, capsys):
    findings = found(model)
    assert list(findings) == ["contract", "model", "record", "golden", "gate"]
    assert {state for state, _ in findings.values()} == {"passed"}
    assert findings["gate"][1].startswith("OpenVINO 2026")
    assert "8 pictures, cosine 1.000000" in findings["gate"][1]
    assert cli.main(["verify", str(model)]) == 0
    assert "nothing failed\n" in capsys.readouterr().out


def test_verify_model_that_computes_something_else_fails_the_gate_alone(model, capsys):
    golden = make_golden(model)
    name(model, Golden(golden.inputs, golden.logits + np.float32(0.5)))
    states = {check: state for check, (state, _) in found(model).items()}
    assert states.pop("gate") == "failed"
    assert set(states.values()) == {"passed"}
    assert "relative_frobenius is 0." in found(model)["gate"][1]
    assert cli.main(["verify", str(model), "--json"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["check"] for row in rows if row["state"] == "failed"] == ["gate"]
    assert all(set(row) == {"check", "state", "detail"} for row in rows)


def test_verify_one_channel_that_is_something_else_fails_the_gate(tmp_path):
    path = write_telling_model(tmp_path)
    golden = make_golden(path)
    name(path, golden)
    assert found(path)["gate"][0] == "passed"
    other = golden.logits.copy()
    other[:, list(TELLING).index("haze")] = 8  # the model says -8
    name(path, Golden(golden.inputs, other))
    assert found(path)["gate"][0] == "failed"


def test_verify_altered_model_is_never_run(model):
    model.write_bytes(model.read_bytes() + b"\0")
    findings = found(model)
    assert findings["model"][0] == "failed"
    assert "another model, or the file is damaged" in findings["model"][1]
    assert findings["gate"][0] == "not run"


def test_verify_altered_or_missing_golden_file_fails(model):
    golden_path(model).write_bytes(golden_path(model).read_bytes() + b"\0")
    assert found(model)["golden"][0] == "failed"
    assert found(model)["gate"][0] == "not run"
    golden_path(model).unlink()
    assert "[golden_missing]" in found(model)["golden"][1]


def test_verify_without_contract_or_model_is_one_failure(model, capsys):
    contract_of(model).unlink()
    assert [(f.check, f.state) for f in verify.verify(model)] == [("contract", "failed")]
    assert cli.main(["verify", str(model)]) == 1
    assert "failed: contract" in capsys.readouterr().out
    assert "[contract_missing]" in found("none.onnx")["contract"][1]


def test_verify_model_file_that_is_missing_fails(model):
    model.unlink()
    assert "cannot be read: No such file" in found(model)["model"][1]


def test_verify_without_record_or_golden_file_says_what_did_not_run(tmp_path, capsys):
    model = write_tiny_model(tmp_path)
    assert cli.main(["verify", str(model)]) == 0
    assert "nothing failed; not run here: record, golden, gate" in capsys.readouterr().out


@pytest.fixture
def as_plan(model):
    """Make the model's contract one of a plan; the file stays what it is."""
    document = json.loads(contract_of(model).read_text())
    document["model"]["format"] = "tensorrt_plan"
    document["plan"] = {
        "onnx_sha256": "0" * 64,
        "flavour": "tensorrt",
        "version": "10.13.3.9",
        "compute_capabilities": ["8.7"],
        "workspace_mib": 64,
        "optimization_level": 3,
    }
    contract_of(model).write_text(json.dumps(document))
    assert Contract.of_model(model).is_plan


@pytest.mark.parametrize(
    ("library", "gpu", "state", "message"),
    [
        ("10.13.3", "8.7", "passed", "TensorRT 10.13.3.9, compute capability 8.7, the GPU here has 8.7"),
        (
            "10.3.0",
            "8.7",
            "failed",
            "built with TensorRT 10.13.3.9, this efiqa runs TensorRT 10.3.0; build it",
        ),
        ("10.1", "8.7", "failed", "built with TensorRT 10.13.3.9, this efiqa runs TensorRT 10.1; build it"),
        (
            "RTX 1.7.1",
            "8.7",
            "failed",
            "this efiqa runs TensorRT RTX 1.7.1; build it again here: efiqa build",
        ),
        (
            "10.13.3",
            "9.0",
            "failed",
            "built for compute capability 8.7, the GPU here has 9.0; build it again",
        ),
        ("10.13.3", "", "not run", "built for compute capability 8.7; there is no GPU here"),
        (None, "8.7", "not run", "this efiqa is built without TensorRT"),
    ],
)
def test_verify_plan_of_another_tensorrt_or_gpu_names_both_sides(
    model, as_plan, monkeypatch, library, gpu, state, message
):
    row = {"name": "tensorrt", "built_in": library is not None, "version": library or "not built in"}
    monkeypatch.setattr(verify._core, "backends", lambda: [row])
    monkeypatch.setattr("efiqa.build.device.compute_capability", lambda: gpu)
    findings = found(model)
    assert findings["target"][0] == state
    assert message in findings["target"][1]
    if state != "passed":
        assert findings["gate"] == ("not run", "the plan cannot run here, see target")
