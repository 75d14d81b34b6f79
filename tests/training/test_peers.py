"""The latency benchmark's peers compute what ONNX Runtime computes."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.train

SAME = 1e-5  # sums of a few hundred float32 products in another order


@pytest.mark.parametrize("readers", [(0, 0), (8, 1), (8, 1, 4, 1)])
def test_torch_graph_exported_student_equals_onnx_runtime(tmp_path, readers):
    from benchmarks.peers import OnnxRuntimeNetwork, TorchGraph
    from efiqa.export import onnx_files
    from training.student import Shape, Student

    torch.manual_seed(0)
    model = Student(Shape(16, 24, 1, *readers), pretrained=False).eval()
    path = tmp_path / "student.onnx"
    path.write_bytes(onnx_files.serialised(onnx_files.trace(model, 64)))
    image = np.random.default_rng(0).standard_normal((1, 3, 64, 64)).astype(np.float32)
    expected = OnnxRuntimeNetwork(path, 1).logits(image)
    with torch.inference_mode():
        found = TorchGraph(path)(torch.from_numpy(image))[0, 0].numpy()
    assert expected.shape == (4, 4)
    np.testing.assert_allclose(found, expected, atol=SAME * max(1, np.abs(expected).max()))


def test_torch_graph_knows_the_embedded_model():
    from benchmarks.peers import TorchGraph
    from efiqa import Runtime

    runtime = Runtime()
    image = np.random.default_rng(0).uniform(-1, 1, (1, 3, 384, 384)).astype(np.float32)
    with torch.inference_mode():
        found = TorchGraph(Path(runtime.info.model_path))(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(found, runtime.run_network(image), atol=1e-3)


def test_torch_graph_unknown_operator_is_named(tiny_model):
    from benchmarks.peers import TorchGraph

    with pytest.raises(ValueError, match="graph has the operator AveragePool, expected one of Add"):
        TorchGraph(tiny_model)


def test_measure_verifies_before_it_times(tmp_path, monkeypatch):
    from benchmarks import latency, peers
    from efiqa.export import onnx_files
    from training.student import Shape, Student

    torch.manual_seed(0)
    path = tmp_path / "student.onnx"
    model = Student(Shape(16, 24, 1), pretrained=False)
    model.head = torch.nn.Conv2d(model.head.in_channels, 1, 1)  # the chain beside it draws the map alone
    path.write_bytes(onnx_files.serialised(onnx_files.trace(model, 64)))
    import hashlib
    import json

    from tests.golden.make_tiny_model import tiny_contract

    contract = tiny_contract(b"", path.name)
    contract["model"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    contract["output"] |= {"width": 4, "height": 4}
    (tmp_path / "student.onnx.json").write_text(json.dumps(contract))
    monkeypatch.setattr(latency, "WARM_UP", 1)
    frame = latency.camera_frame()
    result = latency.measure(path, frame, 1, 2)
    assert result["agreement"]["chain_network_max"] < latency.NETWORK_TOLERANCE
    assert result["times_ms"]["chain"]["total"]["p50"] > result["times_ms"]["chain"]["network"]["p50"]
    assert result["chain_over_efiqa_p50"] > 1
    right = peers.OnnxRuntimeNetwork.logits
    monkeypatch.setattr(peers.OnnxRuntimeNetwork, "logits", lambda self, image: right(self, image) + 0.1)
    with pytest.raises(RuntimeError, match=r"the network of onnxruntime differs by 0\.0"):
        latency.measure(path, frame, 1, 2)
