"""Pieces of the documents' tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Results = dict[str, Any]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are right-aligned."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share 0..1 in percent, or a dash."""
    return "-" if value is None else f"{100 * value:.{digits}f}"


def origin(results: Results) -> str:
    """Return the line below a table: model, commit, machine."""
    about = results["machine"]
    model = results.get("model")
    parts = [f"model `{model['id']}` ({model['sha256'][:12]})"] if model else []
    parts += [f"commit `{about['commit']}`", f"{about['processor']}, {about['cores']} cores"]
    return f"\n<sub>{', '.join(parts)}; `{results['command']}`</sub>\n"
