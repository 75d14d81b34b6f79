"""The evaluation end to end on toy pictures and the tiny model, and parts whose right answer is known."""

import json

import cv2
import numpy as np
import pytest

from tests.helpers import drawn_eye, write_telling_model

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

TINY_SIDE = 8


@pytest.fixture(scope="module")
def toy_data(tmp_path_factory):
    """Toy vessel pictures and pool, and an eval split with two pictures a patient."""
    from training import synthetic
    from training.degrade import degrade

    root = tmp_path_factory.mktemp("toy")
    synthetic.make(root, count=8, seed=1)
    rows = (root / "manifest.csv").read_text().splitlines()
    rng = np.random.default_rng(0)
    pool = sorted((root / "pool" / "TOY").iterdir())
    y, x = np.mgrid[:320, :320] / 320 - 0.5
    visible = np.hypot(x, y) <= 0.48
    labels = {"eyeq": ["good"] * 12 + ["usable"] * 6 + ["reject"] * 12, "drimdb": ["good"] * 8 + ["bad"] * 8}
    for family, given in labels.items():
        for index, label in enumerate(given):
            picture = cv2.imread(str(pool[index % len(pool)]))[..., ::-1].copy()
            severity = {"good": 0.0, "usable": 0.5}.get(label, 1.0)
            if severity:
                picture = degrade(picture, visible, "under_exposed", severity, rng, local=False).rgb
            eye = ("left", "right")[index % 2]
            name = f"eval/{family}/{label}/EYEPACS_{index // 2}_{eye}.png"
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / name), picture[..., ::-1])
            rows.append(f"{name},eval,quality,TOY,{label},,320,320,toy")
    outlier = "eval/drimdb/outlier/white.png"
    (root / outlier).parent.mkdir(parents=True)
    for index in range(5):
        name = outlier.replace("white", f"white{index}")
        cv2.imwrite(str(root / name), np.full((200, 200, 3), 40 + index, np.uint8))
        rows.append(f"{name},eval,quality,TOY,outlier,,200,200,toy")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def vessel_run(tmp_path_factory):
    """Untrained vessel models as a run folder."""
    from training import segment, vuad
    from training.unet import save_network

    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    save_network(segment.Segmenter((8, 8), 64), (8, 8), 64, folder / "segmenter.pt")
    save_network(vuad.Vuad((8, 8), 32), (8, 8), 32, folder / "vuad.pt")
    return folder


def evaluate(tmp_path, tiny_model, *arguments):
    from training import evaluate as module

    out = tmp_path / "out.json"
    status = module.main(["--model", str(tiny_model), "--threads", "1", "--out", str(out), *arguments])
    return status, json.loads(out.read_text()) if out.is_file() else None


def test_evaluate_toy_pictures_gives_every_figure(tmp_path, tiny_model, toy_data, vessel_run):
    status, result = evaluate(tmp_path, tiny_model, "--data", str(toy_data), "--run", str(vessel_run))
    assert status == 0
    assert set(result["tasks"]) == {
        "drimdb_good_bad",
        "drimdb_good_outlier",
        "eyeq_good_reject",
        "eyeq_readable_reject",
        "eyeq_good_rest",
    }
    assert set(result["methods"]) == {
        "model",
        "local_contrast",
        "laplacian_variance",
        "vessel_density",
        "vuad_area",
        "supervised_probe",
    }
    assert [name for name, method in result["methods"].items() if method["uses_labels"]] == [
        "supervised_probe"
    ]
    task = result["tasks"]["eyeq_good_reject"]
    assert (task["n_good"], task["n_bad"], task["n_groups"]) == (12, 12, 12)
    # The tiny model takes dark for bad, and the bad pictures are under-exposed.
    assert task["methods"]["model"]["auroc"] > 0.95
    assert task["methods"]["supervised_probe"]["auroc"] > 0.9
    low, high = task["methods"]["local_contrast"]["auroc_interval"]
    assert 0 <= low <= task["methods"]["local_contrast"]["auroc"] <= high <= 1
    counts = result["verdicts"]["eyeq"]["good"]
    assert sum(counts.values()) == 12
    local = result["local"]
    assert local["all"]["n_pictures"] == 8 * local["kinds"]["dark"]["n_pictures"]
    assert local["first_kinds"]["n_pictures"] == 4 * local["kinds"]["dark"]["n_pictures"]
    assert result["local"]["kinds"]["dark"]["patch_auroc"] > 0.95
    assert len(result["model"]["sha256"]) == len(result["manifest_sha256"]) == 64
    # The tiny model names no cause and refuses only what has no field of view.
    outliers = result["labelled_refusals"]["labels"]["drimdb outlier"]
    assert outliers["reasons"] == {"no_field_of_view": 5}
    assert result["labelled_refusals"]["good_outlier_auroc"] == {"not_a_fundus": None, "score": 1.0}
    assert result["refusals"]["photographs"]["vessel sets, test"]["n_refused"] == 0
    assert result["refusals"]["foreign"]["flat"]["share_refused"] == 1
    assert result["reasons"]["regions"]["macro_f1"] == 0
    assert result["reasons"]["pictures"]["causes"]["field_cut"]["n"] > 0
    assert result["anatomy"]["rim"]["shapes"]["all"]["n_pictures"] == 4


