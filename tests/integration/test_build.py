"""``efiqa build`` with a real TensorRT, no GPU needed: plan, contract, what a killed build leaves."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from efiqa import BuildError, ContractError, FileError, ModelError, OptionError, _core, cli
from efiqa.build import BuildOptions, build_plan, device, installed, load_provider
from efiqa.build import plan as plan_module
from efiqa.contract import Contract
from efiqa.golden import make_golden
from efiqa.verify import verify
from tests.helpers import contract_of, write_telling_model, write_tiny_model

pytestmark = [
    pytest.mark.tensorrt,
    pytest.mark.skipif(not installed(), reason="no TensorRT to build with; pip install 'efiqa[tensorrt]'"),
]


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A tiny model in a folder to work in, with an empty cache."""
    monkeypatch.setenv("EFIQA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return write_tiny_model(tmp_path)


def states(path) -> dict[str, str]:
    return {finding.check: finding.state for finding in verify(path)}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "cache")


def test_build_writes_a_plan_its_contract_and_its_golden_file(model, tmp_path):
    shares = []
    report = build_plan(
        model, tmp_path / "engine.plan", on_progress=lambda share, phase: shares.append(share)
    )
    assert names(tmp_path) == [
        "engine.plan", "engine.plan.golden.safetensors", "engine.plan.json", "tiny.onnx", "tiny.onnx.json",
    ]  # fmt: skip
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert report.cached is False
    assert report.golden_made is True
    assert report.network.layers == 2
    assert [str(tensor) for tensor in report.network.inputs] == ["image FLOAT (1, 3, 64, 64)"]
    assert [str(tensor) for tensor in report.network.outputs] == ["logits FLOAT (1, 1, 8, 8)"]

    data = (tmp_path / "engine.plan").read_bytes()
    assert len(data) == report.size_bytes > 1000
    was, now = Contract.of_model(model).to_dict(), Contract.of_model(tmp_path / "engine.plan").to_dict()
    provider = load_provider()
    assert now["plan"]["onnx_sha256"] == was["model"]["sha256"]
    assert (now["plan"]["flavour"], now["plan"]["version"]) == (provider.flavour, provider.version)
    assert now["model"] == {
        **was["model"],
        "file": "engine.plan",
        "sha256": _core.sha256_hex(data),
        "format": "tensorrt_plan",
    }
    assert now["golden"]["file"] == "engine.plan.golden.safetensors"
    same = set(was) - {"model", "golden", "parity"}
    assert {name: now[name] for name in same} == {name: was[name] for name in same}
    assert set(states(tmp_path / "engine.plan").values()) <= {"passed", "not run"}


@pytest.mark.skipif(bool(device.compute_capability()), reason="there is a GPU, where parity is measured")
def test_build_without_a_gpu_says_that_parity_was_not_run(model, tmp_path):
    document = build_plan(model, tmp_path / "e.plan").contract.to_dict()
    assert document["parity"] == {"status": "not_run", "reason": "no GPU"}
    found = states(tmp_path / "e.plan")
    assert (found["record"], found["target"], found["golden"], found["gate"]) == (
        "not run", "not run", "passed", "not run",
    )  # fmt: skip


def test_build_again_takes_the_plan_from_the_cache_unless_told_otherwise(model, tmp_path):
    first = build_plan(model, tmp_path / "a.plan")
    again = build_plan(model, tmp_path / "b.plan")
    assert (first.cached, again.cached) == (False, True)
    assert (tmp_path / "a.plan").read_bytes() == (tmp_path / "b.plan").read_bytes()
    assert again.network == first.network
    assert states(tmp_path / "b.plan")["model"] == "passed"
    assert build_plan(model, tmp_path / "c.plan", use_cache=False).cached is False
    assert build_plan(model, tmp_path / "d.plan", options=BuildOptions(workspace_mib=64)).cached is False


@pytest.mark.skipif(
    "tensorrt_rtx" not in dict(installed()), reason="TensorRT-RTX alone builds for other GPUs"
)
def test_build_with_options_records_them(model, tmp_path):
    options = BuildOptions(compute_capabilities=("8.6", "8.9"), workspace_mib=256, optimization_level=1)
    report = build_plan(model, tmp_path / "e.plan", provider="tensorrt_rtx", options=options)
    plan = report.contract.to_dict()["plan"]
    assert plan["compute_capabilities"] == ["8.6", "8.9"]
    assert (plan["workspace_mib"], plan["optimization_level"]) == (256, 1)


