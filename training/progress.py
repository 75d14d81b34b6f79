"""Progress on a terminal, and nothing but plain lines in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def track(items: Iterable[Item], label: str, *, start: int = 0, total: int | None = None) -> Iterator[Item]:
    """Yield ``items`` behind a progress bar; a log file gets one line at the end instead."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    quiet = not sys.stderr.isatty()
    yield from tqdm(items, desc=label, initial=start, total=total, disable=quiet, file=sys.stderr)
    if quiet:
        print(f"{label}: {total if total is not None else 'all'} done", flush=True)
