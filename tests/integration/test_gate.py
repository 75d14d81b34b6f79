"""The CaptureGate over a real Runtime: frames in, decisions and the best frame out."""

import math

import numpy as np
import pytest

import efiqa
from efiqa import _core
from tests.helpers import drawn_eye, run_in_threads

# What the tiny model, which likes it bright, makes of drawn discs at levels from 180 on.
DRAWN = {"min_score": 0.7}


def good(level=210):
    return drawn_eye(level=level)


def feed(gate, frames, *, start_ms=0, step_ms=50):
    """Return the decisions on the frames."""
    return [gate.update(frame, timestamp_ms=start_ms + k * step_ms) for k, frame in enumerate(frames)]


def test_capture_gate_takes_the_best_frame_and_keeps_its_pixels(runtime):
    gate = efiqa.CaptureGate(runtime, **DRAWN)
    buffer = np.empty_like(good())
    decisions = []
    levels = [200] * 6 + [230, 215] + [200] * 30
    for k, level in enumerate(levels):
        buffer[:] = good(level)  # as a camera does: one buffer for all frames
        decisions.append(gate.update(buffer, timestamp_ms=50 * k))
        if decisions[-1].state == "captured":
            break
    last = decisions[-1]
    assert last.state == "captured"
    assert last.guidance == "done"
    assert last.progress == 1
    best = last.best
    scores = [decision.report.score for decision in decisions]
    assert best.score == pytest.approx(max(scores[2:-1]))
    assert best.frame_index == 6
    assert best.timestamp_ms == 300
    np.testing.assert_array_equal(best.frame, good(230))
    assert not best.frame.flags.writeable
    assert best.report.score == best.score
    np.testing.assert_array_equal(best.report.overlay(), best.report.overlay(good(230)))


def test_capture_gate_measures_and_report_are_of_the_frame(runtime):
    gate = efiqa.CaptureGate(runtime)
    decision = gate.update(good(), timestamp_ms=0)
    assert decision.report.to_dict()["map"] == runtime.assess(good()).to_dict()["map"]
    assert decision.speed is None
    assert 0.2 < decision.measures.level < 0.6
    assert decision.best is None
    black = gate.update(np.zeros((240, 320, 3), np.uint8), timestamp_ms=50)
    assert black.measures == efiqa.FrameMeasures(None, None, None, None, None, None)
    assert black.report.verdict == "unknown"


def test_capture_gate_formats_of_a_frame_give_one_decision(runtime):
    frame = good()
    decisions = [
        efiqa.CaptureGate(runtime, **DRAWN).update(frame, timestamp_ms=0),
        efiqa.CaptureGate(runtime, **DRAWN).update(
            np.ascontiguousarray(frame[:, :, ::-1]), timestamp_ms=0, bgr=True
        ),
    ]
    assert decisions[0].measures == decisions[1].measures
    assert decisions[0].report.score == decisions[1].report.score


def test_capture_gate_refused_frames_never_lead_to_a_capture(runtime):
    gate = efiqa.CaptureGate(runtime, **DRAWN)
    feed(gate, [good()] * 12)
    assert gate._core.decision.state == "ready"
    for k in range(10):
        with pytest.raises(efiqa.FrameError, match="float64"):
            gate.update(good() / 255.0, timestamp_ms=600 + 50 * k)
    assert gate._core.decision.state == "no_eye"
    assert gate._core.decision.guidance == "not_assessed"


def test_capture_gate_small_frame_of_the_cores_own_refusal_is_a_drop_once(runtime):
    gate = efiqa.CaptureGate(runtime, **DRAWN)
    feed(gate, [good()] * 12)
    with pytest.raises(efiqa.FrameError, match="64 to 8192"):
        gate.update(np.zeros((10, 10, 3), np.uint8), timestamp_ms=600)
    assert gate._core.decision.frame_index == 12
    assert gate.update(good(), timestamp_ms=650).state == "ready"


