"""Limits from labelled scores with known answers, and what they are worth out of fold."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from efiqa import _metrics
from efiqa.calibration import criterion, draw_reliability, fit_criterion
from efiqa.calibration.probability import fit_logistic, reliability
from efiqa.errors import LabelError

TWO, THREE = ("bad", "good"), ("reject", "usable", "good")


def drawn(count, classes, *, seed=0, spread=0.08):
    """Return levels and scores around 0.2, 0.5, 0.8 (or 0.2 and 0.8), and patients of two pictures each."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(len(classes), size=count)
    centres = np.linspace(0.2, 0.8, len(classes))
    scores = np.clip(rng.normal(centres[levels], spread), 0, 1)
    return levels, scores, [f"patient{i // 2}" for i in range(count)]


def fitted(levels, scores, patients, classes, **options):
    return fit_criterion(levels, scores, patients, classes, **{"folds": 5, "seed": 1, **options})


def test_two_labels_normal_scores_give_the_middle_for_both_limits():
    # Equal spreads: the best balanced accuracy is half way between the means, 0.5, where it is
    # Phi(0.3 / 0.2) = 0.933. The limit of 4000 pictures is within 0.05 of it: the optimum is flat.
    result = fitted(*drawn(4000, TWO, spread=0.2), TWO)
    assert result.point.good_min_score == result.point.usable_min_score == result.cuts[0].limit
    assert abs(result.cuts[0].limit - 0.5) < 0.05
    accuracy = result.cuts[0].balanced_accuracy
    assert accuracy.low < 0.933 < accuracy.high
    assert set(result.verdicts) == {"good", "reject"}


def test_three_labels_separable_scores_give_both_gaps_and_every_verdict_right():
    levels = np.repeat([0, 1, 2], 20)
    scores = np.choose(levels, [0.2, 0.5, 0.8]) + np.tile(np.linspace(-0.05, 0.05, 20), 3)
    result = fitted(levels, scores, [str(i) for i in range(60)], THREE)
    assert (result.point.usable_min_score, result.point.good_min_score) == (0.35, 0.65)
    assert [("reject", "usable", "good").index(verdict) for verdict in result.verdicts] == levels.tolist()
    for cut in result.cuts:
        figures = (cut.auroc, cut.balanced_accuracy, cut.matthews, cut.sensitivity, cut.specificity)
        assert all((each.value, each.low, each.high) == (1, 1, 1) for each in figures)
    assert [(cut.below, cut.above) for cut in result.cuts] == [
        ("reject", "usable+good"),
        ("reject+usable", "good"),
    ]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), wanted=st.floats(0.05, 1.0))
def test_min_sensitivity_is_kept_by_the_lowest_such_limit(seed, wanted):
    rng = np.random.default_rng(seed)
    scores = np.round(rng.random(40), 2)  # rounded: ties
    good = rng.random(40) < 0.5 + 0.4 * (scores - 0.5)
    assume(good.any() and not good.all())
    limit = criterion.limit_of(good, scores, wanted)
    bad = scores[~good]
    assert (bad < limit).mean() >= wanted - 1e-9
    lower = np.unique(scores[scores < limit])[-1]  # the next one down keeps too few out
    assert (bad < lower).mean() < wanted


@settings(max_examples=200, deadline=None)
@given(
    scores=st.lists(st.floats(0, 1, width=32), min_size=2, max_size=30, unique=True), at=st.integers(0, 28)
)
def test_short_limit_parts_float32_scores_as_the_long_one_once_it_is_float32(scores, at):
    values = np.sort(np.array(scores))
    at %= len(values) - 1
    limit = float((values[at] + values[at + 1]) / 2)
    assume(values[at] < limit)  # two subnormal numbers may have none between them
    short = criterion.short_limit(limit, values)
    assert ((values >= np.float32(short)) == (values >= limit)).all()


