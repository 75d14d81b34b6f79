"""What the student sees: views of pictures as they are, degraded by known amounts, or of no retina.

A sample is a function of a generator alone, so that training can be resumed and repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from training.camera import captured_crop
from training.data import BoolArray, ByteArray, CropSet, FloatArray
from training.degrade import (
    KINDS,
    REASONS,
    Degraded,
    combined_strength,
    degrade,
    random_degradation,
)
from training.degrade_shapes import random_support, round_support
from training.disordered import disordered
from training.eye_photographs import Eye
from training.loop import LoopSettings, Sample
from training.not_fundus import random_field, random_scene
from training.pseudo_labels import badness, cells_within, rim_cells, to_grid
from training.settings import settings
from training.views import View, chromaticities, normalised, rendered, rendered_view

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

REASON_CHANNELS = ("under_exposed", "over_exposed", "defocus", "haze", "occlusion")
# Of the output, in the contract's words.
LANDMARKS = ("macula", "optic_disc")
CHANNELS = ("anatomy_not_visible", *REASON_CHANNELS, "not_a_fundus", *LANDMARKS)
NOT_A_FUNDUS = CHANNELS.index("not_a_fundus")
LANDMARK_CHANNELS = slice(len(CHANNELS) - len(LANDMARKS), len(CHANNELS))


@settings
class SettleSettings:
    """A last phase, in which other shares and weights hold: more pictures as they are, and their scores."""

    clean_share: float
    degraded_share: float
    score_weight: float
    amendment_weight: float
    explain_weight: float
    dice_weight: float
    steady_weight: float
    loop: LoopSettings


@settings
class StudentSettings:
    """Shares of samples: ``degraded_share`` and ``not_fundus_share``; the rest are plain pictures.

    Of the degraded ones ``annotated_share`` are of the vessel sets, the others of the best ``clean_share`` of
    the pool; ``second_defect_share`` have two defects, and ``spot_share`` of the defects are spots of the
    macula's size, most on fovea or disc if known. ``doubt_weight`` and ``spot_weight`` count the cells
    of the macula, where the taught maps are doubtful, and those that a spot hides; ``fovea_weight`` those of
    the macula in pictures of the vessel sets, where what is hidden is known. The other weights are
    those of the loss's terms beside the map's cross-entropy. ``eye_photographs``: whether what is no retina
    includes those of training.eye_photographs, which are fetched. ``width`` is the sight's, ``judge_width``
    and ``judge_rounds`` are the judge's (training.student).

    ``start`` names a model of training/weights whose backbone and sight the student keeps, its map's logits
    divided by ``temperature``: the score, a mean of probabilities, then also hears what is slight. Without
    one ("") all is learned but ``frozen_blocks`` first blocks of the backbone, which keep their ImageNet
    weights: they run at strides 2 and 4, where the gradient of a depthwise convolution costs more than all
    the rest on a CPU.

    ``continues`` names a whole student in training/weights, made from the same start, with which the last
    phase begins; the first is then left out. With "" there is none. A phase of 0 iterations is left out too:
    a student that is continued without a last one stays as it is.
    """

    size_px: int
    grid: int
    width: int
    judge_width: int
    judge_rounds: int
    start: str
    continues: str
    temperature: float
    clean_share: float
    degraded_share: float
    annotated_share: float
    second_defect_share: float
    spot_share: float
    not_fundus_share: float
    eye_photographs: bool
    doubt_weight: float
    spot_weight: float
    fovea_weight: float
    map_weight: float
    score_weight: float
    amendment_weight: float
    reason_weight: float
    explain_weight: float
    dice_weight: float
    steady_weight: float
    not_fundus_weight: float
    frozen_blocks: int
    loop: LoopSettings
    settle: SettleSettings

    def settling(self) -> StudentSettings:
        """Return the settings of the last phase."""
        return self.but_for(self.settle)

    def but_for(self, others: DataclassInstance) -> StudentSettings:
        """Return these settings with those of the same names that ``others`` gives."""
        return replace(self, **{each.name: getattr(others, each.name) for each in fields(others)})


# Harder ones more often: dark blobs are taken for shadows, thin haze for defocus.
DRAWN_KINDS = (*KINDS, "under_exposed", "under_exposed", "haze", "occlusion", "occlusion")
SPOT_KINDS = ("under_exposed", "under_exposed", "haze", "haze", "haze", "defocus")
SPOT_SEVERITY = (0.5, 1.0)
# Of spots on pictures with known landmarks: on the fovea, and on the disc; the others lie anywhere.
FOVEA_SHARE, DISC_SHARE = 0.5, 0.25
SPOT_DIAMETER = (0.4, 1.7)  # on a landmark, in disc diameters
CLEAN_KEPT = 0.2  # of pictures to degrade that stay as they are: most photographs have no defect
CLEAN_QUANTILE = 0.1  # of a map's cells in pictures of which hardly anything is hidden
HIDDEN = 0.1  # of a cell: from here on what is taught there comes from the defect and not from the teacher


def filled_outside(maps: FloatArray, weights: FloatArray) -> FloatArray:
    """Return maps (N, g, g) whose cells outside the field and at its rim take the nearest inner cell's value.

    Outside a teacher says anything, and a resampled map would bring it in; at the rim it finds fewer vessels
    than it expects because they end there.
    """
    filled = maps.copy()
    for values, weight in zip(filled, weights, strict=True):
        outside = (weight <= 0.5) | rim_cells(weight)
        if not outside.all():
            nearest = ndimage.distance_transform_edt(outside, return_distances=False, return_indices=True)
            values[...] = values[tuple(nearest)]
    return filled


def clean_level(maps: FloatArray, weights: FloatArray) -> float:
    """Return what the better half of maps (N, g, g) says of its best cells inside the field."""
    measured = badness(maps, weights)
    best = measured <= np.median(measured)
    return float(np.quantile(maps[best][weights[best] > 0.5], CLEAN_QUANTILE))


@dataclass(frozen=True)
class Teaching:
    """Pictures to draw from: the pool with the map (N, g, g) taught of each, and the vessel sets.

    ``clean_level`` is what the taught maps call cells in which nothing is hidden; the annotated pictures are
    taught the same of theirs. ``pool_landmarks`` (N, 5) and ``annotated_landmarks`` (M, 5): x, y of fovea and
    disc, and its diameter, in pixels of the crop, NaN where they are not known.
    """

    pool: CropSet
    maps: FloatArray
    badness: FloatArray  # (N,) mean of the map over the field
    clean_level: float
    annotated: CropSet
    pool_landmarks: FloatArray
    annotated_landmarks: FloatArray
    eyes: tuple[Eye, ...] = ()  # from outside, in photographs


@dataclass(frozen=True)
class _Places:
    """Where fovea and disc are (x, y), and the disc's diameter, in pixels of a view."""

    fovea: tuple[float, float]
    disc: tuple[float, float]
    diameter: float


