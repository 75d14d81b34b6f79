"""A site's labels: a CSV of pictures, what its own graders call them, and which patient they show."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from efiqa import _core
from efiqa._files import reading
from efiqa.errors import FileError, LabelError, OptionError

PATH, LABEL, PATIENT = "path", "label", "patient"
# From worst to best. A name that is not here needs --order.
KNOWN_ORDER = ("reject", "bad", "usable", "good")
MAX_CLASSES = 3  # a contract has two limits
MAX_LABELS, MAX_LABEL_BYTES = 16, 64  # they are named in the contract's provenance, which has 4096 bytes


@dataclass(frozen=True)
class LabelledPicture:
    """One row: ``path`` as it is written there, the ``file`` that it means, ``row`` as a spreadsheet counts.

    ``level`` is the class of the label, 0 the worst; ``patient`` is the path where there is no such column.
    """

    row: int
    path: str
    file: Path
    label: str
    level: int
    patient: str


@dataclass(frozen=True)
class Labels:
    """A labels file that keeps every rule; ``classes`` are its labels from worst to best, joined by +."""

    path: Path
    sha256: str
    pictures: tuple[LabelledPicture, ...]
    classes: tuple[str, ...]
    patients_known: bool

    def counts(self) -> dict[str, int]:
        """Return how many pictures have each label, worst class first."""
        counts = Counter(picture.label for picture in sorted(self.pictures, key=lambda each: each.level))
        return dict(counts)


@dataclass(frozen=True)
class _Row:
    number: int
    path: str
    label: str
    patient: str


def read_labels(
    path: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    order: Sequence[str] | None = None,
    positive: Sequence[str] | None = None,
) -> Labels:
    """Return the labels in the CSV ``path`` with the columns path, label and, if wanted, patient.

    Args:
        path: UTF-8 with a header; other columns are ignored.
        data: the folder that the paths are relative to; by default the folder of the file.
        order: all labels from worst to best. By default reject < bad < usable < good, or numbers upwards.
        positive: the labels of bad pictures, all others being good: two classes of any number of labels.

    Raises:
        FileError: the file, or a picture that it names, is missing or cannot be read.
        LabelError: names row, value, rule and fix: an empty or repeated path, an empty or unknown label.
        OptionError: ``order`` and ``positive`` together, or a label in them that no rule allows.
    """
    path = Path(path)
    if order is not None and positive is not None:
        raise OptionError("order and positive are both given, expected one: positive needs no order")
    with reading(f"labels {path}"):
        content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelError(f"labels {path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    rows, patients_known = _rows(path, text)
    classes = _classes(path, [row.label for row in rows], order, positive)
    level_of = {label: level for level, labels in enumerate(classes) for label in labels}
    base = path.parent if data is None else Path(data)
    pictures = []
    for row in rows:
        if row.label not in level_of:
            raise LabelError(
                f"{path} row {row.number}: label is {row.label!r}, expected one of {', '.join(order or ())}; "
                "mend the label, or name it in order"
            )
        file = base / row.path
        pictures.append(
            LabelledPicture(row.number, row.path, file, row.label, level_of[row.label], row.patient)
        )
    _check_files(path, pictures)
    names = tuple("+".join(labels) for labels in classes)
    return Labels(path, _core.sha256_hex(content), tuple(pictures), names, patients_known)


def _rows(path: Path, text: str) -> tuple[list[_Row], bool]:
    """Return the rows with their fields, and whether there is a column of patients."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if missing := [name for name in (PATH, LABEL) if header.count(name) != 1]:
            raise LabelError(
                f"{path} row 1: the header is {','.join(header)!r}, expected the column {missing[0]!r} once; "
                "begin the file with path,label"
            )
        patients_known = PATIENT in header
        needed = [name for name in (PATH, LABEL, PATIENT) if name in header]
        rows = []
        for fields in reader:
            if not fields:
                continue  # an empty line
            number = reader.line_num
            if len(fields) != len(header):
                raise LabelError(
                    f"{path} row {number}: has {len(fields)} fields, expected {len(header)} as in the "
                    "header; put a path with a comma between quotes"
                )
            values = dict(zip(header, fields, strict=True))
            if empty := [name for name in needed if not values[name].strip()]:
                raise LabelError(
                    f"{path} row {number}: {empty[0]} is empty, expected a value; fill it in or drop the row"
                )
            if len(values[LABEL].strip().encode()) > MAX_LABEL_BYTES:
                raise LabelError(
                    f"{path} row {number}: label is {values[LABEL][:40]!r}..., expected at most "
                    f"{MAX_LABEL_BYTES} bytes; is it the column of another thing?"
                )
            patient = values[PATIENT].strip() if patients_known else values[PATH]
            rows.append(_Row(number, values[PATH], values[LABEL].strip(), patient))
    except csv.Error as error:
        raise LabelError(f"{path} row {reader.line_num}: is no CSV: {error}; save it again as CSV") from None
    if not rows:
        raise LabelError(f"{path} has no row below the header, expected a picture and its label in each")
    return rows, patients_known


