"""What several models say of a picture, as one."""

import shutil

import numpy as np
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.train

GRID = 6


def logit(share):
    return np.log(share / (1 - share))


def test_consensus_of_shifted_copies_is_the_teacher():
    from training.consensus import consensus

    teacher = np.random.default_rng(1).uniform(0.05, 0.9, (5, GRID, GRID)).astype(np.float32)
    weights = np.ones_like(teacher)
    weights[:, 0] = 0
    copies = [(logit(teacher) + shift).astype(np.float32) for shift in (-1.5, 2.0)]
    assert np.abs(consensus(teacher, copies, weights) - teacher).max() < 1e-3
    assert np.abs(consensus(teacher, [], weights) - teacher).max() < 1e-5


def test_consensus_lies_between_those_who_differ():
    from training.consensus import consensus

    teacher = np.full((2, GRID, GRID), 0.5, np.float32)
    teacher[0] = 0.2
    other = np.stack([np.full((GRID, GRID), 3.0), np.full((GRID, GRID), -3.0)]).astype(np.float32)
    found = consensus(teacher, [other], np.ones_like(teacher))
    assert (found[0] > 0.2).all()
    assert (found[1] < 0.5).all()


def test_maps_of_model_of_another_grid_is_an_error(tmp_path):
    from tests.training.test_student import crop_set
    from training.consensus import WEIGHTS, maps_of_model

    for name in ("efiqa-lite0-384-v2.onnx", "efiqa-lite0-384-v2.onnx.json"):
        shutil.copy(WEIGHTS / name, tmp_path)
    with pytest.raises(ValueError, match=r"384, 24\], expected \[384, 12\]"):
        maps_of_model(tmp_path / "efiqa-lite0-384-v2.onnx", crop_set(1), 384, 12)


def test_maps_of_model_do_not_depend_on_mirroring():
    from dataclasses import replace

    from tests.training.test_student import crop_set
    from training.consensus import WEIGHTS, maps_of_model

    crops = crop_set(1)
    mirrored = replace(crops, rgb=crops.rgb[:, :, ::-1], visible=crops.visible[:, :, ::-1])
    model = WEIGHTS / "efiqa-lite0-384-v2.onnx"
    first, other = (maps_of_model(model, each, 384, 24) for each in (crops, mirrored))
    assert np.abs(first - other[:, :, ::-1]).max() < 0.02
