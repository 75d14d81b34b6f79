"""Single stages on small inputs whose right answer is known."""

from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train


def test_config_unknown_and_missing_keys_are_named(tmp_path):
    from training import config

    text = (config.Path(__file__).parents[2] / "training/configs/toy.toml").read_text()
    path = tmp_path / "bad.toml"
    path.write_text(text.replace("good_share = 0.5", "good_shar = 0.5"))
    with pytest.raises(ValueError, match=r"bad.toml: vuad.good_share: Field required; vuad.good_shar: "):
        config.load(path)


@pytest.mark.parametrize("name", ["cpu", "adapters", "paper", "cp", "toy"])
def test_config_shipped_recipes_load(name):
    from training import config

    loaded = config.load(config.Path(__file__).parents[2] / f"training/configs/{name}.toml")
    assert loaded.student.size_px == 16 * loaded.student.grid == 16 * loaded.pseudo.grid
    assert loaded.teacher.grid == loaded.pseudo.grid


def test_config_with_a_base_takes_what_it_does_not_give_from_there():
    from dataclasses import replace

    from training import config

    folder = config.Path(__file__).parents[2] / "training/configs"
    cpu, adapters = (config.load(folder / f"{name}.toml") for name in ("cpu", "adapters"))
    assert (adapters.data, adapters.student, adapters.export) == (cpu.data, cpu.student, cpu.export)
    assert adapters.precision == "bf16-mixed" != cpu.precision
    assert adapters.vuad.channels == (16, 32, 64, 96, 96) != cpu.vuad.channels
    assert adapters.vuad.loop == replace(cpu.vuad.loop, iterations=500) != cpu.vuad.loop


def test_config_base_with_a_base_or_an_unknown_key_is_an_error(tmp_path):
    from training import config

    toy = (config.Path(__file__).parents[2] / "training/configs/toy.toml").read_text()
    for name, text in {
        "toy.toml": toy,
        "below.toml": 'base = "toy.toml"\nseed = 3\n',
        "above.toml": 'base = "below.toml"\n',
        "odd.toml": 'base = "toy.toml"\n[vuad]\ngood_shar = 0.5\n',
    }.items():
        (tmp_path / name).write_text(text)
    assert config.load(tmp_path / "below.toml").seed == 3
    with pytest.raises(ValueError, match=r"above.toml: base is 'below.toml', which has a base itself"):
        config.load(tmp_path / "above.toml")
    with pytest.raises(ValueError, match=r"odd.toml: vuad.good_shar: Unexpected keyword argument"):
        config.load(tmp_path / "odd.toml")


def test_rate_at_warms_up_stays_flat_and_ends_at_zero():
    from training.loop import LoopSettings, rate_at

    settings = LoopSettings(iterations=100, batch=1, learning_rate=1.0, warmup=0.1, flat=0.5)
    rates = [rate_at(settings, k) for k in range(101)]
    assert rates[0] < rates[5] < rates[9]
    assert rates[10:51] == [1.0] * 41
    assert all(a > b for a, b in pairwise(rates[51:]))
    assert rates[100] == pytest.approx(0.0)


def test_train_interrupted_and_resumed_equals_one_run(tmp_path):
    from lightning.fabric import Fabric
    from torch import nn

    from training.loop import LoopSettings, train

    def sample(rng, progress):
        x = torch.from_numpy(rng.standard_normal(3).astype(np.float32))
        return {"x": x, "y": x.sum()[None]}

    class Killed(Exception):
        pass

    def run(folder, *, kill_at=None):
        torch.manual_seed(0)
        calls = 0

        def loss_of(model, batch):
            nonlocal calls
            calls += 1
            if calls == kill_at:
                raise Killed
            return {"mse": (model(batch["x"]) - batch["y"]).square().mean()}

        settings = LoopSettings(iterations=12, batch=2, learning_rate=0.05, workers=0, checkpoint_every=4)
        fabric = Fabric(accelerator="cpu", devices=1)
        return train(fabric, nn.Linear(3, 1), sample, loss_of, settings, seed=3, folder=folder, name="toy")

    whole = run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "parts", kill_at=7)
    resumed = run(tmp_path / "parts")
    # Same samples, same arithmetic, same order: not merely close.
    assert torch.equal(whole.weight, resumed.weight)
    assert (tmp_path / "whole/toy.csv").read_text() == (tmp_path / "parts/toy.csv").read_text()


