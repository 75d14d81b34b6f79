"""Pictures: the manifest, the crop to the field of view (by efiqa's own core), and the crop cache."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from efiqa import _core
from efiqa.export.pictures import RESIZE_FILTER
from training.progress import track

ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Picture:
    """One row of ``manifest.csv``; ``path`` is absolute."""

    path: Path
    name: str  # path relative to the data folder
    split: str
    role: str
    dataset: str
    label: str
    pair_id: str
    source: str


def manifest_sha256(root: Path) -> str:
    """Return the hex SHA-256 of ``root/manifest.csv``: the identity of the data."""
    return hashlib.sha256((root / "manifest.csv").read_bytes()).hexdigest()


def read_manifest(root: Path) -> list[Picture]:
    """Return all rows of ``root/manifest.csv`` in file order.

    Raises:
        FileNotFoundError: there is no manifest; the message names the folder that was looked in.
    """
    path = root / "manifest.csv"
    if not path.is_file():
        raise FileNotFoundError(f"--data is {root}, expected a folder that holds manifest.csv")
    with path.open(newline="") as file:
        return [
            Picture(
                path=root / row["path"],
                name=row["path"],
                split=row["split"],
                role=row["role"],
                dataset=row["dataset"],
                label=row["label"],
                pair_id=row["pair_id"],
                source=row["source"],
            )
            for row in csv.DictReader(file)
        ]


def vessel_pictures(pictures: Sequence[Picture], split: str) -> list[Picture]:
    """Return the vessel sets' photographs of ``split``: clean pictures."""
    return [p for p in pictures if p.role == "vessel_image" and p.split == split]


def drimdb_good(pictures: Sequence[Picture]) -> list[Picture]:
    """Return DRIMDB's good pictures: clean ones of a camera that training never sees, for final figures."""
    return [p for p in pictures if p.split == "eval" and p.dataset == "DRIMDB" and p.label == "good"]


def load_rgb(path: Path) -> ByteArray:
    """Return the picture as RGB (H, W, 3) uint8.

    Raises:
        ValueError: the file is missing or not a picture.
    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError(f"{path} is missing or not a picture")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


@dataclass(frozen=True)
class Crop:
    """The square around the field of view: ``rgb`` (S, S, 3) uint8, black outside; ``visible`` (S, S)."""

    rgb: ByteArray
    visible: NDArray[np.bool_]
    fov: _core.FieldOfView
    box: tuple[int, int, int]  # x_px, y_px, side_px in the frame


def visible_mask(fov: _core.FieldOfView, box: tuple[int, int, int], size_px: int) -> NDArray[np.bool_]:
    """Return (S, S), true where the centre of the crop's pixel is visible: csrc/fov.h ``contains``."""
    centres = (np.arange(size_px, dtype=np.float32) + 0.5) * (box[2] / size_px)
    x, y = centres + box[0], centres + box[1]
    in_x = (x >= fov.left_px) & (x < fov.right_px)
    in_y = (y >= fov.top_px) & (y < fov.bottom_px)
    circle = (x - fov.center_x_px)[None, :] ** 2 + (y - fov.center_y_px)[:, None] ** 2 <= fov.radius_px**2
    return circle & in_x[None, :] & in_y[:, None]


def crop_frame(rgb: ByteArray, size_px: int) -> Crop | None:
    """Return the crop of an RGB frame (H, W, 3) at ``size_px``, or None without a field of view."""
    fov = _core.find_field_of_view(rgb, "rgb", threads=1)
    if fov.shape == "none":
        return None
    box = _core.square_crop(fov)
    pixels = _core.preprocess_u8(
        rgb,
        "rgb",
        box,
        fov,
        width_px=size_px,
        height_px=size_px,
        resize_filter=RESIZE_FILTER,
        blank_outside=True,
    )
    return Crop(pixels, visible_mask(fov, box, size_px), fov, box)


def resize_crop(rgb: ByteArray, size_px: int) -> ByteArray:
    """Return a square crop (S, S, 3) resized to ``size_px`` by the core's antialiased filter."""
    side = rgb.shape[0]
    if side == size_px:
        return rgb
    return _core.preprocess_u8(
        rgb,
        "rgb",
        (0, 0, side),
        _WHOLE_FRAME,
        width_px=size_px,
        height_px=size_px,
        resize_filter=RESIZE_FILTER,
        blank_outside=False,
    )


# A field of view "none" blanks nothing; a flat frame is the plainest way to get one.
_WHOLE_FRAME = _core.find_field_of_view(np.zeros((64, 64, 3), np.uint8), "rgb", threads=1)


