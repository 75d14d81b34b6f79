"""The adapters that training.compare_adapters sets side by side: what they learn from, and the fits.

All read EfficientNet-Lite0's maps of the same pictures, which are kept in the run's folder.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from safetensors.torch import load_file, save_file
from torch import nn

from training.adapter_graph import network_of, write_graph
from training.data import CropSet
from training.dense_adapter import DenseSettings, fit_dense
from training.features import BATCH, GridFeatures, MapRows, cached_maps, crops_at, on_grid, split_rows
from training.pseudo_labels import Labels
from training.run import Pipeline
from training.teacher import TeacherSettings, cells_of, fit_adapter
from training.views import normalised

STRIDES = (4, 8, 16, 32)
ADAPTERS = ("linear", "multi_layer", "dense")
# For two cores: the published width is 512 and 100 looks at each picture.
DENSE_WIDTH, DENSE_EPOCHS, DENSE_BATCH = 32, 4, 8
PARITY_PICTURES = 8


def settings_of(kind: str, teacher: TeacherSettings) -> TeacherSettings:
    """Return how the adapter ``kind`` is taught: as the recipe's teacher, without what is not published."""
    alone = replace(
        teacher, adapter="multi_layer", dense=None, strides=STRIDES, degraded_pictures=0, ranking_weight=0.0
    )
    if kind == "linear":
        return replace(alone, adapter="linear", strides=STRIDES[-1:])
    if kind == "dense":
        return replace(
            alone,
            adapter="dense",
            dense=DenseSettings(width=DENSE_WIDTH, prior=0.0, workers=0),
            epochs=DENSE_EPOCHS,
            batch_cells=DENSE_BATCH * teacher.grid**2,
        )
    return alone


@dataclass(frozen=True)
class Lesson:
    """What all adapters learn from: maps and labels of pictures of the pool, and how each one is taught.

    ``key`` tells this choice of pictures and labels from others.
    """

    maps: MapRows
    labels: Labels
    settings: dict[str, TeacherSettings]
    seed: int
    key: str


def read_lesson(pipeline: Pipeline, pool: CropSet, folder: Path, count: int) -> Lesson:
    """Return the lesson of ``count`` pictures of the pool, of all for 0; the maps are kept in ``folder``.

    Raises:
        ValueError: the run has no pseudo-labels by this recipe, or its backbone is another one.
    """
    config, out = pipeline.config, pipeline.out
    if config.teacher.backbone != "lite0":
        raise ValueError(f"teacher.backbone is {config.teacher.backbone}, expected lite0")
    if not pipeline.is_done("pseudo"):
        raise ValueError(
            f"--run is {out}, expected a run whose stage pseudo was finished with the settings of --config; "
            "run python -m training.run --stages segmenter vuad pseudo with it first"
        )
    labels = Labels.load(out)
    chosen = np.arange(len(pool))
    if 0 < count < len(pool):
        chosen = np.sort(np.random.default_rng(config.seed).choice(len(pool), count, replace=False))
    settings = {kind: settings_of(kind, config.teacher) for kind in ADAPTERS}
    model = GridFeatures(settings["multi_layer"]).eval()
    model.to(pipeline.fabric.device, memory_format=torch.channels_last)
    maps = cached_maps(folder / "maps.npy", model, pool, chosen, settings["multi_layer"], pipeline.fabric)
    labels = Labels(labels.bad[chosen], labels.weights[chosen], labels.area[chosen])
    content = b"".join(each.tobytes() for each in (chosen, labels.bad, labels.weights))
    key = f"{config.seed}-{hashlib.sha256(content).hexdigest()[:16]}"
    return Lesson(maps, labels, settings, config.seed, key)


def fit_cells(lesson: Lesson, settings: TeacherSettings) -> dict[str, torch.Tensor]:
    """Return the weights of a 1x1 convolution on the maps of ``settings.strides``."""
    used = [STRIDES.index(stride) for stride in settings.strides]
    valid = torch.from_numpy(lesson.labels.valid)
    cells = []
    for start in range(0, len(lesson.maps), BATCH):
        rows = torch.from_numpy(np.array(lesson.maps.rows[start : start + BATCH]))
        maps = split_rows(rows, lesson.maps.shapes)
        grid = on_grid([maps[k].float() for k in used], settings.grid)
        cells.append(cells_of(grid)[valid[start : start + BATCH].flatten()].half())
    bad = torch.from_numpy(lesson.labels.bad)[valid]
    return fit_adapter(torch.cat(cells), bad, None, settings, lesson.seed).state_dict()


def fit_pictures(
    lesson: Lesson, settings: TeacherSettings, folder: Path, fabric: Fabric
) -> dict[str, torch.Tensor]:
    """Return the weights of a dense adapter; one that was interrupted goes on."""
    labels = (lesson.labels.bad, lesson.labels.valid)
    loop = settings.dense_loop(len(lesson.maps))
    model = fit_dense(
        fabric, lesson.maps, labels, settings.dense, loop, seed=lesson.seed, folder=folder, name="dense"
    )
    return model.adapter.state_dict()


def fitted(kind: str, lesson: Lesson, folder: Path, pool: CropSet, fabric: Fabric) -> nn.Module:
    """Return backbone and adapter ``kind``; weights and graph are kept in ``folder`` as KIND.*."""
    settings = lesson.settings[kind]
    weights, graph = folder / f"{kind}.safetensors", folder / f"{kind}.onnx"
    if weights.is_file():
        print(f"{kind}: fitted before", flush=True)
    else:
        state = (
            fit_pictures(lesson, settings, folder, fabric) if kind == "dense" else fit_cells(lesson, settings)
        )
        temporary = weights.with_suffix(".tmp")
        save_file(state, temporary)
        temporary.replace(weights)
    network = network_of(settings, load_file(weights))
    if not graph.with_name(graph.name + ".json").is_file():
        count = min(PARITY_PICTURES, len(pool))
        images = np.stack([normalised(rgb).numpy() for rgb in crops_at(pool, range(count), settings.size_px)])
        trained_on = f"{len(lesson.maps)} unlabelled pictures, their cells labelled by VUAD; no quality label"
        write_graph(graph, f"efiqa-lite0-{kind}", network, settings, images, trained_on)
    return network
