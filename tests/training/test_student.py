"""What the student is shown, and what its loss asks of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

SIDE, GRID = 192, 6


def crop_set(count):
    from training.data import CropSet

    y, x = np.mgrid[:SIDE, :SIDE]
    visible = np.hypot(x - 95.5, y - 95.5) <= 92
    rgb = np.random.default_rng(0).integers(60, 200, (count, SIDE, SIDE, 3), dtype=np.uint8)
    rgb *= visible[..., None].astype(np.uint8)
    names = [str(index) for index in range(count)]
    return CropSet(
        names,
        datasets=["toy"] * count,
        boxes=[(0, 0, SIDE)] * count,
        sizes=[(SIDE, SIDE)] * count,
        rgb=rgb,
        visible=np.stack([visible.astype(np.uint8)] * count),
    )


def samples(**changes):
    from training import config
    from training.student_samples import StudentSamples, Teaching

    recipe = Path(__file__).parents[2] / "training/configs/toy.toml"
    settings = replace(config.load(recipe).student, **changes)
    teacher = np.stack([np.full((GRID, GRID), share, np.float32) for share in (0.1, 0.6, 0.9, 0.9)])
    known, unknown = (np.full((count, 3), value, np.float32) for count, value in ((2, SIDE / 2), (4, np.nan)))
    known[:, 2] = 30
    teaching = Teaching(crop_set(4), teacher, teacher.mean((1, 2)), crop_set(2), unknown, known)
    return StudentSamples(teaching, settings), settings


def drawn(make, count=40):
    return [make(np.random.default_rng([5, k]), 0.0) for k in range(count)]


def test_sample_of_the_pool_has_the_teachers_map_and_no_known_reason():
    make, _ = samples(degraded_share=0.0, not_fundus_share=0.0)
    for sample in drawn(make, 10):
        inside = sample["target"][sample["weight"] > 0.9]
        assert min(abs(float(inside.mean()) - level) for level in (0.1, 0.6, 0.9)) < 0.02
        assert sample["reasons_known"].item() == sample["not_fundus"].item() == 0


def test_sample_of_an_annotated_picture_is_bad_only_where_the_defect_is():
    make, _ = samples(degraded_share=1.0, not_fundus_share=0.0, annotated_share=1.0, second_defect_share=0.0)
    named = 0
    for sample in drawn(make):
        reasons = sample["reasons"]
        assert sample["reasons_known"].item() == 1
        assert (reasons.amax((1, 2)) > 0).sum() <= 1  # one defect has one cause
        assert torch.allclose(sample["target"], reasons.sum(0, keepdim=True), atol=1e-6)
        named += int(reasons.max() > 0.3)
    assert named > 10


def test_sample_with_two_defects_hides_what_either_hides():
    make, _ = samples(degraded_share=1.0, not_fundus_share=0.0, annotated_share=1.0, second_defect_share=1.0)
    both = 0
    for sample in drawn(make):
        left = (1 - sample["reasons"]).prod(0, keepdim=True)
        assert torch.allclose(1 - sample["target"], left, atol=1e-5)
        both += int((sample["reasons"].amax((1, 2)) > 0.05).sum() == 2)
    assert both > 5


def test_sample_of_a_clean_pool_picture_starts_from_the_best_ones():
    make, _ = samples(
        degraded_share=1.0,
        not_fundus_share=0.0,
        annotated_share=0.0,
        second_defect_share=0.0,
        clean_share=0.25,
    )
    for sample in drawn(make, 10):
        kept = sample["target"][(sample["weight"] > 0.9) & (sample["reasons"].amax(0, keepdim=True) == 0)]
        assert ((kept - 0.1).abs() < 0.02).all()  # of the one picture with the teacher's 0.1


def test_sample_of_no_fundus_shows_nothing():
    make, _ = samples(degraded_share=0.0, not_fundus_share=1.0)
    for sample in drawn(make, 5):
        assert sample["target"].min() == 1
        assert sample["not_fundus"].item() == 1
        assert sample["reasons_known"].item() == 0


def test_sample_same_generator_gives_the_same():
    make, _ = samples()
    for first, again in zip(drawn(make, 8), drawn(make, 8), strict=True):
        assert all(torch.equal(first[key], again[key]) for key in first)


def batch_of(make, count=4):
    rows = drawn(make, count)
    return {key: torch.stack([row[key] for row in rows]) for key in rows[0]}


def test_student_loss_knows_no_reason_where_none_is_known():
    from training.student import student_loss

    make, settings = samples(degraded_share=0.0, not_fundus_share=0.0)
    batch = batch_of(make)
    wild = torch.zeros(4, 7, GRID, GRID)
    wild[:, 1:6] = 50
    assert student_loss(settings, lambda _: wild, batch)["reasons"].item() == 0
    batch["reasons_known"][:] = 1
    assert student_loss(settings, lambda _: wild, batch)["reasons"].item() > 10


def test_student_loss_refusal_is_of_the_mean_over_the_field():
    from training.student import student_loss

    make, settings = samples(degraded_share=0.0, not_fundus_share=1.0, not_fundus_weight=1.0)
    batch = batch_of(make)
    logits = torch.zeros(4, 7, GRID, GRID)
    logits[:, 6] = torch.where(batch["weight"][:, 0] > 0, 8.0, -1000.0)  # outside the field nothing counts
    assert student_loss(settings, lambda _: logits, batch)["not_fundus"].item() < 1e-3
    logits[:, 6] *= -1
    assert student_loss(settings, lambda _: logits, batch)["not_fundus"].item() == pytest.approx(8, abs=0.1)


def test_random_scene_is_black_outside_and_of_many_kinds():
    from training.not_fundus import random_scene

    means = []
    for seed in range(30):
        rgb, visible = random_scene(SIDE, np.random.default_rng(seed))
        assert rgb.dtype == np.uint8
        assert rgb.shape == (SIDE, SIDE, 3)
        assert not rgb[~visible].any()
        assert 0.2 < visible.mean() <= 1
        means.append(rgb[visible].mean(0))
    assert np.std(means, axis=0).min() > 20


def test_photographs_hold_no_retina():
    from training.not_fundus import PHOTOGRAPHS, photographs

    assert not {"retina", "microaneurysms"} & set(PHOTOGRAPHS)
    assert all(each.dtype == np.uint8 and each.shape[2] == 3 for each in photographs())
    assert len(photographs()) > len(PHOTOGRAPHS)


def test_best_refusal_limit_lies_between_real_pictures_and_scenes():
    from training.refusal_limit import best_refusal_limit

    limit = best_refusal_limit(np.linspace(-9, -1, 1000), np.linspace(2, 9, 1000))
    assert 0.5 <= limit.min_probability < 1 / (1 + np.exp(-2))
    assert limit.real_refused == 0
    assert limit.scenes_refused == 1


def test_best_refusal_limit_where_they_overlap_spares_the_real_ones():
    from training.refusal_limit import best_refusal_limit

    limit = best_refusal_limit(np.linspace(-9, 2, 1000), np.linspace(-4, 9, 1000))
    assert limit.real_refused <= 0.002
    assert limit.scenes_refused < 0.8


def test_best_threshold_is_where_the_regions_overlap_the_defects():
    from training.region_threshold import best_threshold

    hidden = np.float32([0, 0, 0, 0.2, 0.8, 0.9, 1.0])
    probability = np.float32([0.0, 0.1, 0.31, 0.33, 0.37, 0.6, 0.9])
    found = best_threshold([(hidden, probability), (hidden[:3], probability[:3])], [probability[:4]])
    assert found.probability in (0.34, 0.36)
    assert found.dice == 1
    assert found.clean_share == 0


def test_sample_with_a_spot_is_small_on_the_known_fovea_and_counts_more():
    make, settings = samples(
        degraded_share=1.0, not_fundus_share=0.0, annotated_share=1.0, second_defect_share=0.0, spot_share=1.0
    )
    hidden, central = [], 0
    for sample in drawn(make):
        lost = 1 - (1 - sample["reasons"]).prod(0, keepdim=True)
        hidden.append(lost.mean().item())
        counted = (lost > 0.1) & (sample["weight"] > 0)
        more = sample["weight"][counted] * settings.spot_weight
        assert torch.allclose(sample["trust"][counted], more)
        assert torch.equal(sample["trust"][~counted], sample["weight"][~counted])
        # The fovea of these pictures is in the middle, and so it is in most views.
        central += int(lost.max() > 0.3 and lost[0, GRID // 2 - 1 : GRID // 2 + 1].max() == lost.max())
    assert max(hidden) < 0.2
    assert np.mean(hidden) > 0.005
    assert central > 8


def test_sample_of_the_pool_trusts_the_macula_less():
    make, settings = samples(degraded_share=0.0, not_fundus_share=0.0)
    make._from.pool_foveas[:] = (SIDE / 2, SIDE / 2, 50)
    below = 0
    for sample in drawn(make, 10):
        ratio = (sample["trust"] / sample["weight"].clamp_min(1e-6))[0]
        inside = ratio[sample["weight"][0] > 0]
        doubted = torch.isclose(inside, torch.tensor(settings.doubt_weight))
        assert torch.isclose(inside[~doubted], torch.tensor(1.0)).all()
        assert ratio.max().item() == pytest.approx(1)
        below += int(ratio[GRID // 2, GRID // 2] < 0.5)
    assert below > 5


def test_student_loss_counts_the_map_by_trust_and_the_score_by_the_field():
    from training.student import student_loss

    make, settings = samples(degraded_share=0.0, not_fundus_share=0.0)
    batch = batch_of(make)
    batch["target"][:] = 0
    batch["trust"][:] = 0
    batch["trust"][:, :, 2, 2] = 1
    logits = torch.full((4, 7, GRID, GRID), -30.0)
    logits[:, 0, 3, 3] = 30.0  # wrong where nothing is trusted
    terms = student_loss(settings, lambda _: logits, batch)
    assert terms["entropy"].item() + terms["map"].item() < 1e-9
    assert terms["score"].item() > 0
    logits[:, 0, 2, 2] = 30.0
    assert student_loss(settings, lambda _: logits, batch)["entropy"].item() == pytest.approx(30)


def test_student_loss_of_the_score_counts_slight_defects_as_well():
    from training.student import student_loss

    make, settings = samples(degraded_share=0.0, not_fundus_share=0.0)
    batch = batch_of(make)

    def score_term(taught, said):
        batch["target"][:] = taught
        logits = torch.full((4, 7, GRID, GRID), said).logit()
        return student_loss(settings, lambda _: logits, batch)["score"].item()

    assert score_term(0.3, 0.3) < 1e-9
    assert score_term(0.05, 0.1) > 2 * score_term(0.45, 0.5)
    assert score_term(0.0, 0.001) < score_term(0.45, 0.5)  # nearer to 0 than the margin


def test_plain_pictures_of_a_small_set_are_drawn_more_often_than_their_share():
    from training.student_samples import _chances

    chances = _chances(["large"] * 90 + ["small"] * 10)
    assert chances.sum() == pytest.approx(1)
    assert chances[90:].sum() == pytest.approx(0.25)
    assert np.ptp(chances[:90]) == 0


def test_soften_divides_the_logits_of_the_map_alone():
    from training.student import Student

    torch.manual_seed(1)
    student, image = Student(16, pretrained=False).eval(), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = student(image)
        student.soften(2)
        after = student(image)
    torch.testing.assert_close(after[:, :1], before[:, :1] / 2)
    assert torch.equal(after[:, 1:], before[:, 1:])


def test_load_start_gives_back_what_save_start_wrote(tmp_path):
    from training.student import Student, load_start, save_start

    torch.manual_seed(1)
    first, second = Student(16, pretrained=False).eval(), Student(16, pretrained=False).eval()
    save_start(first, tmp_path / "start.safetensors")
    load_start(second, tmp_path / "start.safetensors")
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(second(image), first(image), rtol=0.02, atol=0.02)
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_start(Student(8, pretrained=False), tmp_path / "start.safetensors")
    with pytest.raises(FileNotFoundError):
        load_start(second, tmp_path / "none.safetensors")
