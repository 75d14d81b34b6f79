"""The parity figures: how far a network's logits are from the original's, and whether that is near enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from efiqa import _core

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class ParityFigures:
    """What was measured over ``pictures`` pictures; the figures are NaN where a logit was not finite."""

    pictures: int
    cosine: float
    patch_cosine_p1: float
    relative_frobenius: float
    max_abs_error: float

    def failures(self) -> list[str]:
        """Return which limits of csrc/contract.h are broken, one sentence each; none: the network passed."""
        if not np.isfinite(self.cosine):
            return ["the network answered with NaN or infinity, expected finite logits"]
        broken = []
        for name, value, limit in (
            ("cosine", self.cosine, _core.MIN_PARITY_COSINE),
            ("patch_cosine_p1", self.patch_cosine_p1, _core.MIN_PARITY_PATCH_COSINE_P1),
        ):
            if not value >= limit:
                broken.append(f"{name} is {value:.6f}, expected at least {limit}")
        if not self.relative_frobenius <= _core.MAX_PARITY_RELATIVE_FROBENIUS:
            limit = _core.MAX_PARITY_RELATIVE_FROBENIUS
            broken.append(f"relative_frobenius is {self.relative_frobenius:.6f}, expected at most {limit}")
        return broken

    def to_contract(self, *, reference: str, runner: str) -> dict[str, Any]:
        """Return the contract's field ``parity`` for figures that passed: the original, and what ran it."""
        return {
            "status": "passed",
            "reference": reference,
            "runner": runner,
            "pictures": self.pictures,
            "cosine": self.cosine,
            "patch_cosine_p1": self.patch_cosine_p1,
            "relative_frobenius": self.relative_frobenius,
            "max_abs_error": self.max_abs_error,
        }


def compare(reference: FloatArray, actual: FloatArray) -> ParityFigures:
    """Return the figures of ``actual`` against ``reference``, both logits (N, C, h, w) of the same pictures.

    A cell's vector is its logits over the N pictures: the 1st percentile of the cells' cosines finds a few
    patches that are wrong, which the cosine over everything would hide. Each figure is that of the channel
    where it is worst: one with large logits must not hide another's error.

    Raises:
        ValueError: the shapes differ, or the reference is not finite or holds no picture.
    """
    if reference.shape != actual.shape or reference.ndim != 4 or reference.size == 0:
        raise ValueError(
            f"logits have the shapes {reference.shape} and {actual.shape}, expected one (N, C, h, w)"
        )
    if not np.isfinite(reference).all():
        raise ValueError("the reference's logits are not finite")
    if not np.isfinite(actual).all():
        return ParityFigures(len(reference), *(float("nan"),) * 4)
    return worst_of([_compare_channel(reference[:, c], actual[:, c]) for c in range(reference.shape[1])])


def worst_of(figures: Sequence[ParityFigures]) -> ParityFigures:
    """Return each figure's worst value over several comparisons of the same pictures."""
    return ParityFigures(
        pictures=figures[0].pictures,
        cosine=min(each.cosine for each in figures),
        patch_cosine_p1=min(each.patch_cosine_p1 for each in figures),
        relative_frobenius=max(each.relative_frobenius for each in figures),
        max_abs_error=max(each.max_abs_error for each in figures),
    )


def _compare_channel(reference: FloatArray, actual: FloatArray) -> ParityFigures:
    """Return the figures of one channel's finite logits (N, h, w)."""
    pictures = len(reference)
    wanted = reference.reshape(pictures, -1).astype(np.float64)  # (N, cells)
    found = actual.reshape(pictures, -1).astype(np.float64)
    difference = found - wanted
    scale = float(np.linalg.norm(wanted))
    error = float(np.linalg.norm(difference))
    return ParityFigures(
        pictures=pictures,
        cosine=float(_cosine(wanted.reshape(-1, 1), found.reshape(-1, 1))[0]),
        patch_cosine_p1=float(np.percentile(_cosine(wanted, found), 1)),
        relative_frobenius=error / scale if scale > 0 else float(error > 0),
        max_abs_error=float(np.abs(difference).max()),
    )


def _cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cosine of each column of ``a`` and ``b``; two zero columns agree, one alone does not."""
    product = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
    same = (np.abs(a).sum(axis=0) == 0) & (np.abs(b).sum(axis=0) == 0)
    cosine: NDArray[np.float64] = np.divide(
        (a * b).sum(axis=0), product, out=same.astype(np.float64), where=product > 0
    )
    return cosine.clip(-1, 1)  # rounding may leave 1 by an ulp