def test_evaluate_takes_baselines_over_from_an_earlier_result(tmp_path, tiny_model, toy_data, vessel_run):
    _, first = evaluate(tmp_path, tiny_model, "--data", str(toy_data), "--run", str(vessel_run))
    earlier = tmp_path / "earlier.json"
    (tmp_path / "out.json").rename(earlier)
    arguments = ("--data", str(toy_data), "--baselines", str(earlier))
    status, again = evaluate(tmp_path, tiny_model, *arguments)
    assert status == 0
    assert again["methods"] == first["methods"]
    assert again["tasks"] == first["tasks"]
    assert again["baselines"] == {"commit": first["machine"]["commit"], "command": first["command"]}
    (tmp_path / "out.json").rename(earlier)
    _, third = evaluate(tmp_path, tiny_model, *arguments)
    assert third["baselines"] == again["baselines"]  # where they were made, however often they were taken


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"manifest_sha256": "0" * 64}, "is of manifest 0000"),
        ({"pictures": []}, "is of other pictures"),
        ({"tasks": None}, "has no tasks, expected the final figures"),
    ],
)
def test_evaluate_earlier_result_of_other_pictures_is_an_error(tmp_path, change, message):
    from training.evaluate import earlier_result
    from training.quality_sets import Labelled

    pictures = [Labelled(tmp_path / "a.png", "a.png", "drimdb", "good", "a")]
    content = {
        "manifest_sha256": "1" * 64,
        "pictures": [{"name": "a.png", "label": "good"}],
        "methods": {},
        "tasks": {},
    }
    path = tmp_path / "earlier.json"
    path.write_text(json.dumps(content))
    assert earlier_result(path, "1" * 64, pictures) == content
    path.write_text(json.dumps({key: each for key, each in (content | change).items() if each is not None}))
    with pytest.raises(ValueError, match=message):
        earlier_result(path, "1" * 64, pictures)


def test_evaluate_development_reads_no_picture_but_the_training_split_and_the_pool(
    tmp_path, tiny_model, toy_data, monkeypatch
):
    from training import anatomy_figures, data, local_defects, refusals
    from training import evaluate as evaluation

    seen = []

    def load(path):
        seen.append(str(path))
        return data.load_rgb(path)

    for module in (anatomy_figures, evaluation, local_defects, refusals):
        monkeypatch.setattr(module, "load_rgb", load)
    status, result = evaluate(tmp_path, tiny_model, "--data", str(toy_data), "--development")
    assert status == 0
    manifest = (toy_data / "manifest.csv").read_text().splitlines()
    allowed = (",train,vessel_image,", ",pool,unlabelled,")
    names = {line.split(",")[0] for line in manifest if any(each in line for each in allowed)}
    assert {path.removeprefix(f"{toy_data}/") for path in seen} == names
    assert "tasks" not in result
    assert "labelled_refusals" not in result
    assert set(result["refusals"]["photographs"]) == {"pool", "vessel sets, train"}
    assert result["reasons"]["pictures"]["n"] > 0
    assert result["anatomy"]["rim"]["shapes"]["all"]["n_pictures"] > 0
    ranking = result["ranking"]["kinds"]["under_exposed"]
    assert ranking["auroc"]["1.0"] == 1.0
    assert ranking["spearman_severity"] > 0.9
    assert ranking["spearman_visible"] > 0.8
    assert result["ranking"]["hopeless"]["n_frames"] > 10
    behind = result["ranking_by_camera"]
    assert behind["hopeless"]["n_frames"] == result["ranking"]["hopeless"]["n_frames"]
    assert behind["clean_mean_score"] != result["ranking"]["clean_mean_score"]
    assert result["local_by_camera"]["all"]["n_bad_cells"] > 0


def test_evaluate_labels_file_gives_its_own_tasks(tmp_path, tiny_model, toy_data):
    names = sorted(p for p in (toy_data / "eval" / "eyeq").rglob("*.png") if p.parent.name != "usable")
    csv = tmp_path / "held.csv"
    csv.write_text("path,label\n" + "".join(f"{p},{p.parent.name}\n" for p in names))
    status, result = evaluate(tmp_path, tiny_model, "--labels", str(csv))
    assert status == 0
    assert list(result["tasks"]) == ["held_good_vs_reject"]
    assert result["tasks"]["held_good_vs_reject"]["methods"]["model"]["auroc"] > 0.95
    assert "supervised_probe" not in result["methods"]  # it needs EyeQ to learn from


