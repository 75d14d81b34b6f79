"""What is too dark for a reader, as the student says it."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from tests.training.test_rim_level import GRID, SIDE, field  # noqa: E402
from tests.training.test_student import crop_set  # noqa: E402

FLARE, ENOUGH = 0.01, 0.1
TOY = Path(__file__).parents[2] / "training/configs/toy.toml"


def image_of(grey, visible=None):
    from training.data import blank_outside
    from training.views import normalised

    rgb = np.broadcast_to(np.asarray(grey, np.uint8), (SIDE, SIDE, 3)).copy()
    return normalised(rgb if visible is None else blank_outside(rgb, visible))[None]


def hidden(image):
    from training.cell_light import lack_of_light, light_sums

    return lack_of_light(light_sums(image), FLARE, ENOUGH).sigmoid()[0, 0].numpy()


@pytest.mark.parametrize("colour", [(10, 10, 10), (40, 30, 20), (90, 30, 10), (60, 60, 60)])
def test_lack_of_light_hides_what_flare_takes_of_the_contrast(colour):
    from training.cell_light import LUMINANCE
    from training.degrade_light import to_linear

    luminance = float(to_linear(np.array([[colour]], np.uint8))[0, 0] @ np.array(LUMINANCE))
    left = luminance / (luminance + FLARE) * (ENOUGH + FLARE) / ENOUGH
    expected = (1 - left) ** 2
    # The darkest levels lie on the curve's straight part, which the student takes for curved.
    assert hidden(image_of(colour)) == pytest.approx(np.full((GRID, GRID), expected), abs=0.03)


def test_lack_of_light_falls_with_the_light_and_ends_where_that_is_enough():
    found = [hidden(image_of((level, level, level))).mean() for level in range(0, 256, 5)]
    assert (np.diff(found) <= 0).all()
    assert found[0] > 0.75
    assert found[20] < 1e-6  # level 100 has a luminance of 0.13


def test_lack_of_light_at_the_rim_is_that_of_the_cells_beside_it():
    found = hidden(image_of((60, 60, 60), field(0.45)))
    inside = found[GRID // 2, GRID // 2]
    seen = np.hypot(*(np.mgrid[:GRID, :GRID] + 0.5 - GRID / 2)) < 0.45 * GRID - 0.5
    assert found[seen] == pytest.approx(np.full(seen.sum(), inside), abs=1e-5)


@pytest.fixture
def student():
    from training.student import Shape, Student

    torch.manual_seed(1)
    return Student(Shape(16, 16, 1), pretrained=False).eval()


def test_viewed_student_says_no_less_than_what_the_dark_hides(student):
    from training.viewing import ViewingSettings, viewed

    image = image_of((15, 10, 5))
    with torch.no_grad():
        before, after = (
            student(image).sigmoid(),
            viewed(student, ViewingSettings(FLARE, ENOUGH))(image).sigmoid(),
        )
    dark = torch.from_numpy(hidden(image))[None]
    assert 0.2 < dark.mean() < 0.8
    torch.testing.assert_close(after[:, 0], 1 - (1 - before[:, 0]) * (1 - dark))
    torch.testing.assert_close(before[:, 2:], after[:, 2:])  # all but the map and `under_exposed`


@pytest.mark.parametrize(
    ("under", "other", "expected"), [(-9.0, -9.0, 0.0), (-9.0, 1.5, -1.5), (2.0, 1.0, 2.0)]
)
def test_dark_is_named_the_less_the_more_another_cause_explains(student, under, other, expected):
    from training.student import Head

    head = Head(2, lit=True)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.fill_(-9.0)
        head.bias[1], head.bias[4] = under, other
        features = torch.zeros(1, 3, 2, 2)  # the last one: half of each cell is too dark
        logits = head(features)
    assert logits[:, 1] == pytest.approx(np.full((1, 2, 2), expected), abs=1e-6)
    assert logits[:, 0].sigmoid() == pytest.approx(np.full((1, 2, 2), 0.5), abs=1e-3)
    assert logits[:, 4] == pytest.approx(np.full((1, 2, 2), other))


def test_student_in_bright_light_answers_as_before(student):
    from training.viewing import ViewingSettings, viewed

    image = torch.rand(1, 3, SIDE, SIDE) * 0.6 + 0.2
    with torch.no_grad():
        torch.testing.assert_close(student(image), viewed(student, ViewingSettings(FLARE, ENOUGH))(image))


ANSWER = """
import sys
import numpy as np
import openvino
network = openvino.Core().compile_model(sys.argv[1], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
np.save(sys.argv[3], network(np.load(sys.argv[2]))[0])
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="instruction sets of x86-64")
@pytest.mark.parametrize("instructions", ["SSE41", "AVX2"])
def test_dark_is_read_alike_with_fewer_instructions(tmp_path, instructions):
    from efiqa.export import onnx_files
    from training.cell_light import lack_of_light, light_sums
    from training.student import Head

    class Dark(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.features = torch.nn.Conv2d(3, 8, 16, stride=16)
            self.head = Head(8, lit=True)

        def forward(self, image):
            dark = lack_of_light(light_sums(image), FLARE, ENOUGH)
            return self.head(torch.cat([self.features(image), dark], 1)), dark

    torch.manual_seed(1)
    network, image = Dark().eval(), image_of((60, 40, 20), field(0.45)) * 1.0
    image[..., : SIDE // 2] = image[..., : SIDE // 2] / 4 - 0.75  # a quarter of the grey levels
    graph = onnx_files.trace(network, SIDE, ("logits", "dark"))
    (tmp_path / "dark.onnx").write_bytes(onnx_files.serialised(graph))
    np.save(tmp_path / "image.npy", image.numpy())
    files = [str(tmp_path / name) for name in ("dark.onnx", "image.npy", "found.npy")]
    held = {**os.environ, "ONEDNN_MAX_CPU_ISA": instructions}
    subprocess.run([sys.executable, "-c", ANSWER, *files], check=True, env=held, timeout=120)
    with torch.no_grad():
        expected, dark = network(image)
    assert 0.1 < (dark > -2).float().mean() < 0.9
    assert np.load(files[2]) == pytest.approx(expected.numpy(), abs=1e-4)


@pytest.mark.parametrize("flare", [0.0, FLARE])
def test_run_writes_the_whole_student(tmp_path, student, flare):
    from training import viewing
    from training.pruning import PRUNED
    from training.student import load_student, save_student

    save_student(student, SIDE, tmp_path / PRUNED)
    crops = crop_set(2)
    crops.rgb[1] //= 20
    settings = viewing.ViewingSettings(flare, ENOUGH)
    viewing.run(settings, crops, crop_set(1), SIDE, GRID, tmp_path)
    found = json.loads((tmp_path / "viewing.json").read_text())["cells_too_dark"]
    assert found == ({"pool": pytest.approx(0.5), "annotated": 0.0} if flare else {})
    whole = load_student(tmp_path / viewing.WHOLE)
    assert whole.shape.viewing_flare == flare
    assert whole.head.lit == (flare > 0)
