"""``efiqa export`` on tiny vision transformers: what is written, what is refused, and no overflow."""

import hashlib
import json
import os

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
onnx = pytest.importorskip("onnx")
safetensors_torch = pytest.importorskip("safetensors.torch")
pytestmark = pytest.mark.train

from efiqa.errors import EfiqaError, FileError, ModelError, OptionError  # noqa: E402
from efiqa.export import adapters, backbones, document, gate, onnx_files, pictures, pipeline, precision  # noqa: E402
from tests.helpers import REASONS, TELLING, telling_model  # noqa: E402

WIDTH = 64
TINY = {"vit_small_patch16_dinov3": 64, "vit_small_patch14_dinov2": 56}
V3, V2 = TINY
# Attention scores reach its square: beyond float16's end, before and after their scale of 1/4.
OVERFLOW = 1000.0
HALF_MAX = float(np.finfo(np.float16).max)


@pytest.fixture(autouse=True)
def tiny_backbones(monkeypatch):
    """Make timm's models two blocks deep and 64 wide: the same code on a hundredth of the arithmetic."""
    create = timm.create_model

    def tiny(name, **options):
        shape = {"depth": 2, "embed_dim": WIDTH, "num_heads": 4} if name in TINY else {}
        return create(name, **options, **shape)

    monkeypatch.setattr(backbones.timm, "create_model", tiny)


def options_of(backbone=V3, **changes):
    values = {"backbone": backbone, "size_px": TINY[backbone], "random_weights": True} | changes
    return pipeline.ExportOptions(**values)


def tiny_network(backbone=V3, kind="linear"):
    torch.manual_seed(0)
    opened = backbones.open_backbone(backbone, TINY[backbone], weights=None, random_weights=True)
    adapter = adapters.random_adapter(kind, opened.channels)
    return pipeline.Network(opened.network, adapter.network).eval(), adapter


def noise(backbone=V3, count=4):
    side = TINY[backbone]
    return np.random.default_rng(1).standard_normal((count, 3, side, side)).astype(np.float32)


def types_of(model):
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    values = (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output)
    return {value.name: value.type.tensor_type.elem_type for value in values}


