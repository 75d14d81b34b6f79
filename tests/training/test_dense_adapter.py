"""The dense adapter: its loss worked by hand, a toy problem, its settings, its way to export."""

import dataclasses
import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
pytestmark = pytest.mark.train

from training.dense_adapter import DenseSettings  # noqa: E402

# Features in bfloat16 carry 8 bits; their errors, 4e-3 each, pass the adapter's sums.
BFLOAT16_TOLERANCE = 0.03
CONFIGS = Path(__file__).parents[2] / "training/configs"


def grid_of(values, dtype=torch.float32):
    return torch.tensor(values, dtype=dtype).view(1, 1, -1)


def test_nnpu_loss_is_the_two_risks_worked_by_hand():
    from training.dense_adapter import nnpu_loss

    logits = grid_of([1.0, 2.0, -1.0, 0.0, 50.0])
    bad = grid_of([True, False, False, False, True], torch.bool)
    valid = grid_of([True, True, True, True, False], torch.bool)  # the last cell is outside the field
    terms = nnpu_loss(logits, bad, valid, prior=0.25)
    soft = [math.log1p(math.exp(x)) for x in (2.0, -1.0, 0.0)]
    assert terms["positive"].item() == pytest.approx(0.25 * math.log1p(math.exp(-1.0)), abs=1e-6)
    expected = sum(soft) / 3 - 0.25 * math.log1p(math.exp(1.0))
    assert terms["rest"].item() == pytest.approx(expected, abs=1e-6)


def test_nnpu_loss_negative_rest_counts_nothing_and_is_stepped_back():
    from training.dense_adapter import nnpu_loss

    logits = grid_of([3.0, -4.0]).requires_grad_()
    bad = grid_of([True, False], torch.bool)
    terms = nnpu_loss(logits, bad, torch.ones_like(bad), prior=0.5)
    # log(1 + e^-4) - 0.5 log(1 + e^3) = 0.018 - 1.524 is negative.
    assert terms["rest"].item() == 0
    assert terms["positive"].item() == pytest.approx(0.5 * math.log1p(math.exp(-3.0)), abs=1e-6)
    (terms["positive"] + terms["rest"]).backward()
    # The gradient of MINUS the rest: down for the known positive by half its sigmoid, up for the other cell.
    sigmoid = [1 / (1 + math.exp(-x)) for x in (3.0, -4.0)]
    assert logits.grad.flatten().tolist() == pytest.approx([0.5 * sigmoid[0], -sigmoid[1]], abs=1e-6)


def test_nnpu_loss_without_a_positive_is_that_of_negatives():
    from training.dense_adapter import nnpu_loss

    logits = grid_of([0.0, 0.0])
    bad = torch.zeros_like(logits, dtype=torch.bool)
    terms = nnpu_loss(logits, bad, ~bad, prior=0.1)
    assert terms["positive"].item() == 0
    assert terms["rest"].item() == pytest.approx(math.log(2), abs=1e-6)


def test_prior_of_zero_is_the_labels_share_and_else_the_setting():
    from training.dense_adapter import prior_of

    bad = np.array([[[True, True], [False, False]]])
    valid = np.array([[[True, False], [True, True]]])
    assert prior_of(DenseSettings(width=8, prior=0.0, workers=0), bad, valid) == pytest.approx(1 / 3)
    assert prior_of(DenseSettings(width=8, prior=0.05, workers=0), bad, valid) == 0.05


def toy_maps(count=24, grid=3, seed=0):
    """Return maps at 4 g and at g whose first channel is high in bad cells, and which cells are bad."""
    from training.features import MapRows

    rng = np.random.default_rng(seed)
    bad = rng.random((count, grid, grid)) < 0.3
    fine = rng.standard_normal((count, 2, 4 * grid, 4 * grid))
    coarse = rng.standard_normal((count, 3, grid, grid))
    fine[:, 0] += 3 * bad.repeat(4, 1).repeat(4, 2)
    coarse[:, 0] += 3 * bad
    rows = np.concatenate([fine.reshape(count, -1), coarse.reshape(count, -1)], 1).astype(np.float16)
    return MapRows(rows, ((2, 4 * grid, 4 * grid), (3, grid, grid))), bad


def test_dense_on_maps_answers_on_a_quarter_of_the_tokens():
    from efiqa.export.adapters import DenseAdapter
    from training.dense_adapter import DenseOnMaps
    from training.features import split_rows

    maps, _ = toy_maps(count=2)
    model = DenseOnMaps(DenseAdapter(5, 8), maps.shapes, 3)
    rows = torch.from_numpy(maps.rows)
    assert model(rows).shape == (2, 3, 3)
    fine, coarse = split_rows(rows, maps.shapes)
    assert np.array_equal(fine[1, 1].numpy().ravel(), maps.rows[1, 144:288])
    assert np.array_equal(coarse[0, 2].numpy().ravel(), maps.rows[0, -9:])


