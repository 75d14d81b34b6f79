"""Toy fundus photographs with known vessels, laid out like the real data: for tests, not for models.

A round field, a disc, and vessel trees that branch from it; part of the pool is blurred or darkened.
"""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE_PX = 320
FIELDS = ("path", "split", "role", "dataset", "label", "pair_id", "width", "height", "source")


def _tree(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return vessels (S, S) 0/255: random walks from the disc that branch and thin out."""
    mask = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    disc = np.array([SIZE_PX * 0.3, SIZE_PX * 0.5])
    walks = [(disc, rng.uniform(0, 2 * np.pi), rng.uniform(3.5, 5.5)) for _ in range(10)]
    while walks:
        point, angle, width = walks.pop()
        while width > 0.9 and np.all((point > 0) & (point < SIZE_PX)):
            angle += rng.normal(0, 0.12)
            ahead = point + 6 * np.array([np.cos(angle), np.sin(angle)])
            ends = (tuple(int(v) for v in point), tuple(int(v) for v in ahead))
            cv2.line(mask, *ends, 255, max(1, round(width)), cv2.LINE_AA)
            point, width = ahead, width * 0.985
            if rng.random() < 0.07 and len(walks) < 40:
                walks.append((point, angle + rng.choice([-1, 1]) * rng.uniform(0.4, 0.9), width * 0.75))
                width *= 0.85
    return mask


def _photograph(vessels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return RGB (S, S, 3) of a fundus with these vessels."""
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX].astype(np.float32) / SIZE_PX - 0.5
    radius = np.hypot(x, y)
    base = np.array([rng.uniform(150, 220), rng.uniform(70, 110), rng.uniform(25, 60)], np.float32)
    rgb = base * (1.1 - 0.9 * radius**2)[..., None]
    rgb += 60 * np.exp(-((x + 0.2) ** 2 + y**2) / 0.004)[..., None]  # the disc
    rgb *= 1 - 0.5 * np.exp(-((x - 0.15) ** 2 + y**2) / 0.006)[..., None]  # the macula
    rgb *= 1 - (vessels / 255.0 * rng.uniform(0.3, 0.45))[..., None] * np.array([0.5, 1.0, 0.8])
    rgb += rng.normal(0, 2.5, rgb.shape)
    rgb[radius > 0.48] = 0
    return np.clip(rgb, 0, 255).astype(np.uint8)


def _spoil(rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the picture blurred and darkened, as part of any pool is."""
    blurred = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(3, 9))
    return (blurred * rng.uniform(0.25, 0.9)).astype(np.uint8)


def make(root: Path, count: int, seed: int) -> None:
    """Write ``count`` vessel pictures (half train, half test) and twice as many for the pool."""
    if (root / "manifest.csv").is_file():
        return
    for folder in ("vessels/TOY/images", "vessels/TOY/masks", "vessels/TOY/fov", "pool/TOY"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows: list[dict[str, str | int]] = []

    def put(name: str, split: str, role: str, picture: NDArray[np.uint8], pair: str) -> None:
        cv2.imwrite(str(root / name), picture[..., ::-1] if picture.ndim == 3 else picture)
        values = (name, split, role, "TOY", "", pair, SIZE_PX, SIZE_PX, "training.synthetic")
        rows.append(dict(zip(FIELDS, values, strict=True)))

    y, x = np.mgrid[:SIZE_PX, :SIZE_PX] / SIZE_PX - 0.5
    field = np.where(np.hypot(x, y) <= 0.48, 255, 0).astype(np.uint8)
    for index in range(3 * count):
        vessels = _tree(rng) & field
        photograph = _photograph(vessels, rng)
        if index < count:
            split, pair = ("train", "test")[index % 2], f"TOY_{index:03d}"
            put(f"vessels/TOY/images/{pair}.png", split, "vessel_image", photograph, pair)
            put(f"vessels/TOY/masks/{pair}.png", split, "vessel_mask", vessels, pair)
            put(f"vessels/TOY/fov/{pair}.png", split, "fov_mask", field, pair)
        else:
            picture = _spoil(photograph, rng) if index % 3 == 0 else photograph
            put(f"pool/TOY/{index:03d}.png", "pool", "unlabelled", picture, "")
    with (root / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=FIELDS)
        writer.writeheader()
        writer.writerows(rows)
