"""What the student is shown, and what its loss asks of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

SIDE, GRID = 192, 6
CLEAN = 0.05


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


def samples(disordered_share=0.0, **changes):
    from training import config
    from training.student_samples import StudentSamples, Teaching

    recipe = Path(__file__).parents[2] / "training/configs/toy.toml"
    settings = replace(config.load(recipe).student, **changes)
    teacher = np.stack([np.full((GRID, GRID), share, np.float32) for share in (0.1, 0.6, 0.9, 0.9)])
    known, unknown = (np.full((count, 5), value, np.float32) for count, value in ((2, SIDE / 2), (4, np.nan)))
    known[:, 2:] = SIDE / 4, SIDE / 2, 30
    teaching = Teaching(crop_set(4), teacher, teacher.mean((1, 2)), CLEAN, crop_set(2), unknown, known)
    return StudentSamples(teaching, settings, disordered_share=disordered_share), settings


def drawn(make, count=40):
    return [make(np.random.default_rng([5, k]), 0.0) for k in range(count)]


def test_clean_level_is_of_the_best_cells_of_the_better_half():
    from training.student_samples import clean_level

    maps = np.full((4, GRID, GRID), 0.9, np.float32)
    maps[:2] = np.linspace(0.1, 0.3, GRID * GRID).reshape(GRID, GRID)
    weights = np.ones_like(maps)
    assert clean_level(maps, weights) == pytest.approx(0.12, abs=0.005)
    weights[:, 0] = 0  # the lowest lie outside the field
    assert clean_level(maps, weights) == pytest.approx(0.134 + 0.1 * 0.166, abs=0.005)


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
        left = (1 - CLEAN) * (1 - reasons.sum(0, keepdim=True))
        assert torch.allclose(1 - sample["target"], left, atol=1e-6)
        named += int(reasons.max() > 0.3)
    assert named > 10


def test_sample_comes_with_the_same_picture_without_its_defects():
    make, _ = samples(degraded_share=0.6, not_fundus_share=0.2, steady_weight=1.0)
    damaged = 0
    for sample in drawn(make):
        lost = sample["reasons"].amax().item()
        same = torch.equal(sample["image"], sample["undamaged"])
        assert same or sample["reasons_known"].item() == 1
        damaged += int(lost > 0.5)
        assert not same or lost == 0
    assert damaged > 5


def test_sample_is_what_a_camera_saves_of_it_over_any_defect(monkeypatch):
    from training import camera
    from training.views import normalised

    make, settings = samples(degraded_share=0.6, not_fundus_share=0.2, steady_weight=1.0)
    saved = np.full((settings.size_px, settings.size_px, 3), 77, np.uint8)
    monkeypatch.setattr(camera, "captured", lambda rgb, visible, rng: saved)
    for sample in drawn(make, 20):
        inside = (sample["image"] != -1).any(0)
        assert torch.equal(sample["image"], sample["undamaged"])
        assert inside.float().mean() > 0.3
        assert torch.equal(sample["image"][:, inside], normalised(saved)[:, inside])


def test_sample_with_two_defects_hides_what_either_hides():
    make, _ = samples(degraded_share=1.0, not_fundus_share=0.0, annotated_share=1.0, second_defect_share=1.0)
    both = 0
    for sample in drawn(make):
        left = (1 - CLEAN) * (1 - sample["reasons"]).prod(0, keepdim=True)
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


def test_sample_of_a_disordered_retina_is_no_fundus(monkeypatch):
    from training import student_samples

    def never(*arguments):
        raise AssertionError("a scene")

    monkeypatch.setattr(student_samples, "random_scene", never)
    make, settings = samples(disordered_share=1.0, degraded_share=0.0, not_fundus_share=1.0)
    for sample in drawn(make, 8):
        assert sample["image"].shape == (3, settings.size_px, settings.size_px)
        assert sample["not_fundus"].item() == 1
        assert sample["target"].min() == 1


def test_sample_same_generator_gives_the_same():
    make, _ = samples()
    for first, again in zip(drawn(make, 8), drawn(make, 8), strict=True):
        assert all(torch.equal(first[key], again[key]) for key in first)


def batch_of(make, count=4):
    rows = drawn(make, count)
    return {key: torch.stack([row[key] for row in rows]) for key in rows[0]}


def says(logits, amendment=None):
    """What a student is to its loss, one that answers the same of every picture."""
    return lambda _: (logits, torch.zeros_like(logits[:, :1]) if amendment is None else amendment)


def test_student_loss_knows_no_reason_where_none_is_known():
    from training.student import student_loss

    make, settings = samples(degraded_share=0.0, not_fundus_share=0.0)
    batch = batch_of(make)
    wild = torch.zeros(4, 9, GRID, GRID)
    wild[:, 1:6] = 50
    assert student_loss(settings, says(wild), batch)["reasons"].item() == 0
    batch["reasons_known"][:] = 1
    assert student_loss(settings, says(wild), batch)["reasons"].item() > 10


def test_student_loss_refusal_is_of_the_mean_over_the_field():
    from training.student import student_loss

    make, settings = samples(degraded_share=0.0, not_fundus_share=1.0, not_fundus_weight=1.0)
    batch = batch_of(make)
    logits = torch.zeros(4, 9, GRID, GRID)
    logits[:, 6] = torch.where(batch["weight"][:, 0] > 0, 8.0, -1000.0)  # outside the field nothing counts
    assert student_loss(settings, says(logits), batch)["not_fundus"].item() < 1e-3
    logits[:, 6] *= -1
    assert student_loss(settings, says(logits), batch)["not_fundus"].item() == pytest.approx(8, abs=0.1)


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
    from training.refusal_limit import REFUSED_REAL, best_refusal_limit

    limit = best_refusal_limit(np.linspace(-9, 2, 1000), np.linspace(-4, 9, 1000))
    assert limit.real_refused <= REFUSED_REAL
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
    spot_weight, fovea_weight = 2.0, 5.0
    make, _ = samples(
        degraded_share=1.0,
        not_fundus_share=0.0,
        annotated_share=1.0,
        second_defect_share=0.0,
        spot_share=1.0,
        spot_weight=spot_weight,
        fovea_weight=fovea_weight,
    )
    hidden, central = [], 0
    for sample in drawn(make, 80):
        lost = 1 - (1 - sample["reasons"]).prod(0, keepdim=True)
        hidden.append(lost.mean().item())
        counted = (lost > 0.1) & (sample["weight"] > 0)
        near = sample["landmarks"][:1] > 0  # of the fovea
        for cells, counts in (
            (near, fovea_weight),
            (counted & ~near, spot_weight),
            (~counted & ~near, 1.0),
        ):
            assert torch.allclose(sample["trust"][cells], counts * sample["weight"][cells])
        # The fovea of these pictures is in the middle, and so it is in most views.
        central += int(lost.max() > 0.3 and lost[0, GRID // 2 - 1 : GRID // 2 + 1].max() == lost.max())
    assert max(hidden) < 0.2
    assert np.mean(hidden) > 0.005
    assert central > 12


def test_sample_of_the_pool_trusts_the_macula_less():
    make, settings = samples(degraded_share=0.0, not_fundus_share=0.0)
    make._from.pool_landmarks[:] = (SIDE / 2, SIDE / 2, 10, 10, 50)
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
    logits = torch.full((4, 9, GRID, GRID), -30.0)
    logits[:, 0, 3, 3] = 30.0  # wrong where nothing is trusted
    terms = student_loss(settings, says(logits), batch)
    assert terms["entropy"].item() + terms["map"].item() < 1e-9
    assert terms["score"].item() > 0
    logits[:, 0, 2, 2] = 30.0
    assert student_loss(settings, says(logits), batch)["entropy"].item() == pytest.approx(30)


def test_student_loss_of_the_score_counts_slight_defects_as_well():
    from training.student import student_loss

    make, settings = samples(degraded_share=0.0, not_fundus_share=0.0)
    batch = batch_of(make)

    def score_term(taught, said):
        batch["target"][:] = taught
        logits = torch.full((4, 9, GRID, GRID), said).logit()
        return student_loss(settings, says(logits), batch)["score"].item()

    assert score_term(0.3, 0.3) < 1e-9
    assert score_term(0.05, 0.1) > 2 * score_term(0.45, 0.5)
    assert score_term(0.0, 0.001) < score_term(0.45, 0.5)  # nearer to 0 than the margin


def test_plain_pictures_of_a_small_set_are_drawn_more_often_than_their_share():
    from training.student_samples import _chances

    chances = _chances(["large"] * 90 + ["small"] * 10)
    assert chances.sum() == pytest.approx(1)
    assert chances[90:].sum() == pytest.approx(0.25)
    assert np.ptp(chances[:90]) == 0


def test_student_loss_holds_the_amendment_where_nothing_is_taught_of_the_map():
    from training.student import student_loss

    make, settings = samples(degraded_share=0.0, not_fundus_share=0.5)
    batch = batch_of(make, 8)
    scene = batch["not_fundus"][:, 0] > 0
    assert 0 < scene.sum() < 8
    batch["trust"][scene] = 0
    logits, amendment = torch.zeros(8, 9, GRID, GRID), torch.zeros(8, 1, GRID, GRID)
    amendment[~scene] = 3
    assert student_loss(settings, says(logits, amendment), batch)["amendment"].item() == 0
    amendment[scene] = 3
    expected = settings.amendment_weight * 9 * scene.float().mean().item()
    terms = student_loss(settings, says(logits, amendment), batch)
    assert terms["amendment"].item() == pytest.approx(expected, rel=1e-3)
    batch["target"][scene] = 0.5  # what is said there counts in no other term of the map
    again = student_loss(settings, says(logits, amendment), batch)
    assert all(again[key] == terms[key] for key in ("entropy", "map", "score"))


def test_sample_of_no_fundus_teaches_no_map_beside_a_model_to_start_from():
    make, _ = samples(degraded_share=0.0, not_fundus_share=1.0, start="efiqa-lite0-384-v1")
    assert all(sample["trust"].max() == 0 for sample in drawn(make, 5))
    make, _ = samples(degraded_share=0.0, not_fundus_share=1.0)
    assert all(sample["trust"].max() == 1 for sample in drawn(make, 5))


def test_soft_dice_is_of_each_picture_and_of_the_field_alone():
    from training.student import soft_dice

    found, truth, weight = (torch.zeros(3, 1, GRID, GRID) for _ in range(3))
    weight[:, :, 1:] = 1
    truth[:2, :, 1:3] = 1
    truth[2, :, 0] = 1  # outside
    found[0, :, 1:3] = 1
    found[1, :, 2:4] = 1
    overlap, any_truth = soft_dice(found, truth, weight)
    torch.testing.assert_close(overlap, torch.tensor([1.0, 0.5, 0.0]))
    assert any_truth.tolist() == [1, 1, 0]


def test_student_loss_of_regions_counts_small_defects_as_much_as_large_ones():
    from training.student import student_loss

    make, settings = samples(degraded_share=1.0, not_fundus_share=0.0, dice_weight=1.0)
    batch = batch_of(make)
    batch["weight"][:] = 1
    batch["reasons_known"][:] = 1

    def region_term(rows, logit, known=True):
        batch["target"][:] = 0.05
        batch["target"][:, :, :rows] = 0.95
        batch["reasons"][:] = 0
        batch["reasons"][:, 2, :rows] = 0.95 * known
        logits = torch.full((4, 9, GRID, GRID), -4.0)
        logits[:, 0, :rows] = logit
        return student_loss(settings, says(logits), batch)["dice"].item()

    assert region_term(1, 4.0) < 0.01
    assert region_term(1, -4.0) == pytest.approx(region_term(4, -4.0), abs=0.01)
    assert region_term(1, -4.0) > 0.98
    assert region_term(1, -4.0, known=False) == 0
    assert region_term(0, 4.0) == 0  # nothing is hidden


def test_student_loss_of_regions_leaves_out_what_the_taught_map_alone_calls_hidden():
    from training.student import student_loss

    make, settings = samples(degraded_share=1.0, not_fundus_share=0.0, dice_weight=1.0)
    batch = batch_of(make)
    batch["weight"][:] = 1
    batch["target"][:] = 0.05
    batch["target"][:, :, :2] = 0.95
    batch["reasons"][:] = 0
    batch["reasons"][:, 2, :1] = 0.95
    logits = torch.full((4, 9, GRID, GRID), -4.0)
    logits[:, 0, :1] = 4.0
    for said in (-4.0, 4.0):
        logits[:, 0, 1] = said
        assert student_loss(settings, says(logits), batch)["dice"].item() < 0.01
    logits[:, 0, 2] = 4.0  # a false alarm counts
    assert student_loss(settings, says(logits), batch)["dice"].item() > 0.2


def test_student_loss_is_steady_where_a_local_defect_hides_nothing():
    from training.student import student_loss

    make, settings = samples(degraded_share=1.0, not_fundus_share=0.0, steady_weight=1.0)
    batch = batch_of(make)
    batch["weight"][:] = 1
    batch["reasons"][:] = 0
    batch["reasons"][0, 2, :2] = 0.95  # a local defect of one picture; what lies beside it counts neither way
    clean = torch.full((9, GRID, GRID), -2.0)

    def changed(where, by):
        shown = []

        def model(images):
            shown.append(images)
            logits = clean.repeat(len(images), 1, 1, 1)
            logits[0, 0, where] += by
            return logits.requires_grad_(), torch.zeros_like(logits[:, :1])

        term = student_loss(settings, model, batch)["steady"]
        assert torch.equal(shown[0][:4], batch["image"])
        assert torch.equal(shown[0][4:], batch["undamaged"][:1])
        return term.item()

    assert changed(slice(0, 3), 3.0) == 0
    assert changed(slice(3, 6), 0.5) == changed(slice(3, 6), -0.5) == pytest.approx(0.25)
    batch["reasons"][0, 2] = 0.95  # of the whole picture
    said = clean.repeat(4, 1, 1, 1)
    assert student_loss(settings, says(said), batch)["steady"].item() == 0


def test_student_loss_asks_for_a_cause_where_much_is_hidden_and_none_is_known():
    from training.student import student_loss

    make, settings = samples(degraded_share=0.0, not_fundus_share=0.0, explain_weight=1.0)
    batch = batch_of(make)
    logits = torch.full((4, 9, GRID, GRID), -8.0)

    def asked(**changes):
        return student_loss(settings, says(logits), {**batch, **changes})["explained"].item()

    much, little = torch.full_like(batch["target"], 0.9), torch.full_like(batch["target"], 0.5)
    assert asked(target=much) > 3
    assert asked(target=little) == 0
    assert asked(target=much, reasons_known=torch.ones(4, 1)) == 0
    assert asked(target=much, not_fundus=torch.ones(4, 1)) == 0
    logits[:, 3] = 8.0  # one cause is enough
    assert asked(target=much) < 0.01


SHAPE = (16, 24, 1)


def fresh_student():
    from training.student import Shape, Student

    torch.manual_seed(1)
    return Student(Shape(*SHAPE), pretrained=False)


def test_taught_begins_with_nothing_to_amend_and_finishes_with_all_in_one():
    from training.student import Taught

    student, image = fresh_student(), torch.rand(2, 3, 64, 64)
    seen = torch.nn.Conv2d(SHAPE[0], 1, 1)
    taught = Taught(student, seen).eval()
    with torch.no_grad():
        logits, amendment = taught(image)
        torch.testing.assert_close(logits[:, :1], seen(student.features(image)[:, : SHAPE[0]]))
        assert not amendment.any()
        student.head.weight[0] += 0.1
        logits, amendment = taught(image)
        assert amendment.abs().mean() > 0.01
        torch.testing.assert_close(taught.finished()(image), logits)
        torch.testing.assert_close(taught.finished()(image), logits)  # once is enough


def test_taught_without_an_earlier_model_answers_as_the_student():
    from training.student import Taught

    student, image = fresh_student().eval(), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        logits, amendment = Taught(student)(image)
        assert torch.equal(logits, student(image))
    assert torch.equal(amendment, logits[:, :1])


def test_student_with_an_earlier_model_learns_in_judge_and_head_alone():
    from training.student import Taught

    taught = Taught(fresh_student(), torch.nn.Conv2d(SHAPE[0], 1, 1)).requires_grad_(False)
    taught.learn(samples(start="efiqa-lite0-384-v1")[1])
    before = {key: value.clone() for key, value in taught.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in taught.parameters() if p.requires_grad], 0.1)
    taught.train()
    for _ in range(2):
        optimizer.zero_grad()
        taught(torch.rand(2, 3, 64, 64))[0].square().mean().backward()
        optimizer.step()
    changed = {key for key, value in taught.state_dict().items() if not torch.equal(value, before[key])}
    assert {".".join(key.split(".")[:2]) for key in changed} == {"student.judge", "student.head"}
    assert any("running_mean" in key for key in changed)


def test_load_start_answers_as_the_model_does():
    from efiqa import Runtime
    from training.start import WEIGHTS, load_start
    from training.student import Shape, Student, Taught

    name = "efiqa-lite0-384-v1"
    student = Student(Shape(64, 16, 1), pretrained=False)
    taught = Taught(student, load_start(student, name, temperature=2.0)).eval()
    image = np.random.default_rng(3).normal(0, 1, (1, 3, 384, 384)).astype(np.float32)
    with Runtime(WEIGHTS / f"{name}.onnx") as runtime, torch.no_grad():
        expected = runtime.run_network(image)[:, :1] / 2
        found = taught(torch.from_numpy(image))[0][:, :1].numpy()
    assert np.std(expected) > 0.1
    assert np.abs(found - expected).max() < 1e-3


def images_of(count, side=384):
    rng = np.random.default_rng(6)
    for _ in range(count):
        yield torch.from_numpy(rng.normal(0, 1, (2, 3, side, side)).astype(np.float32))


@pytest.mark.parametrize(
    ("name", "readers"), [("efiqa-lite0-384-v10", (0, 0, 0, 0)), ("efiqa-lite0-384-v12", (64, 3, 0, 0))]
)
def test_load_exported_answers_as_the_model_does_and_can_be_learned_on(name, readers):
    from efiqa import Runtime
    from training.start import WEIGHTS, exported_readers, load_exported
    from training.student import Shape, Student

    assert exported_readers(name) == readers
    student = Student(Shape(64, 128, 4, *readers), pretrained=False)
    own = student.head.weight[-2:].clone()
    load_exported(student, name, images_of(2))
    image = next(images_of(1))
    with Runtime(WEIGHTS / f"{name}.onnx") as runtime, torch.no_grad():
        expected = runtime.run_network(np.ascontiguousarray(image[:1].numpy()))
        assert torch.equal(student.head.weight[-2:], own)  # of landmarks, which the model does not tell
        found = student(image)[:1, :-2].numpy()
        if readers[0]:  # the rim of the map is levelled
            expected[:, 0, [0, -1]] = found[:, 0, [0, -1]]
            expected[:, 0, :, [0, -1]] = found[:, 0, :, [0, -1]]
        assert np.std(expected) > 0.1
        assert np.abs(found - expected).max() < 1e-2
        # With the statistics of what it sees in place of those kept, it says nearly the same.
        student.train()
        relative = (student(image)[:1, :-2] - torch.from_numpy(expected)).std() / np.std(expected)
    assert relative < 0.3


def test_layout_and_place_stay_as_they_are_while_the_student_learns():
    from training import config
    from training.student import Shape, Student

    recipe = config.load(Path(__file__).parents[2] / "training/configs/toy.toml").student
    student = Student(Shape(16, 16, 1, 8, 1, 8, 1), pretrained=False)
    for start in ("", "some model"):
        student.requires_grad_(True)
        student.freeze_for(replace(recipe, start=start))
        student.train()
        for reader in (student.layout, student.place):
            assert not reader.training
            assert not any(each.requires_grad for each in reader.parameters())
        assert student.sight.training == (not start)
        assert student.judge.training


@pytest.mark.parametrize("iterations", [0, 1])
def test_a_continued_student_begins_where_the_model_ended(tmp_path, monkeypatch, iterations):
    from lightning.fabric import Fabric

    from efiqa import Runtime
    from training import config, student
    from training.start import WEIGHTS

    recipe = config.load(Path(__file__).parents[2] / "training/configs/cpu.toml").student
    loop = replace(recipe.settle.loop, iterations=iterations, batch=2, learning_rate=1e-6, workers=0)
    recipe = replace(recipe, eye_photographs=False, settle=replace(recipe.settle, loop=loop))
    monkeypatch.setattr(student, "MEASURED", 2)
    monkeypatch.setattr(student, "MEASURED_BATCH", 2)
    monkeypatch.setattr(student.figures, "sheet", lambda *_, **__: None)
    (tmp_path / "cache").mkdir()
    student.run(Fabric(accelerator="cpu", devices=1), recipe, crop_set(12), crop_set(2), tmp_path, seed=3)
    assert not (tmp_path / "student.csv").exists()  # the first phase was left out
    assert (tmp_path / "student.settle.csv").exists() == bool(iterations)
    image = next(images_of(1))[:1]
    with Runtime(WEIGHTS / f"{recipe.continues}.onnx") as runtime, torch.no_grad():
        expected = runtime.run_network(np.ascontiguousarray(image.numpy()))
        found = student.load_student(tmp_path / "student.pt")(image).numpy()
    apart = (found - expected)[:, :, 1:-1, 1:-1]  # the rim of the map is levelled later
    assert np.std(expected) > 0.1
    # An iteration moves the statistics of the normalisations a little, by its two pictures.
    assert apart.std() < (0.1 * np.std(expected) if iterations else 1e-3)


def test_load_exported_of_another_shape_is_an_error():
    from training.start import load_exported

    with pytest.raises(ValueError, match=r"efiqa-lite0-384-v10 holds no sight\.fold4\.weight of shape"):
        load_exported(fresh_student(), "efiqa-lite0-384-v10", [])


def test_taught_of_an_amended_student_answers_as_it_did():
    from training.student import Taught

    student, image = fresh_student().eval(), torch.rand(2, 3, 64, 64)
    seen = torch.nn.Conv2d(SHAPE[0], 1, 1)
    with torch.no_grad():
        before = student(image)
        taught = Taught(student, seen, amended=True).eval()
        logits, amendment = taught(image)
        torch.testing.assert_close(logits, before)
        expected = before[:, :1] - seen(student.features(image)[:, : SHAPE[0]])
        torch.testing.assert_close(amendment, expected)
        torch.testing.assert_close(taught.finished()(image), before)


def test_load_start_of_another_shape_or_unknown_is_an_error():
    from training.start import load_start

    with pytest.raises(
        ValueError, match=r"efiqa-lite0-384-v1 holds no fold4\.weight of shape \(16, 24, 4, 4\)"
    ):
        load_start(fresh_student(), "efiqa-lite0-384-v1", 2.0)
    with pytest.raises(FileNotFoundError):
        load_start(fresh_student(), "efiqa-none", 2.0)


def test_maps_of_start_of_another_grid_is_an_error():
    from training.start import maps_of_start

    with pytest.raises(ValueError, match=r"384, 24\], expected \[384, 12\]"):
        maps_of_start("efiqa-lite0-384-v1", crop_set(1), 384, 12)


def test_maps_of_start_do_not_depend_on_mirroring():
    from training.start import maps_of_start

    crops = crop_set(1)
    mirrored = replace(crops, rgb=crops.rgb[:, :, ::-1], visible=crops.visible[:, :, ::-1])
    first, other = (maps_of_start("efiqa-lite0-384-v1", each, 384, 24) for each in (crops, mirrored))
    assert np.abs(first - other[:, :, ::-1]).max() < 0.02


def test_softened_halves_the_logits():
    from training.start import softened

    assert softened(np.float32([-2, 0, 4]), 2.0) == pytest.approx([1 / (1 + np.e), 0.5, 1 / (1 + np.exp(-2))])
