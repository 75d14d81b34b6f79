"""Run the whole recipe, or some stages of it.

``python -m training.run --config training/configs/cpu.toml --data ../shared/data/fundus --out runs/NAME``

Stages: segmenter, vuad (with the vessel maps), pseudo, teacher, student, refusal, landmarks, rim, prune,
viewing, export; with a model that the student starts from, only the last seven, unless ``--stages`` names
others. A stage that was finished with the same settings is left alone; one that was interrupted goes on at
its last checkpoint. On several devices: ``torchrun --nproc-per-node 8 -m training.run ...``, or ``devices =
8`` in the recipe.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric

from training import config as recipe
from training import (
    export,
    figures,
    landmark_answer,
    map_answer,
    pruning,
    pseudo_labels,
    refusal_answer,
    rim_level,
    segment,
    student,
    synthetic,
    teacher,
    viewing,
    vuad,
)
from training.data import (
    CropSet,
    Picture,
    cached_crops,
    manifest_sha256,
    read_manifest,
    vessel_pictures,
)
from training.memory import keep_freed_memory

# From the training's seed.
REFUSAL_SEED, LANDMARK_SEED, MAP_SEED, RIM_SEED, PRUNE_SEED = 5000, 6000, 9000, 7, 8000


class Pipeline:
    """The stages of one recipe over one data folder, writing to one run folder."""

    def __init__(self, config: recipe.Config, root: Path, out: Path, fabric: Fabric) -> None:
        self.config = config
        self.root = root
        self.out = out
        self.fabric = fabric
        self.pictures = read_manifest(root)
        c = config
        # Each stage with everything that its result depends on: a change re-runs it and what follows.
        self.stages: dict[str, tuple[Callable[[], None], str]] = {}
        depends: list[Any] = [c.data]
        for name, settings, run in (
            ("segmenter", c.segmenter, self._segmenter),
            ("vuad", c.vuad, self._vuad),
            ("pseudo", c.pseudo, self._pseudo),
            ("teacher", c.teacher, self._teacher),
            ("student", c.student, self._student),
            ("refusal", c.refusal, self._refusal),
            ("landmarks", c.landmarks, self._landmarks),
            ("map", c.map, self._map),
            ("rim", c.map, self._rim),
            ("prune", c.prune, self._prune),
            ("viewing", c.viewing, self._viewing),
            ("export", c.export, self._export),
        ):
            if name == "student" and c.student.start:  # nothing of the stages before
                depends = [c.data]
            depends.append(settings)
            self.stages[name] = (run, recipe.settings_hash(*depends) + f"-{c.seed}")

    def needed(self) -> list[str]:
        """Return the stages that the export needs: a student with a model to start from needs no teacher."""
        names = list(self.stages)
        return names[names.index("student") :] if self.config.student.start else names

    def run(self, wanted: list[str]) -> None:
        """Run ``wanted`` stages in order, skipping those that are done."""
        for name, (run, key) in self.stages.items():
            if name not in wanted:
                continue
            if self.is_done(name):
                print(f"{name}: done before", flush=True)
                continue
            began = time.monotonic()
            stale = [path for pattern in resumed_from(name) for path in self.out.glob(pattern)]
            started = self.out / f"{name}.started"
            if stale and (not started.is_file() or started.read_text() != key):
                print(f"{name}: settings changed, starting over", flush=True)
                for each in stale:
                    each.unlink()
            started.write_text(key)
            run()
            seconds = round(time.monotonic() - began, 1)
            if self.fabric.is_global_zero:
                if (self.out / f"{name}.csv").is_file():
                    figures.losses(self.out, name)
                marker = {"settings": key, "seconds": seconds}
                self._marker(name).write_text(json.dumps(marker) + "\n")
            self.fabric.barrier()
            print(f"{name}: finished in {seconds / 60:.1f} min", flush=True)

    def is_done(self, name: str) -> bool:
        """Return whether the stage ``name`` was finished with this recipe's settings."""
        marker = self._marker(name)
        return marker.is_file() and json.loads(marker.read_text())["settings"] == self.stages[name][1]

    def _marker(self, name: str) -> Path:
        return self.out / f"{name}.done.json"

    def pool(self) -> CropSet:
        """Return the crops of the pool's pictures, those of the recipe's limit."""
        chosen = [p for p in self.pictures if p.split == "pool" and p.role == "unlabelled"]
        limit = self.config.data.limit
        if limit and limit < len(chosen):
            picked = np.random.default_rng(self.config.seed).choice(len(chosen), limit, replace=False)
            chosen = [chosen[k] for k in sorted(picked)]
        return self._crops(chosen, self.config.data.crop_px, "pool")

    def _crops(self, pictures: list[Picture], size_px: int, name: str) -> CropSet:
        with self.fabric.rank_zero_first():
            return cached_crops(self.out / "cache" / f"{name}_{size_px}", pictures, size_px, name)

    def _vessel_pictures(self, split: str) -> CropSet:
        chosen = vessel_pictures(self.pictures, split)
        return self._crops(chosen, self.config.data.crop_px, f"vessels_{split}")

    def _segmenter(self) -> None:
        segment.run(self.fabric, self.config.segmenter, self.pictures, self.out, self.config.seed)

    def _vuad(self) -> None:
        clean = self.annotated()
        masks = segment.load_masks(self.pictures, clean, self.config.data.crop_px)
        vuad.run(self.fabric, self.config.vuad, self.pool(), (clean, masks), self.out, self.config.seed + 1)

    def _pseudo(self) -> None:
        pseudo_labels.run(self.fabric, self.config.pseudo, self.pool(), self.out)

    def _teacher(self) -> None:
        clean = self.annotated()
        teacher.run(self.fabric, self.config.teacher, self.pool(), clean, self.out, self.config.seed + 2)

    def annotated(self) -> CropSet:
        """Return the crops of the vessel sets' training pictures."""
        return self._vessel_pictures("train")

    def _student(self) -> None:
        settings, annotated = self.config.student, self.annotated()
        student.run(self.fabric, settings, self.pool(), annotated, self.out, self.config.seed + 3)

    def _refusal(self) -> None:
        c, annotated = self.config, self.annotated()
        refusal_answer.run(
            self.fabric, c.student, c.refusal, self.pool(), annotated, self.out, c.seed + REFUSAL_SEED
        )

    def _landmarks(self) -> None:
        c, annotated = self.config, self.annotated()
        seed = c.seed + LANDMARK_SEED
        landmark_answer.run(self.fabric, c.student, c.landmarks, self.pool(), annotated, self.out, seed)

    def _map(self) -> None:
        c, annotated = self.config, self.annotated()
        map_answer.run(self.fabric, c.student, c.map, self.pool(), annotated, self.out, c.seed + MAP_SEED)

    def _rim(self) -> None:
        if self.fabric.is_global_zero:
            c = self.config
            rim_level.run(self.annotated(), c.student.size_px, c.student.grid, self.out, c.seed + RIM_SEED)

    def _prune(self) -> None:
        if self.fabric.is_global_zero:
            c, annotated = self.config, self.annotated()
            pruning.run(c.student, c.prune, self.pool(), annotated, self.out, c.seed + PRUNE_SEED)

    def _viewing(self) -> None:
        if self.fabric.is_global_zero:
            c, annotated = self.config, self.annotated()
            viewing.run(c.viewing, self.pool(), annotated, c.student.size_px, c.student.grid, self.out)

    def _export(self) -> None:
        if self.fabric.is_global_zero:
            clean = self.annotated()
            export.run(self.config, self.pool(), clean, self.out, manifest_sha256(self.root))


