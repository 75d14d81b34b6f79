import pytest

from training.confusion import Confusion


def test_confusion_figures_by_hand() -> None:
    found = Confusion()
    pairs = {("haze", "haze"): 3, ("haze", ""): 1, ("defocus", "haze"): 1, ("defocus", "defocus"): 1}
    for (truth, named), count in pairs.items():
        for _ in range(count):
            found.add(truth, named)
    figures = found.figures()
    assert figures["counts"] == {"defocus": {"defocus": 1, "haze": 1}, "haze": {"haze": 3, "none": 1}}
    assert figures["causes"]["haze"] == {"n": 4, "precision": 0.75, "recall": 0.75, "f1": 0.75}
    assert figures["causes"]["defocus"]["precision"] == 1
    assert figures["causes"]["defocus"]["f1"] == pytest.approx(2 / 3)
    assert figures["macro_f1"] == pytest.approx((0.75 + 2 / 3) / 2)
    assert figures["accuracy"] == pytest.approx(4 / 6)
    assert figures["n"] == 6


def test_confusion_cause_named_of_a_clean_picture_costs_precision_but_adds_no_cause() -> None:
    found = Confusion()
    for truth, named in (("haze", "haze"), ("none", "haze"), ("none", "none")):
        found.add(truth, named)
    figures = found.figures()
    assert list(figures["causes"]) == ["haze"]
    assert figures["causes"]["haze"]["precision"] == 0.5
    assert figures["accuracy"] == pytest.approx(2 / 3)


def test_confusion_cause_that_is_never_named_has_no_precision_to_divide_by() -> None:
    found = Confusion()
    found.add("haze", "")
    assert found.figures()["causes"]["haze"] == {"n": 1, "precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_confusion_without_a_count_has_no_mean() -> None:
    figures = Confusion().figures()
    assert figures["macro_f1"] is None
    assert figures["accuracy"] is None
