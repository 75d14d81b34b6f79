import json

import numpy as np
import pytest
from safetensors.numpy import save

import efiqa
from efiqa import Contract, ModelError, _core
from efiqa.golden import Golden, golden_path, make_golden, read_golden
from tests.helpers import TELLING, contract_of, write_telling_model, write_tiny_model


def tensors(pictures: int = 2, channels: int = 1) -> dict[str, np.ndarray]:
    inputs = np.random.default_rng(1).uniform(-1, 1, (pictures, 3, 64, 64)).astype(np.float32)
    return {"inputs": inputs, "logits": np.zeros((pictures, channels, 8, 8), np.float32)}


@pytest.fixture
def with_golden(tmp_path):
    """Write a model whose golden file has the bytes given; return its path and its contract."""

    def write(data: bytes, write_model=write_tiny_model):
        model = write_model(tmp_path)
        path = golden_path(model)
        path.write_bytes(data)
        document = json.loads(contract_of(model).read_text())
        document["golden"] = {"file": path.name, "sha256": _core.sha256_hex(data)}
        contract_of(model).write_text(json.dumps(document))
        return model, Contract.of_model(model)

    return write


def test_golden_write_then_read_is_the_same(with_golden):
    golden = Golden(**tensors())
    model, contract = with_golden(golden.to_bytes())
    again = read_golden(model, contract)
    np.testing.assert_array_equal(again.inputs, golden.inputs)
    np.testing.assert_array_equal(again.logits, golden.logits)
    assert golden.write(golden_path(model)) == contract.golden


def test_golden_file_has_each_channel_of_the_contract(with_golden):
    golden = Golden(**tensors(channels=len(TELLING)))
    again = read_golden(*with_golden(golden.to_bytes(), write_telling_model))
    assert again.logits.shape == (2, 7, 8, 8)
    with pytest.raises(ModelError, match=r"logits of float32 \(2, 1, 8, 8\), expected .*\(N, 7, 8, 8\)"):
        read_golden(*with_golden(Golden(**tensors()).to_bytes(), write_telling_model))


def not_finite(name: str) -> dict[str, np.ndarray]:
    values = tensors()
    values[name][1, 0, 3, 3] = np.inf
    return values


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not a safetensors file"),
        (save(tensors())[:-5], "is not a safetensors file"),
        (save({"inputs": tensors()["inputs"]}), "holds inputs, expected inputs and logits"),
        (save({**tensors(), "more": np.zeros(1)}), "holds inputs, logits, more"),
        (save(tensors(0)), r"inputs of float32 \(0, 3, 64, 64\), expected .* with one N from 1"),
        (
            save({**tensors(), "logits": np.zeros((3, 1, 8, 8), np.float32)}),
            r"logits of float32 \(3, 1, 8, 8\)",
        ),
        (save({**tensors(), "logits": np.zeros((2, 1, 8, 8))}), r"logits of float64 \(2, 1, 8, 8\)"),
        (save({**tensors(), "inputs": np.zeros((2, 3, 64, 63), np.float32)}), r"\(2, 3, 64, 63\)"),
        (save(not_finite("logits")), "logits that are not finite"),
        (save(not_finite("inputs")), "inputs that are not finite"),
    ],
    ids=range(10),
)
def test_golden_file_that_is_not_what_the_contract_says_is_refused(with_golden, data, message):
    with pytest.raises(ModelError, match=message) as caught:
        read_golden(*with_golden(data))
    assert caught.value.code == "golden_invalid"


def test_golden_file_of_another_hash_names_both(with_golden):
    model, contract = with_golden(save(tensors()))
    golden_path(model).write_bytes(save(tensors(3)))
    with pytest.raises(ModelError, match=f"expects {contract.golden.sha256}") as caught:
        read_golden(model, contract)
    assert caught.value.code == "golden_invalid"


def test_golden_file_that_is_missing_or_not_named_says_so(with_golden, tiny_model):
    model, contract = with_golden(save(tensors()))
    golden_path(model).unlink()
    with pytest.raises(ModelError, match=r"cannot be read: No such file.*copy it along") as caught:
        read_golden(model, contract)
    assert caught.value.code == "golden_missing"
    with pytest.raises(ModelError, match="names no golden file"):
        read_golden(tiny_model, Contract.of_model(tiny_model))


def test_make_golden_holds_all_channels(telling_model):
    golden = make_golden(telling_model)
    assert golden.logits.shape == (8, 7, 8, 8)
    assert (golden.logits[:, 3] == -8).all(), "defocus, which this model never tells"


def test_make_golden_holds_what_the_onnx_model_answers_to_pictures_with_an_eye(tiny_model):
    golden = make_golden(tiny_model)
    assert golden.inputs.shape == (8, 3, 64, 64)
    assert golden.inputs.dtype == np.float32
    assert len({picture.tobytes() for picture in golden.inputs}) == 8
    corners, centre = golden.inputs[:, :, 0, 0], golden.inputs[:, 0, 28:36, 28:36]
    assert (corners == -1).all(), "black outside the field of view"
    assert centre.std(axis=(1, 2)).min() > 0
    with efiqa.Runtime(tiny_model) as runtime:
        np.testing.assert_array_equal(runtime.run_network(golden.inputs), golden.logits)
    assert golden.logits.std() > 0.5
