"""Does the score change with a camera's colours? It should not: they say nothing of what can be seen.

A model that learned from several cameras may tell them apart by their colours and judge a picture by its
camera. What it then makes of a camera that no training picture came from is anybody's guess; here it shows
without such a camera, and without a label. Pictures of the pool that hide much are shown as they are, and in
the mean colours of each of the vessel sets, all of whose pictures are good.

    python -m training.colour_shift --data FOLDER --model FILE
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from efiqa import Runtime
from efiqa._core import find_field_of_view
from training.command_line import model_parser
from training.data import BoolArray, ByteArray, FloatArray, Picture, load_rgb, read_manifest, vessel_pictures
from training.judgement import pool_pictures, thinned
from training.progress import track
from training.views import chromaticity, in_colours_of

LIMIT = 500  # pictures of the pool, spread evenly
MAX_SCORE = 0.5  # of the pictures that count: the harm is in bad pictures that look good


@dataclass(frozen=True)
class Shift:
    """By how much scores rise in the colours of one set: median and largest, over ``n_pictures``."""

    n_pictures: int
    median: float
    largest: float


def field_of_view(rgb: ByteArray) -> BoolArray:
    """Return which pixels of the photograph (H, W, 3) lie in its field of view."""
    return np.asarray(find_field_of_view(rgb, "rgb").mask(*rgb.shape[:2]), bool)


def mean_colours(pictures: Sequence[Picture]) -> dict[str, FloatArray]:
    """Return the mean chromaticity (3,) of each set's pictures."""
    found: dict[str, list[FloatArray]] = defaultdict(list)
    for picture in track(pictures, "colours"):
        rgb = load_rgb(picture.path)
        found[picture.dataset].append(chromaticity(rgb, field_of_view(rgb)))
    return {dataset: np.mean(rows, axis=0, dtype=np.float32) for dataset, rows in found.items()}


def colour_shift(
    runtime: Runtime, pictures: Sequence[Picture], colours: dict[str, FloatArray]
) -> dict[str, Shift]:
    """Return the shift of the ``pictures`` whose score is at most MAX_SCORE in each of the ``colours``.

    One that is refused in them counts as a score of 0.
    """
    rises: dict[str, list[float]] = {dataset: [] for dataset in colours}
    for picture in track(pictures, "pictures in other colours"):
        rgb = load_rgb(picture.path)
        before = runtime.assess(rgb).score
        if before is None or before > MAX_SCORE:
            continue
        visible = field_of_view(rgb)
        for dataset, wanted in colours.items():
            after = runtime.assess(in_colours_of(rgb, visible, wanted)).score
            rises[dataset].append((after or 0.0) - before)
    return {
        dataset: Shift(len(values), float(np.median(values)), max(values))
        for dataset, values in rises.items()
        if values
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the shifts of the model that the command line names."""
    parser = model_parser(__doc__)
    options = parser.parse_args(arguments)
    manifest = read_manifest(options.data)
    runtime = Runtime(options.model)
    pool = thinned(pool_pictures(manifest), LIMIT)
    colours = mean_colours(vessel_pictures(manifest, "train"))
    print(f"{runtime.info.model_id}: rise of the score in other colours, median and largest")
    for dataset, shift in colour_shift(runtime, pool, colours).items():
        print(f"{dataset}: {shift.median:+.3f}, {shift.largest:+.3f} ({shift.n_pictures} pictures)")


if __name__ == "__main__":
    main()
