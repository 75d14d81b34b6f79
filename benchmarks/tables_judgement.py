"""Tables of what is judged beyond good and bad: refusals, causes, macula and rim, disease, grain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.markdown import Results, origin, percent, table
from benchmarks.tables_targets import targets


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _refusal_row(name: str, found: dict[str, Any], named: str) -> list[str]:
    reasons = ", ".join(f"{reason} {count}" for reason, count in found["reasons"].items())
    names = found[named]
    left = found["n_refused"] if named == "refused" else found["n_pictures"] - found["n_refused"]
    listed = ", ".join(f"`{each}`" for each in names) + (", ..." if left > len(names) else "")
    share = percent(found["share_refused"], 2)
    return [name, str(found["n_pictures"]), str(found["n_refused"]), share, reasons or "-", listed or "-"]


def refusals(results: Results) -> str:
    """Return how many photographs of real retinas are refused: unlabelled ones, then by label."""
    header = ["real retinas", "pictures", "refused", "%", "why", "which"]
    found = results["refusals"]
    rows = [_refusal_row(n, f, "refused") for n, f in found["photographs"].items()]
    green = found.get("green_light", {})  # older results lack it
    rows += [_refusal_row(f"{n}, green light alone", f, "refused") for n, f in green.items()]
    labels = results["labelled_refusals"]["labels"]
    rows += [_refusal_row(n, f, "refused") for n, f in labels.items() if not n.endswith("outlier")]
    return table(header, rows) + origin(results)


def foreign(results: Results) -> str:
    """Return how many pictures without a retina are refused, and which are not."""
    header = ["no retina", "pictures", "refused", "%", "why", "not refused"]
    labels = results["labelled_refusals"]["labels"]
    rows = [_refusal_row(n, f, "accepted") for n, f in labels.items() if n.endswith("outlier")]
    rows += [_refusal_row(n, f, "accepted") for n, f in results["refusals"]["foreign"].items()]
    aurocs = results["labelled_refusals"].get("good_outlier_auroc")
    facts = ""
    if aurocs:
        facts = (
            f"\nDRIMDB good / outlier, AUROC in percent: {percent(aurocs['not_a_fundus'], 2)} by the "
            f"probability of not being a fundus, {percent(aurocs['score'], 2)} by the score.\n"
        )
    return table(header, rows) + facts + origin(results)


def _confusion(found: dict[str, Any], unit: str) -> str:
    truths = list(found["counts"])
    named = sorted({each for row in found["counts"].values() for each in row})
    named = [each for each in named if each != "none"] + ["none"]
    header = [f"{unit}: truth below, named right", *named, "precision, %", "recall, %", "F1, %"]
    rows = []
    for truth in truths:
        counts = [str(found["counts"][truth].get(each, 0)) for each in named]
        figures = found["causes"].get(truth, {})
        rows.append([truth, *counts, *(percent(figures.get(k)) for k in ("precision", "recall", "f1"))])
    macro = f"macro F1 over {len(found['causes'])} causes: **{percent(found['macro_f1'])}**"
    return table(header, rows) + f"\nOf {found['n']} {unit}, {macro}; {percent(found['accuracy'])} % right.\n"


def reasons_regions(results: Results) -> str:
    """Return which cause was named for the region of each local defect."""
    return _confusion(results["reasons"]["regions"], "regions") + origin(results)


def reasons_pictures(results: Results) -> str:
    """Return which main cause was named for whole pictures."""
    return _confusion(results["reasons"]["pictures"], "pictures") + origin(results)


def reasons_kinds(results: Results) -> str:
    """Return which cause was named for the regions of each generator, and how many were not judged."""
    found = results["reasons"]
    rows = []
    for kind, severity in found["severities"].items():
        figures = found["kinds"].get(kind, {"cause": "-", "n": 0, "recall": None, "named": {}})
        wrong = {name: count for name, count in figures["named"].items() if name != figures["cause"]}
        said = ", ".join(f"{name} {count}" for name, count in wrong.items())
        ends = f"{severity[0]:g} to {severity[1]:g}"
        cells = [str(figures["n"]), str(found["unjudged"][kind]), percent(figures["recall"]), said or "-"]
        rows.append([kind, figures["cause"], ends, *cells])
    header = ["generator", "cause", "severity", "regions", "too small", "right, %", "named instead"]
    return table(header, rows) + origin(results)


def reasons_cameras(results: Results) -> str:
    """Return the figures of causes a camera."""
    rows = []
    for name, found in results["reasons"]["cameras"].items():
        cells = [
            cell
            for unit in ("regions", "pictures")
            for cell in (
                str(found[unit]["n"]),
                percent(found[unit]["macro_f1"]),
                percent(found[unit]["accuracy"]),
            )
        ]
        rows.append([name, *cells])
    header = ["", *(f"{u}{k}" for u in ("regions", "pictures") for k in ("", ", macro F1, %", ", right, %"))]
    return table(header, rows) + origin(results)


def _compared(name: str, found: dict[str, Any]) -> list[str]:
    ratio = _number(found["ratio"], 2) + ("*" if found["little"] else "")
    return [name, str(found["n_pictures"]), _number(found["part"]), _number(found["rest"]), ratio]


def _footnote(results: Results) -> str:
    little = results["anatomy"]["little"]
    return f"\n\\* both means are below {little}, where their ratio says little.\n" + origin(results)


def macula(results: Results) -> str:
    """Return the mean of the map near the fovea against elsewhere, a set."""
    rows = [
        [*_compared(name, found), str(found["n_doubtful"])]
        for name, found in results["anatomy"]["macula"].items()
    ]
    header = [
        "clean pictures",
        "pictures",
        "near the fovea",
        "elsewhere",
        "ratio",
        "place doubtful, left out",
    ]
    return table(header, rows) + _footnote(results)


def rim(results: Results) -> str:
    """Return the mean of the map in the field's outermost ring of cells against the inside."""
    found = results["anatomy"]["rim"]
    sets = {name: each for name, each in found["sets"].items() if name != "all"}
    rows = [_compared(name, each) for name, each in [*found["shapes"].items(), *sets.items()]]
    header = ["clean pictures", "pictures", "outermost ring", "inside", "ratio"]
    return table(header, rows) + _footnote(results)


