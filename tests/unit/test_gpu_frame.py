"""What benchmarks.gpu_frame computes around its measurements; the measurements need a GPU."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import gpu_frame, gpu_peers, gpu_roofline
from benchmarks.gpu_peers import OpenCvChain, PlanFacts
from benchmarks.gpu_roofline import Limits, Work
from benchmarks.latency import camera_frame
from efiqa import Runtime, golden

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SMALL = PlanFacts("vit_small_patch16_dinov3", "linear", "bf16", 224, (14, 14), MEAN, STD)


def contract(**changes: Any) -> dict[str, Any]:
    return {
        "model": {"format": "tensorrt_plan", "precision": "bf16"},
        "provenance": {
            "backbone": "vit_small_patch16_dinov3, random weights",
            "adapter": "linear, random weights",
        },
        "input": {"width_px": 224, "mean": list(MEAN), "std": list(STD)},
        "output": {"width": 14, "height": 14},
    } | changes


def times(**p50: float) -> dict[str, dict[str, float]]:
    return {name: {"p50": value} for name, value in p50.items()}


def test_plan_facts_of_a_contract() -> None:
    assert gpu_peers.plan_facts(contract()) == SMALL


def test_plan_facts_adapter_of_a_file_is_known_by_its_kind() -> None:
    given = {"backbone": "vit_base_patch14_dinov2", "adapter": "dense, a.safetensors, SHA-256 00"}
    facts = gpu_peers.plan_facts(contract(provenance=given))
    assert (facts.backbone, facts.adapter) == ("vit_base_patch14_dinov2", "dense")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"format": "onnx", "precision": "bf16"}}, "model.format is onnx, expected tensorrt_plan"),
        (
            {"provenance": {"backbone": "efficientnet-lite0", "adapter": "student-width64"}},
            "the plan is of efficientnet-lite0 with student-width64, expected vit_",
        ),
    ],
)
def test_plan_facts_of_another_model_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gpu_peers.plan_facts(contract(**changes))


def test_roofline_floor_is_the_slower_of_the_two_limits() -> None:
    limits = Limits(bf16_flops_per_s=1e12, copy_bytes_per_s=1e11)
    # 2 ms of arithmetic against 1 ms of memory, and the other way round.
    assert gpu_roofline.roofline(Work(2 * 10**9, 10**8), limits) == {
        "flops": 2 * 10**9,
        "bytes": 10**8,
        "floor_ms": pytest.approx(2.0),
        "bound": "arithmetic",
    }
    memory = gpu_roofline.roofline(Work(10**9, 3 * 10**8), limits)
    assert (memory["floor_ms"], memory["bound"]) == (pytest.approx(3.0), "memory")


def test_shares_without_the_engine_s_time_are_of_the_frame_alone() -> None:
    assert gpu_roofline.shares(0.1, times(efiqa_device=0.5)) == {"roofline_share_of_frame": 0.2}
    both = gpu_roofline.shares(0.1, times(efiqa_device=0.5, efiqa_engine=0.4))
    assert both == {"roofline_share_of_frame": 0.2, "roofline_share": 0.25}


def test_ratios_only_of_what_both_were_timed_with() -> None:
    found = times(efiqa_host=1.0, efiqa_device=0.5, efiqa_network_call=2.0, compiled_host=4.0)
    assert gpu_frame.ratios("compiled", found) == {"host": 4.0}
    assert gpu_frame.ratios("eager", found) == {}


def test_time_in_turn_calls_round_after_round_and_drops_the_warm_up() -> None:
    calls: list[tuple[str, int]] = []
    programs = {name: lambda i, name=name: calls.append((name, i)) for name in ("a", "b")}
    found = gpu_frame.time_in_turn(programs, runs=2, warm_up=1)
    assert calls == [("a", 0), ("b", 1), ("a", 2), ("b", 3), ("a", 4), ("b", 5)]
    assert {name: len(values) for name, values in found.items()} == {"a": 2, "b": 2}
    assert all(value >= 0 for values in found.values() for value in values)


def test_cosine_of_opposite_and_orthogonal_arrays() -> None:
    a = np.array([[1, 2]], np.float32)
    assert gpu_peers.cosine(a, -2 * a) == pytest.approx(-1.0)
    assert gpu_peers.cosine(a, np.array([[-2, 1]], np.float32)) == pytest.approx(0.0)


def test_described_says_times_ratios_floor_and_what_was_left_out() -> None:
    summary = {"p50": 0.5, "p95": 0.6, "p99": 0.7, "max": 0.8}
    text = gpu_frame.described(
        {
            "plan": "s.plan",
            "backbone": "vit_small_patch16_dinov3",
            "precision": "bf16",
            "input_px": 224,
            "times_ms": {"efiqa_host": summary},
            "peer_over_efiqa_p50": {"eager": {"host": 6.04}},
            "left_out": {"compiled": "no compiler"},
            "roofline": {"floor_ms": 0.02, "bound": "memory"},
        }
    )
    assert "p50   0.500  p95   0.600  p99   0.700  max   0.800 ms" in text
    assert "eager / efiqa, host: 6.0x" in text
    assert "compiled left out: no compiler" in text
    assert "floor 0.020 ms (memory)" in text
    assert gpu_frame.described({"plan": "s.plan", "error": "E"}) == "s.plan: failed: E"


@pytest.fixture(scope="module")
def chain_and_frame() -> tuple[OpenCvChain, np.ndarray]:
    pytest.importorskip("skimage", reason="scikit-image comes with the extra [bench]")
    frame = camera_frame()
    return OpenCvChain(lambda image: image, SMALL, Runtime().assess(frame)), frame


def test_chain_picture_is_what_the_core_feeds_the_network(chain_and_frame: tuple[OpenCvChain, Any]) -> None:
    chain, frame = chain_and_frame
    given = {
        "width_px": 224,
        "height_px": 224,
        "resize_filter": "triangle",
        "outside": "black",
        "mean": MEAN,
        "std": STD,
    }
    expected = golden.network_input(frame, given)[None]
    picture = chain.picture(frame)
    assert picture.dtype == np.float32
    assert picture.shape == expected.shape
    assert np.abs(picture - expected).mean() <= gpu_peers.INPUT_TOLERANCE
    assert np.abs(picture[:, ::-1] - expected).mean() > 10 * gpu_peers.INPUT_TOLERANCE


def test_chain_overlay_colours_the_crop_where_the_map_says(chain_and_frame: tuple[OpenCvChain, Any]) -> None:
    chain, frame = chain_and_frame
    grid = np.zeros((14, 14), np.float32)
    dark = chain.overlay(frame, grid)
    grid[2, 11] = 1
    lit = chain.overlay(frame, grid)
    assert lit.shape == frame.shape
    rows, columns = np.nonzero((lit != dark).any(axis=2))
    x, y, side = Runtime().assess(frame).crop
    cell = side / 14
    assert abs(rows.mean() - (y + 2.5 * cell)) < 2
    assert abs(columns.mean() - (x + 11.5 * cell)) < 2


def test_chain_crop_beyond_the_frame_is_padded(chain_and_frame: tuple[OpenCvChain, Any]) -> None:
    frame = np.ascontiguousarray(chain_and_frame[1][200:880])  # the field of view is cut above and below
    report = Runtime().assess(frame)
    assert report.crop[1] < 0
    chain = OpenCvChain(lambda image: image, SMALL, report)
    black = chain.picture(frame)[0, :, 0, 112]
    np.testing.assert_allclose(black, [-m / s for m, s in zip(MEAN, STD, strict=True)], rtol=1e-6)
    assert chain.overlay(frame, np.zeros((14, 14), np.float32)).shape == frame.shape


def test_network_work_of_vit_small_is_what_its_dimensions_give() -> None:
    pytest.importorskip("timm", reason="timm comes with the extra [train]")
    width, depth, tokens, side = 384, 12, 14 * 14 + 5, 224
    linear = depth * 12 * width * width  # weights: qkv 3, projection 1, MLP 8
    attention = depth * 2 * tokens * tokens * width  # products: queries with keys, and with values
    patches = 14 * 14 * 3 * 16 * 16 * width
    work = gpu_peers.network_work(SMALL)
    assert work.flops == 2 * (tokens * linear + attention + patches + 14 * 14 * width)
    # bfloat16 linear layers, input and output; the rest, in float32, is below a tenth of it.
    least = 2 * linear + 4 * (3 * side * side + 14 * 14)
    assert least < work.bytes < 1.1 * least


def test_network_work_in_fp32_has_the_same_products_and_larger_weights() -> None:
    pytest.importorskip("timm", reason="timm comes with the extra [train]")
    half = gpu_peers.network_work(SMALL)
    full = gpu_peers.network_work(PlanFacts(**{**vars(SMALL), "precision": "fp32"}))
    assert full.flops == half.flops
    assert math.isclose(full.bytes / half.bytes, 2, abs_tol=0.1)


def test_main_without_a_gpu_says_so_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "s.plan"
    plan.write_bytes(b"")
    monkeypatch.setattr(gpu_frame, "missing", lambda: "no GPU here.")
    out = tmp_path / "out.json"
    assert gpu_frame.main([str(plan), "--out", str(out)]) == 1
    assert capsys.readouterr().err == "no GPU here.\n"
    assert not out.exists()


def test_missing_on_this_machine_is_one_sentence_or_nothing() -> None:
    torch = pytest.importorskip("torch", reason="torch comes with the extra [train]")
    reason = gpu_frame.missing()
    if torch.cuda.is_available():
        assert reason is None or "TensorRT" in reason
    else:
        assert reason == f"gpu_frame needs an NVIDIA GPU with CUDA, and torch {torch.__version__} finds none."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: PLAN"),
        (["gone.plan"], "plan gone.plan does not exist; make it with efiqa build"),
        (["--runs", "0", "gone.plan"], "--runs is 0, expected 1 or more"),
    ],
)
def test_main_wrong_arguments_are_named(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        gpu_frame.main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