@pytest.mark.skipif("tensorrt_rtx" not in dict(installed()), reason="needs TensorRT-RTX")
def test_build_options_that_the_provider_does_not_have_are_named(model, tmp_path):
    for options, message in (
        (BuildOptions(compute_capabilities=("8.7",)), r"'8\.7', expected one of 7\.5, 8\.0.*TensorRT-RTX"),
        (BuildOptions(timing_cache=tmp_path / "t"), "timing_cache is .*leave it out"),
    ):
        with pytest.raises(OptionError, match=message):
            build_plan(model, tmp_path / "e.plan", provider="tensorrt_rtx", options=options)
    assert names(tmp_path) == ["tiny.onnx", "tiny.onnx.json"]


def test_build_of_a_network_that_the_contract_does_not_describe_names_both(model, tmp_path):
    document = json.loads(contract_of(model).read_text())
    document["output"]["name"] = "scores"
    contract_of(model).write_text(json.dumps(document))
    with pytest.raises(ModelError, match="scores"):
        build_plan(model, tmp_path / "e.plan")  # already the CPU back end refuses to make a golden file
    builder = plan_module.Builder(load_provider(), BuildOptions())
    message = r"as output logits FLOAT \(1, 1, 8, 8\), its contract says scores FLOAT"
    with pytest.raises(ModelError, match=message):
        plan_module.check_network(builder.parse(model.read_bytes(), model), Contract.of_model(model), model)


def test_build_of_a_model_with_more_channels_keeps_them(tmp_path, monkeypatch):
    monkeypatch.setenv("EFIQA_CACHE_DIR", str(tmp_path / "cache"))
    model = write_telling_model(tmp_path)
    report = build_plan(model, tmp_path / "e.plan")
    assert [str(tensor) for tensor in report.network.outputs] == ["logits FLOAT (1, 7, 8, 8)"]
    was, now = Contract.of_model(model).to_dict(), report.contract.to_dict()
    for field in ("output", "reasons", "not_a_fundus"):
        assert now[field] == was[field]
    builder = plan_module.Builder(load_provider(), BuildOptions())
    network = builder.parse(model.read_bytes(), model)
    fewer = Contract.from_dict(
        {
            **was,
            "output": {**was["output"], "channels": ["anatomy_not_visible"]},
            "reasons": None,
            "not_a_fundus": None,
        }
    )
    with pytest.raises(ModelError, match=r"logits FLOAT \(1, 7, 8, 8\), its contract says .*\(1, 1, 8, 8\)"):
        plan_module.check_network(network, fewer, model)


def test_parser_errors_are_one_named_error(model):
    builder = plan_module.Builder(load_provider(), BuildOptions())
    with pytest.raises(ModelError, match=r"TensorRT.* cannot parse .*tiny\.onnx: .*Failed to parse"):
        builder.parse(b"no onnx at all", model)


def test_build_refuses_inputs_and_outputs_that_do_not_fit(model, tmp_path):
    build_plan(model, tmp_path / "e.plan")
    (tmp_path / "folder.plan").mkdir()
    for source, output, kind, message in (
        (model, "e.plan", FileError, "exists; --force replaces it"),
        (model, "e.onnx", FileError, r"expected a name that ends in \.plan or \.engine"),
        (model, "none/e.plan", FileError, "none is not a folder"),
        (model, "folder.plan", FileError, "is a folder"),
        (tmp_path / "none.onnx", "f.plan", ModelError, r"none\.onnx cannot be read"),
        (
            tmp_path / "e.plan",
            "f.plan",
            ModelError,
            r"is a TensorRT plan by its contract, expected the \.onnx",
        ),
    ):
        with pytest.raises(kind, match=message):
            build_plan(source, tmp_path / output)
    before = (tmp_path / "e.plan").stat().st_ino
    build_plan(model, tmp_path / "e.plan", force=True)
    assert (tmp_path / "e.plan").stat().st_ino != before
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(ContractError, match=r"tiny\.onnx has the SHA-256 .*expects .*efiqa export"):
        build_plan(model, tmp_path / "f.plan")


@pytest.fixture
def played_device(model, monkeypatch):
    """Play a GPU: the plan answers as the ONNX model does, times ``factor``, which a test may change."""
    drawn = make_golden(model)
    played = {"factor": 1.0}

    class Played:
        def __init__(self, plan, *, backend, allow_untrained):
            assert Contract.of_model(plan).is_plan
            assert (backend, allow_untrained) == ("tensorrt", True)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def run_network(self, inputs):
            assert np.array_equal(inputs, drawn.inputs)
            return drawn.logits * np.float32(played["factor"])

    monkeypatch.setattr("efiqa.runtime.Runtime", Played)
    monkeypatch.setattr(plan_module, "make_golden", lambda _: drawn)
    monkeypatch.setattr(plan_module, "_why_not_run", lambda *_: "")
    return played


def test_build_whose_plan_does_not_compute_the_same_writes_nothing(model, tmp_path, played_device):
    played_device["factor"] = 1.02
    with pytest.raises(BuildError, match=r"so it is not written: relative_frobenius is 0\.02") as caught:
        build_plan(model, tmp_path / "e.plan")
    assert caught.value.code == "parity_failed"
    assert names(tmp_path) == ["tiny.onnx", "tiny.onnx.json"]
    assert not (tmp_path / "cache").exists(), "what failed is not kept either"