def test_train_loss_not_finite_stops(tmp_path):
    from lightning.fabric import Fabric
    from torch import nn

    from training.loop import LoopSettings, train

    settings = LoopSettings(iterations=2, batch=1, learning_rate=0.1, workers=0)
    with pytest.raises(FloatingPointError, match="toy: loss is nan at iteration 0"):
        train(
            Fabric(accelerator="cpu", devices=1),
            nn.Linear(1, 1),
            lambda rng, progress: {"x": torch.full((1,), float("nan"))},
            lambda model, batch: {"loss": model(batch["x"]).mean()},
            settings,
            seed=0,
            folder=tmp_path,
            name="toy",
        )


def test_uncrop_undoes_crop_mask_inside_the_frame():
    from training.data import crop_mask, uncrop

    mask = np.zeros((120, 200), np.uint8)
    mask[40:80, 60:140] = 255
    box = (20, -20, 160)  # reaches outside the frame above and below
    back = uncrop(crop_mask(mask, box, 160).astype(np.float32), box, 120, 200)
    assert np.array_equal(back[:, 20:180], mask[:, 20:180].astype(np.float32))
    assert not back[:, :20].any()


def test_hidden_fraction_range_widens_from_hard_to_any():
    from training.vuad import hidden_fraction_range

    assert hidden_fraction_range(0.0) == hidden_fraction_range(0.2) == (0.8, 1.0)
    assert hidden_fraction_range(0.5) == (pytest.approx(0.4), 1.0)
    assert hidden_fraction_range(0.8) == hidden_fraction_range(1.0) == (0.0, 1.0)


def test_good_pictures_empty_broken_and_densest_maps_are_left_out():
    from training.loop import LoopSettings
    from training.vuad import VuadSettings, good_pictures

    rng = np.random.default_rng(0)
    maps = np.zeros((10, 64, 64), np.uint8)
    for index in range(2, 9):  # lines: the higher the index, the denser
        maps[index, :, :: 20 - 2 * index] = 255
    maps[1] = np.where(rng.random((64, 64)) < 0.01, 255, 0)  # specks
    maps[9] = 255  # everything is vessel: a false alarm
    settings = VuadSettings(
        size_px=64,
        channels=(8,),
        good_share=0.4,
        densest_share_left_out=0.1,
        loop=LoopSettings(iterations=1, batch=1, learning_rate=1.0),
    )
    chosen, density, _ = good_pictures(maps, np.ones_like(maps), settings)
    assert chosen.tolist() == [5, 6, 7, 8]
    assert density[0] == 0


def test_cell_labels_share_counts_visible_pixels_only():
    from training.pseudo_labels import PseudoSettings, cell_labels

    missing = np.zeros((1, 8, 8), np.float32)
    missing[0, :4, :4] = 1.0
    visible = np.ones((1, 8, 8), np.uint8)
    visible[0, :2, :4] = 0
    anomalous, weights = cell_labels(missing, visible, PseudoSettings(threshold=0.5, share=0.9, grid=2))
    assert anomalous[0].tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert weights[0].tolist() == [[0.5, 1.0], [1.0, 1.0]]


def test_view_rectangle_shows_nothing_outside_it():
    from training.views import View

    plane = np.ones((100, 100), np.uint8)
    seen = View(x=20, y=10, side=60, quarter_turns=0, mirror=False, rectangle=(20, 25, 80, 65)).of(plane)
    assert seen.shape == (60, 60)
    assert seen[15:55].all()
    assert not seen[:15].any()
    assert not seen[55:].any()


def test_store_half_graph_keeps_float32_arithmetic(tmp_path):
    import onnxruntime

    from efiqa.export import onnx_files
    from training.student import Shape, Student

    torch.manual_seed(0)
    model = Student(Shape(16, 24, 1), pretrained=False).eval()
    path = tmp_path / "student.onnx"
    graph = onnx_files.trace(model, 96)
    onnx_files.store_half(graph)
    path.write_bytes(onnx_files.serialised(graph))
    image = torch.rand(1, 3, 96, 96)
    logits = onnxruntime.InferenceSession(str(path)).run(["logits"], {"image": image.numpy()})[0]
    assert logits.dtype == np.float32
    with torch.no_grad():
        expected = model(image).numpy()
    # Half-precision weights carry 11 bits: 5e-4 of a logit's scale, summed over 20 layers.
    assert np.abs(logits - expected).max() <= 0.02 * max(1.0, np.abs(expected).max())
    assert path.stat().st_size < 2 * sum(p.numel() for p in model.parameters()) + 200_000


