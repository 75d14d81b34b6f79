"""The one way in which settings are declared: frozen, typed, and without unknown keys."""

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from typing_extensions import dataclass_transform


@dataclass_transform(frozen_default=True)
def settings(kind: type) -> type:
    """Return ``kind`` as a frozen dataclass whose values are checked against its annotations."""
    return dataclass(frozen=True, config=ConfigDict(extra="forbid"))(kind)
