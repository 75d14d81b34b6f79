"""Plans that were built before, by everything that a plan depends on.

``$EFIQA_CACHE_DIR``, or ``efiqa`` in ``$XDG_CACHE_HOME``, or ``~/.cache/efiqa``: ``plans/KEY.plan`` with
``plans/KEY.facts.json``. Without a contract beside it, no runtime opens what lies here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from efiqa._files import AtomicFile, unwritable
from efiqa.build.builder import BuiltPlan, NetworkFacts, Tensor

_LAYOUT = 1  # of the facts file; another number makes other keys
_CHUNK_BYTES = 1 << 22
_STALE_SECONDS = 24 * 3600  # a temporary file of that age belongs to a build that was killed


def default_folder() -> Path:
    """Return the folder of this user's cache."""
    if named := os.environ.get("EFIQA_CACHE_DIR"):
        return Path(named)
    if named := os.environ.get("XDG_CACHE_HOME"):
        return Path(named) / "efiqa"
    return Path.home() / ".cache" / "efiqa"


def cache_key(facts: dict[str, Any]) -> str:
    """Return the key of a plan that depends on ``facts`` and on nothing else."""
    return hashlib.sha256(json.dumps([_LAYOUT, facts], sort_keys=True).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file that may not fit into memory."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


class PlanCache:
    """The plans in one folder, which need not exist yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "plans"

    def find(self, key: str) -> BuiltPlan | None:
        """Return the plan of ``key``; None when there is none, or when it is not whole."""
        plan, facts = self._paths(key)
        try:
            values = json.loads(facts.read_text(encoding="utf-8"))
            if file_sha256(plan) != values["sha256"]:
                return None
            network = values["network"]
            parsed = NetworkFacts(
                layers=network["layers"],
                inputs=_tensors(network["inputs"]),
                outputs=_tensors(network["outputs"]),
            )
            return BuiltPlan(plan, parsed, float(values["seconds"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def store(self, key: str, plan: Path, sha256: str, built: BuiltPlan) -> None:
        """Keep a copy of the file ``plan``, which ``built`` was written to.

        Raises:
            FileError: the folder cannot be made or written.
        """
        target, facts = self._paths(key)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self._folder, error) from None
        self._remove_stale()
        with AtomicFile(target) as copy, plan.open("rb") as source:
            while chunk := source.read(_CHUNK_BYTES):
                copy.write(chunk)
        values = {
            "sha256": sha256,
            "network": asdict(built.network),
            "seconds": round(built.seconds, 3),
        }
        with AtomicFile(facts) as stream:
            stream.write(json.dumps(values).encode())

    def _paths(self, key: str) -> tuple[Path, Path]:
        return self._folder / f"{key}.plan", self._folder / f"{key}.facts.json"

    def _remove_stale(self) -> None:
        for path in self._folder.glob(".*.tmp"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < time.time() - _STALE_SECONDS:
                    path.unlink()


def _tensors(values: list[dict[str, Any]]) -> tuple[Tensor, ...]:
    return tuple(Tensor(value["name"], value["dtype"], tuple(value["shape"])) for value in values)
