"""Which cause was named for which: counts, precision, recall and F1."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

NONE = "none"  # nothing was wrong, or nothing was named


@dataclass
class Confusion:
    """Counts of (truth, named); a cause that was not named is a miss of its own row."""

    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, truth: str, named: str) -> None:
        """Count one unit; an empty name is NONE."""
        self.counts[truth or NONE][named or NONE] += 1

    def figures(self) -> dict[str, Any]:
        """Return the matrix and the figures of every cause that there is a truth for, ready for JSON.

        ``macro_f1`` is the mean over causes, NONE not among them; a cause that was named where NONE is the
        truth costs precision. None where nothing was counted.
        """
        causes = {cause: self._figures_of(cause) for cause in sorted(self.counts) if cause != NONE}
        total = sum(sum(row.values()) for row in self.counts.values())
        right = sum(row[truth] for truth, row in self.counts.items())
        return {
            "n": total,
            "counts": {truth: dict(sorted(row.items())) for truth, row in sorted(self.counts.items())},
            "causes": causes,
            "macro_f1": sum(each["f1"] for each in causes.values()) / len(causes) if causes else None,
            "accuracy": right / total if total else None,
        }

    def _figures_of(self, cause: str) -> dict[str, Any]:
        hits = self.counts[cause][cause]
        truly = sum(self.counts[cause].values())
        named = sum(row[cause] for row in self.counts.values())
        precision, recall = hits / named if named else 0.0, hits / truly
        total = precision + recall
        f1 = 2 * precision * recall / total if total else 0.0
        return {"n": truly, "precision": precision, "recall": recall, "f1": f1}
