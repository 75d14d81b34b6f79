"""From labelled pictures to a new contract: assess, fit, write. The model's bytes are never touched."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from efiqa._files import make_folder
from efiqa._metrics import FOLDS, SEED, DoubleArray
from efiqa.calibration import site_model
from efiqa.calibration.criterion import VERDICTS, Criterion, fit_criterion
from efiqa.calibration.diagram import draw_reliability
from efiqa.calibration.labels import LabelledPicture, Labels, read_labels
from efiqa.calibration.zones import EQUAL, Zones
from efiqa.contract import MARGINS
from efiqa.errors import EfiqaError, LabelError, OptionError
from efiqa.overlay import write_picture

if TYPE_CHECKING:
    from efiqa.report import QualityReport
    from efiqa.runtime import Runtime

UNKNOWN, NOT_ASSESSED = "unknown", "not assessed"
Track = Callable[[Sequence[LabelledPicture]], Iterable[LabelledPicture]]


@dataclass(frozen=True)
class Options:
    """How limits are fitted, and what they are called.

    Attributes:
        name: of the new operating point, which becomes the default.
        contract_id: of the new contract; None for ID-NAME of the old one.
        folds: of patients, from 2.
        min_sensitivity: share of bad pictures that are refused at least, above 0 to 1; None for the best
            balanced accuracy.
        zone_weights: whether to fit how much centre, middle and periphery of the field count in the score;
            otherwise they count as at the model's default operating point.
        macula_margin: from 0 to 1, how far the score may lie above what can be seen of the macula, 1 for any;
            None for as at the model's default operating point.
        optic_disc_margin: likewise of the optic disc, and one that is not shown counts as hidden.
        seed: of folds and intervals.
    """

    name: str = "site"
    contract_id: str | None = None
    folds: int = FOLDS
    min_sensitivity: float | None = None
    zone_weights: bool = False
    macula_margin: float | None = None
    optic_disc_margin: float | None = None
    seed: int = SEED

    def __post_init__(self) -> None:
        if isinstance(self.folds, bool) or not isinstance(self.folds, int) or self.folds < 2:
            raise OptionError(f"folds is {self.folds!r}, expected an integer from 2")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise OptionError(f"seed is {self.seed!r}, expected an integer from 0")
        if self.min_sensitivity is not None and not 0 < self.min_sensitivity <= 1:
            raise OptionError(
                f"min_sensitivity is {self.min_sensitivity!r}, expected a number above 0, up to 1; or None"
            )
        for name, margin in self.margins().items():
            if not 0 <= margin <= 1:
                raise OptionError(f"{name} is {margin!r}, expected a number from 0 to 1; or None")

    def margins(self) -> dict[str, Any]:
        """Return the landmarks' margins that are given, by their names in an operating point."""
        return {name: getattr(self, name) for name in MARGINS if getattr(self, name) is not None}


@dataclass(frozen=True)
class NotAssessed:
    """A labelled picture without a score, and why: an error's code, or the reason of the verdict unknown."""

    row: int
    path: str
    label: str
    verdict: str
    reason: str


