"""What an assessed frame answers with: frozen values for programs, and a picture for people."""

from __future__ import annotations

import base64
import html
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from efiqa import _core, overlay
from efiqa._files import write_atomically
from efiqa.errors import OptionError, core_errors
from efiqa.frame import Frame, FrameLayout, checked_frame

INLINE_SIDE_PX = 280  # of the picture in a notebook; about 60 kB as PNG


@dataclass(frozen=True)
class FieldOfView:
    """Where in the frame the retina is: a circle, cut by up to four straight edges.

    Coordinates are continuous frame pixels: pixel (i, j) covers [i, i+1) x [j, j+1). The visible part is the
    circle within [left, right) x [top, bottom). ``shape`` is ``circle`` (a dark border was found),
    ``rectangle`` (the retina fills the frame) or ``none``. ``cut_fraction`` is the share of the circle, 0..1,
    that lies outside the visible part.
    """

    shape: str
    center_x_px: float
    center_y_px: float
    radius_px: float
    left_px: float
    top_px: float
    right_px: float
    bottom_px: float
    visible_area_px: float
    cut_fraction: float

    @property
    def found(self) -> bool:
        """True when anything in the frame looks like a field of view."""
        return self.shape != "none"


@dataclass(frozen=True)
class Region:
    """A connected part of the map where anatomy is probably not visible; its box lies within the frame.

    ``area_share`` is of the visible field of view, 0..1; ``clock_hour`` is in (0, 12], 12 is up and 3 is
    right in the frame, 0 at the centre; ``center_distance`` is 0 at the field's centre and 1 at its rim.
    """

    x_px: float
    y_px: float
    width_px: float
    height_px: float
    area_share: float
    mean_probability: float
    clock_hour: float
    center_distance: float


_Record = TypeVar("_Record", FieldOfView, Region)


