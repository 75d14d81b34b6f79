"""What the student is taught of pictures as they are: the teacher's map and those of earlier models, as one.

Earlier models were taught by other teachers, from other vessel maps: where they err, they err elsewhere. The
mean of all logits is steadier than any of them: of the two eyes of a patient, photographed in one sitting, it
says the same more often (training.eye_agreement).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import brentq

from efiqa import Runtime
from training.data import CropSet, FloatArray, cached_array
from training.progress import track
from training.pseudo_labels import badness, crop_on_grid
from training.views import normalised

WEIGHTS = Path(__file__).parent / "weights"
LARGEST_LOGIT = 8.0  # beyond it a map is certain, and its mean with another would be nothing but that


def _logits(maps: FloatArray) -> FloatArray:
    certain = 1 / (1 + np.exp(LARGEST_LOGIT))
    kept = np.clip(maps.astype(np.float64), certain, 1 - certain)
    return np.asarray(np.log(kept / (1 - kept)), np.float32)


def _probabilities(logits: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def maps_of_model(model: Path, crops: CropSet, size_px: int, grid: int) -> FloatArray:
    """Return the first channel's logits (N, g, g) of ``crops``, the mean over a picture's four mirror images.

    Raises:
        ValueError: the model's input or grid are of other sizes.
        EfiqaError: the model does not open.
    """
    out = np.empty((len(crops), grid, grid), np.float32)
    with Runtime(model) as runtime:
        contract = runtime.info.contract.to_dict()
        sizes = [contract["input"]["width_px"], contract["output"]["width"]]
        if sizes != [size_px, grid]:
            raise ValueError(f"{model.name} has input and grid of {sizes}, expected {[size_px, grid]}")
        for index in track(range(len(crops)), f"maps of {model.stem}"):
            image = normalised(crop_on_grid(crops, index, size_px, grid)[0]).numpy()
            found = [
                runtime.run_network(np.ascontiguousarray(image[None, :, ::down, ::across]))[
                    0, 0, ::down, ::across
                ]
                for down in (1, -1)
                for across in (1, -1)
            ]
            out[index] = np.clip(np.mean(found, axis=0), -LARGEST_LOGIT, LARGEST_LOGIT)
    return out


def shifted_to(level: float, logits: FloatArray, weights: FloatArray) -> FloatArray:
    """Return ``logits`` plus the one number with which the mean badness of all pictures is ``level``."""
    reach = 2 * LARGEST_LOGIT
    shift = brentq(lambda k: badness(_probabilities(logits + k), weights).mean() - level, -reach, reach)
    return np.asarray(logits + shift, np.float32)


def consensus(teacher: FloatArray, earlier: Sequence[FloatArray], weights: FloatArray) -> FloatArray:
    """Return maps (N, g, g): the mean, as logits, of the teacher's and of the ``earlier`` models' logits.

    Each earlier model is first shifted to the teacher's mean badness: what weight its positives had is of no
    matter.
    """
    level = float(badness(teacher, weights).mean())
    shifted = [shifted_to(level, each, weights) for each in earlier]
    return _probabilities(np.mean([_logits(teacher), *shifted], axis=0))


def taught_maps(
    out: Path, names: Sequence[str], pool: CropSet, weights: FloatArray, size_px: int
) -> FloatArray:
    """Return the `consensus` of the run's teacher in ``out`` and the models ``names`` of WEIGHTS."""
    teacher = np.load(out / "teacher" / "pool.npy").astype(np.float32)
    grid = teacher.shape[-1]
    earlier = [
        np.asarray(
            cached_array(
                out / "cache" / f"{name}.npy",
                lambda name=name: maps_of_model(WEIGHTS / f"{name}.onnx", pool, size_px, grid),
            )
        )
        for name in names
    ]
    return consensus(teacher, earlier, weights)
