import numpy as np
import pytest

from efiqa import Contract, _core
from efiqa.parity import ParityFigures, compare
from tests.golden.make_tiny_model import tiny_contract, tiny_model


@pytest.fixture
def logits():
    return np.random.default_rng(3).normal(0, 2, (8, 1, 5, 6)).astype(np.float32)


def test_parity_of_equal_logits_is_perfect_and_passes(logits):
    figures = compare(logits, logits.copy())
    assert figures == ParityFigures(8, pytest.approx(1), pytest.approx(1), 0.0, 0.0)
    assert figures.failures() == []


def test_parity_figures_are_those_of_the_definition(logits):
    noisy = logits + np.random.default_rng(4).normal(0, 0.3, logits.shape).astype(np.float32)
    figures = compare(logits, noisy)
    a, b = logits.astype(np.float64), noisy.astype(np.float64)
    per_cell = [
        np.dot(a[:, 0, y, x], b[:, 0, y, x]) / np.linalg.norm(a[:, 0, y, x]) / np.linalg.norm(b[:, 0, y, x])
        for y in range(5)
        for x in range(6)
    ]
    assert figures.cosine == pytest.approx(np.vdot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))
    assert figures.patch_cosine_p1 == pytest.approx(np.percentile(per_cell, 1))
    assert figures.relative_frobenius == pytest.approx(np.linalg.norm(b - a) / np.linalg.norm(a))
    assert figures.max_abs_error == pytest.approx(np.abs(b - a).max())
    assert len(figures.failures()) == 3


def test_parity_one_wrong_patch_is_found_by_the_percentile_alone(logits):
    logits = np.tile(logits, (1, 1, 4, 4))  # 480 cells, so that the cosine over all of them hides it
    wrong = logits.copy()
    wrong[:, :, :4, :3] *= -0.02
    figures = compare(logits, wrong)
    assert figures.cosine > 0.98
    assert figures.patch_cosine_p1 < 0
    assert any("patch_cosine_p1" in line for line in figures.failures())


def test_parity_figures_are_those_of_the_worst_channel(logits):
    small = 0.001 * np.roll(logits, 1, axis=2)  # beside the other channel its error would be lost
    noise = np.random.default_rng(4).normal(0, 0.3, logits.shape).astype(np.float32)
    fine, bad = compare(logits, logits * np.float32(1.001)), compare(small, small + 0.001 * noise)
    both = compare(
        np.concatenate([logits, small], 1),
        np.concatenate([logits * np.float32(1.001), small + 0.001 * noise], 1),
    )
    assert both.pictures == 8
    assert both.cosine == bad.cosine < fine.cosine
    assert both.patch_cosine_p1 == bad.patch_cosine_p1
    assert both.relative_frobenius == bad.relative_frobenius > fine.relative_frobenius
    assert both.max_abs_error == fine.max_abs_error > bad.max_abs_error
    assert len(both.failures()) == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_parity_of_logits_that_are_not_finite_fails_by_that_alone(logits, value):
    bad = logits.copy()
    bad[3, 0, 2, 2] = value
    assert compare(logits, bad).failures() == [
        "the network answered with NaN or infinity, expected finite logits"
    ]


def test_parity_of_a_constant_zero_network_fails(logits):
    figures = compare(logits, np.zeros_like(logits))
    assert figures.cosine == 0
    assert figures.relative_frobenius == 1
    assert len(figures.failures()) == 3


def test_parity_of_zero_against_zero_passes():
    zero = np.zeros((2, 1, 3, 3), np.float32)
    assert compare(zero, zero).failures() == []
    assert compare(zero, zero + 1).failures() != []


def test_parity_shapes_that_differ_or_a_bad_reference_are_refused(logits):
    with pytest.raises(ValueError, match=r"\(8, 1, 5, 6\) and \(7, 1, 5, 6\)"):
        compare(logits, logits[:7])
    with pytest.raises(ValueError, match="not finite"):
        compare(np.full_like(logits, np.nan), logits)
    with pytest.raises(ValueError, match="expected one"):
        compare(logits[:0], logits[:0])


def test_parity_that_passed_goes_into_a_valid_contract_and_one_that_failed_does_not(logits):
    document = tiny_contract(tiny_model())
    limit = _core.MAX_PARITY_RELATIVE_FROBENIUS
    fine = compare(logits, logits * np.float32(1 + 0.9 * limit))
    document["parity"] = fine.to_contract(reference="PyTorch fp32", runner="OpenVINO 2026.4.0")
    assert Contract.from_dict(document).to_dict()["parity"]["pictures"] == 8
    off = compare(logits, logits * np.float32(1 + 1.1 * limit))
    assert off.failures() == [f"relative_frobenius is 0.011000, expected at most {limit}"]
    document["parity"] = off.to_contract(reference="PyTorch fp32", runner="OpenVINO 2026.4.0")
    with pytest.raises(
        Exception, match=r"parity\.relative_frobenius is 0\.01.*expected a number from 0 to 0\.01"
    ):
        Contract.from_dict(document)
