import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import tables, tables_gpu
from benchmarks.latency import summary
from benchmarks.tables_judgement import JUDGEMENT_TABLES
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
            "first_kinds": local_figures(6),
            "kinds": {"blur": local_figures(4), "haze": local_figures(4) | {"patch_auroc": 0.93}},
            "cameras": {"STARE": local_figures(8)},
            "clean_alarm_share": {"STARE": 0.025},
            "severity": {"defocus": [0.7, 1.0], "haze": [0.7, 1.0]},
        },
        **judgement_results(),
    }


def ranking_results(correlation: float, called_good: int) -> dict[str, Any]:
    return {
        "spearman_visible_all": correlation,
        "kinds": {kind: {"spearman_visible": correlation - 0.1} for kind in ("defocus", "noise")},
        "hopeless": {"n_frames": 40, "n_called_good": called_good, "highest_score": correlation / 3},
    }


def refused(count: int, *, refused: int, **names: list[str]) -> dict[str, Any]:
    reasons = {"not_a_fundus": refused} if refused else {}
    share = {"n_pictures": count, "n_refused": refused, "share_refused": refused / count}
    return share | {"reasons": reasons, **names}


def judgement_results() -> dict[str, Any]:
    confusion = {
        "n": 7,
        "counts": {"defocus": {"defocus": 3, "haze": 1}, "haze": {"haze": 2, "none": 1}},
        "causes": {
            "defocus": {"n": 4, "precision": 1.0, "recall": 0.75, "f1": 0.857},
            "haze": {"n": 3, "precision": 0.667, "recall": 0.667, "f1": 0.667},
        },
        "macro_f1": 0.762,
        "accuracy": 0.714,
    }
    both = {"regions": confusion, "pictures": confusion}
    compared = {"n_pictures": 4, "part": 0.012, "rest": 0.01, "ratio": 1.2, "little": True}
    empty = {"n_pictures": 0, "part": None, "rest": None, "ratio": None, "little": None}
    spots = {"n_defects": 8, "recall": 0.875, "cell_recall": 0.9, "before": 0.0}
    return {
        "ranking": ranking_results(0.93, 0),
        "ranking_by_camera": ranking_results(0.91, 2),
        "local_by_camera": {"all": local_figures(8), "kinds": {"blur": local_figures(4) | {"dice": 0.75}}},
        "labelled_refusals": {
            "labels": {
                "drimdb good": refused(59, refused=0) | {"refused": []},
                "drimdb outlier": refused(7, refused=6, accepted=["lid.jpg"]),
            },
            "good_outlier_auroc": {"not_a_fundus": 0.999, "score": None},
        },
        "refusals": {
            "photographs": {"pool": refused(1000, refused=25) | {"refused": ["a.jpg", "b.jpg"]}},
            "foreign": {
                name: refused(20, refused=count, accepted=[])
                for name, count in (
                    ("sample photographs", 19),
                    ("flat", 20),
                    ("noise", 20),
                    ("printed text", 20),
                )
            },
        },
        "reasons": {
            **both,
            "severities": {"defocus": [0.6, 1.0], "over_exposed": [0.9, 1.0]},
            "kinds": {"defocus": {"cause": "defocus", "n": 4, "recall": 0.75, "named": {"haze": 1}}},
            "unjudged": {"defocus": 0, "over_exposed": 2},
            "cameras": {"STARE": both},
        },
        "anatomy": {
            "little": 0.02,
            "macula": {"all": compared | {"n_doubtful": 3}, "LES-AV": empty | {"n_doubtful": 11}},
            "rim": {
                "shapes": {"all": compared, "circle": compared, "rectangle": compared | {"ratio": 1.7}},
                "sets": {"all": compared, "STARE": compared},
            },
            "macular_defects": {"n_doubtful": 3, "n_too_small": 1, "kinds": {"all": spots}},
            "pathology": {
                "HRF, test": {
                    "n_diseased": 14,
                    "n_healthy": 7,
                    "healthy_of_same_set": True,
                    "median_diseased": 0.91,
                    "median_healthy": 0.93,
                    "difference": -0.02,
                }
            },
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


def adapters_results() -> dict[str, Any]:
    row = {
        "title": "dense",
        "local": {"all": local_figures(8)},
        "parameters": {"total": 3_400_000, "trained": 1234},
        "network_ms": summary([30.04]),
        "engine": "OpenVINO, 2 threads",
    }
    task = {"title": "A / B", "n_good": 3, "n_bad": 2, "methods": {"dense": figures(0.987)}}
    return {
        "command": "python -m training.compare_adapters",
        "machine": MACHINE,
        "methods": {"dense": row},
        "tasks": {"a_b": task},
        "pool_pictures": 100,
        "size_px": 384,
        "dense": {"width": 32, "epochs": 4, "prior": 0.0995},
        "n_clean_pictures": 40,
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


def plans_results() -> dict[str, Any]:
    plan = {
        "backbone": "vit",
        "precision": "bf16",
        "input_px": 224,
        "layers": 3079,
        "onnx_bytes": 44_000_000,
        "plan_bytes": 46_000_000,
        "build_seconds": 124.6,
        "cpu_seconds": 3.3,
        "peak_rss_bytes": 551_000_000,
        "provider": "TensorRT-RTX 1.7",
        "compute_capabilities": ["8.0+"],
    }
    return {"machine": MACHINE, "load_average": 6.65, "plans": [plan]}  # no command, as it was first written


def gpu_results(made_at: str, gpu: str = "NVIDIA H100, 580") -> dict[str, Any]:
    limits = {"bf16_flops_per_s": 8e14, "copy_bytes_per_s": 3e12}
    plan = {
        "plan": "s.plan",
        "engine": "TensorRT on H100, CUDA graph",
        "backbone": "vit",
        "precision": "bf16",
        "input_px": 224,
        "left_out": {"eager": "no timm"},
        "times_ms": {"efiqa_host": summary([0.5]), "compiled_host": summary([4.0])},
        "peer_over_efiqa_p50": {"compiled": {"host": 8.0}},
        "roofline": {"flops": 9_400_000_000, "bytes": 44_000_000, "floor_ms": 0.0147, "bound": "memory"},
        "roofline_share_of_frame": 0.0294,
    }
    times = {"p50_us": 5.0, "p95_us": 5.1, "p99_us": 5.2, "max_us": 5.3}
    kernels = {"overlay": times | {"floor_us": 4.0, "ratio_to_floor": 1.25}, "postprocess": times}
    return {
        "command": "bash benchmarks/gpu_check.sh",
        "made_at": made_at,
        "machine": MACHINE,
        "gpu": gpu,
        "frame": {
            "frame_px": [1920, 1080],
            "runs": 300,
            "limits": limits,
            "plans": [plan, {"plan": "b.plan", "error": "no memory"}],
        },
        "kernels": {
            "copy_gb_per_s": 3000.0,
            "sizes": [{"width_px": 1920, "height_px": 1080, "input_px": 224, "kernels": kernels}],
        },
    }


def write(folder: Path, name: str, results: dict[str, Any]) -> None:
    (folder / name).write_text(json.dumps(results), encoding="utf-8")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "benchmarks" / "results"
    folder.mkdir(parents=True)
    (folder / "quality.json").write_text(json.dumps(quality_results()))
    (folder / "latency.json").write_text(json.dumps(latency_results()))
    write(folder, "build_plans.json", plans_results())
    write(folder, "adapters.json", adapters_results())
    write(folder, "gpu-h100-abc.json", gpu_results("2026-01-01T00:00:00+00:00"))
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


@pytest.mark.parametrize(
    "name",
    [
        "quality",
        "quality-detail",
        "verdicts",
        "local",
        "adapters",
        "latency",
        "stages",
        "plans",
        "gpu-frame",
        "gpu-kernels",
        *JUDGEMENT_TABLES,
    ],
)
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


def test_by_camera_sets_every_figure_beside_the_same_without_grain(repository: Path) -> None:
    text = tables.content_of("by-camera", repository / "benchmarks" / "results")
    assert "| **all** | 0.930 | 0.910 | 80.0 | 80.0 |" in text
    assert "| `defocus` | 0.830 | 0.810 | 80.0 | 75.0 |" in text
    assert "| `noise` | 0.830 | 0.810 | - | - |" in text
    assert "Of 40 frames that show at most 30 % of the anatomy 0 are called good, and 2 behind" in text


def test_adapters_states_figures_size_time_and_prior(repository: Path) -> None:
    text = tables.content_of("adapters", repository / "benchmarks" / "results")
    assert "| dense | 98.7 | 95.0 | 80.0 | 3,400,000 | 1,234 | 30.0 |" in text
    assert "100 pictures of the pool at 384 px; dense: width 32, 4 looks at each picture, prior 0.100" in text
    assert "OpenVINO, 2 threads" in text


def test_local_has_a_row_over_the_first_kinds_where_they_were_counted(repository: Path) -> None:
    folder = repository / "benchmarks" / "results"
    assert "| blur, dark, glare and haze | 6 |" in tables.content_of("local", folder)
    older = quality_results()
    del older["local"]["first_kinds"]
    write(folder, "quality.json", older)
    assert "blur, dark, glare and haze" not in tables.content_of("local", folder)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("targets", "| real retinas refused, %: pool and vessel sets | ≤ 0.50 | 2.50 | **no** |"),
        ("targets", "noise, printed text | ≥ 100.00 | 98.75 | **no** |"),
        ("targets", "| refused, %: DRIMDB's outliers | ≥ 95.00 | 85.71 | **no** |"),
        ("targets", "| local defects, patch AUROC, %: worst kind (haze) | ≥ 97.00 | 93.00 | **no** |"),
        ("targets", "| local defects, Dice, %: worst kind (blur) | ≥ 80.00 | 80.00 | yes |"),
        ("targets", "clean pictures: worst shape (rectangle) | ≤ 1.200 | 1.700 | **no** |"),
        ("targets", "healthy, difference of median scores: worst set | ≤ 0.050 | 0.020 | yes |"),
        ("refusals", "| pool | 1000 | 25 | 2.50 | not_a_fundus 25 | `a.jpg`, `b.jpg`, ... |"),
        ("refusals", "| drimdb good | 59 | 0 | 0.00 | - | - |"),
        ("foreign", "| drimdb outlier | 7 | 6 | 85.71 | not_a_fundus 6 | `lid.jpg` |"),
        ("foreign", "99.90 by the probability of not being a fundus, - by the score."),
        ("reasons-regions", "| defocus | 3 | 1 | 0 | 100.0 | 75.0 | 85.7 |"),
        ("reasons-regions", "Of 7 regions, macro F1 over 2 causes: **76.2**; 71.4 % right."),
        ("reasons-kinds", "| defocus | defocus | 0.6 to 1 | 4 | 0 | 75.0 | haze 1 |"),
        ("reasons-kinds", "| over_exposed | - | 0.9 to 1 | 0 | 2 | - | - |"),
        ("reasons-cameras", "| STARE | 7 | 76.2 | 71.4 | 7 | 76.2 | 71.4 |"),
        ("macula", "| all | 4 | 0.012 | 0.010 | 1.20* | 3 |"),
        ("macula", "| LES-AV | 0 | - | - | - | 11 |"),
        ("rim", "| STARE | 4 | 0.012 | 0.010 | 1.20* |"),
        ("macular-defects", "| all | 8 | 87.5 | 90.0 | 0.0 |"),
        ("pathology", "| HRF, test | 14 | 7 | 0.910 | 0.930 | -0.020 |"),
    ],
)
def test_judgement_table_states_the_figures(repository: Path, name: str, line: str) -> None:
    assert line in tables.content_of(name, repository / "benchmarks" / "results")


@pytest.mark.parametrize("name", JUDGEMENT_TABLES)
def test_judgement_table_of_an_older_result_says_that_it_is_not_measured(repository: Path, name: str) -> None:
    older = {key: part for key, part in quality_results().items() if key not in judgement_results()}
    write(repository / "benchmarks" / "results", "quality.json", older)
    text = tables.content_of(name, repository / "benchmarks" / "results")
    assert text.startswith("*Not measured yet: `python -m training.evaluate` writes")


def test_latency_states_ratio_cold_start_and_size(repository: Path) -> None:
    text = tables.content_of("latency", repository / "benchmarks" / "results")
    assert "| 10.0x |" in text
    assert "0.70 s (median of 3 processes, slowest 0.90 s). Model file: 1.50 MB." in text


def test_plans_states_provider_load_and_the_command_that_the_file_lacks(repository: Path) -> None:
    text = tables.content_of("plans", repository / "benchmarks" / "results")
    assert "| vit, 224 px, bf16 | 3079 | 44 | 46 | 125 | 3 | 0.6 |" in text
    assert "Built by TensorRT-RTX 1.7 for compute capability 8.0+." in text
    assert "the load average was 6.7 on 2 cores at the end" in text
    assert "P, 2 cores; `python -m benchmarks.build_plans MODEL.onnx...`" in text


def test_gpu_frame_states_ratio_floor_and_what_failed(repository: Path) -> None:
    text = tables.content_of("gpu-frame", repository / "benchmarks" / "results")
    assert "| **efiqa**, frame in host memory | 0.50 | 0.50 | 0.50 | 0.50 |  |" in text
    assert "| OpenCV + torch.compile, frame in host memory | 4.00 | 4.00 | 4.00 | 4.00 | 8.0x |" in text
    assert "floor is 0.015 ms (9.4 GFLOP, 44 MB; bound by memory), 2.9 % of the device frame's p50." in text
    assert "Left out: eager (no timm)." in text
    assert "`b.plan` could not be timed: no memory" in text
    assert "800 TFLOP/s in a large bfloat16 product, 3000 GB/s in a large copy. 300 timed rounds." in text
    assert "<sub>NVIDIA H100, 580</sub>" in text


def test_gpu_kernels_without_a_floor_leaves_the_cell_empty(repository: Path) -> None:
    text = tables.content_of("gpu-kernels", repository / "benchmarks" / "results")
    assert "| 1920 x 1080 to 224 px: overlay | 5.0 | 5.1 | 5.2 | 5.3 | 4.0 | 1.25x |" in text
    assert "| 1920 x 1080 to 224 px: postprocess | 5.0 | 5.1 | 5.2 | 5.3 |  |  |" in text


def test_gpu_tables_take_the_newest_file_that_holds_their_part(repository: Path) -> None:
    folder = repository / "benchmarks" / "results"
    later = gpu_results("2026-02-01T00:00:00+00:00", gpu="NVIDIA A")
    later["frame"] = {"error": "TENSORRT_ROOT is not set"}
    write(folder, "gpu-a-abc.json", later)
    alone = gpu_results("2026-01-02T00:00:00+00:00", gpu="NVIDIA B")
    del alone["kernels"]
    write(folder, "gpu-frame-b-abc.json", alone)
    assert "<sub>NVIDIA A</sub>" in tables.content_of("gpu-kernels", folder)
    assert "<sub>NVIDIA B</sub>" in tables.content_of("gpu-frame", folder)


@pytest.mark.parametrize("name", ["gpu-frame", "gpu-kernels"])
def test_gpu_table_without_a_result_names_the_script(tmp_path: Path, name: str) -> None:
    assert tables.content_of(name, tmp_path) == (
        "*Not measured yet: `bash benchmarks/gpu_check.sh` writes `benchmarks/results/gpu-*.json`.*\n"
    )


@pytest.mark.parametrize("text", ["[]", "{", '{"frame": {"plans": [1]}}'])
def test_gpu_table_of_a_broken_file_names_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "gpu-x.json").write_text(text)
    with pytest.raises(ValueError, match=r"gpu-x\.json is no result file of benchmarks/gpu_check\.sh"):
        tables.content_of("gpu-frame", tmp_path)


