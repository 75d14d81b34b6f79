"""The one way in which settings are declared: frozen, typed, and without unknown keys."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from typing_extensions import dataclass_transform

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_LATER = "later"


@dataclass_transform(frozen_default=True)
def settings(kind: type) -> type:
    """Return ``kind`` as a frozen dataclass whose values are checked against its annotations."""
    return dataclass(frozen=True, config=ConfigDict(extra="forbid"))(kind)


def later(default: Any) -> Any:  # noqa: ANN401 (a field of any type)
    """Return an optional field that older recipes lack: at ``default`` it is no part of ``values_of``.

    So a stage that was run before the field existed is still known to have been run with these settings.
    """
    return dataclasses.field(default=default, metadata={_LATER: True})


def values_of(part: DataclassInstance) -> dict[str, Any]:
    """Return the values by which these settings are told from others, ready for JSON."""
    out = {}
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if field.metadata.get(_LATER) and value == field.default:
            continue
        out[field.name] = values_of(value) if dataclasses.is_dataclass(value) else value
    return out
