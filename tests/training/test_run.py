"""The whole chain at toy size: synthetic vessels in, a model that the runtime opens out."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")
pytestmark = [pytest.mark.train, pytest.mark.slow]

TOY = Path(__file__).parents[2] / "training/configs/toy.toml"
STAGES = (
    "segmenter",
    "vuad",
    "pseudo",
    "teacher",
    "student",
    "refusal",
    "landmarks",
    "map",
    "rim",
    "prune",
    "viewing",
    "export",
)


@pytest.fixture(scope="module")
def toy_run(tmp_path_factory):
    from training.run import main

    out = tmp_path_factory.mktemp("toy")
    main(["--config", str(TOY), "--out", str(out)])
    return out


def test_run_toy_writes_figures_and_pictures_of_each_stage(toy_run):
    for stage in STAGES:
        assert (toy_run / f"{stage}.done.json").is_file()
    for picture in ("segmenter", "vuad", "pseudo", "teacher", "student", "segmenter.loss", "student.loss"):
        assert (toy_run / f"{picture}.png").stat().st_size > 1000
    # 60 iterations on drawn vessels: well above the Dice of calling everything vessel (about 0.15).
    assert json.loads((toy_run / "segmenter.json").read_text())["dice"]["mean_of_sets"] > 0.25


def test_run_toy_model_is_assessed_by_the_runtime(toy_run):
    import cv2

    import efiqa

    picture = cv2.imread(str(sorted((toy_run / "synthetic/vessels/TOY/images").iterdir())[0]))
    report = efiqa.Runtime(toy_run / "export/efiqa.onnx").assess(picture, bgr=True)
    assert report.fov.shape == "circle"
    assert report.map.shape == (6, 6)
    assert 0 < report.not_a_fundus < 1
    # Twenty iterations may well not tell drawn vessels from drawn eyes.
    assert report.score is None if report.reason == "not_a_fundus" else 0 <= report.score <= 1


def test_run_toy_operating_points_read_scores_as_their_limits_did(toy_run):
    from efiqa.contract import Contract
    from training.scoring import PLAIN, SCREENING, Reading

    points = Contract.of_model(toy_run / "export/efiqa.onnx").operating_points
    read = {name: Reading.of(point) for name, point in points.items()}
    assert read == {"screening": SCREENING, "lenient": PLAIN}
    assert all(point.usable_min_score <= point.good_min_score for point in points.values())


def test_install_toy_model_opens_without_its_golden_sample(toy_run, tmp_path):
    import efiqa
    from training.install_model import install

    contract = install(toy_run, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["efiqa.onnx", "efiqa.onnx.json"]
    assert contract.golden is None
    assert efiqa.Runtime(tmp_path / "efiqa.onnx").info.model_id == "efiqa-toy"


def test_install_model_of_another_contract_changes_nothing(toy_run, tmp_path):
    from efiqa.errors import ContractError
    from training.install_model import install

    run = tmp_path / "run"
    shutil.copytree(toy_run / "export", run / "export")
    with (run / "export/efiqa.onnx").open("ab") as file:
        file.write(b"0")
    models = tmp_path / "models"
    models.mkdir()
    with pytest.raises(ContractError, match="has the SHA-256"):
        install(run, models)
    assert not list(models.iterdir())


def test_run_again_leaves_finished_stages_alone(toy_run, capsys):
    from training.run import main

    before = {path: path.stat().st_mtime_ns for path in toy_run.glob("*.pt")}
    main(["--config", str(TOY), "--out", str(toy_run)])
    assert {path: path.stat().st_mtime_ns for path in toy_run.glob("*.pt")} == before
    assert capsys.readouterr().out.count("done before") == len(STAGES)


def test_run_changed_settings_run_the_stage_and_what_follows_again(toy_run, tmp_path, capsys):
    from training.run import main

    changed = tmp_path / "changed.toml"
    changed.write_text(TOY.read_text().replace("calibration_pictures = 4", "calibration_pictures = 3"))
    main(["--config", str(changed), "--out", str(toy_run)])
    shown = capsys.readouterr().out
    assert shown.count("done before") == len(STAGES) - 1
    assert "export: finished" in shown


def test_run_changed_segmenter_drops_its_checkpoints_and_its_vessel_maps(toy_run, tmp_path, capsys):
    from training.run import main

    out = tmp_path / "run"
    shutil.copytree(toy_run, out)
    changed = tmp_path / "changed.toml"
    changed.write_text(TOY.read_text().replace("refine_entropy_weight = 0.25", "refine_entropy_weight = 0.5"))
    maps = out / "vessels/pool.npy"
    before = maps.stat().st_mtime_ns
    main(["--config", str(changed), "--out", str(out), "--stages", "segmenter", "vuad"])
    shown = capsys.readouterr().out
    assert shown.count("settings changed, starting over") == 2
    assert "resumed" not in shown
    # The pool's vessel maps are the new segmenter's.
    assert maps.stat().st_mtime_ns > before


def test_run_dense_teacher_teaches_the_student(toy_run, tmp_path):
    from training.run import main

    out = tmp_path / "run"
    shutil.copytree(toy_run, out)
    text = TOY.read_text()
    for old, new in (
        ('adapter = "multi_layer"', 'adapter = "dense"\ndense = { width = 8, prior = 0.1, workers = 0 }'),
        ("degraded_pictures = 6", "degraded_pictures = 0"),
        ("ranking_weight = 0.5", "ranking_weight = 0.0"),
        ("batch_cells = 128", "batch_cells = 144"),
    ):
        assert old in text
        text = text.replace(old, new)
    changed = tmp_path / "dense.toml"
    changed.write_text(text)
    before = np.load(out / "teacher/pool.npy")
    main(["--config", str(changed), "--out", str(out)])
    after = np.load(out / "teacher/pool.npy")
    assert after.shape == before.shape
    assert not np.array_equal(after, before)
    assert (out / "teacher.loss.png").stat().st_size > 1000
    assert "reduce.weight" in safetensors.load_file(out / "teacher.safetensors")
    for stage in STAGES[STAGES.index("student") :]:
        assert (out / f"{stage}.done.json").stat().st_mtime_ns > (
            toy_run / f"{stage}.done.json"
        ).stat().st_mtime_ns


def test_run_wrong_stage_is_a_usage_error(tmp_path, capsys):
    from training.run import main

    with pytest.raises(SystemExit) as stopped:
        main(["--config", str(TOY), "--out", str(tmp_path), "--stages", "polish"])
    assert stopped.value.code == 2
    assert "--stages holds polish, expected some of segmenter, vuad" in capsys.readouterr().err


def test_not_fundus_scenes_are_seeded_and_blank_outside():
    from training.not_fundus import random_scene

    rgb, visible = random_scene(96, np.random.default_rng(5))
    again, _ = random_scene(96, np.random.default_rng(5))
    assert np.array_equal(rgb, again)
    assert rgb[visible].std() > 0
    assert not rgb[~visible].any()


def test_run_with_a_model_to_start_from_needs_no_stage_before_the_student(tmp_path):
    from dataclasses import replace

    from training import config
    from training.run import Pipeline, make_fabric

    recipe = config.load(TOY)
    (tmp_path / "manifest.csv").write_text("path,split,role,dataset,label,pair_id,source\n")
    fabric, pipelines = make_fabric(recipe), []
    for start in ("", "efiqa-lite0-384-v1"):
        for vuad in (recipe.vuad, replace(recipe.vuad, good_share=recipe.vuad.good_share / 2)):
            changed = replace(recipe, student=replace(recipe.student, start=start), vuad=vuad)
            pipelines.append(Pipeline(changed, tmp_path, tmp_path, fabric))
    assert [each.needed() for each in pipelines[1:3]] == [
        list(STAGES),
        list(STAGES[STAGES.index("student") :]),
    ]
    keys = [each.stages["student"][1] for each in pipelines]
    assert keys[0] != keys[1]  # what a stage before was told matters
    assert keys[2] == keys[3]  # or not
