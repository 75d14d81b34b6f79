"""The gate's state machine over the compiled core, by what frames would have shown: no model, no pixels."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

import efiqa
from efiqa import _core
from efiqa.gate import STATES

STEP_MS = 50
PARAMS = {"min_score": 0.7, "min_stable_ms": 500, "burst_ms": 300, "min_good_frames": 5}
CLEAR = {
    "verdict": "good",
    "score": 0.9,
    "shape": "circle",
    "center_x_px": 320.0,
    "center_y_px": 240.0,
    "radius_px": 200.0,
    "frame_width_px": 640,
    "frame_height_px": 480,
    "level": 0.4,
    "green": 0.3,
    "saturated_share": 0.0,
    "sharpness": 0.6,
    "contrast": 0.06,
    "lid_share": 0.1,
}
NAN = math.nan
# What each kind of bad frame has instead, and the advice that a search gets.
BAD = {
    "no field": ({"shape": "none", "verdict": "unknown", "score": NAN, "radius_px": 0.0}, "no_eye"),
    "unknown": ({"verdict": "unknown", "score": NAN}, "low_quality"),
    "unknown with a score": ({"verdict": "unknown", "score": 0.99}, "low_quality"),
    "rejected with a score": ({"verdict": "reject", "score": 0.99}, "low_quality"),
    "score NaN": ({"score": NAN}, "low_quality"),
    "score infinite": ({"score": math.inf}, "low_quality"),
    "score above 1": ({"score": 1.5}, "low_quality"),
    "score low": ({"score": 0.5, "verdict": "usable"}, "low_quality"),
    "dark": ({"level": 0.05}, "too_dark"),
    "bright": ({"green": 0.97}, "too_bright"),
    "saturated": ({"saturated_share": 0.4}, "too_bright"),
    "blurred": ({"sharpness": 0.27}, "out_of_focus"),
    "hazy": ({"contrast": 0.01}, "haze"),
    "pale": ({"contrast": 0.01, "green": 0.7}, "too_bright"),
    "lid": ({"lid_share": 0.7}, "eyelid"),
    "far": ({"radius_px": 60.0}, "move_closer"),
    "too near": ({"radius_px": 700.0}, "move_back"),
    "aside": ({"center_x_px": 520.0}, "centre_eye"),
    "level NaN": ({"level": NAN}, "too_dark"),
    "sharpness NaN": ({"sharpness": NAN}, "out_of_focus"),
    "centre NaN": ({"center_x_px": NAN}, "centre_eye"),
    "radius NaN": ({"radius_px": NAN}, "move_closer"),
}
NEAR = {"score": 0.65, "verdict": "usable"}  # below 0.7, above 0.7 * (1 - 0.15)


def new_gate(**changes: float) -> _core.CaptureGate:
    return _core.CaptureGate({**PARAMS, **changes})


class Stream:
    """A gate and a clock that moves on by STEP_MS."""

    def __init__(self, **params: float) -> None:
        self.gate = new_gate(**params)
        self.now_ms = 0

    def see(self, changes: dict | None = None, times: int = 1, step_ms: int = STEP_MS):
        for _ in range(times):
            self.now_ms += step_ms
            decision = self.gate.observe(self.now_ms, **{**CLEAR, **(changes or {})})
        return decision

    def until(self, state: str, changes: dict | None = None, limit: int = 100) -> int:
        """Return how many frames it took."""
        for count in range(1, limit + 1):
            if self.see(changes).state == state:
                return count
        raise AssertionError(f"{state} was not reached in {limit} frames")


def test_gate_steady_eye_goes_through_the_states_in_order():
    stream = Stream()
    states = [stream.see().state for _ in range(20)]
    # The first frame has nothing to be compared with; the second begins the run.
    assert states[:2] == ["searching", "hold_still"]
    assert states.index("ready") == 1 + 500 // STEP_MS
    assert states.index("captured") == 1 + 800 // STEP_MS
    assert states == sorted(states, key=STATES.index)


def test_gate_progress_grows_to_1_and_is_1_only_when_captured():
    stream = Stream()
    values = [(decision.progress, decision.state) for decision in (stream.see() for _ in range(20))]
    assert [value for value, _ in values] == sorted(value for value, _ in values)
    assert all((value == 1) == (state == "captured") for value, state in values)


@pytest.mark.parametrize("kind", BAD)
def test_gate_bad_frame_never_counts_and_says_why(kind):
    changes, guidance = BAD[kind]
    stream = Stream(guidance_ms=0)
    for _ in range(60):
        decision = stream.see(changes)
        assert decision.state in ("no_eye", "searching")
        assert decision.guidance == guidance
        assert decision.text
        assert decision.keep_slot == decision.best_slot == -1


def test_gate_failed_frame_never_counts_and_says_so():
    gate = new_gate(guidance_ms=0)
    for k in range(60):
        decision = gate.observe_failure(k * STEP_MS)
        assert (decision.state, decision.guidance) == ("no_eye", "not_assessed")


@pytest.mark.parametrize("kind", BAD)
def test_gate_blink_is_waited_out_and_its_neighbours_are_never_taken(kind):
    stream = Stream()
    stream.see(times=10)
    before = stream.now_ms
    drop = [stream.see(BAD[kind][0]).state for _ in range(4)]
    after = stream.now_ms
    assert set(drop) == {"hold_still"}  # not ready: no photograph of a blink
    stream.until("captured")
    best = stream.gate.decision.best_timestamp_ms
    assert not before <= best <= after + STEP_MS


def test_gate_ready_is_taken_back_during_a_blink():
    stream = Stream(burst_ms=5000)
    stream.until("ready")
    assert stream.see(BAD["no field"][0]).state == "hold_still"
    assert stream.see().state == "ready"


def test_gate_drop_longer_than_a_blink_starts_over():
    stream = Stream()
    stream.see(times=10)
    stream.see(BAD["no field"][0], times=9)  # 450 ms
    assert stream.gate.decision.state == "no_eye"
    assert stream.until("captured") >= 800 // STEP_MS


def test_gate_second_blink_starts_over():
    stream = Stream(min_stable_ms=1000)
    for _ in range(2):
        stream.see(times=5)
        stream.see(BAD["dark"][0], times=2)
    assert stream.gate.decision.state == "searching"
    assert stream.gate.decision.progress == 0


def test_gate_motion_starts_over_at_once():
    stream = Stream()
    stream.see(times=10)
    decision = stream.see({"center_x_px": 320 + 200 * 0.05})  # 0.05 radii in 50 ms
    assert decision.speed == pytest.approx(1.0, rel=1e-3)
    assert (decision.state, decision.progress) == ("searching", 0)


def test_gate_growing_field_is_motion():
    stream = Stream()
    stream.see(times=10)
    assert stream.see({"radius_px": 214.0}).progress == 0


def test_gate_slow_drift_is_no_motion():
    stream = Stream()
    for k in range(30):
        decision = stream.see({"center_x_px": 320 + 200 * 0.3 * 0.05 * k})  # 0.3 radii a second
    assert decision.state == "captured"


def test_gate_pause_of_the_stream_starts_over():
    stream = Stream()
    stream.see(times=10)
    decision = stream.see(step_ms=301)
    assert (decision.state, decision.progress) == ("searching", 0)
    assert math.isnan(decision.speed)


def test_gate_hysteresis_keeps_a_run_and_adds_nothing_to_it():
    stream = Stream(burst_ms=5000)
    stream.until("ready")
    progress = stream.gate.decision.progress
    near = stream.see(NEAR, times=4)
    assert (near.state, near.progress) == ("ready", progress)
    fresh = Stream()
    assert fresh.see(NEAR, times=60).state == "searching"


def test_gate_frames_that_are_only_near_end_the_run_in_time():
    stream = Stream()
    stream.see(times=10)
    assert stream.see(NEAR, times=9).state == "searching"


def test_gate_best_frame_is_the_highest_score_between_good_neighbours():
    stream = Stream()
    scores = [0.8, 0.8, 0.85, 0.97, 0.85, *[0.8] * 3, 0.99, 0.65, *[0.8] * 20]
    for score in scores:
        decision = stream.see({"score": score, "verdict": "good"})
        if decision.state == "captured":
            break
    assert decision.best_frame_index == 3  # 0.99 has a neighbour that is not good
    assert decision.best_score == pytest.approx(0.97)
    assert decision.best_timestamp_ms == 4 * STEP_MS


def test_gate_slots_hold_the_best_frame_whenever_one_is_named():
    stream = Stream(min_stable_ms=3000)
    kept = {}
    for k in range(50):
        decision = stream.see({"score": 0.75 + 0.2 * math.sin(k) ** 2})
        if decision.keep_slot >= 0:
            assert decision.keep_slot != decision.best_slot
            kept[decision.keep_slot] = decision.frame_index
        if decision.best_slot >= 0:
            assert kept[decision.best_slot] == decision.best_frame_index


def test_gate_captured_stays_until_reset():
    stream = Stream()
    stream.until("captured")
    best = stream.gate.decision.best_frame_index
    for changes, _ in BAD.values():
        decision = stream.see(changes)
        assert (decision.state, decision.best_frame_index, decision.keep_slot) == ("captured", best, -1)
    stream.gate.reset()
    assert stream.gate.decision.state == "no_eye"
    assert stream.see().frame_index == 0


@pytest.mark.parametrize("step_ms", [0, -1, -10_000])
def test_gate_time_that_does_not_move_on_is_refused_and_loses_the_run(step_ms):
    stream = Stream(burst_ms=5000)
    stream.until("ready")
    now = stream.now_ms
    with pytest.raises(_core.CoreError, match=f"timestamp_ms is {now + step_ms}, expected more than {now}"):
        stream.see(step_ms=step_ms)
    assert stream.gate.decision.state == "searching"
    assert stream.gate.decision.progress == 0
    stream.gate.reset()
    assert stream.see(step_ms=step_ms).frame_index == 0


def test_gate_extreme_times_do_not_overflow():
    gate = new_gate()
    for time in (-(2**63), -1, 0, 2**63 - 2, 2**63 - 1):
        assert gate.observe(time, **CLEAR).progress == 0


def test_gate_guidance_stands_for_its_time():
    stream = Stream(guidance_ms=400)
    assert stream.see(BAD["dark"][0]).guidance == "too_dark"
    assert stream.see(BAD["blurred"][0], times=7).guidance == "too_dark"
    assert stream.see(BAD["blurred"][0]).guidance == "out_of_focus"


@pytest.mark.parametrize(
    ("x", "y", "hour"), [(0, -1, 12), (1, 0, 3), (0, 1, 6), (-1, 0, 9), (0.5, -0.866, 1), (-0.5, -0.866, 11)]
)
def test_gate_centring_names_the_hour_at_which_the_eye_lies(x, y, hour):
    decision = new_gate().observe(
        0, **{**CLEAR, "center_x_px": 320 + 100.0 * x, "center_y_px": 240 + 100.0 * y}
    )
    assert decision.guidance == "centre_eye"
    assert decision.clock_hour == pytest.approx(hour, abs=0.02)
    assert decision.text == f"Centre the eye: it lies towards {hour} o'clock."


def test_gate_low_score_is_explained_by_the_measure_next_to_its_limit():
    gate = new_gate()
    decision = gate.observe(0, **{**CLEAR, "score": 0.4, "verdict": "reject", "sharpness": 0.40})
    assert decision.guidance == "out_of_focus"


def test_gate_params_of_python_are_those_of_the_core():
    defaults = asdict(efiqa.GateParams(min_score=_core.gate_defaults()["min_score"]))
    core = _core.gate_defaults()
    assert list(defaults) == list(core) == [item.name for item in fields(efiqa.GateParams)]
    assert defaults == pytest.approx(core)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"min_score": 0}, r"gate\.min_score is 0, expected 0\.01 to 1"),
        ({"min_stable_ms": 99}, r"gate\.min_stable_ms is 99, expected 100 to 60000"),
        ({"min_good_frames": 2}, r"gate\.min_good_frames is 2, expected 3 to 10000"),
        ({"hysteresis": 0.6}, r"gate\.hysteresis is 0\.6, expected 0 to 0\.5"),
        ({"max_speed": NAN}, r"gate\.max_speed is nan, expected 0\.01 to 100"),
        ({"min_field": 1.7}, r"gate\.min_field is 1\.7, expected less than gate\.max_field, 1\.6"),
        ({"speed": 1}, "a name that the gate does not know"),
    ],
)
def test_gate_parameter_outside_its_range_is_named(params, message):
    with pytest.raises(_core.CoreError, match=message) as caught:
        _core.CaptureGate(params)
    assert caught.value.code == "invalid_argument"


# The property: nothing but a run of good frames leads to `captured`. A second description of a run, written
# from the documentation, checks what the gate did on arbitrary streams.

KINDS = (*["good"] * 12, "near", "failure", "moved", *BAD)


@dataclass
class Seen:
    """One frame of a stream: when, and how the documentation grades it."""

    time_ms: int
    grade: str  # good, near, bad or moved


def graded(events: list[tuple[str, int]], gate: _core.CaptureGate) -> tuple[list[Seen], list]:
    """Return the frames with their grades, and the gate's decisions on them."""
    seen, decisions = [], []
    now, aside, last_place = 0, False, None
    for kind, step_ms in events:
        now += step_ms
        aside ^= kind == "moved"
        # 0.3 radii: still centred, so the frame is good in itself, and more than 0.575 a second in 400 ms.
        place = 320.0 + (60.0 if aside else 0.0)
        if kind == "failure":
            decisions.append(gate.observe_failure(now))
            grade = "bad"
        else:
            changes = NEAR if kind == "near" else BAD[kind][0] if kind in BAD else {}
            decisions.append(gate.observe(now, **{**CLEAR, "center_x_px": place, **changes}))
            grade = "bad" if kind in BAD else kind
        if step_ms > 300 and seen:
            last_place = None
        if grade != "bad":
            recent = last_place is not None and now - last_place[1] <= 400
            if recent and last_place[0] != place:
                grade = "moved"
            elif not recent:
                grade = "near"  # nothing to compare with: not good
            elif grade == "moved":
                grade = "good"
            last_place = (place, now)
        seen.append(Seen(now, grade))
    return seen, decisions


