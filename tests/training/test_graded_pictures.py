"""Pictures with labels that nobody gave, for a run of ``efiqa calibrate``."""

import csv

import pytest

from efiqa.calibration import read_labels
from tests.helpers import drawn_eye, encoded

graded_pictures = pytest.importorskip("training.graded_pictures", reason="the extra [train] is not installed")
pytestmark = pytest.mark.train
HEADER = "path,split,role,dataset,label,pair_id,width,height,source,licence,source_sha256"


@pytest.fixture
def data(tmp_path):
    """A manifest with two clean training pictures, one of the test split, and one of another role."""
    rows = [("a", "train", "vessel_image"), ("b", "train", "vessel_image")]
    rows += [("c", "test", "vessel_image"), ("d", "train", "fov_mask")]
    for name, _, _ in rows:
        (tmp_path / f"{name}.png").write_bytes(encoded(drawn_eye(480, 640), "PNG"))
    lines = [f"{name}.png,{split},{role},x,,{name},640,480,,," for name, split, role in rows]
    (tmp_path / "manifest.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    return tmp_path


def test_write_pictures_takes_the_training_pictures_and_keeps_their_versions_together(data, tmp_path):
    assert graded_pictures.write_pictures(data, tmp_path / "out", seed=0) == 8
    labels = read_labels(tmp_path / "out" / "labels.csv", order=_order(tmp_path / "out"))
    assert [each.patient for each in labels.pictures] == ["a"] * 4 + ["b"] * 4
    assert [each.label for each in labels.pictures if "clean" in each.path] == ["good", "good"]


def test_write_pictures_same_seed_writes_the_same(data, tmp_path):
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        graded_pictures.write_pictures(data, tmp_path / name, seed=seed)
    contents = [
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("one", "two", "three")
    ]
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


@pytest.mark.parametrize(
    ("hidden", "label"), [(0.0, "good"), (0.2, "good"), (0.21, "usable"), (0.51, "reject"), (1.0, "reject")]
)
def test_label_of_follows_the_hidden_share(hidden, label):
    assert graded_pictures.label_of(hidden) == label


def _order(folder):
    with (folder / "labels.csv").open(newline="") as stream:
        found = {row["label"] for row in csv.DictReader(stream)}
    return [label for label in ("reject", "usable", "good") if label in found]