@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16", "int8"])
def test_export_each_precision_is_typed_judged_and_opened_by_the_runtime(tmp_path, name):
    import efiqa
    from efiqa.verify import verify

    path = tmp_path / "model.onnx"
    done = pipeline.export(options_of(precision=name), path)
    document = json.loads((tmp_path / "model.onnx.json").read_text())
    assert document["contract_version"] == 3
    assert document["output"]["channels"] == ["anatomy_not_visible"]
    assert document["reasons"] is None
    assert document["not_a_fundus"] is None
    assert document["model"]["precision"] == name
    assert document["model"]["trained"] is False
    assert document["model"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert document["output"] | {"width": 4, "height": 4} == document["output"]
    assert document["provenance"]["backbone"] == f"{V3}, random weights"
    assert document["default_operating_point"] == "uncalibrated"
    parity = document["parity"]
    assert parity["status"] == "passed"
    assert parity["pictures"] == 32
    assert parity["cosine"] >= 0.999
    assert parity["patch_cosine_p1"] >= 0.995
    assert parity["relative_frobenius"] <= 0.01
    assert parity["max_abs_error"] == max(trial.figures.max_abs_error for trial in done.trials)
    assert (parity["max_abs_error"] <= 1e-4) == (name == "fp32")
    assert {each.name for each in tmp_path.iterdir()} == {
        "model.onnx",
        "model.onnx.json",
        "model.onnx.golden.safetensors",
    }

    model = onnx.load(path)
    assert [value.name for value in model.graph.output] == ["logits"]
    kinds = {
        "bf16": onnx.TensorProto.BFLOAT16,
        "fp16": onnx.TensorProto.FLOAT16,
        "int8": onnx.TensorProto.INT8,
    }
    stored = {tensor.data_type for tensor in model.graph.initializer}
    assert stored & set(kinds.values()) == ({kinds[name]} if name in kinds else set())
    types = types_of(model)
    for node in model.graph.node:
        if node.op_type in ("Softmax", "LayerNormalization"):
            assert types[node.output[0]] == onnx.TensorProto.FLOAT, node.name
    assert types["image"] == types["logits"] == onnx.TensorProto.FLOAT

    with pytest.raises(ModelError, match="untrained"):
        efiqa.Runtime(path)
    with efiqa.Runtime(path, threads=1, allow_untrained=True) as runtime:
        report = runtime.assess(next(pictures._views()))
    assert report.map.shape == (4, 4)
    assert 0 <= report.score <= 1
    assert {finding.check: finding.detail for finding in verify(path) if finding.state == "failed"} == {}


@pytest.mark.parametrize("name", ["bf16", "fp16", "int8"])
def test_export_dense_adapter_answers_on_a_quarter_of_the_grid(tmp_path, name):
    done = pipeline.export(
        options_of(V3, size_px=128, adapter_kind="dense", precision=name), tmp_path / "model.onnx"
    )
    document = done.contract.to_dict()
    assert (document["output"]["width"], document["output"]["height"]) == (2, 2)
    assert document["id"] == f"{V3}-dense-128-{name}"
    assert document["parity"]["status"] == "passed"


def test_export_golden_sample_is_the_float32_original(tmp_path):
    path = tmp_path / "model.onnx"
    pipeline.export(options_of(precision="bf16"), path)
    golden = tmp_path / "model.onnx.golden.safetensors"
    document = json.loads((tmp_path / "model.onnx.json").read_text())
    assert document["golden"] == {
        "file": golden.name,
        "sha256": hashlib.sha256(golden.read_bytes()).hexdigest(),
    }
    tensors = safetensors_torch.load_file(golden)
    assert {name: tuple(each.shape) for name, each in tensors.items()} == {
        "inputs": (4, 3, 64, 64),
        "logits": (4, 1, 4, 4),
    }
    network, _ = tiny_network()
    expected = gate.run_network(network, tensors["inputs"].numpy()).logits
    np.testing.assert_array_equal(tensors["logits"].numpy(), expected)


@pytest.mark.parametrize("kind", ["linear", "dense"])
@pytest.mark.parametrize("backbone", TINY)
def test_apply_precision_float32_computes_what_timm_computes(backbone, kind):
    network, adapter = tiny_network(backbone, kind)
    inputs = noise(backbone)
    before = gate.run_network(network, inputs)
    precision.apply_precision(network, "fp32", adapter.keep)
    after = gate.run_network(network, inputs)
    for found, expected in zip(after, before, strict=True):
        # The order of float32 sums only.
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def overflowing(backbone):
    """Return a network whose attention scores reach 1e6, as DINOv3's do, without a say in the softmax.

    The first two channels of each head get one large constant in queries and keys. DINOv2 adds it as a bias;
    DINOv3 has none, and its rotation would turn it apart, so there the weights themselves are large.
    """
    network, adapter = tiny_network(backbone)
    for block in network.backbone.net.blocks:
        attention = block.attn
        with torch.no_grad():
            if attention.qkv.bias is not None:
                bias = attention.qkv.bias.view(3, attention.num_heads, -1)
                weight = attention.qkv.weight.view(3, attention.num_heads, -1, WIDTH)
                bias[:2, :, 0] = OVERFLOW
                weight[:2, :, 0] = 0
            else:
                attention.qkv.weight[: 2 * WIDTH] *= 4 * OVERFLOW
    return network, adapter


def scores_of(network, inputs):
    """Return the largest attention score of the first block, before its scale."""
    seen = []
    block = network.backbone.net.blocks[0]

    def look(_module, _inputs, answer):
        count, tokens, _ = answer.shape
        q, k, _ = answer.view(count, tokens, 3, block.attn.num_heads, -1).permute(2, 0, 3, 1, 4)
        seen.append((q @ k.transpose(-2, -1)).abs().max().item())

    handle = block.attn.qkv.register_forward_hook(look)
    gate.run_network(network, inputs[:1])
    handle.remove()
    return max(seen)


def in_plain_half(network, inputs):
    """Return what a cast of everything to float16 answers, attention as the products that a graph has."""
    for block in network.backbone.net.blocks:
        block.attn.fused_attn = False  # PyTorch's own fused attention has float32 inside
    with torch.no_grad():
        return network.half()(torch.from_numpy(inputs).half())[0].float().numpy()


def test_fp16_scores_beyond_half_stay_finite_and_close():
    inputs = noise(V2)
    network, adapter = overflowing(V2)
    assert scores_of(network, inputs) > 8 * HALF_MAX
    reference = gate.run_network(network, inputs)
    plain, _ = overflowing(V2)
    assert not np.isfinite(in_plain_half(plain, inputs)).all()
    precision.apply_precision(network, "fp16", adapter.keep)
    rounded = gate.judge("PyTorch", gate.run_network(network, inputs), reference)
    graph = onnx_files.trace(network, TINY[V2], pipeline.OUTPUTS)
    trial = gate.judge(*gate.run_graph(onnx_files.serialised(graph), inputs), reference)
    assert rounded.failures == trial.failures == ()


@pytest.mark.parametrize("name", ["fp16", "bf16"])
def test_half_precision_large_rotated_scores_stay_finite_and_close(name):
    inputs = noise(V3)
    network, adapter = overflowing(V3)
    assert scores_of(network, inputs) > 8 * HALF_MAX
    reference = gate.run_network(network, inputs)
    plain, _ = overflowing(V3)
    assert not np.isfinite(in_plain_half(plain, inputs)).all()
    precision.apply_precision(network, name, adapter.keep)
    found = gate.run_network(network, inputs)
    assert all(np.isfinite(each).all() for each in found)
    # Such scores make the softmax a choice of one token, and rounding turns a choice between near equals.
    assert gate.judge("PyTorch", found, reference).figures.cosine > 0.99


def test_export_graph_that_fails_the_gate_is_not_written(tmp_path, monkeypatch):
    right = onnx_files.trace

    def damaged(network, size_px, outputs):
        with torch.no_grad():
            network.backbone.net.blocks[1].mlp.fc2.weight.mul_(1.5)
        return right(network, size_px, outputs)

    monkeypatch.setattr(onnx_files, "trace", damaged)
    path = tmp_path / "model.onnx"
    path.write_bytes(b"an older model")
    with pytest.raises(
        pipeline.ParityError, match=r"OpenVINO .*max_abs_error is .* expected at most"
    ) as caught:
        pipeline.export(options_of(), path)
    assert "was not written" in str(caught.value)
    assert caught.value.trials[0].failures
    assert os.listdir(tmp_path) == ["model.onnx"]  # noqa: PTH208
    assert path.read_bytes() == b"an older model"


def test_judge_answer_with_one_nan_fails_every_figure():
    reference = gate.Answers(np.ones((32, 1, 2, 2), np.float32), np.ones((32, 5, 2, 2), np.float32))
    features = reference.features.copy()
    features[3, 2, 1, 1] = np.nan
    trial = gate.judge("test", gate.Answers(reference.logits, features), reference)
    assert any("patch_cosine_p1" in each or "NaN" in each for each in trial.failures)
    logits = reference.logits.copy()
    logits[0, 0, 0, 0] = np.nan
    assert gate.judge("test", gate.Answers(logits, reference.features), reference).failures
    with pytest.raises(ModelError, match="answers with NaN or infinity"):
        gate.judge("test", reference, gate.Answers(logits, reference.features))


def test_judge_wrong_features_under_a_right_map_fail():
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((32, 1, 4, 4)).astype(np.float32)
    features = rng.standard_normal((32, 8, 4, 4)).astype(np.float32)
    broken = features.copy()
    broken[:, :, 1, 1] *= -1  # one patch in sixteen
    trial = gate.judge("test", gate.Answers(logits, broken), gate.Answers(logits, features))
    assert len(trial.failures) == 1
    assert "patch_cosine_p1" in trial.failures[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size_px": 225}, r"size is 225, expected a multiple of 16 for vit_small.*; nearest: 224 and 240"),
        ({"size_px": 8}, r"size is 8, expected a multiple of 16 .*; nearest: 16$"),
        ({"backbone": "resnet50", "size_px": 224}, "backbone is 'resnet50', expected one of vit_small"),
        ({"precision": "fp8"}, "precision is 'fp8', expected one of fp32, bf16, fp16, int8"),
        ({"random_weights": False}, "adapter is missing, expected a .safetensors file"),
        (
            {"adapter_kind": "dense", "size_px": 96},
            r"multiple of 64 for .* dense adapter; nearest: 64 and 128",
        ),
        ({"backbone": "student", "size_px": 64}, "backbone is student, expected --weights whole.pt"),
    ],
)
def test_export_options_that_cannot_be_are_refused(tmp_path, changes, message):
    options = pipeline.ExportOptions(**({"backbone": V3, "size_px": 64, "random_weights": True} | changes))
    with pytest.raises(OptionError, match=message):
        pipeline.export(options, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_export_hub_out_of_reach_says_what_to_do(tmp_path, monkeypatch):
    def unreachable(name, **options):
        raise OSError("We couldn't connect to the hub\nand a trace of the client")

    monkeypatch.setattr(backbones.timm, "create_model", unreachable)
    adapter = tmp_path / "adapter.safetensors"
    safetensors_torch.save_file(adapters.LinearAdapter(WIDTH).state_dict(), adapter)
    with pytest.raises(
        FileError, match=r"couldn't connect.*--weights FILE.*vit_small_patch16_dinov3.lvd1689m.*licen"
    ):
        pipeline.export(options_of(random_weights=False, adapter=adapter), tmp_path / "model.onnx")


def test_export_files_of_weights_and_adapter_are_what_is_written(tmp_path):
    torch.manual_seed(5)
    net = backbones.timm.create_model(V2, pretrained=False, img_size=TINY[V2], num_classes=0)
    safetensors_torch.save_file(net.state_dict(), tmp_path / "weights.safetensors")
    adapter = adapters.LinearAdapter(WIDTH)
    torch.nn.init.normal_(adapter.linear.weight)
    notes = {"training_data": "two hundred eyes", "licence": "research only"}
    safetensors_torch.save_file(adapter.state_dict(), tmp_path / "adapter.safetensors", notes)
    points = tmp_path / "points.json"
    points.write_text(json.dumps({"clinic": {"good_min_score": 0.8, "usable_min_score": 0.4}}))
    done = pipeline.export(
        options_of(
            V2,
            random_weights=False,
            weights=tmp_path / "weights.safetensors",
            adapter=tmp_path / "adapter.safetensors",
            operating_points=points,
        ),
        tmp_path / "model.onnx",
    )
    assert done.contract.trained
    assert done.contract.default_operating_point == "clinic"
    document = done.contract.to_dict()
    assert document["provenance"]["training_data"] == "two hundred eyes"
    assert document["provenance"]["licence"] == "research only"
    digest = hashlib.sha256((tmp_path / "adapter.safetensors").read_bytes()).hexdigest()
    assert document["provenance"]["adapter"] == f"linear, adapter.safetensors, SHA-256 {digest}"
    golden = safetensors_torch.load_file(tmp_path / "model.onnx.golden.safetensors")
    network = pipeline.Network(backbones.TokenMap(net.eval()), adapter.eval())
    np.testing.assert_allclose(
        gate.run_network(network, golden["inputs"].numpy()).logits, golden["logits"].numpy(), atol=1e-5
    )


@pytest.mark.parametrize("damage", ["other model", "no file", "not safetensors"])
def test_open_backbone_unfit_weights_are_named(tmp_path, damage):
    path = tmp_path / "weights.safetensors"
    if damage == "other model":
        safetensors_torch.save_file({"stem.weight": torch.zeros(3)}, path)
    elif damage == "not safetensors":
        path.write_bytes(b"<html>log in</html>")
    kind, message = (
        (FileError, "weights .* does not exist")
        if damage == "no file"
        else (ModelError, "are not of vit_small")
    )
    with pytest.raises(kind, match=message):
        backbones.open_backbone(V3, 64, weights=path, random_weights=False)


def adapter_state(kind):
    return (
        adapters.LinearAdapter(WIDTH) if kind == "linear" else adapters.DenseAdapter(WIDTH, 8)
    ).state_dict()


@pytest.mark.parametrize("kind", ["linear", "dense"])
def test_load_adapter_keys_say_the_kind_and_values_arrive(tmp_path, kind):
    path = tmp_path / "adapter.safetensors"
    torch.manual_seed(3)
    state = {name: torch.rand_like(each) for name, each in adapter_state(kind).items()}
    safetensors_torch.save_file(state, path)
    adapter = adapters.load_adapter(path, WIDTH)
    assert (adapter.kind, adapter.stride) == ((kind, 1) if kind == "linear" else (kind, 4))
    for name, value in adapter.network.state_dict().items():
        assert torch.equal(value, state[name])


def test_load_adapter_of_the_teacher_is_the_teachers_function(tmp_path):
    from training.teacher import Adapter

    torch.manual_seed(4)
    teacher = Adapter(WIDTH)
    teacher.mean.normal_()
    teacher.std.uniform_(0.5, 2)
    safetensors_torch.save_file(teacher.state_dict(), tmp_path / "teacher.safetensors")
    features = torch.randn(2, WIDTH, 3, 3)
    with torch.no_grad():
        cells = teacher(features.permute(0, 2, 3, 1).flatten(0, 2)).view(2, 1, 3, 3)
        found = adapters.load_adapter(tmp_path / "teacher.safetensors", WIDTH).network(features)
    torch.testing.assert_close(found, cells)


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: without(s, "std"), "std is missing, expected in a linear adapter"),
        (lambda s: without(s, "linear.weight"), "expected linear.weight .linear. or reduce.weight .dense."),
        (
            lambda s: s | {"mean": torch.zeros(7)},
            r"mean is \(7,\), expected \(64,\) for a backbone of 64 chan",
        ),
        (lambda s: s | {"extra": torch.zeros(7)}, "extra is not part of a linear adapter"),
        (lambda s: s | {"std": torch.full((WIDTH,), float("nan"))}, "std holds NaN or infinity"),
    ],
)
def test_load_adapter_unfit_file_is_named(tmp_path, change, message):
    path = tmp_path / "adapter.safetensors"
    safetensors_torch.save_file(change(adapter_state("linear")), path)
    with pytest.raises(ModelError, match=message):
        adapters.load_adapter(path, WIDTH)