def has_run(seen: list[Seen], at: int, *, blinks: int) -> bool:
    """Return whether the frames up to ``at`` end in a run of 800 ms of good time and 5 good frames."""
    good_ms = drops = 0
    good = 1
    last_good_ms = seen[at].time_ms  # of the next good frame, walking backwards
    if seen[at].grade != "good":
        return False
    for k in range(at - 1, -1, -1):
        frame, after = seen[k], seen[k + 1]
        if after.time_ms - frame.time_ms > 300 or frame.grade == "moved":
            break
        if frame.grade == "good":
            if after.grade == "good":
                good_ms += after.time_ms - frame.time_ms
            elif last_good_ms - frame.time_ms > 400:
                break
            good += 1
            last_good_ms = frame.time_ms
        # A drop is a bad frame before which there was none.
        if frame.grade != "bad" and after.grade == "bad":
            drops += 1
            if drops > blinks:
                break
    return good_ms >= 800 and good >= 5


# Stretches of equal frames, so that a good part of the streams is captured; see the test of that.
STRETCHES = st.tuples(
    st.sampled_from(KINDS),
    st.sampled_from([1, 20, 33, 50, 50, 66, 120, 300, 301, 700]),
    st.sampled_from([1, 1, 1, 2, 4, 12, 20]),
)
STREAMS = st.lists(STRETCHES, max_size=25).map(
    lambda stretches: [(kind, step_ms) for kind, step_ms, times in stretches for _ in range(times)]
)


