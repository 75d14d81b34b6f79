"""The comparison of adapters end to end on toy pictures, on a run whose pseudo-labels are known."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.train, pytest.mark.slow]

TOY = Path(__file__).parents[2] / "training/configs/toy.toml"
LABELS = {"drimdb": ("good", "bad", "outlier"), "eyeq": ("good", "usable", "reject")}
ROWS = ["linear", "multi_layer", "dense", "student"]


@pytest.fixture(scope="module")
def toy_data(tmp_path_factory):
    """Toy vessel pictures and pool, and an eval split: the pool's sharp pictures, and blurred to nothing."""
    from training import synthetic

    root = tmp_path_factory.mktemp("data")
    synthetic.make(root, count=8, seed=1)
    rows = (root / "manifest.csv").read_text().splitlines()
    sharp = [path for path in sorted((root / "pool/TOY").iterdir()) if int(path.stem) % 3]
    for family, labels in LABELS.items():
        for label in labels:
            for index in range(6):
                picture = cv2.imread(str(sharp[index]))
                if label != "good":
                    picture = cv2.GaussianBlur(picture, (0, 0), 4 if label == "usable" else 9)
                name = f"eval/{family}/{label}/{index}.png"
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(root / name), picture)
                rows.append(f"{name},eval,quality,TOY,{label},,320,320,toy")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def toy_run(toy_data, tmp_path_factory):
    """A run folder with pseudo-labels, all cells of the spoiled pictures bad, and a student of them."""
    from training import config
    from training.pseudo_labels import to_grid
    from training.run import Pipeline, make_fabric

    out = tmp_path_factory.mktemp("run")
    loaded = config.load(TOY)
    pipeline = Pipeline(loaded, toy_data, out, make_fabric(loaded))
    pool = pipeline.pool()
    weights = np.stack([to_grid(visible, 6) for visible in pool.visible])
    spoiled = np.array([int(Path(name).stem) % 3 == 0 for name in pool.names])
    bad = spoiled[:, None, None] & (weights > 0.5)
    for stage in ("pseudo", "teacher"):
        (out / stage).mkdir()
    np.savez(out / "pseudo/labels.npz", bad=bad, weights=weights, area=spoiled)
    np.save(out / "teacher/pool.npy", bad.astype(np.float32))
    (out / "pseudo.done.json").write_text(json.dumps({"settings": pipeline.stages["pseudo"][1]}))
    pipeline.run(["student", "refusal", "landmarks", "map", "rim", "prune", "viewing", "export"])
    return out


def compare(data, run, out, *options):
    from training.compare_adapters import main

    given = ["--data", data, "--run", run, "--config", TOY, "--out", out, "--threads", 1, "--stride", 2]
    return main([str(each) for each in (*given, *options)])


def test_compare_adapters_toy_run_gives_every_figure_of_every_row(toy_data, toy_run, tmp_path, capsys):
    from training.local_defects import KINDS

    out = tmp_path / "adapters.json"
    assert compare(toy_data, toy_run, out, "--fit-only") == 0
    assert not out.exists()
    assert compare(toy_data, toy_run, out) == 0
    assert capsys.readouterr().out.count("fitted before") == 3
    result = json.loads(out.read_text())
    assert list(result["methods"]) == ROWS
    assert len(result["tasks"]) == 5
    for task in result["tasks"].values():
        assert list(task["methods"]) == ROWS
    # Sharp against blurred to nothing, as in the pseudo-labels.
    taught = result["tasks"]["eyeq_good_reject"]["methods"]
    assert taught["linear"]["auroc"] > 0.9
    assert taught["multi_layer"]["auroc"] > 0.9
    for row in result["methods"].values():
        local = row["local"]["all"]
        assert local["n_pictures"] == 2 * len(KINDS)  # every second of four test pictures
        assert 0 <= local["patch_auroc"] <= 1
        assert 0 <= local["dice"] <= 1
        assert 0 < row["network_ms"]["p50"] <= row["network_ms"]["max"]
        assert "OpenVINO" in row["engine"]
    parameters = {name: row["parameters"] for name, row in result["methods"].items()}
    assert parameters["linear"]["trained"] == 320 + 1
    assert parameters["multi_layer"]["trained"] == 24 + 40 + 112 + 320 + 1
    assert parameters["dense"]["trained"] > parameters["multi_layer"]["trained"]
    assert all(each["trained"] <= each["total"] for each in parameters.values())
    # A third of the toy pool is spoiled.
    assert 0.2 < result["dense"]["prior"] < 0.5

    rendered = render(result)
    assert "linear, stride 32 alone" in rendered
    assert "the student" in rendered


def render(result):
    from benchmarks.tables_adapters import adapters

    return adapters(result)


def test_compare_adapters_second_call_takes_what_is_kept(toy_data, toy_run, tmp_path, monkeypatch):
    from training import compare_adapters

    assert compare(toy_data, toy_run, tmp_path / "first.json") == 0
    monkeypatch.setattr(compare_adapters, "assessed", None)
    assert compare(toy_data, toy_run, tmp_path / "second.json") == 0
    first, second = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("first", "second"))
    assert first["tasks"] == second["tasks"]


def test_compare_adapters_dense_weights_are_an_adapter_of_efiqa_export(toy_data, toy_run, tmp_path):
    from efiqa.export.adapters import load_adapter

    assert compare(toy_data, toy_run, tmp_path / "out.json", "--fit-only") == 0
    (path,) = toy_run.glob("adapters/*/dense.safetensors")
    assert load_adapter(path, 24 + 40 + 112 + 320).kind == "dense"


def test_compare_adapters_run_of_another_recipe_is_refused(toy_data, toy_run, tmp_path, capsys):
    other = tmp_path / "other.toml"
    other.write_text(TOY.read_text().replace("share = 0.8", "share = 0.7"))
    assert compare(toy_data, toy_run, tmp_path / "out.json", "--config", other) == 2
    assert "expected a run whose stage pseudo was finished with the settings" in capsys.readouterr().err


def test_compare_adapters_without_a_student_says_what_is_missing(toy_data, tmp_path, capsys):
    assert compare(toy_data, tmp_path, tmp_path / "out.json") == 2
    shown = capsys.readouterr().err
    assert "efiqa.onnx is missing, expected a run's student" in shown
    assert "--fit-only" in shown


def test_compare_adapters_takes_the_student_of_another_run(toy_data, toy_run, tmp_path, capsys):
    assert compare(toy_data, toy_run, tmp_path / "out.json", "--student", tmp_path / "other") == 2
    assert str(tmp_path / "other" / "export") in capsys.readouterr().err
