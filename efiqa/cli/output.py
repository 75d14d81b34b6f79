"""What the commands print: JSON lines for programs, a table and a progress bar for people."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from efiqa._files import AtomicFile
from efiqa.errors import EfiqaError

if TYPE_CHECKING:
    from rich.console import Console

    from efiqa.report import QualityReport

LINE_FIELDS = (
    "score", "verdict", "reason", "main_reason", "remedy", "remedy_clock_hour", "remedy_text", "reasons",
    "not_a_fundus", "fov", "regions", "timings_ms", "model",
)  # fmt: skip
VERDICT_STYLES = {
    "good": "green",
    "usable": "yellow",
    "reject": "red",
    "unknown": "magenta",
    "error": "bold red",
}
_PIPE_COLUMNS = 1000  # in a pipe nothing is wrapped or cut
_T = TypeVar("_T")


def report_line(path: str, report: QualityReport) -> dict[str, Any]:
    """Return the JSON object of one assessed picture."""
    values = report.to_dict()
    return {"path": path, **{name: values[name] for name in LINE_FIELDS}}


def error_line(path: str, error: EfiqaError) -> dict[str, Any]:
    """Return the JSON object of one picture that could not be assessed."""
    return {"path": path, "error": {"code": error.code, "message": str(error)}}


class JsonLines:
    """One JSON object a line, to standard output (``-``) or to a file that appears whole when it is done."""

    def __init__(self, target: str) -> None:
        self._file = None if target == "-" else AtomicFile(target)

    def write(self, values: Mapping[str, Any]) -> None:
        """Write one line at once, in ASCII, so that any file name survives any terminal."""
        line = json.dumps(values, allow_nan=False) + "\n"
        if self._file is None:
            sys.stdout.write(line)
            sys.stdout.flush()
        else:
            self._file.write(line.encode())

    def commit(self) -> None:
        """Give the file its name, with the lines so far."""
        if self._file is not None:
            self._file.commit()

    def discard(self) -> None:
        """Remove what was not committed."""
        if self._file is not None:
            self._file.discard()


def console() -> Console:
    """Return the console on standard output: as wide as the terminal, unlimited in a pipe."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _PIPE_COLUMNS
    return Console(file=sys.stdout, width=width, highlight=False, emoji=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; a cell that is a verdict gets its colour, all text is printed as it is."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column in ("score", "ms") else "left")
    for row in rows:
        table.add_row(*(Text(_printable(cell), style=VERDICT_STYLES.get(cell, "")) for cell in row))
    console().print(table)


def _printable(text: str) -> str:
    """Return ``text`` without control characters and without the lone surrogates of undecodable names."""
    safe = text.encode("utf-8", "backslashreplace").decode()
    return "".join(mark if mark.isprintable() else "?" for mark in safe)


@contextlib.contextmanager
def progress(items: Sequence[_T], *, what: str, streaming: bool) -> Iterator[Iterable[_T]]:
    """Yield ``items`` to loop over, with a bar on standard error when that is a terminal.

    ``streaming``: lines go to standard output meanwhile; when that is a terminal too, they are the progress.
    """
    if not sys.stderr.isatty() or len(items) < 2 or (streaming and sys.stdout.isatty()):
        yield items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    layout = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # rich would otherwise catch what is printed to stdout meanwhile and show it on stderr.
    bar = Progress(
        *layout,
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with bar:
        yield bar.track(items)
