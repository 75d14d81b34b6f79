import json

import pytest

from efiqa import Contract, ContractError, FileError, ModelError, OperatingPoint, _core
from tests.helpers import REASONS, contract_of


@pytest.fixture
def document(tiny_model):
    return json.loads(contract_of(tiny_model).read_text())


def test_contract_of_model_reads_the_fields(tiny_model, document):
    contract = Contract.of_model(tiny_model)
    assert contract.to_dict() == document
    assert contract.id == document["id"]
    assert contract.model_sha256 == document["model"]["sha256"]
    assert contract.trained is True
    assert contract.is_plan is False
    assert contract.channels == ("anatomy_not_visible",)
    assert contract.golden is None
    assert contract.default_operating_point == "screening"
    assert contract.operating_points["screening"] == OperatingPoint(0.85, 0.6)


def test_contract_write_then_read_is_the_same_text(tmp_path, document):
    contract = Contract.from_dict(document)
    contract.write(tmp_path / "copy.onnx.json")
    assert Contract.read(tmp_path / "copy.onnx.json") == contract
    assert [path.name for path in tmp_path.iterdir()] == ["copy.onnx.json"], "no temporary file may stay"


def test_contract_write_into_missing_folder_leaves_nothing(tmp_path, document):
    with pytest.raises(FileError, match="cannot be written: No such file") as caught:
        Contract.from_dict(document).write(tmp_path / "none" / "x.json")
    assert caught.value.code == "file_unwritable"
    assert list(tmp_path.iterdir()) == []


def test_contract_to_dict_is_a_copy(document):
    contract = Contract.from_dict(document)
    contract.to_dict()["id"] = "other"
    assert contract.id == document["id"]


def test_contract_operating_points_are_read_only(document):
    with pytest.raises(TypeError):
        Contract.from_dict(document).operating_points["new"] = OperatingPoint(1, 0)


@pytest.mark.parametrize(
    "field",
    [
        "contract_version",
        "id",
        "model",
        "input",
        "output",
        "map",
        "reasons",
        "not_a_fundus",
        "provenance",
        "parity",
        "golden",
    ],
)
def test_contract_without_a_field_names_it(document, field):
    del document[field]
    with pytest.raises(ContractError, match=field) as caught:
        Contract.from_dict(document)
    assert caught.value.code == "contract_invalid"


@pytest.mark.parametrize("reasons", [0, 1])
@pytest.mark.parametrize("fundus", [0, 1])
def test_contract_has_one_of_four_lists_of_channels_with_their_thresholds(telling_model, reasons, fundus):
    full = json.loads(contract_of(telling_model).read_text())
    names = ("anatomy_not_visible", *REASONS * reasons, *("not_a_fundus",) * fundus)
    fitting = {
        "output": {**full["output"], "channels": list(names)},
        "reasons": full["reasons"] if reasons else None,
        "not_a_fundus": full["not_a_fundus"] if fundus else None,
    }
    assert Contract.from_dict({**full, **fitting}).channels == names
    for field in ("reasons", "not_a_fundus"):
        other = None if fitting[field] else full[field]
        with pytest.raises(ContractError, match=field):
            Contract.from_dict({**full, **fitting, field: other})


@pytest.mark.parametrize(
    "channels",
    [
        [],
        ["not_a_fundus"],
        ["anatomy_not_visible", "haze"],
        ["anatomy_not_visible", "not_a_fundus", *REASONS],
        ["anatomy_not_visible", *REASONS[::-1], "not_a_fundus"],
        ["anatomy_not_visible", *REASONS, "not_a_fundus", "drusen"],
        ["anatomy_not_visible", "macula"],
        ["anatomy_not_visible", *REASONS, "not_a_fundus", "optic_disc"],
        ["anatomy_not_visible", *REASONS, "not_a_fundus", "optic_disc", "macula"],
    ],
)
def test_contract_with_other_channels_names_them(telling_model, channels):
    document = json.loads(contract_of(telling_model).read_text())
    document["output"]["channels"] = channels
    with pytest.raises(ContractError, match=r"output\.channels"):
        Contract.from_dict(document)


def test_contract_of_version_2_is_refused_with_what_to_do(document):
    del document["reasons"], document["not_a_fundus"], document["output"]["channels"]
    document["output"]["meaning"] = "probability_anatomy_not_visible"
    with pytest.raises(ContractError, match=r"contract_version is 2, .*efiqa export"):
        Contract.from_dict({**document, "contract_version": 2})


def test_contract_with_an_unknown_field_names_it(document):
    with pytest.raises(ContractError, match="surprise"):
        Contract.from_dict({**document, "surprise": 1})


def test_contract_of_another_version_is_refused(document):
    with pytest.raises(ContractError, match="contract_version"):
        Contract.from_dict({**document, "contract_version": _core.CONTRACT_VERSION + 1})


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"id": 1}', "\x00", '{"id": "a", "id": "a"}'])
def test_contract_garbled_text_is_a_contract_error(text):
    with pytest.raises(ContractError):
        Contract(text)


def test_contract_with_nan_is_refused(document):
    document["map"]["region_threshold"] = float("nan")
    with pytest.raises(ContractError, match="JSON cannot hold"):
        Contract.from_dict(document)


def test_contract_read_truncated_file_names_the_file(tmp_path, tiny_model):
    path = tmp_path / "cut.onnx.json"
    path.write_text(contract_of(tiny_model).read_text()[:200])
    with pytest.raises(ContractError, match=r"cut\.onnx\.json"):
        Contract.read(path)


def test_contract_read_missing_file_says_what_to_copy(tmp_path):
    with pytest.raises(ContractError, match=r"none\.onnx\.json is missing.*copy") as caught:
        Contract.of_model(tmp_path / "none.onnx")
    assert caught.value.code == "contract_missing"
    assert isinstance(caught.value, ModelError)


def test_contract_read_folder_or_binary_is_unreadable(tmp_path):
    with pytest.raises(ContractError, match="cannot be read") as caught:
        Contract.read(tmp_path)
    assert caught.value.code == "contract_unreadable"
    (tmp_path / "b.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(ContractError, match="not UTF-8"):
        Contract.read(tmp_path / "b.json")
