"""From the paths of the command line to pictures in a fixed order, and to the names of their overlays."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from efiqa.errors import EfiqaError, FileError
from efiqa.io import PICTURE_SUFFIXES

OVERLAY_SUFFIX = ".overlay.png"


@dataclass(frozen=True)
class Item:
    """One line of the answer: a picture to assess, or a path that could not be followed and why.

    ``relative`` is the picture's place below the folder or pattern that named it.
    """

    path: str
    relative: PurePath
    error: EfiqaError | None = None


def find_pictures(arguments: Sequence[str]) -> list[Item]:
    """Return the pictures that files, folders (recursive) and patterns name, sorted by path, each once.

    Of a folder only the files with a picture's suffix are taken, without hidden ones and without efiqa's own
    overlays; a file or pattern that is named is taken as it is. What leads nowhere becomes an item with a
    FileError: ``not_found``, ``no_match``, ``no_pictures``, ``folder_unreadable``.
    """
    found: dict[str, Item] = {}
    for argument in arguments:
        for item in _expand(argument):
            found.setdefault(os.path.abspath(item.path), item)  # noqa: PTH100 (Path would drop a trailing "..")
    return sorted(found.values(), key=lambda item: item.path)


def overlay_paths(items: Iterable[Item], folder: Path) -> dict[str, Path]:
    """Return for each picture's path the file in ``folder`` for its overlay; no two of them are alike.

    ``a/b/eye.jpg`` of the folder ``a`` becomes ``b/eye.overlay.png``. Where that would meet another picture's
    name, both keep their suffix (``eye.jpg.overlay.png``), then their whole path, and at last get numbers.
    """
    pictures = [item for item in items if item.error is None]
    level = dict.fromkeys((item.path for item in pictures), 0)
    while True:
        names = {item.path: _candidate(item, level[item.path]) for item in pictures}
        uses = Counter(str(name).casefold() for name in names.values())
        crowded = [path for path, name in names.items() if uses[str(name).casefold()] > 1]
        if not crowded:
            return {path: folder / name for path, name in names.items()}
        for number, path in enumerate(crowded):
            level[path] += 1 if level[path] < 2 else 1 + number


def _candidate(item: Item, level: int) -> PurePath:
    if level == 0:
        return item.relative.with_name(item.relative.stem + OVERLAY_SUFFIX)
    if level == 1:
        return item.relative.with_name(item.relative.name + OVERLAY_SUFFIX)
    parts = ["up" if part == ".." else part for part in PurePath(item.path).parts]
    whole = PurePath(*(part for part in parts if part != PurePath(item.path).anchor))
    number = "" if level == 2 else f".{level}"
    return whole.with_name(whole.name + number + OVERLAY_SUFFIX)


def _expand(argument: str) -> Iterator[Item]:
    path = Path(argument)
    if path.is_dir():
        yield from _walk(path)
    elif os.path.lexists(argument) or not glob.has_magic(argument):
        error = (
            None if os.path.lexists(argument) else FileError(f"{argument} does not exist", code="not_found")
        )
        yield Item(argument, PurePath(path.name or argument), error)
    else:
        matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 (keeps the spelling)
        if not matches:
            message = f"no file matches {argument}"
            yield Item(argument, PurePath("pattern"), FileError(message, code="no_match"))
        base = _fixed_part(path)
        for match in matches:
            for item in _walk(Path(match)) if Path(match).is_dir() else [Item(match, PurePath(match))]:
                yield Item(item.path, _below(PurePath(item.path), base), item.error)


def _walk(folder: Path) -> Iterator[Item]:
    """Yield the pictures below ``folder``; links to folders are not followed, so there is no circle."""
    count = 0
    failures: list[OSError] = []
    for root, folders, names in os.walk(folder, onerror=failures.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.startswith(".") or name.endswith(OVERLAY_SUFFIX):
                continue
            if name.lower().endswith(PICTURE_SUFFIXES):
                count += 1
                path = Path(root, name)
                yield Item(str(path), path.relative_to(folder))
    for failure in failures:
        place = str(failure.filename)
        message = f"{place} cannot be listed: {failure.strerror}"
        yield Item(place, PurePath("folder"), FileError(message, code="folder_unreadable"))
    if not count and not failures:
        kinds = " ".join(PICTURE_SUFFIXES)
        message = f"{folder} holds no picture ({kinds})"
        yield Item(str(folder), PurePath("folder"), FileError(message, code="no_pictures"))


def _fixed_part(pattern: Path) -> PurePath:
    """Return the leading folders of ``pattern`` that have no wildcard."""
    parts: list[str] = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        parts.append(part)
    return PurePath(*parts)


def _below(path: PurePath, base: PurePath) -> PurePath:
    return path.relative_to(base) if path.is_relative_to(base) else PurePath(path.name)