def blank_outside(rgb: ByteArray, visible: BoolArray) -> ByteArray:
    """Return ``rgb`` (S, S, 3) black where it is not ``visible`` (S, S), as the core makes a crop."""
    return np.where(visible[..., None], rgb, 0).astype(np.uint8)


def crop_mask(mask: ByteArray, box: tuple[int, int, int], size_px: int) -> ByteArray:
    """Return a 0..255 mask (H, W) of the frame, cropped to ``box`` and area-resized to (S, S)."""
    x, y, side = box
    padded = np.zeros((side, side), np.uint8)
    height, width = mask.shape
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + side, width), min(y + side, height)
    padded[y0 - y : y1 - y, x0 - x : x1 - x] = mask[y0:y1, x0:x1]
    interpolation = cv2.INTER_AREA if side > size_px else cv2.INTER_LINEAR
    return cv2.resize(padded, (size_px, size_px), interpolation=interpolation)


def uncrop(values: FloatArray, box: tuple[int, int, int], height: int, width: int) -> FloatArray:
    """Return crop values (S, S) laid back into a frame (height, width), 0 where the crop is not."""
    x, y, side = box
    resized = cv2.resize(values, (side, side), interpolation=cv2.INTER_LINEAR)
    frame = np.zeros((height, width), np.float32)
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + side, width), min(y + side, height)
    frame[y0:y1, x0:x1] = resized[y0 - y : y1 - y, x0 - x : x1 - x]
    return frame


@dataclass(frozen=True)
class CropSet:
    """Cached crops, memory-mapped: ``rgb`` (N, S, S, 3) uint8, ``visible`` (N, S, S) uint8 0/1."""

    names: list[str]
    datasets: list[str]
    boxes: list[tuple[int, int, int]]
    sizes: list[tuple[int, int]]  # height, width of each frame
    rgb: ByteArray
    visible: ByteArray

    def __len__(self) -> int:
        return len(self.names)


def cached_crops(folder: Path, pictures: Sequence[Picture], size_px: int, label: str) -> CropSet:
    """Return the crops of ``pictures``, made once and then read from ``folder``.

    Pictures without a field of view are left out and counted on the terminal.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index_path = folder / "index.json"
    key = hashlib.sha256("\n".join([str(size_px), *(p.name for p in pictures)]).encode()).hexdigest()
    if not (index_path.is_file() and json.loads(index_path.read_text())["key"] == key):
        _write_crops(folder, pictures, size_px, label, key)
    index = json.loads(index_path.read_text())
    return CropSet(
        names=index["names"],
        datasets=index["datasets"],
        boxes=[(box[0], box[1], box[2]) for box in index["boxes"]],
        sizes=[(size[0], size[1]) for size in index["sizes"]],
        rgb=np.load(folder / "rgb.npy", mmap_mode="r"),
        visible=np.load(folder / "visible.npy", mmap_mode="r"),
    )


def _write_crops(folder: Path, pictures: Sequence[Picture], size_px: int, label: str, key: str) -> None:
    shape = (len(pictures), size_px, size_px)
    rgb = np.lib.format.open_memmap(folder / "all.npy", "w+", np.uint8, (*shape, 3))
    visible = np.zeros(shape, np.uint8)
    kept: list[tuple[Picture, Crop, tuple[int, int]]] = []
    for picture in track(pictures, f"crop {label}"):
        frame = load_rgb(picture.path)
        crop = crop_frame(frame, size_px)
        if crop is None:
            continue
        rgb[len(kept)] = crop.rgb
        visible[len(kept)] = crop.visible
        kept.append((picture, crop, (frame.shape[0], frame.shape[1])))
    if len(kept) < len(pictures):
        print(f"{label}: {len(pictures) - len(kept)} of {len(pictures)} pictures have no field of view")
    np.save(folder / "rgb.npy", rgb[: len(kept)])
    np.save(folder / "visible.npy", visible[: len(kept)])
    (folder / "all.npy").unlink()
    index = {
        "key": key,
        "size_px": size_px,
        "names": [picture.name for picture, _, _ in kept],
        "datasets": [picture.dataset for picture, _, _ in kept],
        "boxes": [crop.box for _, crop, _ in kept],
        "sizes": [size for _, _, size in kept],
    }
    (folder / "index.json").write_text(json.dumps(index))


def cached_array(path: Path, make: Callable[[], NDArray[np.generic]]) -> NDArray[np.generic]:
    """Return the array saved at ``path``, making and saving it first when it is not there."""
    if not path.is_file():
        temporary = path.with_suffix(".tmp.npy")
        np.save(temporary, make())
        temporary.rename(path)
    return np.load(path, mmap_mode="r")
