"""Which pictures the figures are made on, and the sheet of bad pictures."""

from pathlib import Path

import cv2
import numpy as np
import pytest

judgement = pytest.importorskip("training.judgement", reason="the extra [train] is not installed")
pytestmark = pytest.mark.train


def manifest():
    """Rows of every split and role, twelve of each."""
    from training.data import Picture

    rows = [
        ("vessel_image", "train", "HRF", ""),
        ("vessel_image", "train", "FIVES_sample", ""),
        ("vessel_image", "test", "DRIVE", ""),
        ("vessel_image", "test", "STARE", ""),
        ("vessel_mask", "test", "STARE", ""),
        ("unlabelled", "pool", "EyePACS", ""),
        ("quality", "eval", "DRIMDB", "good"),
        ("quality", "eval", "DRIMDB", "outlier"),
        ("quality", "eval", "EyePACS", "reject"),
    ]
    return [
        Picture(Path("x"), f"{split}/{dataset}/{role}{label}{k}", split, role, dataset, label, "", "")
        for role, split, dataset, label in rows
        for k in range(12)
    ]


def every(found):
    groups = [group for _, group in found.real]
    return [p for group in (*groups, found.causes, found.clean, found.diseased) for p in group]


def test_development_pictures_hold_no_label_and_none_of_the_test_split():
    for limit in (0, 4):
        found = every(judgement.development_pictures(manifest(), limit))
        assert {p.split for p in found} == {"train", "pool"}
        assert {p.label for p in found} == {""}


def test_final_pictures_put_defects_on_test_pictures_and_good_ones_only():
    found = judgement.final_pictures(manifest())
    assert {(p.dataset, p.split) for p in found.causes} == {
        ("DRIVE", "test"),
        ("STARE", "test"),
        ("DRIMDB", "eval"),
    }
    assert {p.label for p in (*found.causes, *found.clean)} == {"", "good"}
    assert sum(p.dataset == "STARE" for p in found.causes) == 12
    assert {p.role for p in every(found)} == {"vessel_image", "unlabelled", "quality"}
    assert {p.dataset for p in found.diseased} == {"HRF", "FIVES_sample"}


def test_thinned_is_spread_evenly_and_whole_for_nought():
    assert judgement.thinned(list(range(12)), 4) == [0, 3, 6, 9]
    assert judgement.thinned(list(range(3)), 10) == [0, 1, 2]
    assert judgement.thinned(list(range(3)), 0) == [0, 1, 2]


def bad_pictures():
    from training.quality_sets import Labelled

    return [
        Labelled(Path(f"{label}{k}.png"), f"{label}{k}", family, label, "")
        for family, label in (("drimdb", "bad"), ("eyeq", "reject"), ("eyeq", "usable"), ("eyeq", "good"))
        for k in range(20)
    ]


def test_drawn_pictures_are_24_bad_ones_chosen_by_seed():
    from training.bad_picture_sheet import DRAWN, drawn_pictures

    found = drawn_pictures(bad_pictures(), seed=3)
    assert len(found) == sum(DRAWN.values()) == 24
    assert len({p.name for p in found}) == 24
    assert "good" not in {p.label for p in found}
    assert found == drawn_pictures(bad_pictures(), seed=3)
    assert found != drawn_pictures(bad_pictures(), seed=4)


def test_drawn_pictures_of_a_small_set_are_all_of_it():
    from training.bad_picture_sheet import drawn_pictures

    assert len(drawn_pictures(bad_pictures()[:3], seed=0)) == 3


def test_write_sheet_shows_each_picture_and_its_overlay(runtime, tmp_path, toy_pictures):
    from training.bad_picture_sheet import COLUMNS, TILE_PX, write_sheet
    from training.quality_sets import Labelled

    shown = [Labelled(p.path, p.name, "eyeq", "reject", "") for p in toy_pictures]
    write_sheet(runtime, shown, tmp_path / "sheet.png")
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape[1] == COLUMNS * 2 * TILE_PX
    for index in range(len(shown)):
        picture, overlay = (
            sheet[:TILE_PX, (2 * index + k) * TILE_PX : (2 * index + k + 1) * TILE_PX].astype(int)
            for k in (0, 1)
        )
        assert picture.mean() > 20
        assert np.abs(picture - overlay).mean() > 1
    with pytest.raises(OSError, match="cannot be written"):
        write_sheet(runtime, shown, tmp_path / "missing" / "sheet.png")
