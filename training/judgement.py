"""Which pictures the figures of refusals, causes and anatomy are made on, for final and development runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from efiqa import Runtime
from training.anatomy_figures import anatomy_figures
from training.data import Picture, drimdb_good, vessel_pictures
from training.reason_figures import reason_figures
from training.refusals import foreign_refusals, green_light, photograph_refusals

UNSEEN_CAMERAS = ("STARE", "DRIMDB")
CAUSE_STEP = 4  # every fourth picture of a seen camera gets all defects: 17 degraded frames a picture
DRIMDB_STEP = 3
DISEASED_MACULA = "FIVES_sample"
SEED_OFFSET = 1  # from the local defects' seed


@dataclass(frozen=True)
class JudgedPictures:
    """The photographs of one run; ``real``: groups of retinas of any quality, which may not be refused."""

    real: tuple[tuple[str, list[Picture]], ...]
    causes: list[Picture]  # clean ones that defects are put on
    clean: list[Picture]  # for macula and rim
    diseased: list[Picture]  # further pictures, whose score alone is looked at


def thinned(pictures: list[Picture], limit: int) -> list[Picture]:
    """Return about ``limit`` of the pictures, evenly spread; all of them for 0."""
    return pictures[:: max(1, len(pictures) // limit)] if limit else pictures


def pool_pictures(pictures: Sequence[Picture]) -> list[Picture]:
    """Return the unlabelled pictures of mixed quality."""
    return [p for p in pictures if p.split == "pool" and p.role == "unlabelled"]


def final_pictures(pictures: Sequence[Picture]) -> JudgedPictures:
    """Return test split and DRIMDB's good pictures; of the training split refusals and disease alone."""
    train, test = vessel_pictures(pictures, "train"), vessel_pictures(pictures, "test")
    good = drimdb_good(pictures)
    seen = [p for p in test if p.dataset not in UNSEEN_CAMERAS]
    unseen = [p for p in test if p.dataset in UNSEEN_CAMERAS]
    return JudgedPictures(
        real=(("pool", pool_pictures(pictures)), ("vessel sets, train", train), ("vessel sets, test", test)),
        causes=[*seen[::CAUSE_STEP], *unseen, *good[::DRIMDB_STEP]],
        clean=[*test, *good],
        diseased=[p for p in train if p.dataset in ("HRF", DISEASED_MACULA)],
    )


def development_pictures(pictures: Sequence[Picture], limit: int) -> JudgedPictures:
    """Return the pool and the vessel sets' training split, about ``limit`` of each unless 0."""
    train = thinned(vessel_pictures(pictures, "train"), limit)
    pool = thinned(pool_pictures(pictures), limit)
    return JudgedPictures(
        real=(("pool", pool), ("vessel sets, train", train)),
        causes=train if limit else train[::CAUSE_STEP],
        clean=[p for p in train if p.dataset != DISEASED_MACULA],
        diseased=[p for p in train if p.dataset == DISEASED_MACULA],
    )


def judgement_figures(runtime: Runtime, pictures: JudgedPictures, *, seed: int) -> dict[str, Any]:
    """Return refusals, causes and anatomy, ready for JSON."""
    return {
        "refusals": {
            "photographs": photograph_refusals(runtime, pictures.real),
            "green_light": photograph_refusals(runtime, pictures.real, green_light),
            "foreign": foreign_refusals(runtime),
        },
        "reasons": reason_figures(runtime, pictures.causes, seed=seed + SEED_OFFSET),
        "anatomy": anatomy_figures(runtime, pictures.clean, pictures.diseased, seed=seed + SEED_OFFSET),
    }