@settings(max_examples=300, deadline=None)
@given(STREAMS, st.sampled_from([0, 1, 3]))
def test_gate_no_stream_is_captured_without_the_run_of_good_frames(events, blinks):
    seen, decisions = graded(events, new_gate(max_blinks=blinks))
    for k, decision in enumerate(decisions):
        if decision.state != "captured":
            continue
        assert has_run(seen, k, blinks=blinks)
        best = decision.best_frame_index
        assert [seen[i].grade for i in (best - 1, best, best + 1)] == ["good"] * 3
        assert decision.best_timestamp_ms == seen[best].time_ms
        break


def test_gate_streams_of_these_tests_do_get_captured():
    find(STREAMS, lambda events: any(d.state == "captured" for d in graded(events, new_gate())[1]))


@settings(max_examples=100, deadline=None)
@given(STREAMS)
def test_gate_ready_and_captured_are_never_said_on_a_bad_frame(events):
    seen, decisions = graded(events, new_gate())
    for frame, decision in zip(seen, decisions, strict=True):
        if decision.state == "captured":
            assert frame.grade == "good"
            break
        if decision.state == "ready":
            assert frame.grade in ("good", "near")


def test_gate_frame_far_aside_is_a_drop_and_its_place_is_no_motion():
    stream = Stream()
    stream.until("ready")
    aside = stream.see({"center_x_px": 420.0})  # 0.5 radii: bad in itself, as a blink is
    assert (aside.state, aside.keep_slot) == ("hold_still", -1)
    assert math.isnan(aside.speed)
    back = stream.see()
    assert (back.state, back.speed) == ("ready", 0)
    # A second one is one drop too many.
    stream.see({"center_x_px": 420.0})
    assert stream.see().state == "hold_still"


