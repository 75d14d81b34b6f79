"""An adapter on EfficientNet-Lite0's maps as an ONNX graph with its contract, as the runtime opens it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from efiqa.contract import Contract
from efiqa.export import document, gate, onnx_files, pictures
from efiqa.export.adapters import DenseAdapter, LinearAdapter
from efiqa.export.pictures import FloatArray
from efiqa.export.pipeline import OUTPUTS, Network, write_files
from training.backbone import LITE0_ID, LITE0_LICENCE, LITE0_MEAN, LITE0_STD, Lite0Features
from training.features import on_grid
from training.teacher import TeacherSettings


class GridBackbone(nn.Module):
    """EfficientNet-Lite0's maps side by side on a grid, of a normalised image (B, 3, S, S)."""

    def __init__(self, strides: Sequence[int], grid: int) -> None:
        super().__init__()
        self.net = Lite0Features(tuple(strides))
        self.grid = grid

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return (B, C, grid, grid)."""
        return on_grid(self.net(image), self.grid)


def network_of(settings: TeacherSettings, state: dict[str, torch.Tensor]) -> Network:
    """Return backbone and adapter as one frozen module: image -> logits (B, 1, g, g), features."""
    channels = sum(Lite0Features.CHANNELS[stride] for stride in settings.strides)
    if settings.adapter == "dense":
        adapter: LinearAdapter | DenseAdapter = DenseAdapter(channels, settings.dense.width)
    else:
        adapter = LinearAdapter(channels)
    adapter.load_state_dict(state)
    backbone = GridBackbone(settings.strides, settings.token_grid)
    return Network(backbone, adapter).eval().requires_grad_(False)


def write_graph(
    path: Path, name: str, network: Network, settings: TeacherSettings, images: FloatArray, trained_on: str
) -> None:
    """Write ``network`` to ``path``, contract and golden sample beside it.

    ``images`` (n, 3, S, S), normalised: on these the graph has to answer as PyTorch does.

    Raises:
        ValueError: it does not.
    """
    graph = onnx_files.trace(network, settings.size_px, OUTPUTS)
    runner, found = gate.run_graph(onnx_files.serialised(graph), images)
    trial = gate.judge(runner, found, gate.run_network(network, images))
    if trial.failures:
        raise ValueError(f"parity of {name}: {'; '.join(trial.failures)}")
    onnx_files.drop_output(graph, "features")
    data = onnx_files.serialised(graph)
    spec = pictures.InputSpec(settings.size_px, LITE0_MEAN, LITE0_STD)
    golden = document.golden_sample(spec, lambda inputs: gate.run_network(network, inputs).logits)
    parity = trial.figures.to_contract(reference=gate.REFERENCE, runner=trial.runner)
    contract = Contract.from_dict(
        document.make_contract(
            name,
            path.name,
            document.Graph(
                data, "fp32", True, document.ANATOMY_ALONE, (settings.grid, settings.grid), parity
            ),
            spec,
            document.NEUTRAL_POINTS,
            {
                "backbone": LITE0_ID,
                "backbone_licence": LITE0_LICENCE,
                "adapter": name,
                "training_data": trained_on,
                "licence": "Weights trained on pictures for research use only. Not a medical device.",
            },
            golden,
        )
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_files(path, data, golden, contract)
