import subprocess
import sys
from pathlib import Path

import pytest

import efiqa
from tests.helpers import REPOSITORY, drawn_eye

# Heavy, or optional, or both. openvino is the Python package; the core links its C++ library only.
FORBIDDEN = ("torch", "skimage", "cv2", "openvino", "PIL", "rich", "onnx", "matplotlib")


def test_every_public_name_loads_and_is_listed():
    for name in efiqa.__all__:
        assert getattr(efiqa, name) is not None
    assert set(efiqa.__all__) <= set(dir(efiqa))
    assert (Path(efiqa.__file__).parent / "py.typed").is_file()


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Runtim'"):
        _ = efiqa.Runtim


def test_version_is_that_of_pyproject():
    line = f'version = "{efiqa.__version__}"'
    assert line in (REPOSITORY / "pyproject.toml").read_text().splitlines()


def test_import_and_first_report_load_nothing_heavy(tiny_model, tmp_path):
    frame = tmp_path / "frame.npy"
    import numpy as np

    np.save(frame, drawn_eye())
    script = (
        "import sys, numpy as np, efiqa\n"
        f"report = efiqa.Runtime({str(tiny_model)!r}).assess(np.load({str(frame)!r}))\n"
        "report.overlay(); report.to_json(); report.save(sys.argv[1])\n"
        f"print([name for name in {FORBIDDEN!r} if name in sys.modules])\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "report.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""
