"""The Runtime over the compiled core: options, models that must be refused, frames, threads."""

import gc
import json
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import efiqa
from tests.helpers import TELLING, contract_of, drawn_eye, run_in_threads, write_tiny_model

VERDICTS = {"good", "usable", "reject", "unknown"}


def test_runtime_info_says_what_runs(runtime, tiny_model):
    info = runtime.info
    assert info.model_path == str(tiny_model)
    assert info.model_id == info.contract.id
    assert info.engine.startswith("OpenVINO 2026.4")
    assert info.threads == 1
    assert info.operating_point == "screening"
    assert "OpenVINO" in repr(runtime)


def test_runtime_operating_point_moves_the_verdict_not_the_score(tiny_model):
    frame = drawn_eye(level=150)
    verdicts = {}
    for name in ("screening", "lenient"):
        with efiqa.Runtime(tiny_model, operating_point=name) as runtime:
            report = runtime.assess(frame)
            verdicts[name] = (report.score, report.verdict)
            assert report.operating_point == name
    assert verdicts["screening"][0] == verdicts["lenient"][0]
    limits = runtime.info.contract.operating_points
    for name, (score, verdict) in verdicts.items():
        point = limits[name]
        wanted = "good" if score >= point.good_min_score else "usable"
        assert verdict == (wanted if score >= point.usable_min_score else "reject")


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"backend": "tpu"}, efiqa.OptionError, "backend is 'tpu', expected one of auto, openvino, tensorrt"),
        ({"backend": "tensorrt"}, efiqa.BackendError, "TensorRT is not built into this installation"),
        ({"threads": 0}, efiqa.OptionError, "threads is 0, expected an integer from 1"),
        ({"threads": -1}, efiqa.OptionError, "threads is -1"),
        ({"threads": 1.5}, efiqa.OptionError, "threads is 1.5"),
        ({"threads": True}, efiqa.OptionError, "threads is True"),
        ({"threads": 100000}, efiqa.OptionError, "threads"),
        ({"operating_point": "strict"}, efiqa.OptionError, r"(?s)strict.*screening"),
    ],
)
def test_runtime_bad_option_is_named(tiny_model, options, kind, message):
    with pytest.raises(kind, match=message):
        efiqa.Runtime(tiny_model, **options)


def test_runtime_options_are_keyword_only(tiny_model):
    with pytest.raises(TypeError):
        efiqa.Runtime(tiny_model, 2)


def test_runtime_plan_without_tensorrt_says_so(tmp_path):
    for name in ("engine.plan", "x.ENGINE"):
        with pytest.raises(efiqa.BackendError, match=r"TensorRT plan, and TensorRT is not built") as caught:
            efiqa.Runtime(tmp_path / name)
        assert caught.value.code == "backend_unavailable"


def test_runtime_missing_model_and_folder_are_named(tmp_path):
    for path, message in ((tmp_path / "none.onnx", "does not exist"), (tmp_path, "is a folder")):
        with pytest.raises(efiqa.ModelError, match=message) as caught:
            efiqa.Runtime(path)
        assert caught.value.code == "model_missing"


def test_runtime_model_without_contract_is_refused(tmp_path):
    model = write_tiny_model(tmp_path)
    contract_of(model).unlink()
    with pytest.raises(efiqa.ContractError, match=r"tiny\.onnx\.json is missing"):
        efiqa.Runtime(model)


def test_runtime_contract_of_another_model_is_refused(tmp_path):
    model = write_tiny_model(tmp_path)
    document = json.loads(contract_of(model).read_text())
    document["model"]["sha256"] = "0" * 64
    contract_of(model).write_text(json.dumps(document))
    with pytest.raises(efiqa.ContractError, match="SHA-256"):
        efiqa.Runtime(model)


def test_runtime_truncated_model_is_refused(tmp_path):
    model = write_tiny_model(tmp_path)
    model.write_bytes(model.read_bytes()[:100])
    with pytest.raises(efiqa.ModelError, match="SHA-256"):
        efiqa.Runtime(model)


def test_runtime_garbage_with_a_fitting_hash_is_refused(tmp_path, capfd):
    import hashlib

    model = write_tiny_model(tmp_path)
    for garbage in (b"", b"not a network at all" * 50, model.read_bytes()[:150]):
        model.write_bytes(garbage)
        document = json.loads(contract_of(model).read_text())
        document["model"]["sha256"] = hashlib.sha256(garbage).hexdigest()
        contract_of(model).write_text(json.dumps(document))
        with pytest.raises(efiqa.ModelError):
            efiqa.Runtime(model)
    assert capfd.readouterr().err == ""


