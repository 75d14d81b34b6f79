"""Pictures of each stage, for people: contact sheets made with OpenCV, loss curves with matplotlib."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

TILE_PX = 300


def heat(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return values in 0..1 (H, W) as RGB colours; NaN is black."""
    levels = np.nan_to_num(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)


def blend(rgb: NDArray[np.uint8], values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return ``rgb`` (S, S, 3) under a heat map of ``values`` (h, w), opacity growing with the value."""
    size = (rgb.shape[1], rgb.shape[0])
    filled = np.nan_to_num(values).astype(np.float32)
    grown = np.clip(cv2.resize(filled, size, interpolation=cv2.INTER_LINEAR), 0, 1)
    alpha = 0.6 * grown[..., None]
    return (rgb * (1 - alpha) + heat(grown) * alpha).astype(np.uint8)


def _tile(picture: NDArray[np.generic]) -> NDArray[np.uint8]:
    colour = picture.astype(np.uint8) if picture.ndim == 3 else heat(picture)
    return cv2.resize(colour, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA)


def sheet(path: Path, rows: list[tuple[list[NDArray[np.generic]], str]], *, columns: int = 2) -> None:
    """Write a PNG: each row holds pictures (RGB uint8, or 2-D in 0..1) side by side and a label."""
    if not rows:
        return
    cells = []
    for pictures, label in rows:
        cell = np.hstack([_tile(picture) for picture in pictures])
        cv2.putText(cell, label, (6, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1, cv2.LINE_AA)
        cells.append(cell)
    while len(cells) % columns:
        cells.append(np.zeros_like(cells[0]))
    lines = [np.hstack(cells[k : k + columns]) for k in range(0, len(cells), columns)]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(lines), cv2.COLOR_RGB2BGR))


def pairs(path: Path, shown: list[tuple[NDArray[np.uint8], NDArray[np.floating], str]]) -> None:
    """Write picture | values pairs."""
    sheet(path, [([rgb, values], label) for rgb, values, label in shown])


def losses(folder: Path, name: str) -> None:
    """Write NAME.loss.png from the loop's NAME.csv: each term smoothed over 25 iterations."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    with (folder / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for term in [key for key in rows[0] if key != "iteration"]:
        values = np.array([float(row[term]) for row in rows])
        window = min(25, len(values))
        axes.plot(np.convolve(values, np.ones(window) / window, mode="valid"), label=term)
    axes.set(xlabel="iteration", ylabel="loss", title=name)
    axes.legend()
    figure.savefig(folder / f"{name}.loss.png", dpi=110)
    plt.close(figure)
