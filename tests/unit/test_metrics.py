import numpy as np
import pytest

from efiqa import _metrics
from training import metrics

EXACT = 1e-12  # the same arithmetic in another order


def scores(count: int = 200, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    good = rng.random(count) < 0.6
    return good, np.round(rng.normal(good * 1.0), 1)  # rounded: many ties


def test_auroc_hand_counted_pairs_gives_their_share() -> None:
    # Pairs (good, bad): 3 > 1, 3 > 2, 2 > 1, 2 = 2 -> 3.5 of 4.
    assert metrics.auroc([True, True, False, False], [3, 2, 1, 2]) == 0.875


def test_auroc_with_ties_agrees_with_scikit_learn() -> None:
    reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn comes with the extra [train]")
    good, score = scores()
    assert metrics.auroc(good, score) == pytest.approx(reference.roc_auc_score(good, score), abs=EXACT)


def test_auroc_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="2 True and 0 False"):
        metrics.auroc([True, True], [0.1, 0.2])


def test_auroc_nan_score_is_refused() -> None:
    with pytest.raises(ValueError, match="score has 1 NaN"):
        metrics.auroc([True, False], [np.nan, 0.2])


def test_auroc_interval_every_item_its_own_group_covers_the_estimate() -> None:
    good, score = scores()
    low, high = metrics.auroc_interval(good, score, [str(i) for i in range(len(good))], runs=400)
    assert low < metrics.auroc(good, score) < high
    # Hanley-McNeil gives a standard error of about 0.03 here, so the interval is about 0.12 wide.
    assert 0.08 < high - low < 0.17


def test_auroc_interval_copies_in_one_group_do_not_narrow_it() -> None:
    good, score = scores(60)
    single = metrics.auroc_interval(good, score, [str(i) for i in range(60)], runs=400)
    copied = metrics.auroc_interval(
        np.tile(good, 4), np.tile(score, 4), [str(i) for i in range(60)] * 4, runs=400
    )
    assert copied == pytest.approx(single, abs=EXACT)


def test_auroc_interval_same_seed_is_the_same() -> None:
    good, score = scores(60)
    groups = [str(i // 2) for i in range(60)]
    first = metrics.auroc_interval(good, score, groups, runs=100, seed=3)
    assert first == metrics.auroc_interval(good, score, groups, runs=100, seed=3)
    assert first != metrics.auroc_interval(good, score, groups, runs=100, seed=4)


def test_auprc_finds_the_bad_class() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn comes with the extra [train]")
    # Worst first: bad, good, bad -> precision at the hits 1 and 2/3.
    assert metrics.auprc([False, True, False], [0.0, 0.1, 0.2]) == pytest.approx((1 + 2 / 3) / 2, abs=EXACT)


def test_dice_hand_counted_masks() -> None:
    assert metrics.dice([1, 1, 0, 0], [1, 0, 1, 0]) == 0.5
    assert metrics.dice([0, 0], [0, 0]) == 1.0
    with pytest.raises(ValueError, match=r"truth has shape \(2,\)"):
        metrics.dice([0, 1], [0, 1, 1])


def test_best_threshold_separable_scores_is_in_the_gap() -> None:
    threshold = metrics.best_threshold([False, False, True, True], [0.1, 0.2, 0.8, 0.9])
    assert threshold == 0.5


def test_best_threshold_good_below_bad_is_no_better_than_chance() -> None:
    good, score = np.array([True, False]), np.array([0.1, 0.9])
    threshold = metrics.best_threshold(good, score)
    assert metrics.balanced_accuracy(good, score >= threshold) == 0.5


def test_group_folds_keep_patients_whole_and_spread_the_classes() -> None:
    rng = np.random.default_rng(1)
    groups = [f"patient{i // 2}" for i in range(200)]
    good = rng.random(200) < 0.8
    fold = metrics.group_folds(good, groups)
    for group in set(groups):
        assert len({int(f) for f, g in zip(fold, groups, strict=True) if g == group}) == 1
    bad_per_fold = np.bincount(fold[~good], minlength=5)
    assert bad_per_fold.max() - bad_per_fold.min() <= 2  # a patient brings at most two


def test_calibrated_pure_noise_is_not_better_than_chance() -> None:
    rng = np.random.default_rng(2)
    good, score = np.arange(400) % 2 == 0, rng.random(400)
    result = metrics.calibrated(good, score, [str(i) for i in range(400)])
    # Fitted on the judged items themselves it would be above 0.5 every time; 2 standard errors are 0.05.
    assert abs(result.balanced_accuracy - 0.5) < 0.05


def test_calibrated_separable_scores_are_all_right() -> None:
    good = np.arange(50) % 3 > 0
    result = metrics.calibrated(good, good * 1.0, [str(i) for i in range(50)])
    assert (result.balanced_accuracy, result.matthews, result.threshold) == (1.0, 1.0, 0.5)


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("eval/eyeq/good/EYEPACS_1102_left.jpg", "eyepacs_1102"),
        ("eval/eyeq/reject/EYEPACS_1102_right.jpg", "eyepacs_1102"),
        ("1102_left.jpeg", "eyepacs_1102"),
        ("eval/drimdb/bad/drimdb_bad (10).jpg", "eval/drimdb/bad/drimdb_bad (10).jpg"),
    ],
)
def test_patient_of_names_the_group(name: str, group: str) -> None:
    assert metrics.patient_of(name) == group