@dataclass(frozen=True)
class Calibration:
    """What was fitted to which labels, and where the model with its new contract is.

    ``table`` counts, for each label, the verdicts out of fold, ``unknown`` and ``not assessed``.
    """

    model_path: Path
    contract_id: str
    operating_point: str
    labels: Labels
    options: Options
    criterion: Criterion
    table: dict[str, dict[str, int]]
    without_score: tuple[NotAssessed, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as JSON has them; what ``calibration.json`` holds."""
        return {
            "contract_id": self.contract_id,
            "operating_point": self.operating_point,
            "limits": self.criterion.point.to_dict(),
            "objective": objective_text(self.options),
            "folds": self.options.folds,
            "seed": self.options.seed,
            "labels": {
                "sha256": self.labels.sha256,
                "classes_worst_to_best": list(self.labels.classes),
                "pictures": self.labels.counts(),
                "patients_known": self.labels.patients_known,
            },
            "verdicts_out_of_fold": self.table,
            "cuts": [asdict(cut) for cut in self.criterion.cuts],
            "without_score": [asdict(each) for each in self.without_score],
        }


def objective_text(options: Options) -> str:
    """Return in words what limits were chosen for."""
    limits = "best balanced accuracy"
    if options.min_sensitivity is not None:
        limits = f"fewest refusals with a sensitivity of at least {options.min_sensitivity:g}"
    return f"{limits}, weights of zones for the best AUROC" if options.zone_weights else limits


def calibrate(
    labels: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    data: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] | None = None,
    order: Sequence[str] | None = None,
    positive: Sequence[str] | None = None,
    options: Options | None = None,
    plot: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    track: Track | None = None,
) -> Calibration:
    """Return the criterion that ``labels`` ask for, written as a new contract into the folder ``out``.

    ``out`` gets the model under its own name, the same bytes, its contract with the new operating point as
    the default, the golden file if there is one, and ``calibration.json``. A signature is not taken along: it
    is of the old contract.

    Args:
        labels: a CSV with the columns path, label and, if known, patient; see ``read_labels``.
        out: a folder, made if need be; by default one with the new contract's id, here.
        data: the folder that the paths are relative to; by default that of ``labels``.
        model: as for ``Runtime``.
        order: all labels from worst to best.
        positive: the labels of bad pictures, all others being good; instead of ``order``.
        options: None for ``Options()``.
        plot: a picture file for the reliability diagram.
        threads: as for ``Runtime``.
        track: yields the pictures that it is given, to show how far it is.

    Raises:
        LabelError, FileError: the labels or the pictures that they name, see ``read_labels`` and
            ``fit_criterion``.
        OptionError: a name that is taken or that no contract allows.
        FileError: ``file_exists``: ``out`` has such a model already. Nothing is ever replaced there.
        ModelError, ContractError, BackendError: as from ``Runtime``.
    """
    from efiqa.runtime import Runtime

    options = options or Options()
    if plot is not None:
        site_model.check_plot(plot)
    read = read_labels(labels, data=data, order=order, positive=positive)
    with Runtime(model, threads=threads) as runtime:
        _check_margins(options, runtime.info.contract.channels)
        plan = site_model.plan(runtime, options.name, options.contract_id, out)
        reports: dict[LabelledPicture, QualityReport] = {}
        without: list[NotAssessed] = []
        for picture in track(read.pictures) if track is not None else read.pictures:
            found = _assessed(runtime, picture)
            if isinstance(found, NotAssessed):
                without.append(found)
            else:
                reports[picture] = found
        point = runtime.info.contract.operating_points[runtime.info.operating_point]
    point = replace(point, **options.margins())
    scored = list(reports)
    _check_scored(read, scored, without)
    scores: DoubleArray | Zones
    if options.zone_weights:
        scores = Zones.of(list(reports.values()), point)
    elif options.margins():
        scores = Zones.of(list(reports.values()), point).scores(point.zone_weights or EQUAL)
    else:
        scores = np.array([report.score for report in reports.values()])
    criterion = fit_criterion(
        np.array([each.level for each in scored]),
        scores,
        [each.patient for each in scored],
        read.classes,
        folds=options.folds,
        seed=options.seed,
        min_sensitivity=options.min_sensitivity,
        present=point,
    )
    result = Calibration(
        plan.model_path,
        plan.contract_id,
        options.name,
        read,
        options,
        criterion,
        _table(read, scored, criterion.verdicts, without),
        tuple(without),
    )
    make_folder(plan.model_path.parent)
    if plot is not None:
        write_picture(plot, draw_reliability(criterion.cuts))
    site_model.write(plan, criterion.point, result.to_dict(), _note(result))
    return result


def _check_margins(options: Options, channels: Sequence[str]) -> None:
    for name in options.margins():
        landmark = name.removesuffix("_margin")
        if landmark not in channels:
            raise OptionError(
                f"{name} is given, but the model does not tell where the {landmark} is: its channels are "
                f"{', '.join(channels)}"
            )


def _assessed(runtime: Runtime, picture: LabelledPicture) -> QualityReport | NotAssessed:
    from efiqa.io import read_image

    try:
        report = runtime.assess(read_image(picture.file))
    except EfiqaError as error:
        return NotAssessed(picture.row, picture.path, picture.label, NOT_ASSESSED, f"{error} [{error.code}]")
    if report.score is None:
        return NotAssessed(picture.row, picture.path, picture.label, UNKNOWN, report.reason)
    return report


def _check_scored(labels: Labels, scored: list[LabelledPicture], without: list[NotAssessed]) -> None:
    """Raise the error that says why nothing can be fitted, when a whole class has no score."""
    why = {each.row: f"{each.verdict}, {each.reason}" for each in without}
    for level, name in enumerate(labels.classes):
        if not any(picture.level == level for picture in scored):
            lost = [picture for picture in labels.pictures if picture.level == level]
            raise LabelError(
                f"no picture with the label {name!r} has a score; the first of {len(lost)} is row "
                f"{lost[0].row}, {lost[0].path}: {why[lost[0].row]}"
            )


def _table(
    labels: Labels, scored: list[LabelledPicture], verdicts: Sequence[str], without: list[NotAssessed]
) -> dict[str, dict[str, int]]:
    counts = Counter((picture.label, verdict) for picture, verdict in zip(scored, verdicts, strict=True))
    counts.update((each.label, each.verdict) for each in without)
    columns = (*VERDICTS, UNKNOWN, NOT_ASSESSED)
    return {label: {column: counts[label, column] for column in columns} for label in labels.counts()}


def _note(result: Calibration) -> str:
    """Return the sentence of the contract's provenance."""
    pictures = ", ".join(f"{count} {label}" for label, count in result.labels.counts().items())
    figures = "; ".join(
        f"{cut.below} | {cut.above}: AUROC {cut.auroc.value:.3f}, BAcc {cut.balanced_accuracy.value:.3f}, "
        f"MCC {cut.matthews.value:.3f}"
        for cut in result.criterion.cuts
    )
    return (
        f"Operating point {result.operating_point}: fitted to a site's labels ({pictures}; "
        f"{len(result.without_score)} of them without a score; file SHA-256 {result.labels.sha256}) for "
        f"{objective_text(result.options)}, {result.options.folds} folds, seed {result.options.seed}; "
        f"out of fold {figures}."
    )
