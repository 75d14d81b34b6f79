"""``efiqa calibrate``: from labelled pictures to a contract that gives the verdicts that they ask for."""

import csv
import hashlib
import json
import sys

import cv2
import numpy as np
import pytest

import efiqa
from efiqa import _core, _files, cli
from efiqa.calibration import Options, calibrate, site_model
from efiqa.calibration.zones import EQUAL, Zones
from efiqa.contract import OperatingPoint
from efiqa.errors import ContractError, FileError, LabelError, OptionError
from efiqa.golden import golden_path, make_golden
from tests.helpers import (
    LANDMARKS,
    TELLING,
    contract_of,
    drawn_eye,
    encoded,
    write_telling_model,
    write_tiny_model,
)

# The tiny model takes dark cells for bad, so the score grows with the light.
LIGHT = {"reject": range(20, 50, 5), "usable": range(90, 120, 5), "good": range(190, 220, 5)}
EACH = 6
EVEN = OperatingPoint(0, 0)  # without margins


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder with a model and six pictures of each label, and labels.csv with two pictures a patient."""
    monkeypatch.chdir(tmp_path)
    write_tiny_model(tmp_path)
    (tmp_path / "photos").mkdir()
    rows = []
    for label, lights in LIGHT.items():
        for number, light in enumerate(lights):
            name = f"photos/{label}{number}.png"
            (tmp_path / name).write_bytes(encoded(drawn_eye(level=light), "PNG"))
            rows.append([name, label, f"{label}-{number // 2}"])
    write_labels(tmp_path, rows)
    return tmp_path


def write_labels(folder, rows, header=("path", "label", "patient")):
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])


def read_rows(folder):
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))[1:]


def run(*arguments):
    return cli.main(
        ["calibrate", "--labels", "labels.csv", "--model", "tiny.onnx", "--folds", "2", *arguments]
    )


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_calibrate_new_contract_gives_the_verdicts_of_the_labels(site, capsys):
    before = {path.name: sha256(path) for path in site.iterdir() if path.is_file()}
    assert run("--name", "clinic", "--out", "new", "--plot", "new/reliability.png") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "clinic: good_min_score 0." in captured.out
    assert {path.name: sha256(path) for path in site.iterdir() if path.is_file()} == before
    assert sha256(site / "new" / "tiny.onnx") == before["tiny.onnx"]
    with (
        efiqa.Runtime(site / "new" / "tiny.onnx", operating_point="clinic") as named,
        efiqa.Runtime(site / "new" / "tiny.onnx") as default,
    ):
        assert default.info.operating_point == "clinic"
        for path, label, _ in read_rows(site):
            frame = efiqa.read_image(path)
            assert named.assess(frame).verdict == default.assess(frame).verdict == label
    assert cv2.imread(str(site / "new" / "reliability.png")).shape[2] == 3


def test_calibrate_contract_keeps_all_else_and_says_where_the_point_comes_from(site):
    old = json.loads(contract_of(site / "tiny.onnx").read_text())
    assert run("--name", "clinic") == 0
    folder = site / "tiny-v1-clinic"
    new = json.loads(contract_of(folder / "tiny.onnx").read_text())
    point = new["operating_points"].pop("clinic")
    assert point == json.loads((folder / "calibration.json").read_text())["limits"]
    assert (new.pop("id"), new.pop("default_operating_point")) == ("tiny-v1-clinic", "clinic")
    note = new["provenance"].pop("training_data")
    assert note.startswith(old["provenance"].pop("training_data").rstrip(". ") + ". Operating point clinic:")
    for told in ("6 reject, 6 usable, 6 good", sha256(site / "labels.csv"), "2 folds", "AUROC 1.000"):
        assert told in note
    assert new == {key: value for key, value in old.items() if key not in ("id", "default_operating_point")}


def test_calibrate_json_is_the_only_thing_on_standard_output(site, capsys):
    assert run("--json", "--min-sensitivity", "0.9", "--seed", "7") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["model"] == "tiny-v1-site/tiny.onnx"
    assert result["objective"] == "fewest refusals with a sensitivity of at least 0.9"
    assert (result["folds"], result["seed"]) == (2, 7)
    assert result["labels"]["pictures"] == dict.fromkeys(LIGHT, EACH)
    assert result["labels"]["patients_known"]
    for label, row in result["verdicts_out_of_fold"].items():
        assert sum(row.values()) == row[label] == EACH
    assert [cut["auroc"] for cut in result["cuts"]] == [{"value": 1.0, "low": 1.0, "high": 1.0}] * 2
    report = json.loads((site / "tiny-v1-site" / "calibration.json").read_text())
    assert report == {key: value for key, value in result.items() if key != "model"}


def paint_centre(site):
    """Make labels that the centre of the field alone tells; the rest is as bright in one as in the other."""
    rows = []
    for number in range(16):
        label, light = ("bad", "good")[number % 2], 90 + 10 * (number // 2)
        eye = drawn_eye(level=light)
        middle = (eye.shape[1] // 2, eye.shape[0] // 2)
        cv2.circle(eye, middle, eye.shape[0] // 8, (255, 255, 255) if label == "good" else (20, 20, 20), -1)
        name = f"photos/centre{number}.png"
        (site / name).write_bytes(encoded(eye, "PNG"))
        rows.append([name, label, str(number)])
    write_labels(site, rows)


def test_calibrate_zone_weights_are_fitted_and_used(site, capsys):
    paint_centre(site)
    assert run("--json", "--name", "plain") == 0
    plain = json.loads(capsys.readouterr().out)
    assert run("--json", "--name", "zones", "--zone-weights") == 0
    result = json.loads(capsys.readouterr().out)
    assert "zone_weights" not in plain["limits"]
    weights = result["limits"]["zone_weights"]
    assert weights["center"] == 1
    assert weights["middle"] < 1
    assert weights["periphery"] < 1
    assert result["cuts"][0]["auroc"]["value"] > plain["cuts"][0]["auroc"]["value"]
    assert result["objective"] == "best balanced accuracy, weights of zones for the best AUROC"
    frames = [efiqa.read_image(path) for path, _, _ in read_rows(site)]
    with efiqa.Runtime(site / "tiny.onnx") as old, efiqa.Runtime("tiny-v1-zones/tiny.onnx") as new:
        point = new.info.contract.operating_points["zones"]
        assert point.to_dict() == result["limits"]
        reports = [old.assess(frame) for frame in frames]
        expected = Zones.of(reports, EVEN).scores(point.zone_weights)
        for frame, before, score in zip(frames, reports, expected, strict=True):
            found = new.assess(frame)
            assert found.score == pytest.approx(score, abs=1e-6)
            assert found.verdict == ("good" if score >= point.good_min_score else "reject")
            assert np.array_equal(found.map, before.map, equal_nan=True)
        assert max(abs(score - each.score) for score, each in zip(expected, reports, strict=True)) > 0.05
    assert run("--name", "again", "--zone-weights") == 0
    assert ", zone_weights center 1, middle " in capsys.readouterr().out


def test_calibrate_of_a_model_with_zone_weights_keeps_them(site, capsys):
    paint_centre(site)
    assert run("--json", "--name", "zones", "--zone-weights") == 0
    zones = json.loads(capsys.readouterr().out)
    for name, more in (("later", []), ("again", ["--zone-weights"])):
        assert run("--json", "--name", name, "--model", "tiny-v1-zones/tiny.onnx", *more) == 0
        found = json.loads(capsys.readouterr().out)
        contract = json.loads(contract_of(site / f"tiny-v1-zones-{name}" / "tiny.onnx").read_text())
        points = contract["operating_points"]
        assert points[name] == found["limits"]
        assert points["zones"] == zones["limits"]
        if not more:
            assert found["limits"] == zones["limits"]
            assert found["cuts"][0]["auroc"]["value"] >= zones["cuts"][0]["auroc"]["value"]


@pytest.mark.parametrize("margin", ["macula_margin", "optic_disc_margin"])
def test_calibrate_counts_landmarks_as_the_model_does(site, capsys, margin):
    paint_centre(site)
    model = write_telling_model(site, TELLING | LANDMARKS)
    path = contract_of(model)
    document = json.loads(path.read_text())
    document["operating_points"][document["default_operating_point"]][margin] = 0.125
    path.write_text(json.dumps(document))
    frames = [efiqa.read_image(name) for name, _, _ in read_rows(site)]
    for name, more in (("plain", []), ("zones", ["--zone-weights"])):
        assert run("--json", "--name", name, *more) == 0
        assert json.loads(capsys.readouterr().out)["limits"][margin] == 0.125
        with efiqa.Runtime(f"tiny-v1-{name}/tiny.onnx") as runtime:
            point = runtime.info.contract.operating_points[name]
            reports = [runtime.assess(frame) for frame in frames]
        zones = point.zone_weights or EQUAL
        scores = Zones.of(reports, point).scores(zones)
        assert np.allclose([report.score for report in reports], scores, atol=1e-6)
        assert np.abs(scores - Zones.of(reports, EVEN).scores(zones)).max() > 0.01
    assert run("--name", "again") == 0
    assert f", {margin} 0.125" in capsys.readouterr().out


@pytest.mark.parametrize("zones", [[], ["--zone-weights"]])
def test_calibrate_gives_the_point_the_margins_that_are_asked_for(site, capsys, zones):
    paint_centre(site)
    write_telling_model(site, TELLING | LANDMARKS)
    frames = [efiqa.read_image(name) for name, _, _ in read_rows(site)]
    assert run("--json", "--name", "plain", *zones) == 0
    assert not any("margin" in name for name in json.loads(capsys.readouterr().out)["limits"])
    assert run("--json", "--name", "new", "--macula-margin", "0.125", "--disc-margin", "0.25", *zones) == 0
    limits = json.loads(capsys.readouterr().out)["limits"]
    assert (limits["macula_margin"], limits["optic_disc_margin"]) == (0.125, 0.25)
    with efiqa.Runtime("tiny-v1-new/tiny.onnx") as runtime:
        point = runtime.info.contract.operating_points["new"]
        reports = [runtime.assess(frame) for frame in frames]
    scores = Zones.of(reports, point).scores(point.zone_weights or EQUAL)
    assert np.allclose([report.score for report in reports], scores, atol=1e-6)
    assert np.abs(scores - Zones.of(reports, EVEN).scores(point.zone_weights or EQUAL)).max() > 0.01
    assert [report.verdict == "good" for report in reports] == list(scores >= limits["good_min_score"])


def test_calibrate_refuses_margins_of_what_the_model_does_not_tell(site, capsys):
    assert run("--disc-margin", "0.45") == 2
    assert (
        "optic_disc_margin is given, but the model does not tell where the optic_disc is"
        in capsys.readouterr().err
    )
    assert run("--macula-margin", "1.5") == 2
    assert "macula_margin is 1.5, expected a number from 0 to 1; or None" in capsys.readouterr().err


def test_calibrate_positive_gives_one_limit_without_usable(site, capsys):
    assert run("--positive", "reject,usable", "--json") == 0
    limits = json.loads(capsys.readouterr().out)["limits"]
    assert limits["good_min_score"] == limits["usable_min_score"]
    with efiqa.Runtime("tiny-v1-site/tiny.onnx") as runtime:
        for path, label, _ in read_rows(site):
            expected = "good" if label == "good" else "reject"
            assert runtime.assess(efiqa.read_image(path)).verdict == expected


def test_calibrate_pictures_without_a_score_are_counted_and_reported(site, capsys):
    (site / "photos" / "black.png").write_bytes(encoded(np.zeros((240, 320, 3), np.uint8), "PNG"))
    (site / "photos" / "broken.png").write_bytes(b"no picture")
    write_labels(
        site,
        [["photos/black.png", "reject", "x"], ["photos/broken.png", "usable", "y"], *read_rows(site)],
    )
    assert run("--json") == 1
    captured = capsys.readouterr()
    assert "row 2: photos/black.png: unknown: no_field_of_view" in captured.err
    assert "row 3: photos/broken.png: not assessed: photos/broken.png" in captured.err
    assert "[not_a_picture]" in captured.err
    result = json.loads(captured.out)
    assert result["verdicts_out_of_fold"]["reject"]["unknown"] == 1
    assert result["verdicts_out_of_fold"]["usable"]["not assessed"] == 1
    assert [each["row"] for each in result["without_score"]] == [2, 3]
    assert "2 of them without a score" in contract_of(site / "tiny-v1-site" / "tiny.onnx").read_text()


def test_calibrate_only_unknown_verdicts_are_no_failure(site, capsys):
    (site / "photos" / "black.png").write_bytes(encoded(np.zeros((240, 320, 3), np.uint8), "PNG"))
    write_labels(site, [["photos/black.png", "reject", "x"], *read_rows(site)])
    assert run() == 0
    captured = capsys.readouterr()
    assert captured.err == "row 2: photos/black.png: unknown: no_field_of_view\n"


def test_calibrate_what_is_no_retina_is_counted_as_unknown(site, capsys):
    write_telling_model(site)
    blue = np.ascontiguousarray(drawn_eye()[:, :, ::-1])
    (site / "photos" / "blue.png").write_bytes(encoded(blue, "PNG"))
    write_labels(site, [["photos/blue.png", "reject", "x"], *read_rows(site)])
    assert run("--json") == 0
    captured = capsys.readouterr()
    assert captured.err == "row 2: photos/blue.png: unknown: not_a_fundus\n"
    assert json.loads(captured.out)["verdicts_out_of_fold"]["reject"]["unknown"] == 1
    old = json.loads(contract_of(site / "tiny.onnx").read_text())
    new = json.loads(contract_of(site / "tiny-v1-site" / "tiny.onnx").read_text())
    assert new["reasons"] is not None
    for field in ("output", "reasons", "not_a_fundus"):
        assert new[field] == old[field]


def test_calibrate_class_without_any_score_is_named(site, capsys):
    for number in range(EACH):
        (site / "photos" / f"reject{number}.png").write_bytes(
            encoded(np.zeros((240, 320, 3), np.uint8), "PNG")
        )
    assert run() == 1
    shown = capsys.readouterr()
    assert "no picture with the label 'reject' has a score; the first of 6 is row 2" in shown.err
    assert shown.out == ""
    assert not (site / "tiny-v1-site").exists()


def test_calibrate_without_patients_warns_that_intervals_flatter(site, capsys):
    write_labels(site, [row[:2] for row in read_rows(site)], header=("path", "label"))
    assert run() == 0
    assert "there is no column patient" in capsys.readouterr().err


def test_calibrate_sensitivity_missed_out_of_fold_is_told(site, capsys):
    # The two brightest rejects in one patient: the other fold has never seen such light.
    rows = [row for row in read_rows(site) if row[1] != "usable"]
    for number, light in ((4, 150), (5, 155)):
        (site / "photos" / f"reject{number}.png").write_bytes(encoded(drawn_eye(level=light), "PNG"))
    write_labels(site, rows)
    assert run("--min-sensitivity", "1") == 0
    shown = capsys.readouterr().err
    assert "reject | good: sensitivity out of fold is 0.667, below 1: expect that on new pictures" in shown


def test_calibrate_golden_file_travels_with_the_model(site):
    model = site / "tiny.onnx"
    entry = make_golden(model).write(golden_path(model))
    document = json.loads(contract_of(model).read_text())
    document["golden"] = {"file": entry.file, "sha256": entry.sha256}
    contract_of(model).write_text(json.dumps(document))
    assert run("--out", "new") == 0
    assert sha256(site / "new" / entry.file) == entry.sha256
    assert cli.main(["verify", "new/tiny.onnx"]) == 0


def test_calibrate_signature_is_not_taken_along(site, capsys):
    (site / "tiny.onnx.json.sig").write_text("of the old contract")
    assert run("--out", "new") == 0
    assert sorted(path.name for path in (site / "new").iterdir()) == [
        "calibration.json", "tiny.onnx", "tiny.onnx.json",
    ]  # fmt: skip
    assert "not signed: efiqa sign new/tiny.onnx --key NAME.key" in capsys.readouterr().out


def test_calibrate_again_on_the_new_contract_adds_another_point(site):
    assert run("--name", "one", "--out", "one") == 0
    command = ["calibrate", "--labels", "labels.csv", "--model", "one/tiny.onnx", "--folds", "2"]
    assert cli.main([*command, "--name", "two", "--out", "two", "--id", "of-two"]) == 0
    contract = efiqa.Contract.of_model(site / "two" / "tiny.onnx")
    assert list(contract.operating_points)[-2:] == ["one", "two"]
    assert (contract.id, contract.default_operating_point) == ("of-two", "two")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--folds", "1"], 2, "folds is 1, expected an integer from 2"),
        (["--folds", "4"], 1, "label 'reject' has pictures with a score of 3 different patients"),
        (["--min-sensitivity", "0"], 2, "min_sensitivity is 0.0, expected a number above 0, up to 1"),
        (["--min-sensitivity", "nan"], 2, "min_sensitivity is nan"),
        (["--name", "screening"], 2, "name is 'screening', expected another than tiny-v1 has: screening"),
        (["--name", "My Point"], 2, "name is 'My Point', expected 1 to 64 of a-z 0-9 _ -"),
        (["--id", "tiny-v1"], 2, "id is 'tiny-v1', expected another than the model's"),
        (["--id", "x" * 65], 2, "expected 1 to 64 of a-z 0-9 _ -; give an id of your own"),
        (["--plot", "plot.pdf"], 2, "plot is 'plot.pdf', expected a suffix of .png"),
        (["--plot", "none/plot.png"], 1, "none/plot.png cannot be written"),
        (["--out", "."], 1, "tiny.onnx exists already, and is not replaced; choose another folder"),
        (["--out", "labels.csv"], 1, "labels.csv cannot be made"),
        (["--order", "good,usable,reject"], 1, "'usable+reject' do not score above 'good': AUROC 0.000"),
        (["--order", "reject,,good"], 2, "is 'reject,,good', expected labels with commas between them"),
        (["--order", "a,b", "--positive", "a"], 2, "not allowed with argument"),
        (["--data", "photos"], 1, "labels.csv row 2: photos/photos/reject0.png is no file, and 17 more"),
        (["--labels", "none.csv"], 1, "labels none.csv cannot be read"),
        (["--model", "none.onnx"], 1, "[model_missing]"),
        (["--threads", "0"], 2, "is '0', expected an integer from 1"),
    ],
)  # fmt: skip
def test_calibrate_what_cannot_be_done_is_named_and_leaves_no_contract(
    site, arguments, code, message, capsys
):
    assert run(*arguments) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
    assert [path.name for path in site.rglob("*.onnx.json")] == ["tiny.onnx.json"]


def test_calibrate_untrained_model_is_refused(site, capsys):
    write_tiny_model(site, trained=False)
    assert run() == 1
    assert "has random weights (model.trained is false in its contract)" in capsys.readouterr().err


def test_calibrate_model_that_changes_meanwhile_is_not_copied(site):
    def change(pictures):
        yield from pictures
        (site / "tiny.onnx").write_bytes(b"another")

    with pytest.raises(ContractError, match="its contract expects"):
        calibrate("labels.csv", model="tiny.onnx", options=Options(folds=2), track=change)
    assert not list(site.glob("tiny-v1-site/*.json"))


def test_calibrate_disk_that_fills_up_leaves_nothing_under_a_final_name(site, monkeypatch, capsys):
    real = _files.AtomicFile.write

    def full(self, data):
        if self.path.name == "tiny.onnx.json":  # the last one
            raise _files.unwritable(self.path, OSError(28, "No space left on device"))
        real(self, data)

    monkeypatch.setattr(_files.AtomicFile, "write", full)
    assert run("--out", "new") == 1
    assert "new/tiny.onnx.json cannot be written: No space left on device" in capsys.readouterr().err
    assert list((site / "new").iterdir()) == []
    monkeypatch.undo()
    monkeypatch.chdir(site)
    assert run("--out", "new") == 0


def test_calibrate_needs_neither_scikit_learn_nor_matplotlib_nor_torch(site, monkeypatch):
    for name in ("sklearn", "matplotlib", "torch", "scipy", "skimage"):
        monkeypatch.setitem(sys.modules, name, None)
    assert run("--plot", "reliability.png") == 0


def test_calibrate_python_result_names_the_model(site):
    result = efiqa.calibrate("labels.csv", "new", model="tiny.onnx", options=Options(folds=2))
    assert isinstance(result, efiqa.Calibration)
    assert str(result.model_path) == "new/tiny.onnx"
    assert result.labels.classes == ("reject", "usable", "good")
    with pytest.raises(FileError, match="exists already"):
        efiqa.calibrate("labels.csv", "new", model="tiny.onnx", options=Options(folds=2))


@pytest.mark.parametrize(("field", "value"), [("folds", True), ("folds", 2.0), ("seed", -1), ("seed", "1")])
def test_options_of_another_kind_are_refused(field, value):
    with pytest.raises(OptionError, match=f"{field} is {value!r}, expected an integer from"):
        Options(**{field: value})


def test_sixteen_points_leave_no_room(site):
    document = json.loads(contract_of(site / "tiny.onnx").read_text())
    limits = document["operating_points"]["screening"]
    document["operating_points"] = {"screening": limits} | {f"p{i}": limits for i in range(15)}
    contract_of(site / "tiny.onnx").write_text(json.dumps(document))
    with pytest.raises(OptionError, match="has 16 operating points, expected room for one more"):
        calibrate("labels.csv", model="tiny.onnx", options=Options(folds=2))
    document["operating_points"]["p15"] = limits
    with pytest.raises(_core.CoreError, match="1 to 16 named operating points"):
        _core.validate_contract(json.dumps(document), "contract")


@pytest.mark.parametrize("name", ["a", "0_-z", "x" * 64, "", "A", "x" * 65, "a b", "ä", "a\n", "a."])
def test_names_are_judged_as_the_core_judges_them(site, name):
    document = json.loads(contract_of(site / "tiny.onnx").read_text())
    document["id"] = name
    try:
        _core.validate_contract(json.dumps(document), "contract")
        allowed = True
    except _core.CoreError:
        allowed = False
    assert (site_model._NAME.fullmatch(name) is not None) == allowed


def test_calibrate_label_error_is_a_value_error(site):
    write_labels(site, [["photos/good0.png", "good", "1"]])
    with pytest.raises(LabelError, match="every label is 'good'") as caught:
        calibrate("labels.csv", model="tiny.onnx")
    assert isinstance(caught.value, ValueError)