def test_fit_dense_finds_the_positives_that_nobody_labelled(tmp_path):
    from lightning.fabric import Fabric
    from sklearn.metrics import roc_auc_score

    from training.dense_adapter import dense_logits, fit_dense
    from training.loop import LoopSettings

    fabric = Fabric(accelerator="cpu", devices=1)
    maps, bad = toy_maps()
    known = bad & (np.random.default_rng(1).random(bad.shape) < 0.5)
    model = fit_dense(
        fabric,
        maps,
        (known, np.ones_like(bad)),
        DenseSettings(width=8, prior=0.2, workers=0),
        LoopSettings(iterations=80, batch=4, learning_rate=5e-3, workers=0, average=0.9),
        seed=0,
        folder=tmp_path,
        name="toy",
    )
    fresh, truth = toy_maps(seed=9)
    logits = dense_logits(model, fresh.rows, fabric)
    assert logits.shape == truth.shape
    assert roc_auc_score(truth.ravel(), logits.ravel()) > 0.9
    unknown = ~known
    found = dense_logits(model, maps.rows, fabric)
    assert roc_auc_score(bad[unknown], found[unknown]) > 0.9
    assert (tmp_path / "toy.csv").read_text().startswith("iteration,positive,rest")


DENSE_TOY = {
    'adapter = "multi_layer"': 'adapter = "dense"\ndense = { width = 8, prior = 0.0, workers = 0 }',
    "degraded_pictures = 6": "degraded_pictures = 0",
    "ranking_weight = 0.5": "ranking_weight = 0.0",
    "batch_cells = 128": "batch_cells = 144",
}


def toy_recipe(folder, changes):
    text = (CONFIGS / "toy.toml").read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "toy.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({'"multi_layer"': '"deep"'}, "teacher.adapter: Input should be 'linear', 'multi_layer' or 'dense'"),
        ({'"multi_layer"': '"linear"'}, "strides names 4 maps, expected 1 for adapter linear"),
        (
            {"[4, 8, 16, 32]": "[32]"},
            "adapter is multi_layer, expected linear or dense for the one map of lite0",
        ),
        ({'"multi_layer"': '"dense"'}, "dense is missing, expected a table for adapter dense"),
        (
            {"epochs = 3": "epochs = 3\ndense = { width = 8, prior = 0.0, workers = 0 }"},
            "dense is given, expected none for adapter multi_layer",
        ),
        (DENSE_TOY | {"ranking_weight = 0.5": "ranking_weight = 0.5"}, "expected to be 0 for adapter dense"),
        (
            DENSE_TOY | {"batch_cells = 128": "batch_cells = 100"},
            "is 100, expected a multiple of the 36 cells",
        ),
        (
            {old: new.replace("prior", "pryor") for old, new in DENSE_TOY.items()},
            "teacher.dense.prior: Field required; teacher.dense.pryor: ",
        ),
    ],
)
def test_config_adapters_that_cannot_be_are_refused(tmp_path, changes, message):
    from training import config

    with pytest.raises(ValueError, match=message):
        config.load(toy_recipe(tmp_path, changes))


def test_config_successors_recipe_fits_together():
    from efiqa.export.backbones import CELL_PX
    from training import config

    teacher = config.load(CONFIGS / "cp.toml").teacher
    assert teacher.token_grid * CELL_PX[teacher.backbone] == teacher.size_px == 1024
    loop = teacher.dense_loop(800)
    assert (loop.batch, loop.iterations, loop.learning_rate) == (16, 5000, 1e-3)


def test_settings_hash_optional_settings_at_their_default_leave_it_alone():
    from training import config

    teacher = config.load(CONFIGS / "cpu.toml").teacher
    values = {name: getattr(teacher, name) for name in teacher.__dataclass_fields__}
    assert (values.pop("adapter"), values.pop("dense")) == ("multi_layer", None)
    text = json.dumps([values], sort_keys=True)  # as it was before the adapter could be chosen
    assert config.settings_hash(teacher) == hashlib.sha256(text.encode()).hexdigest()[:16]
    narrow, wide = (
        dataclasses.replace(
            teacher,
            adapter="dense",
            dense=DenseSettings(width=width, prior=0.0, workers=0),
            degraded_pictures=0,
            ranking_weight=0.0,
            batch_cells=24 * 24,
        )
        for width in (8, 16)
    )
    assert len({config.settings_hash(each) for each in (teacher, narrow, wide)}) == 3


def small_crops(count, size_px=64):
    """Return coloured noise under a round field of view."""
    from training.data import CropSet

    rng = np.random.default_rng(3)
    y, x = np.mgrid[:size_px, :size_px] / size_px - 0.5
    visible = np.repeat((np.hypot(x, y) <= 0.48)[None].astype(np.uint8), count, 0)
    rgb = rng.integers(60, 200, (count, size_px, size_px, 3), np.uint8) * visible[..., None]
    names = [f"{index}.png" for index in range(count)]
    boxes, sizes = [(0, 0, size_px)] * count, [(size_px, size_px)] * count
    return CropSet(names, ["TOY"] * count, boxes, sizes, rgb, visible)


