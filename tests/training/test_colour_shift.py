"""How much a score depends on the colours of a picture alone."""

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.train


@pytest.fixture
def photos(tmp_path):
    """Three pictures of one set: two dark ones, and one that is too good to count."""
    from tests.helpers import drawn_eye
    from training.data import Picture

    fields = dict.fromkeys(Picture.__dataclass_fields__, "")
    pictures = []
    for number, level in enumerate((90, 100, 250)):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), drawn_eye(level=level)[..., ::-1])
        pictures.append(Picture(**fields | {"name": path.name, "path": path, "dataset": "set"}))
    return pictures


def test_mean_colours_are_those_of_the_field(photos):
    from training.colour_shift import mean_colours

    found = mean_colours(photos)
    assert list(found) == ["set"]
    np.testing.assert_allclose(found["set"], np.array([1, 0.55, 0.35]) / 1.9, atol=0.01)


def test_colour_shift_is_of_bad_pictures_and_as_large_as_the_model_makes_it(photos, tiny_model):
    from efiqa import Runtime
    from training.colour_shift import MAX_SCORE, colour_shift
    from training.data import load_rgb

    own = np.array([1, 0.55, 0.35], np.float32) / 1.9
    with Runtime(tiny_model) as runtime:
        scores = [runtime.assess(load_rgb(picture.path)).score for picture in photos]
        assert [score <= MAX_SCORE for score in scores] == [True, True, False]
        # The tiny model reads how much light there is, in whichever channel: hardly anything changes.
        found = colour_shift(runtime, photos, {"own": own, "other": own[::-1].copy()})
    assert {shift.n_pictures for shift in found.values()} == {2}
    assert abs(found["own"].largest) < 0.02
    assert abs(found["other"].largest) < 0.1


def test_colour_shift_of_the_command_line(capsys, monkeypatch):
    from training import colour_shift

    monkeypatch.setattr(colour_shift, "read_manifest", lambda root: [])
    monkeypatch.setattr(colour_shift, "mean_colours", lambda pictures: {})
    found = {"HRF": colour_shift.Shift(12, 0.25, 0.6712)}
    monkeypatch.setattr(colour_shift, "colour_shift", lambda runtime, pictures, colours: found)
    colour_shift.main(["--data", str(Path("photos"))])
    assert capsys.readouterr().out.splitlines()[1] == "HRF: +0.250, +0.671 (12 pictures)"
