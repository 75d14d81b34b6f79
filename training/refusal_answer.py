"""The student's answer "not a fundus", fitted anew on what it sees: its other answers stay as they are.

The answer is one logit a picture, the mean over the field, and so linear in the mean of the features that the
head reads: a logistic regression on these is its best. Real pictures are the pool's, as they are, their
green light alone, and as other cameras might have shown them (training.views), half of the last degraded on
top, but not HOPELESS; the others are as many scenes of training.not_fundus.

    python -m training.refusal_answer --config training/configs/cpu.toml --data FOLDER --run runs/NAME

does it for a finished run, whose export is to be made again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.data import CropSet, FloatArray
from training.eye_photographs import Eye
from training.progress import track
from training.pseudo_labels import crop_on_grid
from training.refusal_limit import Shown, by_another_camera, scenes
from training.student import Student
from training.views import normalised, of_one_channel

PICTURES = 1200  # of the pool at least, spread evenly, each as three pictures, and as many scenes
RIDGE_C = 1.0  # inverse strength of the ridge on standardised features
SEED_OFFSET = 5000  # from the training's seed
BATCH = 16


def real_pictures(pool: CropSet, size_px: int, grid: int, seed: int) -> Iterator[Shown]:
    """Yield pictures of the pool, three ways each, a function of the seed."""
    for index in track(range(0, len(pool), max(1, len(pool) // PICTURES)), "real pictures"):
        rgb, _, weights = crop_on_grid(pool, index, size_px, grid)
        yield rgb, weights
        yield of_one_channel(rgb, red_free=True), weights
        yield from by_another_camera(pool, index, size_px, grid, seed)


@torch.no_grad()
def mean_features(model: Student, pictures: Iterable[Shown]) -> FloatArray:
    """Return (N, C): what the head reads of each picture, its mean over the field."""
    rows: list[FloatArray] = []
    pictures = iter(pictures)
    while batch := list(islice(pictures, BATCH)):
        image = torch.stack([normalised(rgb) for rgb, _ in batch])
        features = model.features(image.contiguous(memory_format=torch.channels_last)).numpy()
        rows += [
            (each * weights).sum((1, 2)) / weights.sum()
            for each, (_, weights) in zip(features, batch, strict=True)
        ]
    return np.stack(rows)


def fitted_row(real: FloatArray, others: FloatArray) -> tuple[NDArray[np.float64], float]:
    """Return weights (C,) and bias of the logit that tells ``others`` (M, C) from ``real`` (N, C)."""
    from sklearn.linear_model import LogisticRegression

    table = np.concatenate([real, others]).astype(np.float64)
    mean, deviation = table.mean(0), table.std(0) + 1e-6
    truth = np.repeat([False, True], [len(real), len(others)])
    fit = LogisticRegression(C=RIDGE_C, max_iter=3000).fit((table - mean) / deviation, truth)
    weights = fit.coef_[0] / deviation
    return weights, float(fit.intercept_[0] - weights @ mean)


@torch.no_grad()
def refit(model: Student, pool: CropSet, size_px: int, grid: int, seed: int, eyes: Sequence[Eye]) -> None:
    """Fit the last channel of ``model``'s head anew; ``eyes``: in photographs, for `random_scene`."""
    model.eval()
    real = mean_features(model, real_pictures(pool, size_px, grid, seed))
    others = mean_features(model, scenes(len(real), size_px, grid, seed, eyes))
    weights, bias = fitted_row(real, others)
    model.head.weight[-1, :, 0, 0] = torch.from_numpy(weights).float()
    model.head.bias[-1] = bias


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit the answer of the run that the command line names."""
    from training import config as recipe
    from training.run import Pipeline, make_fabric
    from training.student import load_student, save_student, shown_eyes

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--run", type=Path, required=True, help="folder of training.run, student done")
    options = parser.parse_args(arguments)
    config = recipe.load(options.config)
    settings = config.student
    pool = Pipeline(config, options.data, options.run, make_fabric(config)).pool()
    path = options.run / "student.pt"
    model = load_student(path).to(memory_format=torch.channels_last)
    eyes = shown_eyes(settings, options.run)
    refit(model, pool, settings.size_px, settings.grid, config.seed + SEED_OFFSET, eyes)
    save_student(model, settings.size_px, path)
    (options.run / "export.done.json").unlink(missing_ok=True)
    print(f"wrote {path}; python -m training.run --stages export makes the model of it")


if __name__ == "__main__":
    main()