def _classes(
    path: Path, found: list[str], order: Sequence[str] | None, positive: Sequence[str] | None
) -> list[tuple[str, ...]]:
    """Return the labels of each class, from worst to best."""
    labels = sorted(set(found))
    if len(labels) < 2:
        raise LabelError(
            f"{path}: every label is {labels[0]!r}, expected at least two labels: a limit lies between two"
        )
    if len(labels) > MAX_LABELS:
        raise LabelError(
            f"{path}: has {len(labels)} labels, such as {', '.join(labels[:3])}, expected at most "
            f"{MAX_LABELS}; merge some"
        )
    if positive is not None:
        _check_named("positive", positive, labels)
        bad = tuple(label for label in labels if label in positive)
        good = tuple(label for label in labels if label not in positive)
        if not good:
            raise OptionError(f"positive names every label of {path}, expected at least one to be good")
        return [bad, good]
    ordered = _default_order(path, labels) if order is None else list(order)
    if order is not None:
        _check_named("order", order, labels)
    if len(ordered) > MAX_CLASSES:
        raise LabelError(
            f"{path}: has {len(ordered)} labels, {', '.join(ordered)}, expected two or three, because a "
            "contract has two limits; name those of bad pictures in positive, or merge labels"
        )
    return [(label,) for label in ordered]


def _check_named(option: str, named: Sequence[str], labels: list[str]) -> None:
    for label in named:
        if label not in labels:
            raise OptionError(f"{option} has {label!r}, expected labels of the file: {', '.join(labels)}")
        if list(named).count(label) > 1:
            raise OptionError(f"{option} has {label!r} twice, expected each label once")


def _default_order(path: Path, labels: list[str]) -> list[str]:
    if all(label in KNOWN_ORDER for label in labels):
        return sorted(labels, key=KNOWN_ORDER.index)
    if all(label.isascii() and label.isdigit() for label in labels):
        return sorted(labels, key=int)
    raise LabelError(
        f"{path}: the labels are {', '.join(labels[:8])}{', ...' if len(labels) > 8 else ''}, whose order is "
        f"known only of {', '.join(KNOWN_ORDER)} and of numbers; give order from worst to best, or the "
        "bad ones as positive"
    )


def _check_files(path: Path, pictures: list[LabelledPicture]) -> None:
    first_row: dict[str, int] = {}
    missing = []
    for picture in pictures:
        place = os.path.realpath(picture.file)
        if place in first_row:
            raise LabelError(
                f"{path} row {picture.row}: {picture.path!r} is the picture of row {first_row[place]} again, "
                "expected each once; drop a row"
            )
        first_row[place] = picture.row
        if not picture.file.is_file():
            missing.append(picture)
    if missing:
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise FileError(
            f"{path} row {missing[0].row}: {missing[0].file} is no file{more}; mend the path, or give the "
            "folder that paths are relative to as data",
            code="not_found",
        )
