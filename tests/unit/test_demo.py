import numpy as np
import pytest

from efiqa import FileError, demo
from tests.helpers import drawn_eye


@pytest.fixture
def grey():
    """Every grey level, as a picture."""
    return np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16)[:, :, None], 3, axis=2)


def test_linear_light_and_back_is_the_same(grey):
    light = demo.to_linear(grey)
    assert light.min() == 0
    assert light.max() == 1
    assert light[11, 12, 0] == pytest.approx(0.5029, abs=1e-4)  # grey level 188: IEC 61966-2-1 by hand
    assert np.array_equal(demo.to_srgb(light), grey)


def test_degradations_keep_size_and_change_what_they_say(retina):
    pictures = demo.pictures()
    assert list(pictures) == ["photograph", "defocus", "under-exposure", "haze, right half"]
    original = pictures.pop("photograph")
    assert np.array_equal(original, retina)
    assert all(p.shape == retina.shape and p.dtype == np.uint8 for p in pictures.values())
    detail = {name: _detail(picture) for name, picture in pictures.items()}
    assert detail["defocus"] < 0.2 * _detail(original)
    assert pictures["under-exposure"].mean() < 0.4 * original.mean()
    width = original.shape[1]
    hazy = pictures["haze, right half"]
    assert np.array_equal(hazy[:, : width * 2 // 5], original[:, : width * 2 // 5])
    assert _detail(hazy[:, width * 3 // 5 :]) < 0.3 * _detail(original[:, width * 3 // 5 :])


def _detail(rgb):
    """Mean squared step between neighbours of the green channel, well within the field of view."""
    green = rgb[400:1000, 50:-50, 1].astype(float)
    return float((np.diff(green, axis=0) ** 2).mean())


def test_pictures_without_skimage_say_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "skimage", None)
    with pytest.raises(FileError, match=r"pip install 'efiqa\[demo\]'") as caught:
        demo.pictures()
    assert caught.value.code == "demo_unavailable"


def test_sheet_has_a_photograph_and_an_overlay_of_each(runtime, retina):
    reports = {name: runtime.assess(frame) for name, frame in demo.pictures().items()}
    sheet = demo.sheet(reports)
    assert sheet.shape == (872, 1608, 3)
    assert sheet.dtype == np.uint8
    photographs, overlays = sheet[64:456], sheet[464:856]
    assert not np.array_equal(photographs, overlays)
    dark = slice(2 * 400 + 8, 3 * 400)
    assert overlays[:, dark].mean() > 1.5 * photographs[:, dark].mean(), "the dark picture is coloured as bad"


def test_sheet_names_the_main_reason_of_a_picture(runtime, telling):
    frame = {"dark": drawn_eye(level=30)}
    plain, told = ({name: r.assess(each) for name, each in frame.items()} for r in (runtime, telling))
    assert told["dark"].main_reason == "under_exposed"
    assert told["dark"].score == plain["dark"].score, "only the cause differs"
    assert demo.sheet(told)[:64].sum() > 1.2 * demo.sheet(plain)[:64].sum()
