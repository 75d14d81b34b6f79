"""How much the scores of a patient's two eyes agree."""

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.train


def picture(name, dataset="set"):
    from training.data import Picture

    fields = dict.fromkeys(Picture.__dataclass_fields__, "")
    return Picture(**fields | {"name": f"pool/{name}.jpg", "path": Path(name), "dataset": dataset})


def test_pairs_of_eyes_are_of_one_patient_and_set():
    from training.eye_agreement import pairs_of_eyes

    names = [f"{number}_{side}" for number in range(25) for side in ("right", "left")]
    pictures = [picture(name) for name in names] + [picture("99_left"), picture("x_left", "few")]
    pairs = pairs_of_eyes([*pictures, picture("x_right", "few"), picture("leftover")])
    assert list(pairs) == ["set"]
    assert len(pairs["set"]) == 25
    for left, right in pairs["set"]:
        assert left.name.replace("left", "right") == right.name


def test_agreement_is_of_ranks_and_the_same_both_ways_round():
    from training.eye_agreement import agreement

    left, right = [0.1, 0.5, 0.9, 0.3], [0.2, 0.6, 0.95, 0.1]
    assert agreement(left, left) == pytest.approx(1)
    assert agreement(left, right) == pytest.approx(agreement(right, left))
    assert agreement([0, 1, 2, 3], [3, 2, 1, 0]) < -0.5


def test_score_by_a_temperature_divides_the_logits_of_the_map(tiny_model):
    import numpy as np

    from efiqa import Runtime
    from efiqa.calibration.zones import Zones
    from efiqa.contract import OperatingPoint, ZoneWeights
    from training.eye_agreement import Reading, own_reading, score_by

    y, x = np.mgrid[:256, :256] - 127.5
    frame = np.zeros((256, 256, 3), np.uint8)
    frame[np.hypot(x, y) < 120] = (180, 90, 40)
    with Runtime(tiny_model) as runtime:
        assert own_reading(runtime) == Reading()
        report, unknown = runtime.assess(frame), runtime.assess(np.zeros_like(frame))
    assert score_by(Reading(), report) == pytest.approx(report.score, abs=1e-6)
    assert score_by(Reading(1e6), report) == pytest.approx(0.5, abs=1e-4)
    zones = ZoneWeights(1, 0.5, 0.25)
    counted = Zones.of([report], OperatingPoint(0, 0)).scores(zones)[0]
    assert score_by(Reading(zones=zones), report) == pytest.approx(counted, abs=1e-6)
    assert abs(counted - report.score) > 1e-4
    assert score_by(Reading(2), unknown) == -1


def test_eye_agreement_of_the_command_line(capsys, monkeypatch):
    from training import eye_agreement

    found = [{"set": {"n_pairs": 20, "spearman": 0.5}}, {}]
    monkeypatch.setattr(eye_agreement, "read_manifest", lambda root: [])
    monkeypatch.setattr(eye_agreement, "eye_agreement", lambda runtime, pictures, readings: found)
    margins = "margins of macula and disc"
    for more, ends in (
        (
            ["--temperature", "1", "2", "--zones", "1,1,0.5", "--macula", "0", "--disc", "1"],
            (f"zones 1,1,0.5, {margins} 0 and 1", f"temperature 2, zones 1,1,0.5, {margins} 0 and 1"),
        ),
        (
            ["--zones", "1,1,1", "1,0.5,0.1", "--macula", "0.2", "--disc", "0.5"],
            (f"zones 1,1,1, {margins} 0.2 and 0.5", f"zones 1,0.5,0.1, {margins} 0.2 and 0.5"),
        ),
        (
            ["--zones", "1,1,1", "--macula", "0", "1", "--disc", "0.1"],
            (f"zones 1,1,1, {margins} 0 and 0.1", f"zones 1,1,1, {margins} 1 and 0.1"),
        ),
        (
            ["--zones", "1,1,1", "--macula", "0", "--disc", "0.1", "0.2"],
            (f"zones 1,1,1, {margins} 0 and 0.1", f"zones 1,1,1, {margins} 0 and 0.2"),
        ),
    ):
        eye_agreement.main(["--data", "photos", *more])
        first, second = capsys.readouterr().out.splitlines()
        assert first.endswith(f", {ends[0]}: set 0.500 (20 pairs)")
        assert second.endswith(f", {ends[1]}: no set with enough pairs")
    for more, error in (
        (["--temperature", "0"], "--temperature is 0.0, expected numbers > 0"),
        (["--zones", "1,1"], "zones are '1,1', three of 0.01 to 1 are expected"),
        (["--macula", "-1"], "--macula: margin is '-1', a number from 0 to 1 is expected"),
        (["--disc", "much"], "--disc: margin is 'much', a number from 0 to 1 is expected"),
        (["--zones", "1,1,0"], "zones are '1,1,0', three of 0.01 to 1 are expected"),
    ):
        with pytest.raises(SystemExit):
            eye_agreement.main(["--data", "photos", *more])
        assert error in capsys.readouterr().err
