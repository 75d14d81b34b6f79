import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import tables
from benchmarks.latency import summary
from tests.helpers import REPOSITORY

MACHINE = {"commit": "abc", "processor": "P", "cores": 2}
MODEL = {"id": "m", "sha256": "0" * 64, "bytes": 1_500_000}


def figures(value: float) -> dict[str, Any]:
    return {
        "auroc": value,
        "auroc_interval": [value - 0.01, 1.0],
        "auprc_bad": value,
        "balanced_accuracy": value,
        "matthews": value,
    }


def quality_results() -> dict[str, Any]:
    methods = {
        "model": {"title": "efiqa", "uses_labels": False},
        "probe": {"title": "probe", "uses_labels": True},
    }
    task = {"title": "A / B", "n_good": 3, "n_bad": 2, "n_groups": 5}
    return {
        "command": "python -m training.evaluate",
        "machine": MACHINE,
        "model": MODEL,
        "methods": methods,
        "tasks": {"a_b": task | {"methods": {"model": figures(0.987), "probe": figures(0.999)}}},
        "operating_point": "screening",
        "verdicts": {"drimdb": {"good": {"good": 8, "usable": 1, "reject": 1}}},
        "local": {
            "all": local_figures(8),
            "kinds": {"blur": local_figures(4), "haze": local_figures(4)},
            "cameras": {"STARE": local_figures(8)},
            "clean_alarm_share": {"STARE": 0.025},
        },
    }


def local_figures(count: int) -> dict[str, Any]:
    return {
        "n_pictures": count,
        "patch_auroc": 0.95,
        "patch_auroc_measured_truth": 0.94,
        "pixel_auroc": None,
        "dice": 0.8,
    }


def latency_results() -> dict[str, Any]:
    times = {stage: summary([1.0, 2.0, 3.0]) for stage in ("fov", "engine", "overlay", "total")}
    threads = {
        "times_ms": {
            "efiqa": times,
            "chain": {"total": summary([20.0])},
            "onnxruntime": {"network": summary([3.0])},
        },
        "chain_over_efiqa_p50": 10.0,
        "onnxruntime_over_engine_p50": 1.5,
    }
    return {
        "command": "python -m benchmarks.latency",
        "machine": MACHINE,
        "model": MODEL,
        "frame_px": [1920, 1080],
        "threads": {"2": threads},
        "cold_start_s": {"median": 0.7, "max": 0.9, "runs": 3},
    }


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "benchmarks" / "results"
    folder.mkdir(parents=True)
    (folder / "quality.json").write_text(json.dumps(quality_results()))
    (folder / "latency.json").write_text(json.dumps(latency_results()))
    text = "# A\n\n<!-- quality:begin -->\nold\n<!-- quality:end -->\n\nend\n"
    (tmp_path / "README.md").write_text(text)
    return tmp_path


def run(root: Path, *arguments: str) -> int:
    return tables.main(["--root", str(root), *arguments])


def test_main_fills_the_markers_and_keeps_the_rest(repository: Path) -> None:
    assert run(repository) == 0
    text = (repository / "README.md").read_text()
    assert text.startswith("# A\n\n<!-- quality:begin -->\n| AUROC, % |")
    assert text.endswith("<!-- quality:end -->\n\nend\n")
    assert "| **efiqa** | 98.7 (97.7-100.0) |" in text
    assert "| probe *(trained on labels)* | 99.9 |" in text
    assert "model `m` (000000000000), commit `abc`, P, 2 cores" in text


def test_check_fresh_document_passes_and_stale_one_fails(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (repository / "README.md").read_text()
    assert run(repository, "--check") == 1
    assert "stale: README.md" in capsys.readouterr().err
    assert (repository / "README.md").read_text() == before
    run(repository)
    assert run(repository, "--check") == 0


def test_check_changed_result_is_stale(repository: Path) -> None:
    run(repository)
    changed = quality_results()
    changed["tasks"]["a_b"]["methods"]["model"]["auroc"] = 0.5
    (repository / "benchmarks" / "results" / "quality.json").write_text(json.dumps(changed))
    assert run(repository, "--check") == 1


def test_main_missing_result_names_its_command(repository: Path) -> None:
    (repository / "README.md").write_text("<!-- fov:begin -->\n<!-- fov:end -->\n")
    assert run(repository) == 0
    assert (
        "`python -m benchmarks.fov` writes `benchmarks/results/fov.json`"
        in (repository / "README.md").read_text()
    )


def test_main_result_without_a_field_is_named(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = quality_results()
    del broken["tasks"]["a_b"]["n_good"]
    (repository / "benchmarks" / "results" / "quality.json").write_text(json.dumps(broken))
    assert run(repository) == 2
    assert "lacks 'n_good' for table 'quality'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "<!-- quality:begin -->\nrest",
        "<!-- quality:end -->\n<!-- quality:begin -->\n",
        "<!-- quality:end -->",
    ],
)
def test_main_unpaired_marker_is_an_error(
    repository: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "README.md").write_text(text)
    assert run(repository) == 2
    assert "marker 'quality' has no partner" in capsys.readouterr().err
    assert (repository / "README.md").read_text() == text


def test_main_markers_of_other_programs_stay(repository: Path) -> None:
    text = "<!-- example:begin -->\nmine\n<!-- example:end -->\n"
    (repository / "README.md").write_text(text)
    assert run(repository) == 0
    assert (repository / "README.md").read_text() == text


@pytest.mark.parametrize("name", ["quality", "quality-detail", "verdicts", "local", "latency", "stages"])
def test_table_every_row_has_the_header_s_width(repository: Path, name: str) -> None:
    text = tables.content_of(name, repository / "benchmarks" / "results")
    for block in text.split("\n\n"):
        widths = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1
    assert text.count("|---|") == 0
    assert "| --- |" in text


def test_verdicts_share_of_readable_pictures(repository: Path) -> None:
    text = tables.content_of("verdicts", repository / "benchmarks" / "results")
    assert "| drimdb good | 10 | 8 | 1 | 1 | 0 | 90.0 | 10.0 |" in text


def test_local_missing_figure_is_a_dash(repository: Path) -> None:
    text = tables.content_of("local", repository / "benchmarks" / "results")
    assert "| blur | 4 | 95.0 | 94.0 | - | 80.0 | - |" in text
    assert "| STARE | 8 | 95.0 | 94.0 | - | 80.0 | 2.5 |" in text


def test_latency_states_ratio_cold_start_and_size(repository: Path) -> None:
    text = tables.content_of("latency", repository / "benchmarks" / "results")
    assert "| 10.0x |" in text
    assert "0.70 s (median of 3 processes, slowest 0.90 s). Model file: 1.50 MB." in text


def test_content_of_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="marker 'speed' is unknown, expected one of quality, "):
        tables.content_of("speed", tmp_path)


def test_documents_of_the_repository_are_up_to_date() -> None:
    assert tables.main(["--root", str(REPOSITORY), "--check"]) == 0


def test_summary_quantiles_of_a_hundred_numbers() -> None:
    # Linear interpolation between ranks 0..100.
    assert summary(list(range(101))) == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