def test_load_adapter_garbled_or_missing_file_is_named(tmp_path):
    path = tmp_path / "adapter.safetensors"
    with pytest.raises(FileError, match="does not exist"):
        adapters.load_adapter(path, WIDTH)
    path.write_bytes(b"\x00" * 30)
    with pytest.raises(ModelError, match="is not a safetensors file"):
        adapters.load_adapter(path, WIDTH)


@pytest.fixture
def student(tmp_path):
    """A student with random weights, saved as student.pt in ``tmp_path``."""
    from training.student import Shape, Student, save_student

    torch.manual_seed(2)
    model = Student(Shape(16, 24, 1), pretrained=False).eval()
    save_student(model, 64, tmp_path / "student.pt")
    return model


def test_export_student_has_all_its_channels_in_graph_golden_and_contract(tmp_path, student):
    import efiqa
    from efiqa.verify import verify
    from training.student import answers

    options = pipeline.ExportOptions("student", 64, weights=tmp_path / "student.pt")
    path = tmp_path / "model.onnx"
    contract = pipeline.export(options, path).contract
    assert contract.trained
    document = contract.to_dict()
    assert document["output"]["channels"] == list(answers().names)
    assert document["reasons"] == answers().reasons
    assert document["not_a_fundus"] == answers().not_a_fundus
    golden = safetensors_torch.load_file(tmp_path / "model.onnx.golden.safetensors")
    assert golden["logits"].shape == (4, 9, 4, 4)
    with torch.no_grad():
        torch.testing.assert_close(student(golden["inputs"]), golden["logits"])
    assert {finding.check: finding.detail for finding in verify(path) if finding.state == "failed"} == {}
    with efiqa.Runtime(path, threads=1) as runtime:
        report = runtime.assess(next(pictures._views()))
    assert 0 < report.not_a_fundus < 1
    assert set(REASONS) < set(report.reasons) or report.reason == "not_a_fundus"