def test_runtime_model_that_does_not_fit_its_contract_is_refused(tmp_path):
    model = write_tiny_model(tmp_path)
    document = json.loads(contract_of(model).read_text())
    for section, field, value in (("input", "width_px", 128), ("output", "width", 9), ("input", "name", "x")):
        changed = json.loads(json.dumps(document))
        changed[section][field] = value
        contract_of(model).write_text(json.dumps(changed))
        with pytest.raises(efiqa.ModelError):
            efiqa.Runtime(model)


def test_runtime_truncated_contract_is_refused(tmp_path):
    model = write_tiny_model(tmp_path)
    text = contract_of(model).read_text()
    for share in (0, 0.3, 0.9):
        contract_of(model).write_text(text[: int(share * len(text))])
        with pytest.raises(efiqa.ContractError, match=r"tiny\.onnx\.json"):
            efiqa.Runtime(model)


def test_runtime_untrained_model_needs_permission(tmp_path):
    model = write_tiny_model(tmp_path, trained=False)
    with pytest.raises(efiqa.ModelError, match="untrained"):
        efiqa.Runtime(model)
    with efiqa.Runtime(model, allow_untrained=True) as runtime:
        assert not runtime.info.trained
        assert runtime.assess(drawn_eye()).verdict in VERDICTS


def test_runtime_closed_is_named_and_closing_twice_is_fine(tiny_model):
    with efiqa.Runtime(tiny_model) as runtime:
        runtime.close()
    with pytest.raises(efiqa.ClosedError, match="closed; open another"):
        runtime.assess(drawn_eye())
    assert "closed" in repr(runtime)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.zeros((1, 1, 3), np.uint8), "64"),
        (np.zeros((63, 63, 3), np.uint8), "63.*64"),
        (np.zeros((64, 63, 3), np.uint8), "63.*64"),
        (np.zeros((64, 8193), np.uint8), "8193.*8192"),
        (np.broadcast_to(np.uint8(0), (20000, 20000)), "strides"),
        (np.full((100, 100, 3), np.nan, np.float32), "holds NaN"),
        (np.zeros((0, 0, 3), np.uint8), "no pixel"),
    ],
)
def test_assess_bad_frame_is_named_and_the_runtime_stays_usable(runtime, frame, message):
    with pytest.raises(efiqa.FrameError, match=message):
        runtime.assess(frame)
    assert runtime.assess(drawn_eye()).score is not None


def _noise(seed: int, low: int, high: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (300, 400, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((200, 300, 3), np.uint8),
        np.full((200, 300, 3), 255, np.uint8),
        np.full((64, 64), 128, np.uint8),
        np.zeros((8192, 64, 3), np.uint8),
        _noise(0, 0, 4),
        np.zeros((100, 100, 4), np.uint8),
    ],
    ids=["black", "white", "grey", "long black", "dark noise", "black rgba"],
)
def test_assess_frame_without_field_of_view_is_unknown(runtime, frame):
    report = runtime.assess(frame)
    assert (report.verdict, report.score, report.reason) == ("unknown", None, "no_field_of_view")
    assert np.isnan(report.map).all()
    assert report.regions == ()


def _disc_of_noise() -> np.ndarray:
    y, x = np.mgrid[:600, :600]
    inside = np.hypot(y - 300, x - 300) <= 280
    return np.random.default_rng(4).integers(0, 256, (600, 600, 3), dtype=np.uint8) * inside[
        :, :, None
    ].astype(np.uint8)


NO_RETINA = {
    "noise": lambda: _noise(0, 0, 256),
    "noise 1920 x 1080": lambda: np.random.default_rng(1).integers(0, 256, (1080, 1920, 3), dtype=np.uint8),
    "grey noise": lambda: np.random.default_rng(2).integers(0, 256, (480, 640), dtype=np.uint8),
    "sensor noise": lambda: (
        np.random.default_rng(3).normal(128, 60, (480, 640, 3)).clip(0, 255).astype(np.uint8)
    ),
    "noise of 2 px": lambda: np.kron(_noise(5, 0, 256), np.ones((2, 2, 1), np.uint8)),
    "noise in a disc": _disc_of_noise,
    "black": lambda: np.zeros((480, 640, 3), np.uint8),
    "dark": lambda: np.full((480, 640, 3), 20, np.uint8),
    "grey": lambda: np.full((480, 640, 3), 128, np.uint8),
    "white": lambda: np.full((480, 640, 3), 255, np.uint8),
}


