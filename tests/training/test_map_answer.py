"""The map, read once more from all readers."""

import copy
from dataclasses import replace
from functools import partial

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from tests.training.test_landmark_answer import settings, student, teaching  # noqa: E402, F401
from tests.training.test_refusal_answer import TOY  # noqa: E402
from tests.training.test_student import SIDE  # noqa: E402


@pytest.fixture
def placed(student):  # noqa: F811
    from training.landmark_answer import placing

    torch.manual_seed(6)
    whole = placing(student, 8, 1).finished().eval()
    torch.nn.init.normal_(whole.head.weight, std=0.1)
    return whole


@pytest.fixture
def learn(teaching):  # noqa: F811
    from lightning.fabric import Fabric

    from training import config
    from training.map_answer import learn_map

    recipe, fabric = config.load(TOY), Fabric(accelerator="cpu", devices=1)
    return partial(
        learn_map, fabric, teaching=teaching, samples=settings(recipe), settings=recipe.map, seed=4
    )


def test_learn_map_changes_the_maps_layer_alone_and_is_repeatable(placed, learn, tmp_path):
    before = placed.state_dict()
    first, again = (
        learn(student=copy.deepcopy(placed), folder=tmp_path / name).state_dict()
        for name in ("first", "again")
    )
    assert all(torch.equal(each, first[key]) for key, each in again.items())
    changed = {key for key, each in first.items() if not torch.equal(each, before[key])}
    assert changed == {"head.weight", "head.bias"}
    for key in changed:
        assert torch.equal(first[key][1:], before[key][1:])
        assert not torch.equal(first[key][0], before[key][0])


def test_map_answering_says_at_first_what_the_student_says(placed):
    from training.map_answer import MapAnswering

    image = torch.rand(2, 3, SIDE, SIDE) * 2 - 1
    whole = MapAnswering(placed).eval()
    with torch.no_grad():
        logits, changed = whole(image)
        torch.testing.assert_close(logits, placed(image))
        torch.testing.assert_close(changed, torch.zeros_like(changed), rtol=0, atol=1e-5)
        whole.answer.bias += 0.5
        logits, changed = whole(image)
        torch.testing.assert_close(changed, torch.full_like(changed, 0.5))
        torch.testing.assert_close(logits[:, :1], placed(image)[:, :1] + 0.5)
        torch.testing.assert_close(logits[:, 1:], placed(image)[:, 1:])
        finished = whole.finished()
    torch.testing.assert_close(finished(image), logits)


def test_learn_map_draws_and_weighs_as_its_settings_say(placed, learn, tmp_path, monkeypatch):
    from training import map_answer

    asked = []
    drawn = map_answer.StudentSamples

    def seen(teaching, phase):  # noqa: F811
        asked.append(phase)
        return drawn(teaching, phase)

    monkeypatch.setattr(map_answer, "StudentSamples", seen)
    wanted = replace(learn.keywords["settings"], degraded_share=0.3, spot_share=0.05, fovea_weight=9.0)
    learn(student=placed, folder=tmp_path, settings=wanted)
    (phase,) = asked
    assert (phase.degraded_share, phase.spot_share, phase.fovea_weight) == (0.3, 0.05, 9.0)
