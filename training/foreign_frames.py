"""Frames that show no retina, to count how many the Runtime refuses. Other seeds and makers than training's.

Every picture that scikit-image and scikit-learn carry in their packages but the retinas, flat frames, noise,
printed pages in real typefaces and test charts; each as a whole frame and behind a round stop, as a fundus
camera would show it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

ByteArray = NDArray[np.uint8]

SIDE_PX = 768
MIN_SIDE_PX = 64  # what the Runtime takes
PICTURE_FOLDERS = (("skimage", "data"), ("sklearn", "datasets/images"))  # package, folder
PICTURE_SUFFIXES = (".gif", ".jpg", ".jpeg", ".png", ".tif", ".tiff")
RETINAS = ("retina", "microaneurysms")  # the second is a crop of one
LEVELS = {"black": 0, "dark grey": 24, "grey": 128, "light grey": 200, "white": 255}
NOISE_SEEDS = 3
LETTERS_PX = (14, 22, 36, 60, 110)
TYPEFACES = ("DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf")  # what matplotlib carries
TEXT = (
    "the patient shall sit still and look at the green light while report of visit number 27 notes that "
    "lens and cornea were clear pressure 14 mm date of birth signature of the physician see overleaf"
)


@dataclass(frozen=True)
class ForeignFrame:
    """An RGB frame (H, W, 3) that shows no retina."""

    group: str
    name: str
    rgb: ByteArray


def foreign_frames() -> Iterator[ForeignFrame]:
    """Yield every frame as it is, then behind a round stop; the names are the same, the groups are not."""
    for frame in _frames():
        yield frame
        yield ForeignFrame(f"{frame.group}, round stop", frame.name, behind_round_stop(frame.rgb))


def behind_round_stop(rgb: ByteArray) -> ByteArray:
    """Return the middle square of ``rgb`` at SIDE_PX, black outside the inscribed circle less a border."""
    side = min(rgb.shape[:2])
    y, x = (rgb.shape[0] - side) // 2, (rgb.shape[1] - side) // 2
    square = cv2.resize(rgb[y : y + side, x : x + side], (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX] - (SIDE_PX - 1) / 2
    return np.where((np.hypot(rows, columns) <= 0.46 * SIDE_PX)[..., None], square, 0).astype(np.uint8)


def _frames() -> Iterator[ForeignFrame]:
    for name, rgb in sample_photographs():
        yield ForeignFrame("sample photographs", name, rgb)
    for name, level in LEVELS.items():
        yield ForeignFrame("flat", name, np.full((SIDE_PX, SIDE_PX, 3), level, np.uint8))
    yield from (ForeignFrame("noise", *each) for each in _noise())
    yield from (ForeignFrame("printed text", *each) for each in _pages())
    yield from (ForeignFrame("test charts", *each) for each in _charts())


def sample_photographs() -> Iterator[tuple[str, ByteArray]]:
    """Yield name and RGB of each picture in the packages' own data folders, the retinas left out.

    Files that OpenCV cannot open (stacks of 64-bit samples) and those below MIN_SIDE_PX are left out as well.
    """
    for package, folder in PICTURE_FOLDERS:
        root = files(package).joinpath(*folder.split("/"))
        for entry in sorted(root.iterdir(), key=lambda each: each.name):
            path = Path(entry.name)
            if path.suffix.lower() not in PICTURE_SUFFIXES or path.stem in RETINAS:
                continue
            bgr = cv2.imdecode(np.frombuffer(entry.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
            if bgr is not None and min(bgr.shape[:2]) >= MIN_SIDE_PX:
                yield f"{package}/{path.stem}", cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _noise() -> Iterator[tuple[str, ByteArray]]:
    for seed in range(NOISE_SEEDS):
        rng = np.random.default_rng([50, seed])
        for colour, channels in (("colour", 3), ("grey", 1)):
            shape = (SIDE_PX, SIDE_PX, channels)
            for name, values in (
                ("uniform", rng.uniform(0, 256, shape)),
                ("normal", rng.normal(128, 40, shape)),
                ("normal, dark", rng.normal(12, 6, shape)),
            ):
                clipped = np.clip(values, 0, 255).astype(np.uint8)
                whole = np.ascontiguousarray(np.broadcast_to(clipped, (SIDE_PX, SIDE_PX, 3)))
                yield f"{name}, {colour}, seed {seed}", whole


def _pages() -> Iterator[tuple[str, ByteArray]]:
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    for index, typeface in enumerate(TYPEFACES):
        for size in LETTERS_PX:
            rng = np.random.default_rng([51, index, size])
            paper, ink = ((250, 248, 240), (20, 20, 25)) if index < 2 else ((30, 32, 40), (225, 225, 215))
            page = Image.new("RGB", (1000, 800), paper)
            draw = ImageDraw.Draw(page)
            font = ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / typeface), size)
            for top in range(40, 760, round(1.4 * size)):
                draw.text((50, top), " ".join(rng.permutation(TEXT.split())), fill=ink, font=font)
            yield f"{Path(typeface).stem}, {size} px", np.array(page)


def _charts() -> Iterator[tuple[str, ByteArray]]:
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX].astype(np.float32)
    across, down = x - SIDE_PX / 2, y - SIDE_PX / 2
    radius, angle = np.hypot(across, down), np.arctan2(down, across)
    planes = {f"checks of {pitch} px": (x // pitch + y // pitch) % 2 for pitch in (16, 48, 128)}
    planes |= {f"bars of {pitch} px": (x // pitch) % 2 for pitch in (4, 12, 40)}
    planes |= {f"star of {rays} rays": (np.sin(rays * angle) > 0) for rays in (12, 36)}
    planes |= {f"rings of {pitch} px": (radius // pitch) % 2 for pitch in (12, 40)}
    planes |= {f"dots every {pitch} px": np.hypot(x % pitch - pitch / 2, y % pitch - pitch / 2) > pitch / 5
               for pitch in (24, 64)}  # fmt: skip
    planes |= {f"grid of {pitch} px": np.minimum(x % pitch, y % pitch) > 3 for pitch in (32, 96)}
    planes["grey steps"] = x // (SIDE_PX / 12) / 11
    planes["grey ramp"] = y / SIDE_PX
    for name, plane in planes.items():
        levels = (20 + 215 * np.asarray(plane, np.float32)).astype(np.uint8)
        yield name, np.ascontiguousarray(np.broadcast_to(levels[..., None], (SIDE_PX, SIDE_PX, 3)))
    bars = np.array([(b & 4, b & 2, b & 1) for b in range(7, -1, -1)]) > 0
    column = np.minimum((np.arange(SIDE_PX) * 8) // SIDE_PX, 7)
    yield (
        "colour bars",
        np.ascontiguousarray(
            np.broadcast_to(np.where(bars[column], 191, 0).astype(np.uint8), (SIDE_PX, SIDE_PX, 3))
        ),
    )