@pytest.mark.parametrize("name", NO_RETINA)
def test_assess_what_is_no_retina_is_never_good_with_the_embedded_model(embedded_model, name):
    with efiqa.Runtime(embedded_model) as runtime:
        report = runtime.assess(NO_RETINA[name]())
    assert report.verdict in {"unknown", "reject"}, f"score {report.score}"


def test_assess_layouts_of_one_picture_agree(runtime):
    rgb = drawn_eye()
    expected = runtime.assess(rgb)
    wide = np.zeros((240, 400, 3), np.uint8)
    wide[:, 40:360] = rgb
    rgba = np.dstack([rgb, np.zeros(rgb.shape[:2], np.uint8)])
    bgr = np.ascontiguousarray(rgb[:, :, ::-1])
    for frame, options in ((wide[:, 40:360], {}), (rgba, {}), (bgr, {"bgr": True})):
        report = runtime.assess(frame, **options)
        assert report.score == expected.score
        assert np.array_equal(report.map, expected.map, equal_nan=True)
    grey = np.ascontiguousarray(rgb[:, :, 1])
    tripled = runtime.assess(np.dstack([grey] * 3))
    assert runtime.assess(grey).score == tripled.score


@settings(deadline=None, max_examples=60)
@given(
    height=st.integers(64, 700),
    width=st.integers(64, 700),
    channels=st.sampled_from([0, 3, 4]),
    left=st.integers(0, 9),
    level=st.integers(30, 255),
)
def test_assess_any_geometry_gives_a_consistent_report(tiny_model, height, width, channels, left, level):
    if not hasattr(test_assess_any_geometry_gives_a_consistent_report, "runtime"):
        test_assess_any_geometry_gives_a_consistent_report.runtime = efiqa.Runtime(tiny_model, threads=1)
    runtime = test_assess_any_geometry_gives_a_consistent_report.runtime
    eye = drawn_eye(height, width, level=level)
    whole = np.zeros((height, width + left + 2, max(channels, 1)), np.uint8)
    whole[:, left : left + width] = eye[:, :, :1] if channels == 0 else 255
    if channels:
        whole[:, left : left + width, :3] = eye
    frame = whole[:, left : left + width]
    report = runtime.assess(frame[:, :, 0] if channels == 0 else frame)
    assert report.frame_size == (height, width)
    assert report.verdict in VERDICTS
    assert (report.score is None) == (report.verdict == "unknown") == (not report.fov.found)
    assert report.score is None or 0 <= report.score <= 1
    assert ((report.weights >= 0) & (report.weights <= 1)).all()
    assert report.overlay().shape == (height, width, 3)
    assert report.fov.right_px <= width
    assert report.fov.bottom_px <= height
    for region in report.regions:
        assert 0 <= region.x_px <= region.x_px + region.width_px <= width + 1e-3
        assert 0 <= region.y_px <= region.y_px + region.height_px <= height + 1e-3


def test_assess_same_frame_twice_is_bit_identical(runtime):
    first, second = runtime.assess(drawn_eye()), runtime.assess(drawn_eye())
    assert first.score == second.score
    assert np.array_equal(first.map, second.map, equal_nan=True)


def test_assess_releases_the_gil(tiny_model):
    """Another Python thread counts on while one long frame is assessed."""
    frame = drawn_eye(4096, 4096)
    ticks: list[float] = []
    running = threading.Event()
    stop = threading.Event()

    def count() -> None:
        running.set()
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0)

    with efiqa.Runtime(tiny_model, threads=1) as runtime:
        runtime.assess(frame)
        counter = threading.Thread(target=count)
        counter.start()
        running.wait()
        start = time.perf_counter()
        for _ in range(5):
            runtime.assess(frame)
        end = time.perf_counter()
        stop.set()
        counter.join()
    inside = sum(start < tick < end for tick in ticks)
    # With the GIL held, the counter would run only between two frames: a few ticks each at most.
    assert inside > 200, f"{inside} ticks in {end - start:.3f} s"


def test_assess_two_threads_in_one_runtime_get_a_named_error(tiny_model):
    frame = drawn_eye(4096, 4096)
    outcomes: list[str] = []
    with efiqa.Runtime(tiny_model, threads=1) as runtime:
        barrier = threading.Barrier(2)

        def work() -> None:
            barrier.wait()
            for _ in range(10):
                try:
                    runtime.assess(frame)
                    outcomes.append("report")
                except efiqa.ThreadError as error:
                    outcomes.append(error.code)

        run_in_threads(work, 2)
        assert set(outcomes) == {"report", "wrong_thread"}
        assert len(outcomes) == 20
        assert runtime.assess(frame).score is not None, "the runtime stays usable"


