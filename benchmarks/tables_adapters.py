"""The table of adapters side by side."""

from __future__ import annotations

from benchmarks.markdown import Results, origin, percent, table


def adapters(results: Results) -> str:
    """Return AUROC, local figures, parameters and times of every adapter and of the student."""
    tasks = list(results["tasks"].values())
    header = [
        "",
        *(f"{task['title']} ({task['n_good']} / {task['n_bad']})" for task in tasks),
        "patch AUROC",
        "Dice",
        "parameters",
        "trained here",
        "network, ms",
    ]
    rows = []
    for name, method in results["methods"].items():
        local, count = method["local"]["all"], method["parameters"]
        rows.append(
            [
                method["title"],
                *(percent(task["methods"][name]["auroc"]) for task in tasks),
                percent(local["patch_auroc"]),
                percent(local["dice"]),
                f"{count['total']:,}",
                f"{count['trained']:,}",
                f"{method['network_ms']['p50']:.1f}",
            ]
        )
    dense = results["dense"]
    engine = next(iter(results["methods"].values()))["engine"]
    facts = (
        f"\nAUROC and Dice in percent. {results['pool_pictures']} pictures of the pool at "
        f"{results['size_px']} px; dense: width {dense['width']}, {dense['epochs']} looks at each picture, "
        f"prior {dense['prior']:.3f}. Local defects on {results['n_clean_pictures']} clean test pictures. "
        f"Times: median of the network alone, all in turn, {engine}.\n"
    )
    return table(header, rows) + facts + origin(results)