def test_short_limit_between_neighbours_in_float32_becomes_the_upper_one():
    low = np.float32(0.7)
    values = np.array([low, np.nextafter(low, np.float32(1))], np.float64)
    assert np.float32(criterion.short_limit(float(values.mean()), values)) == values[1]


def test_short_limit_takes_three_decimals_where_they_do():
    assert criterion.short_limit(0.123456, np.array([0.1, 0.2])) == 0.123
    assert criterion.short_limit(0.1234562, np.array([0.1234561, 0.1234563])) == 0.1234562


def test_min_sensitivity_final_limit_holds_on_all_pictures_and_refuses_more():
    levels, scores, patients = drawn(600, TWO, spread=0.25)
    best = fitted(levels, scores, patients, TWO)
    strict = fitted(levels, scores, patients, TWO, min_sensitivity=0.99)
    assert (scores[levels == 0] < strict.cuts[0].limit).mean() >= 0.99
    assert strict.cuts[0].limit > best.cuts[0].limit
    assert strict.cuts[0].specificity.value < best.cuts[0].specificity.value


def test_out_of_fold_no_patient_helps_to_judge_itself():
    levels, scores, patients = drawn(200, TWO, spread=0.3, seed=5)
    fold = _metrics.group_folds(levels, patients, folds=5, seed=1)
    assert all(len(set(fold[i : i + 2])) == 1 for i in range(0, 200, 2))
    expected = np.empty(200, object)
    for index in range(5):
        rest, inside = fold != index, fold == index
        limit = _metrics.best_threshold(levels[rest] > 0, scores[rest])
        expected[inside] = np.where(scores[inside] >= limit, "good", "reject")
    assert fitted(levels, scores, patients, TWO).verdicts == tuple(expected)


def test_pure_chance_out_of_fold_figures_do_not_flatter():
    rng = np.random.default_rng(3)
    scores, levels = rng.random(400), np.arange(400) % 2
    levels = levels if _metrics.auroc(levels > 0, scores) > 0.5 else 1 - levels
    result = fitted(levels, scores, [str(i) for i in range(400)], TWO)
    # Fitted on the judged pictures themselves it would be above 0.5 every time; 2 standard errors are 0.05.
    assert abs(result.cuts[0].balanced_accuracy.value - 0.5) < 0.05
    assert abs(result.cuts[0].matthews.value) < 0.1


def test_same_seed_is_the_same_and_another_draws_other_intervals():
    data = drawn(200, THREE, spread=0.2)
    assert fitted(*data, THREE) == fitted(*data, THREE)
    assert fitted(*data, THREE).cuts[0].auroc != fitted(*data, THREE, seed=2).cuts[0].auroc


def test_limits_that_cross_never_make_a_refused_picture_good():
    # Most of reject lies above usable: the cut good | rest ends up below the cut reject | rest.
    levels = np.repeat([0, 1, 2], [30, 30, 40])
    scores = np.array([0.45, 0.1, 0.9])[levels] + np.random.default_rng(0).random(100) / 100
    result = fitted(levels, scores, [str(i) for i in range(100)], THREE, min_sensitivity=0.2)
    assert result.cuts[1].limit < result.cuts[0].limit
    assert result.point.good_min_score == result.point.usable_min_score == result.cuts[0].limit


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": [0] * 4 + [1] * 36}, "label 'bad' has pictures .* of 4 different patients"),
        ({"patients": ["one"] * 20 + [str(i) for i in range(20)]}, "label 'bad' has pictures .* of 1 diff"),
        ({"scores": np.linspace(1, 0, 40)}, r"'good' do not score above 'bad': AUROC 0\.000"),
        ({"scores": np.full(40, 0.5)}, r"AUROC 0\.500, expected more than 0.5; give order from"),
    ],
)  # fmt: skip
def test_labels_that_cannot_be_followed_are_named(change, message):
    data = {
        "levels": [0] * 20 + [1] * 20,
        "scores": np.linspace(0, 1, 40),
        "patients": [str(i) for i in range(40)],
    } | change
    with pytest.raises(LabelError, match=message):
        fitted(np.array(data["levels"]), data["scores"], data["patients"], TWO)


