"""The answer "not a fundus", learned once more beside the student as it was."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from tests.training.test_student import GRID, SIDE, samples  # noqa: E402

CHANNELS = 7


@pytest.fixture
def student():
    from training.student import Shape, Student

    torch.manual_seed(2)
    return Student(Shape(16, 16, 1), pretrained=False).eval()


def batch_of(count=2):
    weight = torch.ones(count, 1, GRID, GRID)
    weight[:, :, 0] = 0
    truth = torch.tensor([[1.0], [0.0]]).repeat(count // 2, 1)
    trust = torch.zeros_like(weight)
    return {"image": torch.zeros(count, 3, SIDE, SIDE), "weight": weight, "trust": trust, "not_fundus": truth}


def says(now, before):
    return lambda _: (now, before)


def test_held_student_says_at_first_what_it_said(student):
    from training.refusal_answer import Held

    image = torch.randn(1, 3, SIDE, SIDE)
    with torch.no_grad():
        now, before = Held(student).eval()(image)
    assert now.shape == (1, CHANNELS, SIDE // 16, SIDE // 16)
    assert torch.equal(now, before)


def test_held_loss_is_nil_but_for_the_refusal_where_nothing_has_changed():
    from training.refusal_answer import held_loss

    before = torch.randn(2, CHANNELS, GRID, GRID)
    now = before.clone()
    now[:, -1] = torch.tensor([30.0, -30.0])[:, None, None]
    assert sum(held_loss(says(now, before), batch_of()).values()).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("channel", range(CHANNELS - 1))
def test_held_loss_counts_each_other_answer_inside_the_field_alone(channel):
    from training.refusal_answer import held_loss

    before = torch.zeros(2, CHANNELS, GRID, GRID)
    outside, inside = before.clone(), before.clone()
    outside[:, channel, 0] = 3
    inside[:, channel, 1] = 3
    assert held_loss(says(outside, before), batch_of())["held"].item() == pytest.approx(0, abs=1e-6)
    assert held_loss(says(inside, before), batch_of())["held"].item() > 0.05


def test_held_loss_counts_cells_of_known_defects_more():
    from training.refusal_answer import held_loss

    before = torch.zeros(2, CHANNELS, GRID, GRID)
    now = before.clone()
    now[:, 0, 1, 1] = 3
    plain, trusted = batch_of(), batch_of()
    trusted["trust"][:, :, 1, 1] = 4
    once, more = (held_loss(says(now, before), batch)["held"].item() for batch in (plain, trusted))
    assert more > 3 * once


def test_held_loss_of_the_refusal_is_of_the_mean_over_the_field():
    from training.refusal_answer import REFUSAL_WEIGHT, held_loss

    before = torch.zeros(2, CHANNELS, GRID, GRID)
    wrong = before.clone()
    wrong[:, -1] = torch.tensor([-4.0, 4.0])[:, None, None]
    wrong[:, -1, 0] *= -100  # outside the field
    expected = REFUSAL_WEIGHT * np.log1p(np.exp(4))
    assert held_loss(says(wrong, before), batch_of())["not_fundus"].item() == pytest.approx(
        expected, abs=1e-3
    )


def test_relearn_leaves_what_the_map_is_read_from_and_is_repeatable(student, tmp_path):
    from lightning.fabric import Fabric

    from training import config
    from training.refusal_answer import LOOP, relearn
    from training.student_samples import StudentSamples

    make, _ = samples()
    assert isinstance(make, StudentSamples)
    recipe = Path(__file__).parents[2] / "training/configs/toy.toml"
    settings = replace(config.load(recipe).student, size_px=SIDE, grid=SIDE // 16)
    teaching = replace(make._from, maps=np.full((4, SIDE // 16, SIDE // 16), 0.2, np.float32))
    loop = replace(LOOP, iterations=2, batch=2, workers=0, checkpoint_every=1)
    before = {key: value.clone() for key, value in student.state_dict().items()}
    found = []
    for folder in ("first", "again"):
        student.load_state_dict(before)
        learned = relearn(
            Fabric(accelerator="cpu", devices=1), student, teaching, settings, tmp_path / folder, 4, loop
        )
        found.append({key: value.clone() for key, value in learned.state_dict().items()})
    assert all(torch.equal(found[0][key], found[1][key]) for key in before)
    changed = {key.split(".")[0] for key in before if not torch.equal(before[key], found[0][key])}
    assert changed == {"judge", "head"}