@dataclass(frozen=True, eq=False)
class QualityReport:
    """The judgement of one frame.

    Attributes:
        score: share of the visible field, 0..1, in which anatomy can be expected to be seen
            (1 - mean of ``map`` over the field of view); None when the verdict is ``unknown``.
        verdict: ``good``, ``usable``, ``reject`` or ``unknown``, by ``operating_point``.
        reason: why the verdict is ``reject`` or ``unknown``: ``low_anatomy_visible``,
            ``no_field_of_view``; empty for ``good`` and ``usable``.
        map: (h, w) float32, probability that anatomy is NOT visible, NaN outside the field of view.
        weights: (h, w) float32, share of each cell inside the field of view, 0..1.
        regions: the bad regions, largest first, at most 32.
        fov: the field of view.
        crop: (x, y, side) in frame pixels of the square that ``map`` covers.
        frame_size: (height, width) of the frame in pixels.
        timings_ms: ``fov``, ``preprocess``, ``engine``, ``postprocess``, ``total``; read-only.
        model: ``id`` of the contract and ``sha256`` of the model file; read-only.
        engine: back end, version, device and threads that ran the model.
        operating_point: name of the limits behind ``verdict``.

    The report keeps the assessed frame by reference, not a copy, for ``overlay`` and ``save``: when a camera
    writes the next frame into the same buffer, pass the frame that you mean.
    """

    score: float | None
    verdict: str
    reason: str
    map: NDArray[np.float32]
    weights: NDArray[np.float32]
    regions: tuple[Region, ...]
    fov: FieldOfView
    crop: tuple[int, int, int]
    frame_size: tuple[int, int]
    timings_ms: Mapping[str, float]
    model: Mapping[str, str]
    engine: str
    operating_point: str
    _report: _core.Report = field(repr=False)
    _runtime: _core.Runtime | None = field(repr=False)  # of a frame on the GPU
    _pool: _core.ThreadPool = field(repr=False)
    _frame: Frame = field(repr=False)
    _layout: FrameLayout = field(repr=False)

    def overlay(
        self,
        frame: object | None = None,
        *,
        bgr: bool | None = None,
        colormap: str = "turbo",
        max_alpha: float = 0.6,
    ) -> NDArray[np.uint8]:
        """Return the frame with the map over it, uint8 (H, W, 3) RGB, of the frame's own size, on the host.

        A frame on the GPU is coloured there, by the Runtime that assessed it, which keeps its last map only.

        Args:
            frame: a frame of the assessed one's size, and in its format unless ``bgr`` is given; by default
                the assessed frame itself, as its buffer stands now.
            bgr: ``frame`` is uint8 (H, W), (H, W, 3) or (H, W, 4), its channels blue, green, red or, if
                False, red, green, blue; by default format and order are as they were for ``assess``.
            colormap: ``turbo``, ``inferno``, ``viridis`` or ``red``.
            max_alpha: opacity in 0..1 where the probability is 1; it falls to 0 at probability 0.

        Raises:
            FrameError: ``frame`` is not such an array.
            OptionError: an unknown colormap, an opacity outside 0..1, a frame of another size, or one on the
                GPU after its Runtime has assessed another.
        """
        layout = self._layout if bgr is None else FrameLayout(bgr)
        array, core_format = checked_frame(
            self._frame if frame is None else frame, bgr=layout.bgr, pixel_format=layout.pixel_format
        )
        options: dict[str, Any] = {
            "colormap": colormap,
            "max_alpha": max_alpha,
            "yuv_matrix": layout.yuv_matrix,
            "yuv_range": layout.yuv_range,
        }
        with core_errors():
            if isinstance(array, _core.DeviceArray) and self._runtime is not None:
                return self._runtime.render_overlay(array, core_format, self._report, **options)
            return _core.render_overlay(array, core_format, self._report, pool=self._pool, **options)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the frame as plain dicts, lists, numbers and strings, ready for JSON.

        NaN (cells of the map outside the field of view) becomes None. Numbers are the shortest decimals that
        round to the same float32.
        """
        return {
            "score": None if self.score is None else _short(self.score),
            "verdict": self.verdict,
            "reason": self.reason,
            "fov": _plain(asdict(self.fov)),
            "crop": list(self.crop),
            "frame_size": list(self.frame_size),
            "regions": [_plain(asdict(region)) for region in self.regions],
            "map": [[_short(cell) for cell in row] for row in self.map.tolist()],
            "weights": [[_short(cell) for cell in row] for row in self.weights.tolist()],
            "timings_ms": _plain(self.timings_ms),
            "model": dict(self.model),
            "engine": self.engine,
            "operating_point": self.operating_point,
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """Return ``to_dict()`` as strict JSON (no NaN), on one line unless ``indent`` is given."""
        return json.dumps(self.to_dict(), allow_nan=False, ensure_ascii=False, indent=indent)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        frame: object | None = None,
        bgr: bool | None = None,
        colormap: str = "turbo",
        max_alpha: float = 0.6,
    ) -> None:
        """Write the report (``.json``) or its overlay (a picture's suffix) to ``path``.

        The file appears whole or not at all: it is written under another name and then renamed. The other
        arguments are those of ``overlay`` and do not matter for ``.json``.

        Raises:
            OptionError: the suffix is none of the known ones.
            FileError: ``path`` cannot be written.
        """
        suffix = Path(path).suffix.lower()
        if suffix == ".json":
            write_atomically(path, (self.to_json() + "\n").encode())
            return
        if suffix not in overlay.PICTURE_SUFFIXES:
            allowed = " ".join((".json", *overlay.PICTURE_SUFFIXES))
            raise OptionError(f"path is {os.fspath(path)!r}, expected a name that ends in one of {allowed}")
        picture = self.overlay(frame, bgr=bgr, colormap=colormap, max_alpha=max_alpha)
        overlay.write_picture(path, picture)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: score, verdict, a small overlay, and the table of bad regions."""
        picture = overlay.encode_picture(overlay.shrink(self.overlay(), INLINE_SIDE_PX), ".png")
        rows = "".join(
            f"<tr><td>{r.area_share:.1%}</td><td>{r.mean_probability:.2f}</td><td>{place_text(r)}</td>"
            f"<td>{r.x_px:.0f}, {r.y_px:.0f}, {r.width_px:.0f} x {r.height_px:.0f}</td></tr>"
            for r in self.regions
        )
        table = (
            f"<table><tr><th>area</th><th>probability</th><th>place</th><th>box (px)</th></tr>{rows}</table>"
            if rows
            else "<p>no bad region</p>"
        )
        reason = f" ({html.escape(self.reason)})" if self.reason else ""
        return (
            f"<div><p><b>{html.escape(self.verdict)}</b>{reason}, score {score_text(self.score)}</p>"
            f'<img alt="overlay" src="data:image/png;base64,{base64.b64encode(picture).decode()}">'
            f"{table}<p><small>{html.escape(self.model['id'])}</small></p></div>"
        )


def make_report(
    core: _core.Report,
    frame: Frame,
    *,
    runtime: _core.Runtime,
    layout: FrameLayout,
    model: Mapping[str, str],
    engine: str,
    operating_point: str,
) -> QualityReport:
    """Return the public report of the core's ``core``, whose arrays are made read-only."""
    grid, weights = core.map, core.weights
    grid.flags.writeable = False
    weights.flags.writeable = False
    return QualityReport(
        score=None if math.isnan(core.score) else core.score,
        verdict=core.verdict,
        reason=core.reason,
        map=grid,
        weights=weights,
        regions=tuple(_copied(Region, region) for region in core.regions),
        fov=_copied(FieldOfView, core.fov),
        crop=core.crop,
        frame_size=core.frame_size,
        timings_ms=MappingProxyType(core.timings_ms),
        model=MappingProxyType(dict(model)),
        engine=engine,
        operating_point=operating_point,
        _report=core,
        _runtime=runtime if isinstance(frame, _core.DeviceArray) else None,
        _pool=runtime.pool,
        _frame=frame,
        _layout=layout,
    )


def score_text(score: float | None) -> str:
    """Return the score with three decimals, or a dash when it is unknown."""
    return "-" if score is None else f"{score:.3f}"


def place_text(region: Region) -> str:
    """Return where in the field the region's centre lies: ``centre``, or clock hour and distance from it."""
    if region.clock_hour == 0:
        return "centre"
    hour = round(region.clock_hour) or 12
    return f"{hour} o'clock, {region.center_distance:.0%} of the radius out"


def _copied(kind: type[_Record], source: object) -> _Record:
    """Return a ``kind`` whose fields have the values of ``source``'s attributes of the same names."""
    return kind(**{item.name: getattr(source, item.name) for item in fields(kind)})


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dict in which each float is one that JSON can hold; see ``_short``."""
    return {key: _short(value) if isinstance(value, float) else value for key, value in values.items()}


def _short(value: float) -> float | None:
    """Return the shortest decimal that rounds to the float32 ``value``; None for NaN."""
    return None if math.isnan(value) else float(str(np.float32(value)))
