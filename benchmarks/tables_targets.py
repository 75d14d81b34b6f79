"""The targets that a model is held against, beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.markdown import Results, origin, percent, table

NO_RETINA = ("sample photographs", "flat", "noise", "printed text")  # groups that have to be refused whole
AUROC_TARGETS = {
    "drimdb_good_bad": 1.0,
    "drimdb_good_outlier": 0.999,
    "eyeq_good_reject": 0.995,
    "eyeq_readable_reject": 0.978,
    "eyeq_good_rest": 0.975,
}


@dataclass(frozen=True)
class Target:
    """One line: ``measured`` has to be at least, or at most, ``limit``; None: not measured."""

    title: str
    limit: float
    measured: float | None
    at_least: bool = True
    shares: bool = True  # shown in percent; else as it is

    def row(self) -> list[str]:
        """Return title, limit, measured value and whether the target is met."""
        sign = "≥" if self.at_least else "≤"

        def text(value: float | None) -> str:
            return percent(value, 2) if self.shares or value is None else f"{value:.3f}"

        if self.measured is None:
            return [self.title, f"{sign} {text(self.limit)}", "-", "-"]
        met = self.measured >= self.limit if self.at_least else self.measured <= self.limit
        return [self.title, f"{sign} {text(self.limit)}", text(self.measured), "yes" if met else "**no**"]


def _refusal_targets(results: Results) -> Iterator[Target]:
    real = list(results["refusals"]["photographs"].values())
    refused = sum(each["n_refused"] for each in real) / sum(each["n_pictures"] for each in real)
    yield Target("real retinas refused, %: pool and vessel sets", 0.005, refused, at_least=False)
    foreign = results["refusals"]["foreign"]
    counts = [(foreign[group]["n_refused"], foreign[group]["n_pictures"]) for group in NO_RETINA]
    share = sum(part for part, _ in counts) / sum(whole for _, whole in counts)
    yield Target(f"refused, %: {', '.join(NO_RETINA)}", 1.0, share)
    outliers = results["labelled_refusals"]["labels"].get("drimdb outlier", {})
    yield Target("refused, %: DRIMDB's outliers", 0.95, outliers.get("share_refused"))


def _map_targets(results: Results) -> Iterator[Target]:
    kinds = results["local"]["kinds"]
    for key, title, limit in (("patch_auroc", "patch AUROC", 0.97), ("dice", "Dice", 0.8)):
        known = {name: each[key] for name, each in kinds.items() if each[key] is not None}
        worst = min(known, key=lambda name: known[name])
        yield Target(f"local defects, {title}, %: worst kind ({worst})", limit, known[worst])
    anatomy = results["anatomy"]
    near = anatomy["macula"]["all"]["ratio"]
    yield Target("map near the fovea / elsewhere, clean pictures", 1.2, near, at_least=False, shares=False)
    ratios = {name: each["ratio"] for name, each in anatomy["rim"]["shapes"].items() if name != "all"}
    shape = max(ratios, key=lambda name: ratios[name] or 0.0, default="none")
    title = f"map at the rim / inside, clean pictures: worst shape ({shape})"
    yield Target(title, 1.2, ratios.get(shape), at_least=False, shares=False)
    recall = anatomy["macular_defects"]["kinds"]["all"]["recall"]
    yield Target("spots on the fovea found, %", 0.9, recall)
    differences = [abs(each["difference"]) for each in anatomy["pathology"].values()]
    worst_difference = max(differences, default=None)
    title = "diseased against healthy, difference of median scores: worst set"
    yield Target(title, 0.05, worst_difference, at_least=False, shares=False)


def targets(results: Results) -> str:
    """Return every target with what was measured."""
    rows = [
        Target(f"{task['title']}, AUROC, %", AUROC_TARGETS[key], task["methods"]["model"]["auroc"]).row()
        for key, task in results["tasks"].items()
        if key in AUROC_TARGETS
    ]
    rows += [target.row() for target in _refusal_targets(results)]
    causes = Target("cause of a region, macro F1, %", 0.9, results["reasons"]["regions"]["macro_f1"])
    rows.append(causes.row())
    rows += [target.row() for target in _map_targets(results)]
    return table(["", "target", "measured", "met"], rows) + origin(results)
