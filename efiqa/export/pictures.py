"""The pictures that an export is judged and calibrated on, prepared by efiqa's own core."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from efiqa import _core
from efiqa.errors import OptionError

FloatArray = NDArray[np.float32]
U8Array = NDArray[np.uint8]

RESIZE_FILTER = "triangle"
GATE_PICTURES = 32
CALIBRATION_PICTURES = 16


@dataclass(frozen=True)
class InputSpec:
    """What the network sees: a square of ``size_px``, (rgb / 255 - mean) / std."""

    size_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def prepared(rgb: U8Array, spec: InputSpec) -> FloatArray | None:
    """Return the network's input (3, S, S) of an RGB frame (H, W, 3), or None without a field of view."""
    fov = _core.find_field_of_view(rgb, "rgb")
    if fov.shape == "none":
        return None
    return _core.preprocess(
        rgb,
        "rgb",
        _core.square_crop(fov),
        fov,
        width_px=spec.size_px,
        height_px=spec.size_px,
        resize_filter=RESIZE_FILTER,
        blank_outside=True,
        mean=spec.mean,
        std=spec.std,
    )


def network_inputs(folder: Path | None, spec: InputSpec, count: int, seed: int = 0) -> FloatArray:
    """Return ``count`` different inputs (count, 3, S, S): of the pictures in ``folder``, or of drawn views.

    A folder is searched recursively and drawn from by ``seed``. Without one they are views of scikit-image's
    CC0 retina photograph: it and its degradations of ``efiqa demo``, turned, mirrored and zoomed.

    Raises:
        OptionError: the folder has fewer pictures with a field of view.
        FileError, PictureError: a picture cannot be read; the photograph is not installed.
    """
    frames = _views() if folder is None else _frames(folder, seed)
    inputs: list[FloatArray] = []
    for rgb in frames:
        image = prepared(rgb, spec)
        if image is not None:
            inputs.append(image)
        if len(inputs) == count:
            return np.stack(inputs)
    raise OptionError(
        f"pictures {folder} holds {len(inputs)} pictures with a field of view, expected at least {count}; "
        "name a larger folder, or none: then views of one photograph serve"
    )


def _frames(folder: Path, seed: int) -> Iterator[U8Array]:
    from efiqa.cli.paths import find_pictures
    from efiqa.io import read_image

    if not folder.is_dir():
        raise OptionError(f"pictures is {folder}, expected a folder of retinal photographs")
    items = find_pictures([str(folder)])
    for index in np.random.default_rng(seed).permutation(len(items)):
        error = items[index].error
        if error is not None:
            raise error
        yield np.ascontiguousarray(read_image(items[index].path))


def _views() -> Iterator[U8Array]:
    """Yield 64 views: whole in 8 positions, then from closer by in 8 positions, of 4 states each."""
    from efiqa import demo

    states = list(demo.pictures().values())
    for margin in (0, 8):  # of the width; a closer view cuts the circle
        for position in range(8):
            for rgb in states:
                cut = rgb.shape[0] // margin if margin else 0
                view = np.rot90(rgb[cut : rgb.shape[0] - cut, cut : rgb.shape[1] - cut], position % 4)
                yield np.ascontiguousarray(view[:, ::-1] if position >= 4 else view)