def test_capture_gate_closed_runtime_is_an_error_and_a_drop(tiny_model):
    with efiqa.Runtime(tiny_model, threads=1) as opened:
        gate = efiqa.CaptureGate(opened, **DRAWN)
        feed(gate, [good()] * 12)
    with pytest.raises(efiqa.ClosedError):
        gate.update(good(), timestamp_ms=600)
    assert gate._core.decision.state == "hold_still"


@pytest.mark.parametrize("time", [100, 99, -1])
def test_capture_gate_time_that_does_not_move_on_is_an_error(runtime, time):
    gate = efiqa.CaptureGate(runtime, **DRAWN)
    gate.update(good(), timestamp_ms=100)
    with pytest.raises(efiqa.OptionError, match=f"timestamp_ms is {time}, expected more than 100"):
        gate.update(good(), timestamp_ms=time)
    gate.reset()
    assert gate.update(good(), timestamp_ms=time).frame_index == 0


@pytest.mark.parametrize("time", [math.nan, math.inf, 1e30])
def test_capture_gate_time_that_is_no_time_is_an_error(runtime, time):
    with pytest.raises(efiqa.OptionError, match="expected a finite number of milliseconds"):
        efiqa.CaptureGate(runtime).update(good(), timestamp_ms=time)


def test_capture_gate_min_score_is_the_operating_points_unless_it_is_given(tiny_model):
    with efiqa.Runtime(tiny_model, operating_point="lenient") as opened:
        point = opened.info.contract.operating_points["lenient"]
        assert efiqa.CaptureGate(opened).params.min_score == point.good_min_score
        assert efiqa.CaptureGate(opened, min_score=0.5).params.min_score == 0.5


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"min_sharp": 1}, r"gate\.min_sharp is not a parameter, expected one of min_score, min_stable_ms"),
        ({"min_stable_ms": 99}, r"gate\.min_stable_ms is 99, expected 100 to 60000"),
        ({"max_blinks": 1.5}, r"gate\.max_blinks is 1\.5, expected a whole number"),
        ({"max_blinks": math.nan}, r"gate\.max_blinks is nan, expected a whole number"),
        ({"blink_ms": True}, r"gate\.blink_ms is True, expected a number"),
        ({"max_lid": None}, r"gate\.max_lid is None, expected a number"),
        ({"min_score": 2}, r"gate\.min_score is 2, expected 0\.01 to 1"),
    ],
)
def test_capture_gate_bad_parameter_is_named(runtime, params, message):
    with pytest.raises(efiqa.OptionError, match=message):
        efiqa.CaptureGate(runtime, **params)


def test_capture_gate_without_frames_keeps_none(runtime):
    gate = efiqa.CaptureGate(runtime, keep_frames=False, **DRAWN)
    best = feed(gate, [good()] * 25)[-1].best
    assert best.frame is None
    assert best.score > 0


def test_capture_gate_second_thread_is_turned_away(runtime):
    gate = efiqa.CaptureGate(runtime, **DRAWN)
    frame = drawn_eye(1500, 1500)
    refused = []
    clock = iter(range(10**6))

    def work():
        for _ in range(30):
            try:
                gate.update(frame, timestamp_ms=next(clock))
            except (efiqa.ThreadError, efiqa.OptionError) as error:
                refused.append(error.code)

    run_in_threads(work, 2)
    assert "wrong_thread" in refused


def test_capture_gate_of_the_core_releases_nothing_half_done(runtime):
    # The frame is checked inside the gate's turn: a refused one must leave the gate usable.
    gate = _core.CaptureGate({})
    for _ in range(2):
        with pytest.raises(_core.CoreError, match="expected a numpy array"):
            gate.assess(runtime._core, "no array", "rgb", gate.decision.frame_index + 1)
    assert gate.decision.frame_index == 1


def test_capture_gate_photograph_held_still_is_taken(embedded_model, retina):
    frame = np.ascontiguousarray(retina[::2, ::2])
    with efiqa.Runtime(threads=1) as opened:
        gate = efiqa.CaptureGate(opened)
        decisions = feed(gate, [frame] * 18)
    assert decisions[-1].state == "captured"
    assert decisions[0].measures.sharpness > gate.params.min_sharpness