def test_export_gate_finds_one_wrong_channel():
    rng = np.random.default_rng(5)
    features = rng.standard_normal((4, 8, 4, 4)).astype(np.float32)
    logits = rng.standard_normal((4, 8, 4, 4)).astype(np.float32)
    wrong = logits.copy()
    wrong[:, 4] += 0.5
    reference = gate.Answers(logits, features)
    assert gate.judge("same", reference, reference).failures == ()
    assert gate.judge("other", gate.Answers(wrong, features), reference).failures != ()


def test_check_logits_names_shape_type_and_channels():
    model = onnx.load_from_string(telling_model())
    names = tuple(TELLING)
    onnx_files.check_logits(model, names, (8, 8))
    for channels, grid, expected in (
        (names[:1], (8, 8), r"\(1, 1, 8, 8\) for the channels anatomy_not_visible; name the channels"),
        (names, (4, 8), r"\(1, 7, 4, 8\) for the channels anatomy_not_visible, under_exposed, .*a_fundus;"),
    ):
        message = r"answers logits FLOAT \(1, 7, 8, 8\), expected FLOAT " + expected
        with pytest.raises(ModelError, match=message):
            onnx_files.check_logits(model, channels, grid)
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    with pytest.raises(ModelError, match="FLOAT16"):
        onnx_files.check_logits(model, names, (8, 8))