def test_ranks_correlation_monotone_is_one_and_constant_is_zero() -> None:
    assert metrics.ranks_correlation([1, 2, 3], [1, 10, 11]) == pytest.approx(1.0, abs=EXACT)
    assert metrics.ranks_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0, abs=EXACT)
    assert metrics.ranks_correlation([1, 2, 3], [5, 5, 5]) == 0.0


def test_matthews_agrees_with_scikit_learn_and_is_0_without_a_class() -> None:
    reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn comes with the extra [train]")
    good, score = scores()
    for threshold in (-1.0, 0.3, 1.5):
        expected = reference.matthews_corrcoef(good, score >= threshold)
        assert metrics.matthews(good, score >= threshold) == pytest.approx(expected, abs=EXACT)
    assert metrics.matthews(good, np.ones(len(good), bool)) == 0.0


def test_confusion_hand_counted_shares() -> None:
    # Three good, one of them refused; two bad, one of them passed.
    counts = _metrics.confusion([1, 1, 1, 0, 0], [1, 1, 0, 1, 0])
    assert counts.tolist() == [2, 1, 1, 1]
    assert _metrics.specificity_of(counts) == pytest.approx(2 / 3, abs=EXACT)
    assert _metrics.sensitivity_of(counts) == 0.5
    assert _metrics.balanced_accuracy_of(counts) == pytest.approx(7 / 12, abs=EXACT)


def test_confusion_draws_of_whole_patients_keep_their_pictures_together() -> None:
    good = np.array([True, True, False, True, False, False])
    draws = _metrics.confusion_draws(good, good, ["a", "a", "a", "b", "b", "b"], runs=50)
    assert {tuple(row) for row in draws.astype(int)} <= {(4, 0, 0, 2), (3, 0, 0, 3), (2, 0, 0, 4)}
    assert len({tuple(row) for row in draws}) == 3


def test_confusion_draws_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="2 True of 2"):
        _metrics.confusion_draws([True, True], [True, False], ["a", "b"])


def test_group_folds_three_classes_are_spread() -> None:
    rng = np.random.default_rng(4)
    levels = rng.integers(3, size=300)
    groups = [f"patient{i // 2}" for i in range(300)]
    fold = metrics.group_folds(levels, groups)
    assert all(len(set(fold[i : i + 2])) == 1 for i in range(0, 300, 2))
    for level in range(3):
        held = np.bincount(fold[levels == level], minlength=5)
        assert held.max() - held.min() <= 8  # of 20; the best class is in the patients' rest
