"""Pictures with quality labels, and the questions that are asked of them. For final figures only."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data import Picture
from training.metrics import patient_of

LABELS = ("good", "usable", "reject", "bad", "outlier")


@dataclass(frozen=True)
class Labelled:
    """A picture with a quality label; ``group`` is its patient, as far as that is known."""

    path: Path
    name: str
    family: str  # drimdb, eyeq, or the name of a labels file
    label: str
    group: str


@dataclass(frozen=True)
class Task:
    """One column of the table: can a score tell ``good`` labels from ``bad`` ones."""

    key: str
    title: str
    family: str
    good: tuple[str, ...]
    bad: tuple[str, ...]

    def select(self, pictures: Sequence[Labelled]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the indices of the task's pictures and whether each is good."""
        wanted = self.good + self.bad
        chosen = [k for k, p in enumerate(pictures) if p.family == self.family and p.label in wanted]
        return np.array(chosen, np.int64), np.array([pictures[k].label in self.good for k in chosen], bool)


TASKS = (
    Task("drimdb_good_bad", "DRIMDB good / bad", "drimdb", ("good",), ("bad",)),
    Task("drimdb_good_outlier", "DRIMDB good / outlier", "drimdb", ("good",), ("outlier",)),
    Task("eyeq_good_reject", "EyeQ good / reject", "eyeq", ("good",), ("reject",)),
    Task("eyeq_readable_reject", "EyeQ good + usable / reject", "eyeq", ("good", "usable"), ("reject",)),
    Task("eyeq_good_rest", "EyeQ good / usable + reject", "eyeq", ("good",), ("usable", "reject")),
)


def evaluation_pictures(pictures: Sequence[Picture]) -> list[Labelled]:
    """Return the labelled rows of split ``eval``; the family is the folder below ``eval/``."""
    return [
        Labelled(p.path, p.name, p.name.split("/")[1], p.label, patient_of(p.name))
        for p in pictures
        if p.split == "eval" and p.role == "quality"
    ]


def labels_file(path: Path) -> tuple[list[Labelled], tuple[Task, ...]]:
    """Return the pictures of a CSV file path,label[,group], and the tasks that its labels allow.

    Paths are relative to the file.

    Raises:
        ValueError: a column is missing, a label is unknown, or no question has both classes.
    """
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        for column in ("path", "label"):
            if column not in columns:
                raise ValueError(f"{path} has the columns {', '.join(columns)}, expected path,label[,group]")
        rows = list(reader)
    family, found = path.stem, []
    for number, row in enumerate(rows, 2):
        if row["label"] not in LABELS:
            raise ValueError(
                f"{path}:{number}: label is {row['label']!r}, expected one of {', '.join(LABELS)}"
            )
        name = row["path"]
        group = row.get("group") or patient_of(name)
        found.append(Labelled(path.parent / name, name, family, row["label"], group))
    present = {each.label for each in found}
    tasks = []
    for good, bad in (
        (("good",), ("bad",)),
        (("good",), ("outlier",)),
        (("good",), ("reject",)),
        (("good", "usable"), ("reject",)),
        (("good",), ("usable", "reject")),
    ):
        if set(good + bad) <= present:
            title = f"{family} {' + '.join(good)} / {' + '.join(bad)}"
            tasks.append(Task(f"{family}_{'_'.join(good)}_vs_{'_'.join(bad)}", title, family, good, bad))
    if not tasks:
        raise ValueError(
            f"{path} has only the labels {', '.join(sorted(present))}, expected good and bad ones"
        )
    return found, tuple(tasks)