@dataclass(frozen=True)
class _Shown:
    """A view of a picture (S, S), and where its landmarks are, if known."""

    view: View
    rgb: ByteArray
    visible: BoolArray
    places: _Places | None


class StudentSamples:
    """Draws samples of the kinds of pictures.

    A sample is image (3, S, S), target (1, g, g) in 0..1, weight (1, g, g), trust (1, g, g), which counts the
    cells of the map, reasons (5, g, g) in 0..1, whether these are known (1,), whether it is no fundus
    (1,), the LANDMARKS (2, g, g), 1 within one disc diameter of fovea and disc, hidden or not, and whether
    that is known (1,); where the rest of a map is to keep steady also undamaged (3, S, S), the image without
    its defects.
    """

    def __init__(
        self,
        teaching: Teaching,
        settings: StudentSettings,
        *,
        disordered_share: float = 0.0,
        squeezed_share: float = 0.0,
    ) -> None:
        """Take samples' kinds from ``settings``.

        ``disordered_share``: of what is no retina, made of retinas in disorder (training.disordered);
        ``squeezed_share``: of the retinas, out of proportion (training.views).
        """
        self._from = teaching
        self._disordered_share, self._squeezed_share = disordered_share, squeezed_share
        self._settings = settings
        order = np.argsort(teaching.badness)
        self._clean = order[: max(1, int(settings.clean_share * len(order)))]
        self._chance = _chances(teaching.pool.datasets)
        self._colours = [chromaticities(each) for each in (teaching.pool, teaching.annotated)]

    def __call__(self, rng: np.random.Generator, progress: float) -> Sample:
        """Return one sample."""
        kind, settings = rng.random(), self._settings
        if kind < settings.not_fundus_share:
            return self._not_fundus(rng)
        if kind >= settings.not_fundus_share + settings.degraded_share:
            return self._picture(rng)
        return self._degraded(rng)

    def _shown(self, crops: CropSet, places: FloatArray, index: int, rng: np.random.Generator) -> _Shown:
        size_px = self._settings.size_px
        view, rgb, visible = rendered_view(
            crops, index, size_px, rng, self._some_colours(rng), squeezed_share=self._squeezed_share
        )
        *centres, diameter = map(float, places[index])
        if not np.isfinite(diameter):
            return _Shown(view, rgb, visible, None)
        scale = size_px / view.side
        fovea, disc = (
            (x * scale, y * scale) for x, y in (view.point(*centres[:2]), view.point(*centres[2:]))
        )
        diameter *= scale * view.squeeze**0.5  # of a circle of the same area
        return _Shown(view, rgb, visible, _Places(fovea, disc, diameter))

    def _taught(self, index: int, shown: _Shown) -> tuple[FloatArray, FloatArray]:
        """Return the map (g, g) taught of a view of a picture of the pool, and the trust in it (g, g)."""
        side = self._from.pool.rgb[index].shape[0]
        enlarged = cv2.resize(self._from.maps[index], (side, side), interpolation=cv2.INTER_LINEAR)
        target = to_grid(shown.view.of(enlarged), self._settings.grid)
        return target, self._trust(shown, self._settings.doubt_weight)

    def _trust(self, shown: _Shown, macula: float) -> FloatArray:
        """Return how much the cells (g, g) of a view count, those of the macula ``macula`` times."""
        grid = self._settings.grid
        trust = to_grid(shown.visible, grid)
        if shown.places is not None:
            trust[self._within(shown.places.fovea, shown.places)] *= macula
        return trust

    def _within(self, centre: tuple[float, float], places: _Places) -> BoolArray:
        """Return which cells (g, g) lie within one disc diameter of ``centre``."""
        grid = self._settings.grid
        return cells_within(centre, places.diameter, self._settings.size_px, (grid, grid))

    def _picture(self, rng: np.random.Generator) -> Sample:
        index = int(rng.choice(len(self._from.pool), p=self._chance))
        shown = self._shown(self._from.pool, self._from.pool_landmarks, index, rng)
        return self._sample(shown.rgb, shown.visible, *self._taught(index, shown), rng, places=shown.places)

    def _clear_picture(self, rng: np.random.Generator) -> tuple[bool, int]:
        """Return whether a clear picture is an annotated one, not one of the pool, and its index there."""
        if rng.random() < self._settings.annotated_share:
            return True, int(rng.integers(len(self._from.annotated)))
        return False, int(rng.choice(self._clean))

    def _degraded(self, rng: np.random.Generator) -> Sample:
        settings = self._settings
        grid = settings.grid
        annotated, index = self._clear_picture(rng)
        if annotated:
            shown = self._shown(self._from.annotated, self._from.annotated_landmarks, index, rng)
            target = np.full((grid, grid), self._from.clean_level, np.float32)
            trust = self._trust(shown, settings.fovea_weight)
        else:
            shown = self._shown(self._from.pool, self._from.pool_landmarks, index, rng)
            target, trust = self._taught(index, shown)
        rgb, weight = shown.rgb, to_grid(shown.visible, grid)
        reasons = np.zeros((len(REASON_CHANNELS), grid, grid), np.float32)
        defects = 0 if rng.random() < CLEAN_KEPT else 2 if rng.random() < settings.second_defect_share else 1
        for _ in range(defects):
            spot = rng.random() < settings.spot_share
            damaged = self._spot(rgb, shown, rng) if spot else _defect(rgb, shown.visible, rng)
            lost = np.clip(to_grid(damaged.hidden, grid) / np.maximum(weight, 1e-6), 0, 1)
            cause = reasons[REASON_CHANNELS.index(REASONS[damaged.kind])]
            cause[:] = combined_strength(cause, lost)
            rgb, target = damaged.rgb, combined_strength(target, lost)
            known = weight * (settings.spot_weight if spot else 1.0)
            trust = np.where(lost > HIDDEN, np.maximum(trust, known), trust)
        return self._sample(
            rgb, shown.visible, target, trust, rng, reasons=reasons, undamaged=shown.rgb, places=shown.places
        )

    def _spot(self, rgb: ByteArray, shown: _Shown, rng: np.random.Generator) -> Degraded:
        kind = SPOT_KINDS[int(rng.integers(len(SPOT_KINDS)))]
        places, draw = shown.places, rng.random()
        if places is not None and draw < FOVEA_SHARE + DISC_SHARE:
            centre = places.fovea if draw < FOVEA_SHARE else places.disc
            radius = places.diameter * rng.uniform(*SPOT_DIAMETER) / 2
            support = round_support(rgb.shape[0], centre, radius)
        else:
            support, _ = random_support(shown.visible, rng, shapes=("spot",))
        severity = rng.uniform(*SPOT_SEVERITY)
        return degrade(rgb, shown.visible, kind, severity, rng, local=True, support=support)

    def _disordered(self, rng: np.random.Generator) -> tuple[ByteArray, BoolArray]:
        annotated, index = self._clear_picture(rng)
        crops = self._from.annotated if annotated else self._from.pool
        visible = random_field(self._settings.size_px, rng)
        seen = np.asarray(crops.visible[index]) > 0
        rgb = disordered(crops.rgb[index], seen, self._settings.size_px, rng)
        return rendered(rgb, visible, rng, self._some_colours(rng)), visible

    def _some_colours(self, rng: np.random.Generator) -> FloatArray:
        """Return the chromaticities (n, 3) of the pool or of the annotated pictures, each as often."""
        return self._colours[int(rng.integers(len(self._colours)))]

    def _not_fundus(self, rng: np.random.Generator) -> Sample:
        """Return a scene. A model to start from keeps its map of it: what it sees there, it was taught."""
        if rng.random() < self._disordered_share:
            rgb, visible = self._disordered(rng)
        else:
            rgb, visible = random_scene(self._settings.size_px, rng, self._from.eyes)
        grid = self._settings.grid
        nothing = np.ones((grid, grid), np.float32)
        trust = to_grid(visible, grid) * (0.0 if self._settings.start else 1.0)
        return self._sample(rgb, visible, nothing, trust, rng, not_fundus=True)

    def _sample(
        self,
        rgb: ByteArray,
        visible: BoolArray,
        target: FloatArray,
        trust: FloatArray,
        rng: np.random.Generator,
        *,
        reasons: FloatArray | None = None,
        undamaged: ByteArray | None = None,
        not_fundus: bool = False,
        places: _Places | None = None,
    ) -> Sample:
        grid = self._settings.grid
        unknown = np.zeros((len(REASON_CHANNELS), grid, grid), np.float32)
        camera = int(rng.integers(2**31))
        image = _by_camera(rgb, visible, camera)
        compared = {}
        if self._settings.steady_weight:
            compared["undamaged"] = image if undamaged is None else _by_camera(undamaged, visible, camera)
        return {
            "image": image,
            **compared,
            "target": torch.from_numpy(np.ascontiguousarray(target, np.float32))[None],
            "weight": torch.from_numpy(to_grid(visible, grid))[None],
            "trust": torch.from_numpy(np.ascontiguousarray(trust, np.float32))[None],
            "reasons": torch.from_numpy(unknown if reasons is None else reasons),
            "reasons_known": torch.tensor([float(reasons is not None)]),
            "not_fundus": torch.tensor([float(not_fundus)]),
            "landmarks": torch.from_numpy(self._near(places)),
            "landmarks_known": torch.tensor([float(places is not None)]),
        }

    def _near(self, places: _Places | None) -> FloatArray:
        """Return 1 in the cells (2, g, g) within one disc diameter of fovea and disc, else 0."""
        grid = self._settings.grid
        near = np.zeros((len(LANDMARKS), grid, grid), np.float32)
        if places is not None:
            for cells, centre in zip(near, (places.fovea, places.disc), strict=True):
                cells[self._within(centre, places)] = 1
        return near