def test_assess_one_runtime_after_the_other_thread_is_fine(runtime):
    reports = []
    run_in_threads(lambda: reports.append(runtime.assess(drawn_eye())), 1)
    reports.append(runtime.assess(drawn_eye()))
    assert reports[0].score == reports[1].score


def test_assess_eight_runtimes_in_eight_threads_agree(tiny_model):
    scores: list[float] = []

    def work() -> None:
        with efiqa.Runtime(tiny_model, threads=1) as own:
            scores.extend(own.assess(drawn_eye()).score for _ in range(5))

    run_in_threads(work, 8)
    assert len(scores) == 40
    assert len(set(scores)) == 1


def test_report_outlives_its_runtime(tiny_model):
    runtime = efiqa.Runtime(tiny_model)
    report = runtime.assess(drawn_eye())
    runtime.close()
    del runtime
    gc.collect()
    assert report.overlay().shape == (240, 320, 3)
    assert json.loads(report.to_json())["verdict"] == report.verdict


def test_assess_retina_photograph_is_judged_well_by_the_embedded_model(embedded_model, retina):
    with efiqa.Runtime(embedded_model) as runtime:
        report = runtime.assess(retina)
    assert report.verdict in {"good", "usable"}
    assert report.fov.shape == "circle"
    assert report.fov.radius_px == pytest.approx(700, rel=0.05)


@pytest.mark.slow
def test_assess_vessel_pictures_are_never_unknown(embedded_model, fundus_data):
    from tests.helpers import read_manifest

    rows = [row for row in read_manifest(fundus_data, split="test") if row["role"] == "vessel_image"][::4]
    assert rows
    with efiqa.Runtime(embedded_model) as runtime:
        frames = {row["path"]: efiqa.read_image(fundus_data / row["path"]) for row in rows}
        verdicts = {path: runtime.assess(frame).verdict for path, frame in frames.items()}
    assert "unknown" not in verdicts.values(), verdicts


def test_run_network_gives_the_logits_of_each_input(runtime):
    inputs = np.full((2, 3, 64, 64), -1, np.float32)
    inputs[1] = 1
    logits = runtime.run_network(inputs)
    assert logits.shape == (2, 1, 8, 8)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits[0], 2.5, atol=1e-5)
    np.testing.assert_allclose(logits[1], -6.5, atol=1e-5)


def test_run_network_gives_every_channel(telling):
    logits = telling.run_network(np.full((2, 3, 64, 64), -1, np.float32))
    assert logits.shape == (2, len(TELLING), 8, 8)
    for channel, (weights, bias) in enumerate(TELLING.values()):
        np.testing.assert_allclose(logits[:, channel], bias - sum(weights), atol=1e-5)


def test_run_network_refuses_what_is_no_input(runtime):
    fine = np.zeros((1, 3, 64, 64), np.float32)
    for wrong, message in (
        (fine[0], r"inputs is \(3, 64, 64\), expected a float32 array \(N, 3, H, W\)"),
        (fine[:0], "with N from 1"),
        ([1.0], "inputs is list"),
        (fine.astype(np.float64), "expected a numpy array"),
        (fine[:, :, :63], r"input.shape is \(3, 63, 64\), expected \(3, 64, 64\), C-contiguous float32"),
        (fine[:, :2], r"input.shape is \(2, 64, 64\)"),
    ):
        with pytest.raises(efiqa.OptionError, match=message):
            runtime.run_network(wrong)
    runtime.close()
    with pytest.raises(efiqa.ClosedError):
        runtime.run_network(fine)


def test_runtime_deadline_is_missed_by_a_large_frame_and_the_next_one_is_assessed(embedded_model):
    large = np.zeros((6000, 8000, 3), np.uint8)
    large[500:5500, 1500:6500] = (180, 90, 40)
    with (
        efiqa.Runtime(embedded_model, threads=1, deadline_ms=1) as runtime,
        pytest.raises(efiqa.DeadlineError, match="deadline_ms 1 and was given up"),
    ):
        runtime.assess(large)
    with efiqa.Runtime(embedded_model, threads=1, deadline_ms=60000) as runtime:
        assert runtime.assess(large).not_a_fundus is not None  # the network has answered


@pytest.mark.parametrize("deadline_ms", [0, -1, 60001, True])
def test_runtime_deadline_outside_its_range_is_refused(tiny_model, deadline_ms):
    with pytest.raises(efiqa.OptionError, match=f"deadline_ms is {deadline_ms}, expected 1 to 60000"):
        efiqa.Runtime(tiny_model, deadline_ms=deadline_ms)