def write_labels(out, count, grid):
    weights = np.ones((count, grid, grid), np.float32)
    bad = np.random.default_rng(4).random((count, grid, grid)) < 0.3
    (out / "pseudo").mkdir(parents=True)
    np.savez(out / "pseudo/labels.npz", bad=bad, weights=weights, area=bad.mean((1, 2)))


@pytest.fixture
def tiny_transformers(monkeypatch):
    """Make the hub's transformers two blocks deep, 64 wide and of random weights, the same for all calls."""
    from efiqa.export import backbones

    create = timm.create_model

    def tiny(name, **options):
        torch.manual_seed(11)
        shape = {"depth": 2, "embed_dim": 64, "num_heads": 4}
        return create(name, **(options | {"pretrained": False}), **shape)

    monkeypatch.setattr(backbones.timm, "create_model", tiny)


@pytest.mark.parametrize(("kind", "grid"), [("linear", 8), ("dense", 2)])
def test_teacher_adapter_of_a_transformer_is_what_efiqa_export_opens(tmp_path, tiny_transformers, kind, grid):
    from lightning.fabric import Fabric

    import efiqa
    from efiqa.export import backbones, gate, pipeline
    from training import teacher

    settings = teacher.TeacherSettings(
        backbone="vit_small_patch16_dinov3",
        size_px=128,
        grid=grid,
        strides=(),
        degraded_pictures=0,
        ranking_weight=0.0,
        epochs=2,
        batch_cells=8,
        learning_rate=1e-3,
        weight_decay=1e-2,
        adapter=kind,
        dense=DenseSettings(width=16, prior=0.0, workers=0) if kind == "dense" else None,
    )
    write_labels(tmp_path, 6, grid)
    pool, fabric = small_crops(6), Fabric(accelerator="cpu", devices=1)
    teacher.run(fabric, settings, pool, small_crops(2), tmp_path, 0)
    maps = np.load(tmp_path / "teacher/pool.npy")
    assert maps.shape == (6, grid, grid)
    assert json.loads((tmp_path / "teacher.json").read_text())["auroc_on_pseudo_labels"] > 0

    adapter = tmp_path / "teacher.safetensors"
    options = pipeline.ExportOptions(
        "vit_small_patch16_dinov3", 128, adapter=adapter, pictures=None, weights=None
    )
    done = pipeline.export(options, tmp_path / "cp.onnx")
    assert done.contract.to_dict()["output"]["width"] == grid
    assert done.contract.to_dict()["provenance"]["adapter"].startswith(f"{kind}, teacher.safetensors")
    # The exported function is the stage's own: the backbone in float32 here, in bfloat16 there.
    found = backbones.open_backbone(options.backbone, 128, weights=None, random_weights=False)
    network = pipeline.Network(found.network, pipeline.adapters.load_adapter(adapter, 64).network).eval()
    rgb = teacher.crops_at(pool, range(6), 128).transpose(0, 3, 1, 2).astype(np.float32) / 255
    image = (rgb - np.array(found.mean, np.float32).reshape(3, 1, 1)) / np.array(
        found.std, np.float32
    ).reshape(3, 1, 1)
    logits = gate.run_network(network, image).logits[:, 0]
    assert np.abs(1 / (1 + np.exp(-logits)) - maps).max() < BFLOAT16_TOLERANCE
    with efiqa.Runtime(tmp_path / "cp.onnx", threads=1) as runtime:
        assert runtime.info.contract.to_dict()["model"]["trained"]


def test_cached_maps_interrupted_go_on_and_other_pictures_start_over(tmp_path, monkeypatch):
    from lightning.fabric import Fabric

    from training import config, features

    settings = config.load(CONFIGS / "toy.toml").teacher
    fabric, crops = Fabric(accelerator="cpu", devices=1), small_crops(20, 96)
    model = features.GridFeatures(settings).eval()
    path, indices = tmp_path / "maps.npy", np.arange(20)
    seen = []
    maps_of = features.maps_of

    def counted(model, rgb, fabric):
        if len(seen) == stop_at:
            raise KeyboardInterrupt
        seen.append(len(rgb))
        return maps_of(model, rgb, fabric)

    monkeypatch.setattr(features, "maps_of", counted)
    monkeypatch.setattr(features, "NOTED_EVERY", 1)
    stop_at = 3  # after the one that tells the shapes and two batches of eight
    with pytest.raises(KeyboardInterrupt):
        features.cached_maps(path, model, crops, indices, settings, fabric)
    stop_at = None
    seen.clear()
    whole = features.cached_maps(path, model, crops, indices, settings, fabric)
    assert seen == [1, 4]
    assert whole.shapes == ((24, 24, 24), (40, 12, 12), (112, 6, 6), (320, 3, 3))
    expected = maps_of(model, crops.rgb[8:16], fabric)
    found = features.split_rows(torch.from_numpy(np.array(whole.rows[8:16])), whole.shapes)
    for each, right in zip(found, expected, strict=True):
        assert torch.equal(each, right)
    seen.clear()
    features.cached_maps(path, model, crops, indices, settings, fabric)
    assert seen == [1]
    seen.clear()
    assert len(features.cached_maps(path, model, crops, indices[:9], settings, fabric)) == 9
    assert seen == [1, 8, 1]
