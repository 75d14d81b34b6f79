"""Inner channels that hardly matter, taken out of a student."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

from tests.training.test_refusal_answer import GRID, TOY  # noqa: E402
from tests.training.test_student import SIDE, crop_set, samples  # noqa: E402


def drawn_student(seed=2):
    from training.student import Shape, Student

    torch.manual_seed(seed)
    return Student(Shape(16, 16, 1, 8, 1, 8, 1), pretrained=False).eval()


@pytest.fixture
def images():
    make, _ = samples()
    return torch.stack([make(np.random.default_rng([3, k]), 0.0)["image"] for k in range(12)])


def test_inner_blocks_are_those_of_backbone_and_readers():
    from training.inner_channels import inner_blocks

    blocks = inner_blocks(drawn_student())
    assert {"backbone.blocks.1.0", "judge.close", "judge.rounds.0", "layout.rounds.0"} <= set(blocks)
    assert blocks["judge.rounds.0"].channels == 32
    assert blocks["backbone.blocks.4.2"].channels == 672
    assert blocks["judge.rounds.0"].field is not None
    assert blocks["place.rounds.0"].field is None


def test_channels_that_say_nothing_go_without_a_trace(images):
    from training.inner_channels import fit_to, inner_blocks

    student = drawn_student()
    blocks = inner_blocks(student)
    for name in ("judge.rounds.0", "backbone.blocks.3.1"):
        blocks[name].narrow.weight.data[:, ::2] = 0
    with torch.no_grad():
        before = student(images[:2])
        for name in ("judge.rounds.0", "backbone.blocks.3.1"):
            blocks[name].keep(torch.arange(1, blocks[name].channels, 2))
        after = student(images[:2])
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)
    again = drawn_student(3)
    state = student.state_dict()
    fit_to(again, state)
    again.load_state_dict(state)
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(images[:2]), after)


def test_channels_that_are_put_back_change_no_answer_and_learn(images):
    from training.inner_channels import inner_blocks
    from training.refusal_answer import refusing

    student = drawn_student()
    blocks = inner_blocks(student)
    blocks["layout.rounds.0"].keep(torch.arange(4))
    blocks["place.rounds.0"].keep(torch.arange(4))
    with torch.no_grad():
        before = student(images[:2])
    model = refusing(student, 8, 1)
    block = inner_blocks(student)["layout.rounds.0"]
    assert block.channels == 16
    assert block.widen.out_channels == block.spread.groups == block.field.out_features == 16
    assert blocks["place.rounds.0"].channels == 4  # another reader's
    with torch.no_grad():
        assert torch.equal(student(images[:2]), before)
    step = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(2):  # the new columns of the last layer move first, and then what they read
        step.zero_grad()
        model.train()(images[:4]).square().mean().backward()
        step.step()
    assert (block.narrow.weight[:, 4:].abs().amax((0, 2, 3)) > 0).all()
    assert all(parameter.grad[4:].abs().sum() > 0 for parameter in (block.widen.weight, block.field.weight))
    block.grow(8)
    assert block.channels == 16  # it has more


def test_spared_readers_stay_whole(images):
    from training import config
    from training.inner_channels import inner_blocks
    from training.pruning import prune

    student = drawn_student()
    recipe = replace(config.load(TOY).prune, max_rms_logit=9.0, spared=("layout", "place"))
    rows = prune(student, images, recipe, 5)
    kept = {name: block.channels for name, block in inner_blocks(student).items()}
    assert (kept["layout.rounds.0"], kept["place.rounds.0"], kept["judge.rounds.0"]) == (16, 16, 4)
    assert {row["block"].split(".")[0] for row in rows} == {"backbone", "judge"}
    with pytest.raises(ValueError, match="spared is 'readers', expected some of backbone, judge"):
        prune(student, images, replace(recipe, spared=("readers",)), 5)


def test_removal_order_takes_what_others_say_first_and_tells_the_error():
    from training.pruning import removal_order

    rng = np.random.default_rng(4)
    x = rng.normal(size=(4000, 4)) * [1, 1, 0.01, 1]
    x[:, 1] = 2 * x[:, 0] + 1e-3 * x[:, 1]  # says the same as the first
    weight = rng.normal(size=(3, 4))
    covariance = np.cov(x.T)
    order, errors = removal_order(covariance, weight)
    assert sorted(order) == [0, 1, 2, 3]
    assert set(order[:2]) in ({0, 2}, {1, 2})
    assert errors[1] < 1e-3
    for gone in (1, 2, 3):  # the error of the best fit by what is left
        kept = np.sort(order[gone:])
        fit, *_ = np.linalg.lstsq(x[:, kept] - x[:, kept].mean(0), (x - x.mean(0)) @ weight.T, rcond=None)
        left = (x - x.mean(0)) @ weight.T - (x[:, kept] - x[:, kept].mean(0)) @ fit
        assert errors[gone - 1] == pytest.approx(np.square(left).mean(0).sum(), rel=0.05, abs=1e-5)


def test_removal_order_of_channels_that_say_nothing_costs_nothing():
    from training.pruning import removal_order

    order, errors = removal_order(np.zeros((5, 5)), np.ones((2, 5)))
    assert sorted(order) == [0, 1, 2, 3, 4]
    assert errors.max() < 1e-9


@pytest.mark.parametrize(
    ("max_rms", "multiple", "expected"),
    [(0.05, 4, 16), (0.11, 4, 16), (0.45, 4, 12), (0.45, 1, 12), (9, 4, 4)],
)
def test_channels_to_keep_is_a_multiple(max_rms, multiple, expected):
    from training.pruning import channels_to_keep

    errors = np.square(0.1 * np.arange(1, 17))
    assert channels_to_keep(errors, max_rms, multiple) == expected
    assert channels_to_keep(errors[:3], 0.1, 4) == 3  # there are no four


def test_pruned_student_answers_alike_with_fewer_channels(images):
    from training import config
    from training.inner_channels import inner_blocks
    from training.pruning import changes, prune

    recipe = replace(config.load(TOY).prune, spared=())
    whole, free, some, much = (drawn_student() for _ in range(4))
    prune(free, images, replace(recipe, max_rms_logit=1e-9), 5)  # what says nothing at all
    assert max(changes(whole, free, images).values()) < 1e-4
    sizes, differences = [], []
    for student, limit in ((some, 0.002), (much, 0.05)):
        rows = prune(student, images, replace(recipe, max_rms_logit=limit), 5)
        assert all(0 <= row["rms_logit"] <= limit for row in rows)
        assert all(row["kept"] % 4 == 0 for row in rows if row["kept"] < row["channels"])
        assert [row["kept"] for row in rows] == [each.channels for each in inner_blocks(student).values()]
        sizes.append(sum(row["kept"] for row in rows))
        differences.append(np.sqrt(np.mean(np.square(list(changes(whole, student, images).values())))))
    assert sizes[1] < sizes[0] < sum(each.channels for each in inner_blocks(whole).values())
    assert 0 < differences[0] < differences[1] < 0.05 * len(rows)


def test_stage_writes_a_student_that_is_read_with_its_channels(tmp_path):
    from training import config, pruning
    from training.pseudo_labels import to_grid
    from training.student import load_student, save_student

    recipe = config.load(TOY)
    for folder in ("teacher", "cache"):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / "teacher/pool.npy", np.full((4, GRID, GRID), 0.2, np.float32))
    pool, annotated = crop_set(4), crop_set(2)
    assert to_grid(pool.visible[0], GRID).shape == (GRID, GRID)
    save_student(drawn_student(), SIDE, tmp_path / "levelled.pt")
    shapes = replace(recipe.student, size_px=SIDE, grid=GRID)
    pruning.run(shapes, recipe.prune, pool, annotated, tmp_path, seed=6)
    found = json.loads(Path(tmp_path / "prune.json").read_text())
    whole = load_student(tmp_path / pruning.PRUNED)
    count = sum(each.numel() for each in whole.parameters())
    assert found["parameters"]["after"] == count < found["parameters"]["before"]
    assert len(found["rms_logit_of_other_pictures"]) == 9