def test_evaluate_model_that_says_what_is_no_fundus_is_judged_by_it(tmp_path, toy_data):
    rows = [f"{path},good" for path in sorted((toy_data / "eval" / "drimdb" / "good").iterdir())]
    for index in range(6):
        blue = drawn_eye(300, 300)[..., ::-1]
        blue[: 40 * index] //= 2
        cv2.imwrite(str(tmp_path / f"blue{index}.png"), blue[..., ::-1])
        rows.append(f"blue{index}.png,outlier")
    csv = tmp_path / "drimdb.csv"
    csv.write_text("\n".join(["path,label", *rows]) + "\n")
    status, result = evaluate(tmp_path, write_telling_model(tmp_path), "--labels", str(csv))
    assert status == 0
    found = result["labelled_refusals"]
    assert found["labels"]["drimdb outlier"]["reasons"] == {"not_a_fundus": 6}
    assert found["labels"]["drimdb good"]["n_refused"] == 0
    assert found["good_outlier_auroc"]["not_a_fundus"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na.png,good\n", "has the columns file, label, expected path,label"),
        ("path,label\na.png,fine\n", "held.csv:2: label is 'fine', expected one of good, usable"),
        ("path,label\na.png,good\n", "has only the labels good"),
    ],
)
def test_evaluate_wrong_labels_file_is_named(tmp_path, tiny_model, text, message, capsys):
    csv = tmp_path / "held.csv"
    csv.write_text(text)
    status, result = evaluate(tmp_path, tiny_model, "--labels", str(csv))
    assert (status, result) == (2, None)
    assert message in capsys.readouterr().err


def test_evaluate_missing_data_is_named(tmp_path, tiny_model, capsys):
    status, _ = evaluate(tmp_path, tiny_model, "--data", str(tmp_path / "nothing"))
    assert status == 2
    assert "expected a folder that holds manifest.csv" in capsys.readouterr().err


def test_cells_of_a_box_beyond_the_frame_counts_the_outside_as_zero():
    from training.local_defects import cells_of

    plane = np.ones((8, 8), np.float32)
    cells = cells_of(plane, (-4, 0, 8), 2, 2)
    np.testing.assert_allclose(cells, [[0, 1], [0, 1]])


def test_frame_map_is_the_map_in_the_field_and_unknown_outside(tiny_model):
    from efiqa import Runtime
    from training.local_defects import cells_of, frame_map

    frame = drawn_eye(640, 640, level=150)
    frame[:320] //= 3
    report = Runtime(tiny_model, allow_untrained=True).assess(frame)
    found = frame_map(report)
    assert found.shape == (640, 640)
    known = np.isfinite(found)
    assert known[320, 320]
    assert not known[0, 0]
    whole = report.weights == 1
    means = cells_of(np.nan_to_num(found), report.crop, *report.map.shape[::-1])
    assert np.abs(means - report.map)[whole].mean() < 0.05


def test_local_benchmark_map_that_is_the_truth_is_perfect_and_its_inverse_is_not(tiny_model):
    from dataclasses import dataclass

    from training.local_defects import Tally, add_frame

    class Field:
        @staticmethod
        def contains(x, y):
            return np.broadcast_to(True, np.broadcast_shapes(x.shape, y.shape))

    @dataclass
    class Report:
        map: np.ndarray
        crop: tuple[int, int, int] = (0, 0, 64)
        frame_size: tuple[int, int] = (64, 64)
        verdict: str = "reject"
        fov: type[Field] = Field

        def overlay(self, frame, **options):
            shown = np.rint(255 * cv2.resize(self.map, self.frame_size)).astype(np.uint8)
            return np.maximum(frame, shown[..., None])

    strength = np.zeros((64, 64), np.float32)
    strength[:, 32:] = 1
    visible = np.ones((64, 64), bool)
    truth = strength.reshape(8, 8, 8, 8).mean((1, 3))
    right, wrong = Tally(), Tally()
    add_frame([right], Report(truth), (strength, strength), visible, 0.5)
    add_frame([wrong], Report(1 - truth), (strength, strength), visible, 0.5)
    assert right.figures()["patch_auroc"] == right.figures()["pixel_auroc"] == 1
    assert right.figures()["dice"] > 0.95  # the border is interpolated
    assert wrong.figures()["patch_auroc"] == 0
    assert wrong.figures()["dice"] < 0.05


def test_baselines_blur_lowers_contrast_and_laplacian(toy_data):
    from training import baselines
    from training.data import crop_frame, load_rgb

    frame = load_rgb(toy_data / "vessels" / "TOY" / "images" / "TOY_000.png")
    sharp = crop_frame(frame, 256)
    soft = crop_frame(cv2.GaussianBlur(frame, (0, 0), 5), 256)
    assert baselines.local_contrast(soft) < 0.5 * baselines.local_contrast(sharp)
    assert baselines.laplacian_variance(soft) < 0.5 * baselines.laplacian_variance(sharp)


def test_probe_held_out_patient_has_no_part_in_its_own_score():
    from training.baselines import cross_validated_probe

    rng = np.random.default_rng(0)
    features = rng.standard_normal((60, 5)).astype(np.float32)
    good = rng.random(60) < 0.5
    fold = np.arange(60) % 5
    before = cross_validated_probe(features, list(good), fold)
    changed = good.copy()
    changed[fold == 2] = ~changed[fold == 2]
    after = cross_validated_probe(features, list(changed), fold)
    np.testing.assert_array_equal(before[fold == 2], after[fold == 2])
    assert (before[fold != 2] != after[fold != 2]).any()
