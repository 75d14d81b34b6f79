"""Toy pictures for the figures."""

import pytest


@pytest.fixture(scope="session")
def toy_pictures(tmp_path_factory):
    """Two clean toy photographs of the training split."""
    synthetic = pytest.importorskip("training.synthetic", reason="the extra [train] is not installed")
    from training.data import read_manifest

    root = tmp_path_factory.mktemp("clean")
    synthetic.make(root, count=4, seed=2)
    return [p for p in read_manifest(root) if p.role == "vessel_image" and p.split == "train"]
