"""The answer "not a fundus", learned once more by a reader of its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from tests.training.test_student import SIDE, samples  # noqa: E402
from training.student_samples import CHANNELS, NOT_A_FUNDUS  # noqa: E402

GRID = SIDE // 16
TOY = Path(__file__).parents[2] / "training/configs/toy.toml"


@pytest.fixture
def student():
    from training.student import Shape, Student

    torch.manual_seed(2)
    return Student(Shape(16, 16, 1), pretrained=False).eval()


def says(logits):
    return lambda _: logits


def batch_of(truth):
    weight = torch.ones(len(truth), 1, GRID, GRID)
    weight[:, :, 0] = 0
    return {"image": torch.zeros(1), "weight": weight, "not_fundus": torch.tensor(truth)[:, None]}


@pytest.mark.parametrize("side", [96, 144])  # grids of 6 and 9 cells
def test_widened_student_answers_as_before(student, side):
    from training.student import widened

    image = torch.rand(2, 3, side, side) * 2 - 1
    more = {"layout_width": 8, "layout_rounds": 2, "place_width": 4, "place_rounds": 1, "rim": True}
    wide = widened(student, replace(student.shape, **more))
    with torch.no_grad():
        assert wide.features(image).shape == (2, 16 + 16 + 8 + 4 + 1, side // 16, side // 16)
        torch.testing.assert_close(wide(image), student(image))
        wide.head.weight[-1, 32:40] = 1
        assert not torch.allclose(wide(image)[:, -1], student(image)[:, -1])


def test_student_without_some_inner_channels_is_widened_likewise(student):
    from training.inner_channels import inner_blocks
    from training.student import widened

    for name in ("judge.rounds.0", "backbone.blocks.3.1"):
        inner_blocks(student)[name].keep(torch.tensor([0, 3, 5]))
    image = torch.rand(2, 3, SIDE, SIDE) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(widened(student, replace(student.shape, rim=True))(image), student(image))


def test_refusing_says_at_first_what_the_student_says(student):
    from training.refusal_answer import refusing

    image = torch.randn(1, 3, SIDE, SIDE)
    with torch.no_grad():
        found = refusing(student, 8, 1).eval()(image)
        torch.testing.assert_close(found, student(image)[:, NOT_A_FUNDUS : NOT_A_FUNDUS + 1])
    assert found.shape == (1, 1, GRID, GRID)


def test_refusing_goes_on_with_a_layout_that_the_student_has(student):
    from training.refusal_answer import refusing
    from training.student import widened

    torch.manual_seed(5)
    wide = widened(student, replace(student.shape, layout_width=8, layout_rounds=1))
    torch.nn.init.normal_(wide.head.weight)
    image = torch.randn(1, 3, SIDE, SIDE)
    going_on = refusing(wide, 8, 1)
    with torch.no_grad():
        torch.testing.assert_close(going_on.eval()(image), wide(image)[:, NOT_A_FUNDUS : NOT_A_FUNDUS + 1])
    assert all(each.requires_grad for each in going_on.student.layout.parameters())
    with pytest.raises(ValueError, match=r"are 16, 1, the student's \(8, 1\)"):
        refusing(wide, 16, 1)


def test_refusal_loss_is_of_the_mean_over_the_field():
    from training.refusal_answer import refusal_loss

    wrong = torch.tensor([-4.0, 4.0])[:, None, None, None].repeat(1, 1, GRID, GRID)
    wrong[:, :, 0] *= -100  # outside the field
    assert refusal_loss(says(wrong), batch_of([1.0, 0.0]))["not_fundus"].item() == pytest.approx(
        np.log1p(np.exp(4)), abs=1e-3
    )
    assert refusal_loss(says(wrong), batch_of([0.0, 1.0]))["not_fundus"].item() < 0.02


def learned(student, teaching, folder, iterations=2, kept_share=0.0):
    from lightning.fabric import Fabric

    from training import config
    from training.refusal_answer import relearn

    recipe = config.load(TOY)
    loop = replace(recipe.refusal.loop, iterations=iterations, checkpoint_every=1)
    shapes = replace(recipe.student, size_px=SIDE, grid=GRID)
    settings = replace(recipe.refusal, loop=loop, kept_share=kept_share)
    return relearn(Fabric(accelerator="cpu", devices=1), student, teaching, shapes, settings, folder, seed=4)


@pytest.fixture
def teaching():
    make, _ = samples()
    return replace(make._from, maps=np.full((4, GRID, GRID), 0.2, np.float32))


def test_relearn_changes_no_other_answer_and_is_repeatable(student, teaching, tmp_path):
    first, again = (learned(student, teaching, tmp_path / name) for name in ("first", "again"))
    found = first.state_dict()
    assert all(torch.equal(each, found[key]) for key, each in again.state_dict().items())
    kept = student.state_dict()
    changed = [
        key for key, each in kept.items() if not key.startswith("head") and not torch.equal(each, found[key])
    ]
    assert not changed
    image = torch.rand(2, 3, SIDE, SIDE)
    with torch.no_grad():
        before, after = student(image), first(image)
    others = [channel for channel in range(len(CHANNELS)) if channel != NOT_A_FUNDUS]
    torch.testing.assert_close(before[:, others], after[:, others])
    assert not torch.allclose(before[:, NOT_A_FUNDUS], after[:, NOT_A_FUNDUS])


def test_a_layout_that_learns_on_keeps_a_share_of_its_weights(student, teaching, tmp_path):
    from training.student import student_of

    first = learned(student, teaching, tmp_path / "first", kept_share=0.5)  # there is nothing to keep yet
    plain = learned(student, teaching, tmp_path / "plain")
    torch.testing.assert_close(first.state_dict(), plain.state_dict(), rtol=0, atol=0)
    had = {key: each.clone() for key, each in first.state_dict().items()}

    def going_on(share):
        again = student_of(first.shape, first.state_dict())
        return learned(again, teaching, tmp_path / f"{share}", iterations=4, kept_share=share).state_dict()

    moved, half, stayed = (going_on(share) for share in (0.0, 0.5, 1.0))
    key = "layout.rounds.0.narrow.weight"
    assert not torch.equal(moved[key], had[key])
    for key, each in had.items():
        if each.is_floating_point():
            torch.testing.assert_close(half[key], (each + moved[key]) / 2)
            torch.testing.assert_close(stayed[key], each)


def test_relearn_goes_on_at_its_checkpoint(student, teaching, tmp_path, capsys):
    once = learned(student, teaching, tmp_path / "once").state_dict()
    learned(student, teaching, tmp_path / "twice")
    capsys.readouterr()
    twice = learned(student, teaching, tmp_path / "twice").state_dict()
    assert "refusal: resumed at iteration 2 of 2" in capsys.readouterr().out
    assert all(torch.equal(each, twice[key]) for key, each in once.items())
