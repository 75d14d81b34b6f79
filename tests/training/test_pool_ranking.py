"""How a model ranks real pictures beside an earlier one."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.train


class Ranking:
    """A runtime that scores a frame by its mean, as ``score_of`` says; None is a refusal."""

    def __init__(self, of_mean):
        self._of_mean = of_mean

    def assess(self, rgb):
        return SimpleNamespace(score=self._of_mean(float(rgb.mean())))


@pytest.fixture
def pictures(tmp_path):
    from training.data import Picture

    out = []
    for order, level in enumerate(np.linspace(10, 200, 24)):
        path = tmp_path / f"{order:02}.png"
        cv2.imwrite(str(path), np.full((8, 8, 3), int(level), np.uint8))
        out.append(Picture(path, path.name, "train", "fundus", "TOY", "", "", ""))
    return out[::2] + out[1::2]


def test_pool_ranking_of_a_model_beside_itself_is_whole(pictures):
    from training.pool_ranking import pool_ranking

    same = Ranking(lambda mean: mean / 255)
    assert pool_ranking(same, same, pictures) == {
        "n_pictures": 24,
        "spearman": pytest.approx(1),
        "better_middling": 1,
        "middling_worst": 1,
    }


def test_pool_ranking_says_where_a_model_ranks_otherwise(pictures):
    from training.pool_ranking import pool_ranking

    earlier = Ranking(lambda mean: mean / 255)
    mild = pool_ranking(Ranking(lambda mean: max(mean, 105) / 255), earlier, pictures)  # half of them alike
    assert mild["better_middling"] == 1
    assert mild["middling_worst"] == 0.5
    assert 0 < mild["spearman"] < 1
    refusing = Ranking(lambda mean: None if mean > 105 else mean / 255)
    assert pool_ranking(refusing, earlier, pictures)["better_middling"] == 0


def test_pool_ranking_of_a_handful_is_an_error(pictures):
    from training.pool_ranking import pool_ranking

    same = Ranking(lambda mean: mean / 255)
    with pytest.raises(ValueError, match=r"pictures are 15, expected at least 16 to rank"):
        pool_ranking(same, same, pictures[:15])