@settings(max_examples=100, deadline=None)
@given(STREAMS)
def test_gate_steady_eye_is_captured_whatever_came_before(events):
    gate = new_gate()
    graded(events, gate)
    now = sum(step for _, step in events)
    for _ in range(2 + 800 // STEP_MS + 1):
        now += STEP_MS
        decision = gate.observe(now, **CLEAR)
    # One drop more than allowed may be on the books when the eye comes to rest.
    if decision.state != "captured":
        for _ in range(2 + 800 // STEP_MS):
            now += STEP_MS
            decision = gate.observe(now, **CLEAR)
    assert decision.state == "captured"


def values(decision) -> tuple:
    names = [name for name in dir(decision) if not name.startswith("_")]
    return tuple(repr(getattr(decision, name)) for name in names)


@settings(max_examples=50, deadline=None)
@given(STREAMS, STREAMS)
def test_gate_reset_is_as_a_new_gate(first, second):
    used, new = new_gate(), new_gate()
    graded(first, used)
    used.reset()
    ours, theirs = graded(second, used)[1], graded(second, new)[1]
    assert [values(each) for each in ours] == [values(each) for each in theirs]


NUMBERS = st.floats(width=32, allow_nan=True, allow_infinity=True)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_gate_garbage_never_reads_as_good(data):
    gate = new_gate()
    time = data.draw(st.integers(-(2**63), 2**62))
    for _ in range(data.draw(st.integers(1, 30))):
        changes = data.draw(
            st.dictionaries(st.sampled_from([k for k in CLEAR if isinstance(CLEAR[k], float)]), NUMBERS)
        )
        verdict = data.draw(st.sampled_from(["unknown", "reject"]))
        size = data.draw(st.integers(-(2**31), 2**31 - 1))
        decision = gate.observe(time, **{**CLEAR, **changes, "verdict": verdict, "frame_width_px": size})
        assert decision.state in ("no_eye", "searching")
        assert decision.progress == 0
        time += data.draw(st.integers(1, 400))
