"""The live capture gate: successive previews in; hold, move, ready, captured out."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from efiqa import _core
from efiqa.errors import EfiqaError, OptionError, core_errors
from efiqa.frame import Frame, FrameLayout
from efiqa.report import QualityReport
from efiqa.runtime import Runtime

STATES = ("no_eye", "searching", "hold_still", "ready", "captured")


@dataclass(frozen=True)
class GateParams:
    """Every limit of a gate. Shares of the radius are of the field of view's own; all of it is validated.

    Attributes:
        min_score: least score, 0.01..1, of a good frame; None: the operating point's limit of ``good``. A
            verdict of ``reject`` or ``unknown`` never counts as good.
        min_stable_ms: good time before ``ready``, 100..60000.
        burst_ms: good time after that before ``captured``, 0..60000.
        min_good_frames: before ``ready``, 3..10000.
        max_gap_ms: a longer pause between two frames starts over, 10..10000.
        blink_ms: how long a drop is waited out, 0..2000.
        max_blinks: how many drops one run may have, 0..100.
        hysteresis: once a frame was good, limits widen by this share, 0..0.5: such frames do not end the run,
            and do not count for it.
        guidance_ms: how long a piece of advice stands before it may change, 0..5000.
        max_speed: of the field's centre and radius between previews, in radii a second, 0.01..100.
        max_offset: between the field's centre and the frame's, in radii, 0.01..10.
        min_field: least diameter of the field over the frame's shorter side, 0..2.
        max_field: greatest, of circles, above ``min_field``, 0.1..10.
        min_level, max_green, max_saturated, min_sharpness, min_contrast, max_lid: limits of
            `FrameMeasures`, 0..1; 0 switches a least value off, 1 a greatest.
    """

    min_score: float | None = None
    min_stable_ms: int = 500
    burst_ms: int = 300
    min_good_frames: int = 5
    max_gap_ms: int = 300
    blink_ms: int = 400
    max_blinks: int = 1
    hysteresis: float = 0.15
    guidance_ms: int = 400
    max_speed: float = 0.5
    max_offset: float = 0.35
    min_field: float = 0.5
    max_field: float = 1.6
    min_level: float = 0.13
    max_green: float = 0.80
    max_saturated: float = 0.10
    min_sharpness: float = 0.36
    min_contrast: float = 0.025
    max_lid: float = 0.40


@dataclass(frozen=True)
class FrameMeasures:
    """What light, focus, haze and lid do to a frame, within its field of view; None where not measured.

    ``level`` is the mean luma and ``green`` the mean green, 0..1 of full scale; ``saturated_share`` is of the
    pixels. ``sharpness`` is the energy of fine detail over that of detail twice as coarse, about 0.25 in any
    defocused picture whatever its exposure. ``contrast`` is the rms of coarse detail over the mean.
    ``lid_share`` is how much darker, 0..1, top or bottom of the field is than its sides.
    """

    level: float | None
    green: float | None
    saturated_share: float | None
    sharpness: float | None
    contrast: float | None
    lid_share: float | None


@dataclass(frozen=True, eq=False)
class BestFrame:
    """The best frame of a run so far; the frames before and after it were good, too.

    ``frame`` is a read-only view of the gate's own copy, which lives until a better frame replaces it or the
    gate is reset; once ``captured`` it stays. None when the gate keeps no frames. ``report`` is of it.
    """

    frame: NDArray[np.uint8] | None
    score: float
    frame_index: int
    timestamp_ms: int
    report: QualityReport


@dataclass(frozen=True, eq=False)
class CaptureDecision:
    """What the gate says to one preview.

    Attributes:
        state: ``no_eye``, ``searching``, ``hold_still``, ``ready`` (a photograph may be taken now) or
            ``captured`` (``best`` is final; stays until ``reset``).
        guidance: stable code of the advice, for example ``centre_eye``, ``too_dark``; empty for none.
        text: the advice as a short English sentence.
        clock_hour: of ``centre_eye``, where the eye lies: (0, 12], 12 is up and 3 is right in the frame.
        progress: 0..1; 1 exactly when captured.
        speed: of the field of view in radii a second; None without an earlier field to compare with.
        frame_index: of this frame, counted from 0 since the gate was made or reset.
        report: of this frame.
        measures: of this frame.
        best: the best frame of the run so far, or None.
    """

    state: str
    guidance: str
    text: str
    clock_hour: float | None
    progress: float
    speed: float | None
    frame_index: int
    report: QualityReport
    measures: FrameMeasures
    best: BestFrame | None


@dataclass
class _Slot:
    """One buffer of a frame, and the report of the frame that is in it."""

    frame: NDArray[np.uint8] | None = None
    report: QualityReport | None = None
    layout: FrameLayout = field(default_factory=FrameLayout)


class CaptureGate:
    """Watches a live preview and says when to take the picture. One thread at a time.

    It has no clock: every frame comes with its time, in any unit that is milliseconds. The same frames at the
    same times give the same decisions. Nothing but a run of good frames over ``min_stable_ms + burst_ms``
    leads to ``captured``; a frame that could not be assessed never counts as good.

    Args:
        runtime: judges the frames; it stays the caller's.
        keep_frames: copy the pixels of the best frame into a buffer of the gate's own; two buffers are made
            with the first good frame and then reused.
        **params: fields of `GateParams`.

    Raises:
        OptionError: an unknown parameter, or a value outside its range.
    """

    def __init__(self, runtime: Runtime, *, keep_frames: bool = True, **params: float | None) -> None:
        known = [item.name for item in fields(GateParams)]
        for name in params:
            if name not in known:
                raise OptionError(f"gate.{name} is not a parameter, expected one of {', '.join(known)}")
        chosen = replace(GateParams(), **_checked_numbers(params))  # type: ignore[arg-type]
        if chosen.min_score is None:
            point = runtime.info.contract.operating_points[runtime.info.operating_point]
            chosen = replace(chosen, min_score=point.good_min_score)
        self.params = chosen
        self._runtime = runtime
        self._keep_frames = keep_frames
        with core_errors():
            self._core = _core.CaptureGate(asdict(chosen))
        self._slots = (_Slot(), _Slot())

    def update(
        self,
        frame: object,
        *,
        timestamp_ms: float,
        bgr: bool = False,
        pixel_format: str | None = None,
        yuv_matrix: str = "bt601",
        yuv_range: str = "limited",
    ) -> CaptureDecision:
        """Return what to do, after one more preview.

        Args:
            frame: as for `Runtime.assess`, with ``bgr``, ``pixel_format``, ``yuv_matrix`` and ``yuv_range``.
            timestamp_ms: when it was exposed, in the caller's clock, larger than at the call before; parts of
                a millisecond are dropped.
            bgr: see `Runtime.assess`.
            pixel_format: see `Runtime.assess`.
            yuv_matrix: see `Runtime.assess`.
            yuv_range: see `Runtime.assess`.

        Raises:
            OptionError: the time does not move on; the run is lost, and ``reset`` starts a new clock.
            EfiqaError: as `Runtime.assess`; the gate then goes on as after a frame that is not good.
        """
        time = _whole_ms(timestamp_ms)
        layout = FrameLayout(bgr, pixel_format, yuv_matrix, yuv_range)
        answers: list[tuple[_core.FrameMeasures, _core.GateDecision]] = []
        reached_core = False

        def assess(core: _core.Runtime, array: Frame, core_format: str) -> _core.Report:
            nonlocal reached_core
            if self._keep_frames and isinstance(array, _core.DeviceArray):
                raise OptionError(
                    "the frame lies in GPU memory and keep_frames is True: the gate's copies are the host's; "
                    "open the gate with keep_frames=False, and copy what CaptureDecision.best names"
                )
            reached_core = True
            report, measures, decision = self._core.assess(
                core, array, core_format, time, yuv_matrix=yuv_matrix, yuv_range=yuv_range
            )
            answers.append((measures, decision))
            return report

        try:
            report = self._runtime._judge(frame, layout, assess)
        except EfiqaError:
            if not reached_core:
                with core_errors():
                    self._core.observe_failure(time)
            raise
        measures, decision = answers[0]
        if decision.keep_slot >= 0:
            self._keep(self._slots[decision.keep_slot], layout, report)
        return CaptureDecision(
            state=decision.state,
            guidance=decision.guidance,
            text=decision.text,
            clock_hour=decision.clock_hour or None,
            progress=decision.progress,
            speed=_number(decision.speed),
            frame_index=decision.frame_index,
            report=report,
            measures=FrameMeasures(
                **{item.name: _number(getattr(measures, item.name)) for item in fields(FrameMeasures)}
            ),
            best=self._best(decision),
        )

    def reset(self) -> None:
        """Go back to the beginning, for the next photograph or another clock."""
        with core_errors():
            self._core.reset()

    def _keep(self, slot: _Slot, layout: FrameLayout, report: QualityReport) -> None:
        slot.report, slot.layout = report, layout
        frame = report._frame
        if not self._keep_frames or isinstance(frame, _core.DeviceArray):
            return
        if slot.frame is None or slot.frame.shape != frame.shape:
            slot.frame = np.empty(frame.shape, np.uint8)
        np.copyto(slot.frame, frame)

    def _best(self, decision: _core.GateDecision) -> BestFrame | None:
        if decision.best_slot < 0:
            return None
        slot = self._slots[decision.best_slot]
        assert slot.report is not None  # the core names a slot only after it had it filled
        frame, report = None, slot.report
        if slot.frame is not None:
            frame = slot.frame.view()
            frame.flags.writeable = False
            report = replace(report, _frame=frame)
        return BestFrame(
            frame=frame,
            score=decision.best_score,
            frame_index=decision.best_frame_index,
            timestamp_ms=decision.best_timestamp_ms,
            report=report,
        )

    def __repr__(self) -> str:
        decision = self._core.decision
        return f"<efiqa.CaptureGate {decision.state}, progress {decision.progress:.2f}>"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _whole_ms(timestamp_ms: float) -> int:
    if not math.isfinite(timestamp_ms) or abs(timestamp_ms) >= 2**63:
        raise OptionError(f"timestamp_ms is {timestamp_ms}, expected a finite number of milliseconds")
    return int(timestamp_ms)


def _checked_numbers(params: dict[str, float | None]) -> dict[str, float | None]:
    """Return ``params`` with int and float values as the fields of `GateParams` have them.

    Raises:
        OptionError: a value is not a number, or not a whole one where the field is.
    """
    whole = {item.name for item in fields(GateParams) if isinstance(item.default, int)}
    checked: dict[str, float | None] = {}
    for name, value in params.items():
        if value is None and name == "min_score":
            checked[name] = None
        elif isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise OptionError(f"gate.{name} is {value!r}, expected a number")
        elif name not in whole:
            checked[name] = float(value)
        elif float(value).is_integer():
            checked[name] = int(value)
        else:
            raise OptionError(f"gate.{name} is {value!r}, expected a whole number")
    return checked
