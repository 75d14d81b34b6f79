"""What an assessed frame answers with: frozen values for programs, and a picture for people."""

from __future__ import annotations

import base64
import html
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

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

    def contains(self, x_px: ArrayLike, y_px: ArrayLike) -> NDArray[np.bool_]:
        """Return where points are visible, in the shape that ``x_px`` and ``y_px`` have together.

        A frame's mask (H, W) is ``contains(np.arange(W) + 0.5, np.arange(H)[:, None] + 0.5)``.
        """
        x, y = np.asarray(x_px, np.float32), np.asarray(y_px, np.float32)  # as the core computes it
        across, down = x - np.float32(self.center_x_px), y - np.float32(self.center_y_px)
        radius = np.float32(self.radius_px)
        in_box = (x >= self.left_px) & (x < self.right_px) & (y >= self.top_px) & (y < self.bottom_px)
        return np.asarray(in_box & (across * across + down * down <= radius * radius), bool)


@dataclass(frozen=True)
class Region:
    """A connected part of the map where anatomy is probably not visible; its box lies within the frame.

    ``area_share`` is of the visible field of view, 0..1; ``clock_hour`` is in (0, 12], 12 is up and 3 is
    right in the frame, 0 at the centre; ``center_distance`` is 0 at the field's centre and 1 at its rim.
    ``reasons``, ``main_reason`` and the remedy are as in ``QualityReport``, for this region alone.
    """

    x_px: float
    y_px: float
    width_px: float
    height_px: float
    area_share: float
    mean_probability: float
    clock_hour: float
    center_distance: float
    reasons: Mapping[str, float] = field(hash=False)
    main_reason: str
    remedy: str
    remedy_clock_hour: float
    remedy_text: str


_Record = TypeVar("_Record", FieldOfView, Region)


@dataclass(frozen=True, eq=False)
class QualityReport:
    """The judgement of one frame.

    Attributes:
        score: share of the visible field, 0..1, in which anatomy can be expected to be seen
            (1 - mean of ``map`` over the field of view), zones weighted and a hidden macula or disc
            counted where the operating point says so; None when the verdict is ``unknown``.
        verdict: ``good``, ``usable``, ``reject`` or ``unknown``, by ``operating_point``.
        reason: why the verdict is ``reject`` or ``unknown``: ``low_anatomy_visible``, ``off_centre`` where no
            optic disc is in view, ``no_field_of_view``, ``not_a_fundus``; empty for ``good`` and ``usable``.
        reasons: strength of each cause, 0..1: the share of the field's anatomy that it hides, of
            ``under_exposed``, ``over_exposed``, ``defocus``, ``haze`` and ``occlusion`` where the model tells
            them, and ``field_cut``, the share of the field beyond one edge of the frame; read-only.
        main_reason: the strongest of them, from the contract's least strength on; where none is and the
            verdict is not ``good``, that of the largest bad region with one; empty for none.
        remedy: what the operator can do: ``refocus``, ``more_light``, ``less_light``, ``recentre``,
            ``open_lid``, ``clean_lens``, ``dilate_or_accept``, ``find_retina``; empty for nothing, as always
            for ``good``.
        remedy_clock_hour: where the defect is that ``recentre`` means, in (0, 12] as a region's; else 0.
        remedy_text: the remedy as a short English sentence; empty for none.
        not_a_fundus: probability, 0..1, that this is no picture of a retina; None where the model does not
            tell, or without a field of view.
        map: (h, w) float32, probability that anatomy is NOT visible, NaN outside the field of view.
        weights: (h, w) float32, share of each cell inside the field of view, 0..1.
        macula: (h, w) float32, probability that the cell lies within one disc diameter of the fovea, whether
            that can be seen or is hidden; NaN outside the field of view, None where the model does not tell.
        optic_disc: likewise, within one disc diameter of the optic disc's centre.
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
    reasons: Mapping[str, float]
    main_reason: str
    remedy: str
    remedy_clock_hour: float
    remedy_text: str
    not_a_fundus: float | None
    fov: FieldOfView
    crop: tuple[int, int, int]
    frame_size: tuple[int, int]
    regions: tuple[Region, ...]
    map: NDArray[np.float32]
    weights: NDArray[np.float32]
    macula: NDArray[np.float32] | None
    optic_disc: NDArray[np.float32] | None
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

        Between the centres of its cells the map is bilinear, of values there that keep the cells' means.
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
        shown = [item.name for item in fields(self) if not item.name.startswith("_")]
        return {name: _plain(getattr(self, name)) for name in shown}

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
        """Return what a notebook shows: verdict, score, cause, remedy, a small overlay, and bad regions."""
        picture = overlay.encode_picture(overlay.shrink(self.overlay(), INLINE_SIDE_PX), ".png")
        columns = ("area", "probability", "place", "why", "what to do", "box (px)")
        rows = [
            (
                f"{r.area_share:.1%}",
                f"{r.mean_probability:.2f}",
                place_text(r),
                r.main_reason,
                r.remedy_text,
                f"{r.x_px:.0f}, {r.y_px:.0f}, {r.width_px:.0f} x {r.height_px:.0f}",
            )
            for r in self.regions
        ]
        body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
        table = f"<table><tr>{_cells('th', columns)}</tr>{body}</table>" if rows else "<p>no bad region</p>"
        cause = why_text(self)
        why = f" ({html.escape(cause)})" if cause else ""
        advice = f"<p>{html.escape(self.remedy_text)}</p>" if self.remedy_text else ""
        return (
            f"<div><p><b>{html.escape(self.verdict)}</b>{why}, score {score_text(self.score)}</p>{advice}"
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
    grid, weights, macula, optic_disc = core.map, core.weights, core.macula, core.optic_disc
    for array in (grid, weights, macula, optic_disc):
        if array is not None:
            array.flags.writeable = False
    return QualityReport(
        score=None if math.isnan(core.score) else core.score,
        verdict=core.verdict,
        reason=core.reason,
        reasons=MappingProxyType(core.reasons),
        main_reason=core.main_reason,
        remedy=core.remedy,
        remedy_clock_hour=core.remedy_clock_hour,
        remedy_text=core.remedy_text,
        not_a_fundus=None if math.isnan(core.not_a_fundus) else core.not_a_fundus,
        fov=_copied(FieldOfView, core.fov),
        crop=core.crop,
        frame_size=core.frame_size,
        regions=tuple(_copied(Region, region) for region in core.regions),
        map=grid,
        weights=weights,
        macula=macula,
        optic_disc=optic_disc,
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


def why_text(report: QualityReport) -> str:
    """Return why the picture is not better: its main reason, or that of the verdict; empty for neither."""
    return report.main_reason or report.reason


def _cells(tag: str, texts: Iterable[str]) -> str:
    return "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts)


def _copied(kind: type[_Record], source: object) -> _Record:
    """Return a ``kind`` whose fields have ``source``'s attributes of the same names, dicts read-only."""
    values: dict[str, Any] = {}
    for item in fields(kind):
        value = getattr(source, item.name)
        values[item.name] = MappingProxyType(value) if isinstance(value, dict) else value
    return kind(**values)


def _plain(value: object) -> object:
    """Return ``value`` as JSON has it: a float is the shortest decimal of the same float32, None for NaN."""
    if isinstance(value, float):
        return None if math.isnan(value) else float(str(np.float32(value)))
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, FieldOfView | Region):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
