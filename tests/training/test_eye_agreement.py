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