def mixed_samples(
    teaching: Teaching,
    settings: StudentSettings,
    *,
    not_fundus_share: float,
    degraded_share: float,
    disordered_share: float = 0.0,
    squeezed_share: float = 0.0,
) -> StudentSamples:
    """Return samples by ``settings``, but of other shares."""
    mix = replace(settings, not_fundus_share=not_fundus_share, degraded_share=degraded_share)
    return StudentSamples(teaching, mix, disordered_share=disordered_share, squeezed_share=squeezed_share)


def _chances(datasets: Sequence[str]) -> NDArray[np.float64]:
    """Return the chance of each picture: a set of n pictures is drawn from in proportion to sqrt(n)."""
    _, of, counts = np.unique(np.asarray(datasets), return_inverse=True, return_counts=True)
    return 1 / np.sqrt(counts[of]) / np.sqrt(counts).sum()


def _by_camera(rgb: ByteArray, visible: BoolArray, camera: int) -> torch.Tensor:
    """Return the normalised image (3, S, S) that ``camera``, a seed, makes of the light ``rgb`` (S, S, 3)."""
    return normalised(captured_crop(rgb, visible, np.random.default_rng(camera)))


def _defect(rgb: ByteArray, visible: BoolArray, rng: np.random.Generator) -> Degraded:
    return random_degradation(rgb, visible, rng, kinds=DRAWN_KINDS)