def resumed_from(stage: str) -> list[str]:
    """Return patterns of the files in a run's folder that an interrupted ``stage`` goes on from."""
    maps = ["vessels/pool.npy"] if stage == "vuad" else []  # of the pool by the segmenter: minutes of work
    return [f"{stage}.*checkpoint.pt", *maps]


def make_fabric(config: recipe.Config) -> Fabric:
    """Return the recipe's Fabric; under torchrun the number of processes is torchrun's."""
    devices = int(os.environ.get("LOCAL_WORLD_SIZE", config.devices))
    processes = int(os.environ.get("WORLD_SIZE", devices))
    return Fabric(
        accelerator=config.accelerator,
        devices=devices,
        num_nodes=max(1, processes // devices),
        strategy="ddp" if processes > 1 else "auto",
        precision=config.precision,
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.run", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="folder with manifest.csv; not needed for synthetic data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--stages", nargs="+", help="only these, in the recipe's order")
    options = parser.parse_args(arguments)
    config = recipe.load(options.config)
    if options.data is None and not config.data.synthetic:
        parser.error("--data is missing, expected a folder with manifest.csv")
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    fabric = make_fabric(config)
    fabric.launch()
    root = options.data
    if config.data.synthetic:
        root = out / "synthetic"
        with fabric.rank_zero_first():
            synthetic.make(root, config.data.synthetic, config.seed)
    torch.set_float32_matmul_precision("high")
    keep_freed_memory()
    pipeline = Pipeline(config, root, out, fabric)
    wanted = options.stages or pipeline.needed()
    unknown = [name for name in wanted if name not in pipeline.stages]
    if unknown:
        parser.error(f"--stages holds {unknown[0]}, expected some of {', '.join(pipeline.stages)}")
    pipeline.run(wanted)


if __name__ == "__main__":
    main()
