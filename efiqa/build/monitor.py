"""What TensorRT tells while it builds: log lines for error messages, and progress that can be cancelled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeAlias

TrtObject: TypeAlias = Any  # TensorRT's bindings have no types
# Called with the share that is done, 0..1, and the phase that TensorRT is in. From the building thread.
OnProgress: TypeAlias = Callable[[float, str], None]


def make_log(trt: TrtObject) -> TrtObject:
    """Return a logger for ``trt`` that keeps errors in ``lines`` and prints nothing."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.lines: list[str] = []

        def log(self, severity: TrtObject, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.lines.append(" ".join(message.split()))

    return Log()


def make_monitor(trt: TrtObject, progress: Progress) -> TrtObject:
    """Return a progress monitor for ``trt`` that passes everything to ``progress``."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            progress.phase_start(phase, parent, steps)

        def phase_finish(self, phase: str) -> None:
            progress.phase_finish(phase)

        def step_complete(self, phase: str, step: int) -> bool:
            return progress.step_complete(phase, step)

    return Monitor()


class Progress:
    """Nested phases, each with its number of steps, as one share; ``cancel()`` may be called from any thread.

    A child phase stands for the step of its parent that is under way.
    """

    def __init__(self, on_progress: OnProgress | None = None) -> None:
        self._on_progress = on_progress
        self._phases: dict[str, tuple[str | None, int, int]] = {}  # parent, steps, steps done
        self._cancelled = threading.Event()
        self._share = 0.0

    def cancel(self) -> None:
        """Make the next ``step_complete`` ask TensorRT to stop."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether ``cancel`` was called."""
        return self._cancelled.is_set()

    def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
        """Note that ``phase`` of so many steps begins."""
        self._phases[phase] = (parent, max(steps, 1), 0)
        self._tell(phase)

    def step_complete(self, phase: str, step: int) -> bool:
        """Note that step number ``step`` is done; False asks TensorRT to stop."""
        if phase in self._phases:
            parent, steps, _ = self._phases[phase]
            self._phases[phase] = (parent, steps, min(step + 1, steps))
            self._tell(phase)
        return not self.cancelled

    def phase_finish(self, phase: str) -> None:
        """Note that ``phase`` is over, all of its steps done or not."""
        if phase in self._phases:
            parent, steps, _ = self._phases[phase]
            self._phases[phase] = (parent, steps, steps)
            self._tell(phase)
            del self._phases[phase]

    def _tell(self, phase: str) -> None:
        share, name = 0.0, phase
        while True:
            parent, steps, done = self._phases[name]
            share = min((done + share) / steps, 1.0)
            if parent is None or parent not in self._phases:
                break
            name = parent
        self._share = max(
            self._share, share
        )  # never backwards: a child may end before its parent's step does
        if self._on_progress is not None:
            self._on_progress(self._share, phase)
