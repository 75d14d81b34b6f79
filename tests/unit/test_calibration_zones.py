"""Zones of the field: the score that their weights give, and weights fitted to labels with known answers."""

from dataclasses import dataclass

import numpy as np
import pytest

from efiqa import _core, _metrics
from efiqa.calibration import criterion
from efiqa.calibration import zones as zones_module
from efiqa.calibration.zones import EQUAL, RATIOS, SMALLEST, Zones, fit_zone_weights
from efiqa.contract import OperatingPoint, ZoneWeights


def zones_of(area, bad):
    """Return zones of pictures whose macula is not known."""
    return Zones(area, bad, np.ones(len(area)))


def drawn(count, telling, *, seed=0):
    """Return levels 0 and 1, and zones of which only ``telling`` knows them; the others are noise."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(2, size=count)
    area = np.tile([60.0, 200.0, 190.0], (count, 1))
    share = rng.uniform(0, 0.6, (count, 3))
    share[:, telling] = np.clip(rng.normal(0.45 - 0.3 * levels, 0.08), 0, 1)
    return levels, zones_of(area, area * share)


def test_grid_zones_are_rings_of_a_circle():
    zones = _core.grid_zones(24, 24)
    assert (zones.shape, zones.dtype) == ((24, 24), np.int32)
    distance = np.hypot(*(np.mgrid[:24, :24] + 0.5 - 12)) / 12
    assert np.array_equal(zones, np.digitize(distance, [0.4, 0.8], right=True))
    with pytest.raises(_core.CoreError, match="grid_width is 129, expected 1 to 128"):
        _core.grid_zones(129, 24)


def test_scores_count_zones_by_their_weights():
    zones = zones_of(np.array([[10.0, 20, 30]]), np.array([[10.0, 0, 15]]))
    assert zones.scores(EQUAL)[0] == pytest.approx(1 - 25 / 60)
    weights = ZoneWeights(1, 0.5, 0.25)
    assert zones.scores(weights)[0] == pytest.approx(1 - (10 + 15 / 4) / (10 + 10 + 30 / 4))
    assert zones.scores(weights)[0] == np.float32(zones.scores(weights)[0])


@pytest.mark.parametrize("telling", range(3))
def test_weights_favour_the_zone_that_tells_the_labels(telling):
    levels, zones = drawn(300, telling)
    found = fit_zone_weights(levels, zones)
    weights = [found.center, found.middle, found.periphery]
    assert max(weights) == weights[telling] == 1
    assert min(weights) >= min(RATIOS) / max(RATIOS)
    good = levels > 0
    better = _metrics.auroc(good, zones.scores(found))
    assert better > _metrics.auroc(good, zones.scores(EQUAL)) + 0.02


def test_scores_are_bounded_by_what_can_be_seen_of_the_landmarks():
    area, bad = np.array([[10.0, 20, 30]] * 2), np.array([[10.0, 0, 15]] * 2)
    zones = Zones(area, bad, np.array([0.6, 0.3]))
    assert zones.scores(EQUAL) == pytest.approx([1 - 25 / 60, 0.3])
    assert zones.scores(ZoneWeights(1, 1, 0.1)) == pytest.approx([0.6, 0.3])
    assert zones.of_pictures(np.array([False, True])).scores(EQUAL) == pytest.approx([0.3])


@dataclass(frozen=True)
class Report:
    """What zones are made of."""

    map: np.ndarray
    weights: np.ndarray
    macula: np.ndarray | None = None
    optic_disc: np.ndarray | None = None


def test_bound_is_that_of_the_landmark_that_is_hidden_more():
    lost, cells = np.array([[0.9, 0.5], [0.0, 0.0]], np.float32), np.eye(4, dtype=np.float32).reshape(4, 2, 2)
    weights = np.ones((2, 2), np.float32)

    def most(macula, disc, **margins):
        return Zones.of([Report(lost, weights, macula, disc)], OperatingPoint(0, 0, **margins)).most[0]

    assert most(cells[0], cells[1], macula_margin=0.1, optic_disc_margin=0.1) == pytest.approx(0.2)
    assert most(cells[1], cells[0], macula_margin=0.1, optic_disc_margin=0.2) == pytest.approx(0.3)
    assert most(cells[2], cells[1], macula_margin=0.1, optic_disc_margin=0.2) == pytest.approx(0.7)
    nowhere = np.zeros_like(lost)  # a macula may lie beyond the field, a disc may not
    assert most(nowhere, cells[2], macula_margin=0.1, optic_disc_margin=0.2) == pytest.approx(1.1)
    assert most(cells[2], nowhere, macula_margin=0.1, optic_disc_margin=0.2) == pytest.approx(0.2)
    assert most(cells[0], None) == pytest.approx(1.1)
    assert most(None, None, macula_margin=0.1) == pytest.approx(1.1)


def test_seen_of_a_landmark_counts_cells_by_the_square_of_their_probability():
    lost = np.array([[0.9, 0.1], [0.2, np.nan]], np.float32)
    weights = np.array([[1, 0.5], [1, 0]], np.float32)
    macula = np.array([[0.8, 0.4], [0.0, np.nan]], np.float32)
    counted = 0.64 + 0.5 * 0.16
    seen = zones_module.seen_of
    assert seen(macula, lost, weights) == pytest.approx(1 - (0.64 * 0.9 + 0.08 * 0.1) / counted)
    assert seen(None, lost, weights) == 1
    # A 400th of the visible area has to be of it.
    least = np.sqrt(_core.MIN_LANDMARK_SHARE * 2.5)
    for factor, expected in ((1.01, 1 - 0.9), (0.99, 1.0)):
        macula = np.array([[factor * least, 0], [0, np.nan]], np.float32)
        assert seen(macula, lost, weights) == pytest.approx(expected)
        share = min(1, factor**2)  # of a 400th
        assert seen(macula, lost, weights, needed=True) == pytest.approx(0.1 * share)


@pytest.mark.parametrize(
    ("probability", "needed"),
    [
        (0.9 * np.sqrt(2.5 * _core.MIN_LANDMARK_SHARE), True),
        (1.1 * np.sqrt(2.5 * _core.MIN_LANDMARK_SHARE), False),
        (_core.SURE_MACULA - 0.001, False),
        (_core.SURE_MACULA, True),
    ],
)
def test_disc_is_missing_where_the_macula_is_certain_or_not_found_either(probability, needed):
    weights = np.array([[1, 0.5], [1, 0]], np.float32)
    macula = np.array([[probability, 0], [0, np.nan]], np.float32)
    assert zones_module.needs_disc(macula, weights) == needed
    clear, nowhere = np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32)
    most = zones_module.greatest_score(clear, weights, (macula, nowhere), (1.0, 0.25))
    assert most == pytest.approx(0.25 if needed else 1.25)
    assert zones_module.needs_disc(None, weights)


def test_criterion_hands_the_margins_of_the_landmarks_on():
    levels, zones = drawn(300, 0)
    patients = [str(i) for i in range(300)]
    margins = {"macula_margin": 0.125, "optic_disc_margin": 0.25}
    for scores in (zones, zones.scores(EQUAL)):
        present = OperatingPoint(0.9, 0.5, **margins)
        result = criterion.fit_criterion(
            levels, scores, patients, ("bad", "good"), folds=5, seed=1, present=present
        )
        held = result.point.to_dict()
        assert {name: held[name] for name in margins} == margins
        assert OperatingPoint.from_dict(held) == result.point != present
    plain = criterion.fit_criterion(levels, zones, patients, ("bad", "good"), folds=5, seed=1)
    assert not any("margin" in name for name in plain.point.to_dict())


@pytest.mark.parametrize("present", [EQUAL, ZoneWeights(1, 1, 0.25), ZoneWeights(0.5, 1, 0.5)])
def test_weights_stay_as_they_are_where_zones_say_the_same(present):
    rng = np.random.default_rng(1)
    levels = rng.integers(3, size=200)
    share = np.clip(rng.normal(0.6 - 0.25 * levels, 0.1), 0, 1)
    area = np.tile([60.0, 200.0, 190.0], (200, 1))
    assert fit_zone_weights(levels, zones_of(area, area * share[:, None]), present) == present


def test_weights_remain_such_as_a_contract_allows():
    assert zones_module._changed(ZoneWeights(1, 0.02, 0.02), 4, 0.25) == ZoneWeights(1, SMALLEST, SMALLEST)


def test_fitted_weights_are_judged_out_of_fold():
    # Labels at random: weights that were fitted to all of them would promise more than chance.
    rng = np.random.default_rng(5)
    area = np.tile([60.0, 200.0, 190.0], (60, 1))
    found = []
    for _ in range(20):
        levels = rng.permutation(np.repeat([0, 1], 30))
        zones = zones_of(area, area * rng.uniform(0, 1, (60, 3)))
        fold = rng.permutation(np.arange(60) % 5)
        weights, scores = criterion._fit_scores(levels, zones, fold, ("bad", "good"), None)
        fitted = _metrics.auroc(levels > 0, zones.scores(weights))
        found.append((fitted, _metrics.auroc(levels > 0, scores.held_out)))
        assert np.array_equal(scores.final, zones.scores(weights))
    fitted, held_out = np.mean(found, axis=0)
    assert fitted > 0.54
    assert held_out < fitted - 0.02


def test_criterion_of_zones_hands_the_weights_on():
    levels, zones = drawn(300, 0)
    result = criterion.fit_criterion(
        levels, zones, [str(i) for i in range(300)], ("bad", "good"), folds=5, seed=1
    )
    weights = result.point.zone_weights
    assert weights.center == 1
    assert weights.middle < 1
    plain = criterion.fit_criterion(
        levels, zones.scores(EQUAL), [str(i) for i in range(300)], ("bad", "good"), folds=5, seed=1
    )
    assert plain.point.zone_weights is None
    kept = criterion.fit_criterion(
        levels,
        zones.scores(weights),
        [str(i) for i in range(300)],
        ("bad", "good"),
        folds=5,
        seed=1,
        present=OperatingPoint(0, 0, weights),
    )
    assert kept.point == result.point
    assert result.cuts[0].auroc.value > plain.cuts[0].auroc.value + 0.02
    good = zones.scores(weights) >= result.point.good_min_score
    assert (good == (levels > 0)).mean() > 0.8
