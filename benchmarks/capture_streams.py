"""Live previews made from real photographs: scripted defocus, exposure, haze, drift, approach, lid, blink.

A script is a function of time that says what stands between the camera and a clean picture: `Scene`. `render`
makes the preview of that moment. A frame is clean, in the sense of the benchmark, when its scene is, by the
physics of the defect: nothing of what the gate or the network sees enters into it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data import crop_frame
from training.degrade import degrade

FRAME_WIDTH, FRAME_HEIGHT = 720, 576
FIELD_PX = 480  # side of the photograph's crop; the field's diameter in a centred, near preview
READ_NOISE = 1.2  # grey levels, drawn anew for each frame
SEVERITY_STEPS = 12  # degraded crops are made once for each step
CLOSED_LID = (34, 17, 12)  # grey levels of a lid before the lens, out of the flash's light
# What a clean scene may still have.
CLEAN_HIDDEN = 0.10  # share of the anatomy that the defect hides, training.degrade's `hidden`
CLEAN_SPEED = 0.05  # radii a second


@dataclass(frozen=True)
class Scene:
    """What is before the camera. Severities are 0..1 as in `training.degrade`; 0 is no defect at all."""

    defect: str = ""  # a kind of training.degrade
    severity: float = 0.0
    x: float = 0.0  # of the field's centre from the frame's, in radii; y points down
    y: float = 0.0
    size: float = 1.0  # of the field, 1 is near
    lid: float = 0.0  # share of the field, from above, that the lid covers
    eye: bool = True

    def framed(self) -> bool:
        """Return whether an open eye is where it should be, motion apart."""
        near = abs(self.size - 1) < 0.2 and math.hypot(self.x, self.y) < 0.3
        return self.eye and self.lid == 0 and near


# Drawn once; each preview takes one of them, rolled.
_NOISE = [
    np.rint(np.random.default_rng(k).normal(0, READ_NOISE, (FRAME_HEIGHT, FRAME_WIDTH, 3))).astype(np.int16)
    for k in range(8)
]

Script = Callable[[float], Scene]


def ramp(t: float, start: float, end: float) -> float:
    """Return 1 before ``start``, 0 after ``end``, a straight line between."""
    return min(1.0, max(0.0, (end - t) / (end - start)))


def blink(t: float, at: float) -> float:
    """Return the share of the field behind the lid, of a blink of 0.3 s that begins at ``at``."""
    # Closing takes 0.08 s, shut for 0.1 s, opening 0.12 s: Kwon et al. 2013, J. R. Soc. Interface 10.
    since = t - at
    if not 0 <= since < 0.3:
        return 0.0
    return min(1.0, since / 0.08, (0.3 - since) / 0.12)


def _clearing(kind: str) -> Script:
    return lambda t: Scene(defect=kind, severity=ramp(t, 0.3, 1.3))


def _lasting(kind: str, least: float, most: float) -> Script:
    return lambda t: Scene(defect=kind, severity=least + (most - least) * (0.5 + 0.5 * math.sin(5 * t)))


def _hunting(t: float) -> Scene:
    """Autofocus that swings through the focus: sharp for 0.2 s in every 0.6 s."""
    phase = (t % 0.6) / 0.6
    return Scene(defect="defocus", severity=0.0 if phase < 0.33 else 0.75)


# Streams with a stretch of clean frames that lasts to the end.
GOOD: dict[str, Script] = {
    "eye appears": lambda t: Scene(eye=t >= 0.5),
    "focus sweep": _clearing("defocus"),
    "motion blur ends": _clearing("motion"),
    "too dark, then lit": _clearing("under_exposed"),
    "too bright, then dimmed": _clearing("over_exposed"),
    "haze clears": _clearing("haze"),
    "drifts in, stops": lambda t: Scene(x=1.2 * ramp(t, 0.0, 1.2), y=-0.5 * ramp(t, 0.0, 1.2)),
    "comes closer": lambda t: Scene(size=1 - 0.65 * ramp(t, 0.0, 1.2)),
    "lid opens": lambda t: Scene(lid=0.7 * ramp(t, 0.3, 1.0)),
    "one blink": lambda t: Scene(lid=blink(t, 0.6)),
}
# Streams without a stretch of clean frames that is long enough, or without any clean frame.
BAD: dict[str, Script] = {
    "never in focus": _lasting("defocus", 0.55, 0.9),
    "always moving blur": _lasting("motion", 0.6, 0.9),
    "always dark": _lasting("under_exposed", 0.7, 1.0),
    "always bright": _lasting("over_exposed", 0.6, 1.0),
    "always hazy": _lasting("haze", 0.7, 1.0),
    "always drifting": lambda t: Scene(x=0.25 * math.sin(6 * t), y=0.25 * math.cos(6 * t)),
    "breathing distance": lambda t: Scene(size=0.9 + 0.15 * math.sin(9 * t)),
    "lid half closed": lambda t: Scene(lid=0.5 + 0.1 * math.sin(3 * t)),
    "flutter": lambda t: Scene(lid=blink(t % 0.55, 0.2)),
    "focus hunting": _hunting,
    "only a glimpse": lambda t: Scene(eye=0.5 <= t < 0.95),
    "no eye": lambda t: Scene(eye=False),
}


class Photograph:
    """A photograph's field of view, and its degraded versions, each made once."""

    def __init__(self, name: str, rgb: NDArray[np.uint8]) -> None:
        crop = crop_frame(rgb, FIELD_PX)
        if crop is None:
            raise ValueError(f"{name} has no field of view")
        self.name = name
        self._clean = crop.rgb
        self._visible = crop.visible
        self._made: dict[tuple[str, int], tuple[NDArray[np.uint8], float]] = {}

    def crop(self, defect: str, severity: float) -> tuple[NDArray[np.uint8], float]:
        """Return the crop (S, S, 3) with a defect all over the field, of the next larger step.

        The second value is the share of the anatomy that the defect hides.
        """
        step = math.ceil(severity * SEVERITY_STEPS)
        if step == 0:
            return self._clean, 0.0
        if (defect, step) not in self._made:
            rng = np.random.default_rng([step, len(self.name)])
            made = degrade(self._clean, self._visible, defect, step / SEVERITY_STEPS, rng, local=False)
            self._made[defect, step] = made.rgb, float(made.hidden[self._visible].mean())
        return self._made[defect, step]

    def clean(self, scene: Scene) -> bool:
        """Return whether nothing is wrong with a picture of ``scene``, motion apart."""
        return scene.framed() and self.crop(scene.defect, scene.severity)[1] <= CLEAN_HIDDEN

    def render(self, scene: Scene, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return the preview (H, W, 3) RGB of ``scene``."""
        frame = np.zeros((FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8)
        if scene.eye:
            crop, _ = self.crop(scene.defect, scene.severity)
            if scene.lid > 0:
                crop = crop.copy()
                rows = round(scene.lid * FIELD_PX)
                crop[:rows][self._visible[:rows]] = CLOSED_LID
            radius = FIELD_PX / 2
            left = FRAME_WIDTH / 2 + radius * (scene.x - scene.size)
            top = FRAME_HEIGHT / 2 + radius * (scene.y - scene.size)
            place = np.array([[scene.size, 0, left], [0, scene.size, top]], np.float64)
            frame = np.asarray(cv2.warpAffine(crop, place, (FRAME_WIDTH, FRAME_HEIGHT), flags=cv2.INTER_AREA))
        noise = int(rng.integers(len(_NOISE)))
        shifted = np.roll(_NOISE[noise], int(rng.integers(FRAME_WIDTH)), axis=1)
        return np.asarray(cv2.add(frame, shifted, dtype=cv2.CV_8U))


def moving(script: Script, t: float, step_s: float) -> bool:
    """Return whether the field moves or grows at time ``t`` faster than a clean scene may."""
    before, now = script(t - step_s), script(t)
    moved = math.hypot(now.x - before.x, now.y - before.y) + abs(now.size - before.size)
    return moved / step_s > CLEAN_SPEED