def test_best_limit_separable_scores_are_separated():
    from training.export import best_limit

    hidden = np.array([0.0, 0.1, 0.6, 0.9], np.float32)
    scores = np.array([0.9, 0.8, 0.3, 0.1], np.float32)
    limit, accuracy = best_limit(hidden, scores, 0.5)
    assert 0.3 < limit <= 0.8
    assert accuracy == 1.0


def test_filled_outside_rim_and_outside_take_the_nearest_inner_value():
    from training.student_samples import filled_outside

    maps, weights = np.ones((2, 6, 6), np.float32), np.zeros((2, 6, 6), np.float32)
    weights[0, 1:5, 1:5] = 1
    maps[0, 2:4, 2:4] = inner = np.float32([[0.1, 0.2], [0.3, 0.4]])
    weights[1, 2, 2] = 1  # nothing but rim: nothing to take a value from
    filled = filled_outside(maps, weights)
    assert np.array_equal(filled[0], np.repeat(np.repeat(inner, 3, 0), 3, 1))
    assert np.array_equal(filled[1], maps[1])


def mask_terms(logits, mask, *, visible=None, entropy_weight=0.0, miss_weight=0.65):
    """Return the terms of ``mask_loss`` for these logits (B, 1, H, W)."""
    from training.segment import mask_loss

    batch = {"rgb": None, "mask": mask, "visible": torch.ones_like(mask) if visible is None else visible}
    return mask_loss(entropy_weight, miss_weight, lambda _: logits, batch)


def test_mask_loss_weighs_each_picture_alike_however_few_vessels_it_has():
    # One picture half vessel and found, one with a single vessel pixel that is missed.
    mask = torch.zeros(2, 1, 8, 8)
    mask[0, :, :4] = 1
    mask[1, :, 0, 0] = 1
    logits = torch.where(mask > 0, 20.0, -20.0)
    logits[1] = -20.0
    terms = mask_terms(logits, mask, miss_weight=0.5)
    # Index 1, and (0 + 1) / (0 + 0.5 * 1 + 1) for the missed pixel: the mean of losses 0 and 1/3.
    assert terms["tversky"].item() == pytest.approx(1 / 6, abs=1e-5)
    assert terms["bce"].item() == 0


def test_mask_loss_counts_a_missed_pixel_above_a_false_one():
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    right = torch.where(mask > 0, 20.0, -20.0)
    losses = {}
    for name, column, value in (("missed", 3, -20.0), ("false", 4, 20.0)):
        logits = right.clone()
        logits[..., column] = value
        losses[name] = mask_terms(logits, mask)["tversky"].item()
    assert losses["missed"] == pytest.approx(1 - 25 / (24 + 0.65 * 8 + 1), abs=1e-5)
    assert losses["false"] == pytest.approx(1 - 33 / (32 + 0.35 * 8 + 1), abs=1e-5)


def test_mask_loss_ignores_what_is_not_visible():
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :2] = 1
    visible = torch.ones_like(mask)
    visible[..., 6:] = 0
    right = torch.where(mask > 0, 20.0, -20.0)
    wrong_outside = torch.where(visible > 0, right, 20.0)
    losses = [
        sum(mask_terms(logits, mask, visible=visible, entropy_weight=1.0).values())
        for logits in (right, wrong_outside)
    ]
    assert losses[0].item() == losses[1].item()


def test_grid_features_of_a_transformer_are_its_tokens_on_the_grid(monkeypatch):
    import timm

    from efiqa.export import backbones
    from training.features import GridFeatures
    from training.teacher import TeacherSettings

    # Weights by chance: the hub's need a network, and the shape of the answer does not depend on them.
    monkeypatch.setattr(
        backbones,
        "_from_hub",
        lambda name, size_px: timm.create_model(name, pretrained=False, img_size=size_px, num_classes=0),
    )
    settings = TeacherSettings(
        backbone="vit_small_patch16_dinov3",
        size_px=64,
        grid=8,
        strides=(),
        degraded_pictures=0,
        ranking_weight=0.0,
        epochs=1,
        batch_cells=1,
        learning_rate=1e-3,
        weight_decay=0.0,
        adapter="linear",
    )
    model = GridFeatures(settings).eval()
    rgb = torch.rand(2, 3, 64, 64)
    features = model(rgb)
    assert features.shape == (2, 384, 8, 8)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    # 4 x 4 tokens, enlarged bilinearly: between the tokens' centres lies their mixture.
    tokens = model.net((rgb - model.mean) / model.std)
    assert torch.allclose(features[..., :1, :1], tokens[..., :1, :1], atol=1e-5)