def test_judged_graph_keeps_all_channels_of_a_student(student):
    from training.export import judged_graph

    images = np.random.default_rng(1).uniform(-1, 1, (4, 3, 64, 64)).astype(np.float32)
    graph, trial = judged_graph(student, 64, images)
    assert trial.failures == ()
    (answer,) = onnx.load_from_string(graph).graph.output
    assert [side.dim_value for side in answer.type.tensor_type.shape.dim] == [1, 9, 4, 4]


def test_judged_graph_of_a_network_with_other_channels_is_refused(student):
    from training.export import judged_graph

    student.head = torch.nn.Conv2d(student.head.in_channels, 1, 1)
    images = np.random.default_rng(1).uniform(-1, 1, (4, 3, 64, 64)).astype(np.float32)
    with pytest.raises(ModelError, match=r"logits FLOAT \(1, 1, 4, 4\), expected FLOAT \(1, 9, 4, 4\)"):
        judged_graph(student, 64, images)


def test_network_inputs_views_are_all_different():
    spec = pictures.InputSpec(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    inputs = pictures.network_inputs(None, spec, 48)
    assert len({each.tobytes() for each in inputs}) == 48


def test_network_inputs_folder_is_drawn_by_seed_and_counted(tmp_path, retina):
    import cv2

    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.roll(retina[::4, ::4], index, axis=2))
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((90, 90, 3), np.uint8))
    spec = pictures.InputSpec(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    first = pictures.network_inputs(tmp_path, spec, 3, seed=1)
    assert np.array_equal(first, pictures.network_inputs(tmp_path, spec, 3, seed=1))
    orders = {pictures.network_inputs(tmp_path, spec, 3, seed=seed).tobytes() for seed in range(6)}
    assert len(orders) > 1
    with pytest.raises(OptionError, match="holds 3 pictures with a field of view, expected at least 32"):
        pictures.network_inputs(tmp_path, spec, 32)
    with pytest.raises(OptionError, match="expected a folder"):
        pictures.network_inputs(tmp_path / "nowhere", spec, 3)


def test_read_points_wrong_file_is_named(tmp_path):
    path = tmp_path / "points.json"
    for text in ("[1]", "{}", '{"a": 1}', "{"):
        path.write_text(text)
        with pytest.raises(OptionError, match=r"operating points .*points.json is"):
            document.read_points(path)
    path.write_text('{"a": {"good_min_score": 2, "usable_min_score": 0.5}}')
    with pytest.raises(
        EfiqaError, match=r"operating_points.a.good_min_score is 2, expected a number from 0 to 1"
    ):
        pipeline.export(options_of(operating_points=path), tmp_path / "model.onnx")


def test_cli_export_prints_the_figures_and_the_file(tmp_path, capsys):
    from efiqa.cli import main

    path = tmp_path / "model.onnx"
    arguments = ["--backbone", V3, "--size", "64", "--precision", "fp16", "--random-weights", "-o", str(path)]
    assert main(["export", *arguments]) == 0
    shown = capsys.readouterr()
    assert "OpenVINO" in shown.out
    assert "PyTorch fp16" in shown.out
    assert shown.out.count("passed") == 2
    assert f"{path}: {V3}-linear-64-fp16, untrained" in shown.out
    assert "tracing the graph in fp16" in shown.err


def test_cli_export_failed_gate_prints_the_figures_and_fails(tmp_path, capsys, monkeypatch):
    from efiqa.cli import main

    monkeypatch.setattr(gate, "MAX_ABS_ERROR_FP32", 0.0)
    path = tmp_path / "model.onnx"
    arguments = ["--backbone", V3, "--size", "64", "--random-weights", "-o", str(path)]
    assert main(["export", *arguments]) == 1
    shown = capsys.readouterr()
    assert "failed" in shown.out
    assert "max_abs_error is" in shown.err
    assert shown.err.rstrip().endswith("[parity_failed]")
    assert not path.exists()


def test_cli_export_choices_are_the_exports_own():
    from efiqa.cli import export as command

    assert tuple(precision.DTYPES) == command.PRECISIONS
    assert adapters.KINDS == command.ADAPTER_KINDS