@pytest.mark.parametrize(
    ("gpu", "name"),
    [
        ("NVIDIA H100 80GB HBM3, 580.159.04, 9.0", "gpu-nvidia-h100-80gb-hbm3-abc.json"),
        ("NVIDIA Orin (nvgpu)", "gpu-nvidia-orin-nvgpu-abc.json"),
        ("", "gpu-unknown-abc.json"),
    ],
)
def test_gpu_file_is_the_gpu_s_name_and_the_commit(gpu: str, name: str) -> None:
    assert tables_gpu.gpu_file(gpu, "abc") == name


def test_content_of_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="marker 'speed' is unknown, expected one of quality, "):
        tables.content_of("speed", tmp_path)


def test_documents_of_the_repository_are_up_to_date() -> None:
    assert tables.main(["--root", str(REPOSITORY), "--check"]) == 0


def test_summary_quantiles_of_a_hundred_numbers() -> None:
    # Linear interpolation between ranks 0..100.
    assert summary(list(range(101))) == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}


def test_targets_takes_the_task_s_own_limit_and_leaves_other_tasks_out(repository: Path) -> None:
    folder = repository / "benchmarks" / "results"
    results = quality_results()
    task = results["tasks"]["a_b"]
    results["tasks"] = {"eyeq_good_reject": task, "other": task | {"title": "other"}}
    write(folder, "quality.json", results)
    text = tables.content_of("targets", folder)
    assert "| A / B, AUROC, % | ≥ 99.50 | 98.70 | **no** |" in text
    assert "other" not in text


def test_targets_not_measured_is_neither_met_nor_missed(repository: Path) -> None:
    folder = repository / "benchmarks" / "results"
    results = quality_results()
    results["anatomy"]["macula"]["all"]["ratio"] = None
    results["anatomy"]["pathology"] = {}
    write(folder, "quality.json", results)
    text = tables.content_of("targets", folder)
    assert "| map near the fovea / elsewhere, clean pictures | ≤ 1.200 | - | - |" in text
    assert "worst set | ≤ 0.050 | - | - |" in text
