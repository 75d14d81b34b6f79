"""``efiqa calibrate``: a site's own operating point, fitted to its labels, as a new contract."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from efiqa.cli import output
from efiqa.cli.assess import positive_integer

if TYPE_CHECKING:
    from efiqa.calibration import Calibration, Estimate, LabelledPicture

_SHOWN_WITHOUT_SCORE = 20
_FIGURES = {
    "auroc": "AUROC",
    "balanced_accuracy": "balanced accuracy",
    "matthews": "MCC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this sub-command to ``commands``."""
    parser = commands.add_parser(
        "calibrate",
        help="fit an operating point to a site's own labels",
        description="Assess labelled pictures, fit the limits of the verdicts to the labels, and write a new "
        "contract beside a copy of the model. Exit code 0: done; 1: not done, or some pictures could not be "
        "assessed; 2: usage.",
    )
    parser.add_argument(
        "--labels", metavar="CSV", type=Path, required=True, help="columns path, label and, if known, patient"
    )
    parser.add_argument("--data", metavar="FOLDER", type=Path, help="of the paths; default: the CSV's folder")
    parser.add_argument("--model", metavar="M", help="a model with its contract; default: the embedded one")
    classes = parser.add_mutually_exclusive_group()
    classes.add_argument("--order", metavar="WORST,..,BEST", type=_names, help="all labels, worst first")
    classes.add_argument("--positive", metavar="BAD,..", type=_names, help="labels of bad ones; others: good")
    parser.add_argument("--folds", metavar="N", type=positive_integer, help="of patients; default: 5")
    parser.add_argument(
        "--min-sensitivity", metavar="X", type=float,
        help="refuse as few as keep this share of bad ones out; default: best balanced accuracy",
    )  # fmt: skip
    parser.add_argument(
        "--zone-weights", action="store_true",
        help="fit how much centre, middle and periphery count in the score; default: as the model has it",
    )  # fmt: skip
    for name, what in (("--macula-margin", "macula"), ("--disc-margin", "optic disc, which has to be there")):
        parser.add_argument(
            name, metavar="X", type=float,
            help=f"0 to 1: greatest score above what is seen of the {what}; default: as the model has it",
        )  # fmt: skip
    parser.add_argument("--seed", metavar="N", type=positive_integer, help="of folds and intervals")
    parser.add_argument("--name", metavar="POINT", default="site", help="operating point; default: site")
    parser.add_argument("--id", metavar="NEW_ID", help="of the contract; default: the old one's with -POINT")
    parser.add_argument("--out", metavar="DIR", type=Path, help="a new folder; default: ./NEW_ID")
    parser.add_argument("--plot", metavar="PNG", type=Path, help="write the reliability diagram here")
    parser.add_argument("--threads", metavar="N", type=positive_integer, help="CPU threads for one picture")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.set_defaults(run=run)


def _names(text: str) -> list[str]:
    """Return the labels in ``text``, split at commas, for argparse."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"is {text!r}, expected labels with commas between them")
    return names


def run(arguments: argparse.Namespace) -> int:
    """Return 0 when all pictures were assessed, 1 when some could not: the contract rests on the rest."""
    from efiqa.calibration import Options, calibrate
    from efiqa.calibration.procedure import NOT_ASSESSED

    given = {key: getattr(arguments, key) for key in ("folds", "seed") if getattr(arguments, key) is not None}
    result = calibrate(
        arguments.labels,
        arguments.out,
        data=arguments.data,
        model=arguments.model,
        order=arguments.order,
        positive=arguments.positive,
        options=Options(
            arguments.name,
            arguments.id,
            min_sensitivity=arguments.min_sensitivity,
            zone_weights=arguments.zone_weights,
            macula_margin=arguments.macula_margin,
            optic_disc_margin=arguments.disc_margin,
            **given,
        ),
        plot=arguments.plot,
        threads=arguments.threads,
        track=lambda pictures: _tracked(pictures, streaming=arguments.json),
    )
    _warn(result)
    if arguments.json:
        print(json.dumps({"model": str(result.model_path), **result.to_dict()}, allow_nan=False))
    else:
        _print_result(result)
        if arguments.plot is not None:
            print(f"reliability diagram: {arguments.plot}")
    return 1 if any(each.verdict == NOT_ASSESSED for each in result.without_score) else 0


def _tracked(pictures: Sequence[LabelledPicture], *, streaming: bool) -> Iterator[LabelledPicture]:
    with output.progress(pictures, what="assess", streaming=streaming) as bar:
        yield from bar


def _warn(result: Calibration) -> None:
    """Say on standard error which pictures the limits do not rest on, and what else weakens them."""
    lost = result.without_score
    for each in lost[:_SHOWN_WITHOUT_SCORE]:
        print(f"row {each.row}: {each.path}: {each.verdict}: {each.reason}", file=sys.stderr)
    if len(lost) > _SHOWN_WITHOUT_SCORE:
        print(f"and {len(lost) - _SHOWN_WITHOUT_SCORE} more without a score", file=sys.stderr)
    if not result.labels.patients_known:
        print(
            "there is no column patient: each picture counts as a patient of its own, so the figures are too "
            "good if patients have several",
            file=sys.stderr,
        )
    wanted = result.options.min_sensitivity
    for cut in result.criterion.cuts:
        if wanted is not None and cut.sensitivity.value < wanted:
            print(
                f"{cut.below} | {cut.above}: sensitivity out of fold is {cut.sensitivity.value:.3f}, below "
                f"{wanted:g}: expect that on new pictures; label more, or ask for more",
                file=sys.stderr,
            )


def _print_result(result: Calibration) -> None:
    rows = [
        (label, *(str(count) for count in row.values()), str(sum(row.values())))
        for label, row in result.table.items()
    ]
    columns = ("label", *next(iter(result.table.values())), "pictures")
    output.print_table(columns, rows)
    cuts = result.criterion.cuts
    output.print_table(
        ("figure", *(f"{cut.below} | {cut.above}" for cut in cuts)),
        [
            ("limit", *(f"{cut.limit:g}" for cut in cuts)),
            *((title, *(_shown(getattr(cut, name)) for cut in cuts)) for name, title in _FIGURES.items()),
            ("calibration error", *(f"{cut.calibration_error:.3f}" for cut in cuts)),
        ],
    )
    print(
        f"verdicts and figures are out of fold ({result.options.folds} folds), with 95 % intervals\n"
        f"{result.operating_point}: {_listed(result.criterion.point.to_dict())}\n"
        f"{result.contract_id}: {result.model_path}, not signed: efiqa sign {result.model_path} "
        "--key NAME.key"
    )


def _listed(limits: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {_listed(each) if isinstance(each, Mapping) else format(each, 'g')}"
        for name, each in limits.items()
    )


def _shown(figure: Estimate) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f}..{figure.high:.3f})"