def test_build_whose_plan_computes_the_same_records_the_figures(model, tmp_path, played_device):
    parity = build_plan(model, tmp_path / "e.plan").contract.to_dict()["parity"]
    assert (parity["status"], parity["pictures"], parity["relative_frobenius"]) == ("passed", 8, 0.0)
    assert parity["runner"] == load_provider().name
    assert parity["reference"] == "the ONNX model in OpenVINO fp32"


# A build in a process of its own that kills itself: at the n-th rename, or at TensorRT's first step.
KILLED = """
import os, pathlib, signal, sys
from pathlib import Path
count, at = 0, int(sys.argv[1])
def die(): os.kill(os.getpid(), signal.SIGKILL)
real = pathlib.Path.replace
def replace(self, target):
    global count
    if count == at: die()
    count += 1
    return real(self, target)
pathlib.Path.replace = replace
from efiqa.build import build_plan
watch = (lambda *_: die()) if at < 0 else None
build_plan(Path("tiny.onnx"), Path("e.plan"), on_progress=watch, use_cache=sys.argv[2] == "cache", force=True)
"""


def killed_at(rename: int, cache: str) -> int:
    arguments = [sys.executable, "-c", KILLED, str(rename), cache]
    return subprocess.run(arguments, check=False, timeout=300, capture_output=True).returncode


# -1: while TensorRT builds. From 0: the golden file in the hidden folder, the cache's plan and facts, then
# golden file, plan and contract themselves.
@pytest.mark.parametrize("rename", [-1, 0, 1, 2, 3, 4, 5])
def test_build_that_is_killed_leaves_nothing_that_opens_as_a_plan(model, tmp_path, rename):
    assert killed_at(rename, "cache") == -signal.SIGKILL
    assert states("e.plan") == {"contract": "failed"}
    assert build_plan(model, tmp_path / "e.plan", force=True).plan.is_file()
    assert states("e.plan")["model"] == "passed"


def test_build_that_is_killed_over_an_older_plan_leaves_one_that_opens_or_is_refused(model):
    build_plan(model, Path("e.plan"), options=BuildOptions(workspace_mib=64))
    outcomes = []
    for rename in range(4):  # the golden file in the hidden folder, then golden file, plan and contract
        assert killed_at(rename, "no cache") == -signal.SIGKILL
        outcomes.append(states("e.plan")["model"])
        build_plan(model, Path("e.plan"), options=BuildOptions(workspace_mib=64), force=True)
    assert outcomes == ["passed", "passed", "passed", "failed"]
    assert killed_at(4, "no cache") == 0, "there are no more renames"


def test_build_interrupted_ends_with_130_and_leaves_nothing(model, tmp_path):
    script = (
        "import signal, sys, os, threading; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "import efiqa.build.monitor as m; real = m.Progress.phase_start\n"
        "def start(self, *a):\n"
        "    os.kill(os.getpid(), signal.SIGINT) if not self._phases else None\n"
        "    real(self, *a)\n"
        "    assert self._cancelled.wait(60)\n"
        "    print(threading.active_count())\n"  # the main thread has not left the build behind
        "m.Progress.phase_start = start\n"
        "from efiqa.cli import main; sys.exit(main(['build', 'tiny.onnx', '-o', 'e.plan']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stderr) == (130, "")
    assert set(done.stdout.split()) == {"2"}
    assert names(tmp_path) == ["tiny.onnx", "tiny.onnx.json"]


def test_cli_build_prints_a_table_or_json_and_verify_reads_it(model, capsys):
    assert cli.main(["build", "tiny.onnx", "-o", "e.plan"]) == 0
    table = capsys.readouterr().out
    for expected in ("e.plan", load_provider().name, "2 layers", "image FLOAT (1, 3, 64, 64)", "fp32"):
        assert expected in table
    assert cli.main(["build", "tiny.onnx", "-o", "e.plan", "--force", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["cached"] is True
    assert facts["network"]["layers"] == 2
    assert cli.main(["verify", "e.plan"]) == 0
    assert "e.plan: nothing failed" in capsys.readouterr().out
    Path("e.plan").write_bytes(Path("e.plan").read_bytes()[:-1])
    assert cli.main(["verify", "e.plan"]) == 1
    assert "build the plan again with efiqa build" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--compute-capability", "87"],
        ["--workspace-mib", "0"],
        ["--optimization-level", "6"],
        ["--provider", "onnx"],
    ],
)
def test_cli_build_usage_errors_exit_with_2(model, arguments, capsys):
    assert cli.main(["build", "tiny.onnx", "-o", "e.plan", *arguments]) == 2
    assert capsys.readouterr().out == ""