def macular_defects(results: Results) -> str:
    """Return how many spots on the fovea are found."""
    found = results["anatomy"]["macular_defects"]
    rows = [
        [name, str(each["n_defects"]), *(percent(each[k]) for k in ("recall", "cell_recall", "before"))]
        for name, each in found["kinds"].items()
    ]
    header = ["spot on the fovea", "pictures", "found, %", "cells found, %", "same cells without the spot, %"]
    facts = (
        f"\nLeft out: {found['n_doubtful']} pictures whose fovea is doubtful, {found['n_too_small']} spots "
        f"that hide no cell by half.\n"
    )
    return table(header, rows) + facts + origin(results)


def pathology(results: Results) -> str:
    """Return the median score of diseased pictures against healthy ones."""
    rows = []
    for name, each in results["anatomy"]["pathology"].items():
        healthy = f"{each['n_healthy']}{'' if each['healthy_of_same_set'] else ' (other sets)'}"
        medians = [_number(each[key]) for key in ("median_diseased", "median_healthy")]
        rows.append([name, str(each["n_diseased"]), healthy, *medians, f"{each['difference']:+.3f}"])
    header = ["", "diseased", "healthy", "median score, diseased", "median score, healthy", "difference"]
    return table(header, rows) + origin(results)


def by_camera(results: Results) -> str:
    """Return what the grain that a camera lays over a defect changes: ranking, regions, hopeless pictures."""
    plain, saved = results["ranking"], results["ranking_by_camera"]
    local, saved_local = results["local"], results["local_by_camera"]
    titles = dict(zip(local["severity"], local["kinds"], strict=True))
    rows = [
        [
            "**all**",
            *(_number(each["spearman_visible_all"]) for each in (plain, saved)),
            *(percent(each["all"]["dice"]) for each in (local, saved_local)),
        ]
    ]
    for kind in plain["kinds"]:
        ranked = (each["kinds"][kind]["spearman_visible"] for each in (plain, saved))
        found = (each["kinds"].get(titles.get(kind), {}).get("dice") for each in (local, saved_local))
        rows.append([f"`{kind}`", *map(_number, ranked), *map(percent, found)])
    header = ["generator", "score / what is left, Spearman", "behind a camera", "Dice, %", "behind a camera"]
    hopeless = [each["hopeless"] for each in (plain, saved)]
    good, highest = ([each[key] for each in hopeless] for key in ("n_called_good", "highest_score"))
    facts = (
        f"\nOf {hopeless[0]['n_frames']} frames that show at most 30 % of the anatomy {good[0]} are called "
        f"good, and {good[1]} behind a camera; the highest scores are {_number(highest[0])} and "
        f"{_number(highest[1])}.\n"
    )
    return table(header, rows) + facts + origin(results)


# Name -> the part of quality.json that it shows, and how.
JUDGEMENT_TABLES: dict[str, tuple[str, Callable[[Results], str]]] = {
    "targets": ("anatomy", targets),
    "by-camera": ("ranking_by_camera", by_camera),
    "refusals": ("refusals", refusals),
    "foreign": ("refusals", foreign),
    "reasons-regions": ("reasons", reasons_regions),
    "reasons-kinds": ("reasons", reasons_kinds),
    "reasons-pictures": ("reasons", reasons_pictures),
    "reasons-cameras": ("reasons", reasons_cameras),
    "macula": ("anatomy", macula),
    "rim": ("anatomy", rim),
    "macular-defects": ("anatomy", macular_defects),
    "pathology": ("anatomy", pathology),
}