def test_min_sensitivity_that_refuses_everything_is_named():
    scores = np.r_[np.linspace(0, 0.4, 19), 1.0, np.linspace(0.5, 0.9, 20)]
    with pytest.raises(
        LabelError, match="min_sensitivity is 1, which refuses every picture, because 'bad' has"
    ):
        fitted(np.repeat([0, 1], 20), scores, [str(i) for i in range(40)], TWO, min_sensitivity=1.0)


def test_class_whose_patients_share_a_fold_with_all_others_is_named(monkeypatch):
    levels = np.repeat([0, 1], 20)
    monkeypatch.setattr(criterion._metrics, "group_folds", lambda levels, *_, **__: (levels > 0).astype(int))
    with pytest.raises(LabelError, match="do not both occur outside fold 1"):
        fitted(levels, np.linspace(0, 1, 40), [str(i) for i in range(40)], TWO, folds=2)


def test_logistic_fit_recovers_the_probability_that_labels_were_drawn_with():
    rng = np.random.default_rng(0)
    scores = rng.random(20000)
    truth = 1 / (1 + np.exp(-(8 * scores - 3)))
    predicted = fit_logistic(rng.random(20000) < truth, scores)(scores)
    # The standard error of a probability is about 0.005 here.
    assert np.abs(predicted - truth).max() < 0.02


@pytest.mark.parametrize("scores", [np.repeat([0.1, 0.9], 10), np.full(20, 0.5)])
def test_logistic_fit_separable_or_equal_scores_stay_inside_0_and_1(scores):
    predicted = fit_logistic(np.repeat([False, True], 10), scores)(scores)
    # Platt's targets: 11 / 12 for the good ones, 1 / 12 for the bad ones.
    expected = np.repeat([1 / 12, 11 / 12], 10) if scores[0] != scores[-1] else np.full(20, 0.5)
    assert predicted == pytest.approx(expected, abs=1e-6)


def test_reliability_bins_hold_every_picture_once_in_order():
    rng = np.random.default_rng(1)
    probability = rng.random(137)
    bins = reliability(rng.random(137) < probability, probability)
    assert len(bins) == 10
    assert sum(each.count for each in bins) == 137
    assert [each.predicted for each in bins] == sorted(each.predicted for each in bins)
    assert all(0 <= each.low <= each.observed <= each.high <= 1 for each in bins)


def test_reliability_interval_is_wilsons():
    # Newcombe, Statistics in Medicine 17, 1998, table I: 15 of 148 has 0.0624 to 0.1605.
    good = np.arange(148) < 15
    bins = [each for each in reliability(good, np.zeros(148)) if each.count]
    assert len(bins) == 10
    from efiqa.calibration.probability import _wilson

    assert _wilson(good) == pytest.approx((0.0624, 0.1605), abs=5e-5)


def test_diagram_has_a_panel_for_each_cut_and_a_dot_where_the_bin_is():
    result = fitted(*drawn(200, THREE), THREE)
    both, first = draw_reliability(result.cuts), draw_reliability(result.cuts[:1])
    assert both.shape[1] == 2 * first.shape[1]
    assert (both[:, : first.shape[1]] == first).all()
    from efiqa.calibration import diagram

    each = result.cuts[0].bins[0]
    x = round(diagram.MARGIN_PX + each.predicted * diagram.SIDE_PX)
    y = round(diagram.TITLE_PX + (1 - each.observed) * diagram.SIDE_PX)
    assert first[y, x].tolist() == list(diagram._BLUE)


def test_short_limit_of_scores_too_near_for_decimals_is_the_upper_one():
    assert criterion.short_limit(1.5e-12, np.array([1e-12, 2e-12])) == 2e-12
