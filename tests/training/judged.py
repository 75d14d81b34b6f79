"""Reports as the Runtime gives them, made up, for tests of figures."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Place:
    """A field of view."""

    found: bool = True
    shape: str = "circle"
    cut_fraction: float = 0.0


@dataclass(frozen=True)
class Cause:
    """A region, or anything with a main reason."""

    main_reason: str


@dataclass(frozen=True)
class Answer:
    """A report of a frame that the map covers wholly."""

    map: np.ndarray
    weights: np.ndarray
    regions: tuple[Cause, ...] = ()
    verdict: str = "reject"
    reason: str = ""
    score: float | None = 0.5
    main_reason: str = ""
    not_a_fundus: float | None = None
    macula: np.ndarray | None = None
    optic_disc: np.ndarray | None = None
    fov: Place = field(default_factory=Place)

    @property
    def crop(self) -> tuple[int, int, int]:
        return (0, 0, 8 * self.map.shape[0])


def answer(rows: list[list[float]], **fields) -> Answer:
    """Return a report whose map is ``rows``; NaN lies outside the field."""
    grid = np.array(rows, np.float32)
    return Answer(grid, np.isfinite(grid).astype(np.float32), **fields)
