"""The adapters: from a backbone's feature map to one logit a cell that the anatomy is not visible there.

A student's own last layer may answer on more channels; what they mean is the caller's to say (document.py).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from torch.nn import functional as F

from efiqa.errors import FileError, ModelError

KINDS = ("linear", "dense")
DENSE_WIDTH = 512


@dataclass(frozen=True)
class Adapter:
    """``network``: features (B, C, h, w) -> logits (B, channels, h / stride, w / stride).

    ``keep``: its layers that stay float32 in every precision. ``notes``: what its file says of its training.
    """

    network: nn.Module
    stride: int
    keep: tuple[nn.Module, ...]
    kind: str
    id: str
    trained: bool
    notes: dict[str, str]


class LinearAdapter(nn.Module):
    """Standardised features, then one 1x1 convolution, as training/teacher.py saves it. Source: EFIQA."""

    stride = 1

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.linear = nn.Linear(channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, 1, h, w) of features (B, C, h, w)."""
        return self.linear((x.permute(0, 2, 3, 1) - self.mean) / self.std).permute(0, 3, 1, 2)

    def keep(self) -> tuple[nn.Module, ...]:
        """Return the layers that stay float32."""
        return (self.linear,)


class DenseAdapter(nn.Module):
    """LayerNorm, 512 channels, ConvNeXt blocks 2, down, 2, down, 1. Source: EFIQA-CP, arXiv 2606.25915."""

    stride = 4

    def __init__(self, channels: int, width: int = DENSE_WIDTH) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.reduce = nn.Linear(channels, width)
        self.body = nn.Sequential(
            ConvNextBlock(width),
            ConvNextBlock(width),
            Down(width),
            ConvNextBlock(width),
            ConvNextBlock(width),
            Down(width),
            ConvNextBlock(width),
        )
        self.head = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (B, 1, h / 4, w / 4) of features (B, C, h, w)."""
        x = self.reduce(self.norm(x.permute(0, 2, 3, 1)))
        return self.head(self.body(x)).permute(0, 3, 1, 2)

    def keep(self) -> tuple[nn.Module, ...]:
        """Return the layers that stay float32."""
        return (self.head,)


class ConvNextBlock(nn.Module):
    """7x7 depthwise convolution and an MLP of ratio 1 beside the identity, on (B, h, w, C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.fc1 = nn.Linear(width, width)
        self.fc2 = nn.Linear(width, width)
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, h, w, C)."""
        y = self.norm(self.depthwise(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
        return x + self.gamma * self.fc2(F.gelu(self.fc1(y)))


class Down(nn.Module):
    """Half the height and width: LayerNorm, then a 2x2 convolution of stride 2, on (B, h, w, C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.conv = nn.Conv2d(width, width, 2, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, h / 2, w / 2, C)."""
        return self.conv(self.norm(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def random_adapter(kind: str, channels: int) -> Adapter:
    """Return an untrained adapter of ``kind``, a name of KINDS, from torch's generator."""
    network = LinearAdapter(channels) if kind == "linear" else DenseAdapter(channels)
    return _adapter(network, kind, f"{kind}, random weights", trained=False, notes={})


def student_head(head: nn.Module) -> Adapter:
    """Return a student's own last layer as its adapter."""
    return Adapter(head, 1, (head,), "head", f"student-width{head.in_channels}", trained=True, notes={})


def load_adapter(path: Path, channels: int) -> Adapter:
    """Return the adapter in the safetensors file ``path`` for a backbone of ``channels``.

    The keys say its kind. The file's metadata ``training_data`` and ``licence`` go into the contract.

    Raises:
        FileError: there is no such file.
        ModelError: ``adapter_invalid``; it is no safetensors file, of neither kind, or of another width.
    """
    if not path.is_file():
        raise FileError(f"adapter {path} does not exist", code="not_found")
    try:
        with safe_open(path, "pt") as stream:
            notes = dict(stream.metadata() or {})
            state = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise _invalid(path, f"is not a safetensors file ({error}); save it with safetensors") from None
    if "linear.weight" in state:
        network: LinearAdapter | DenseAdapter = LinearAdapter(channels)
        kind = "linear"
    elif "reduce.weight" in state:
        width = state["reduce.weight"].shape[0]
        network, kind = DenseAdapter(channels, width), "dense"
    else:
        found = ", ".join(sorted(state)[:4]) or "nothing"
        raise _invalid(path, f"holds {found}, expected linear.weight (linear) or reduce.weight (dense)")
    expected = network.state_dict()
    for name, slot in expected.items():
        if name not in state:
            raise _invalid(path, f"{name} is missing, expected in a {kind} adapter; export the adapter again")
        if state[name].shape != slot.shape:
            raise _invalid(
                path,
                f"{name} is {tuple(state[name].shape)}, expected {tuple(slot.shape)} for a backbone of "
                f"{channels} channels; name the backbone that it was trained on",
            )
        if not state[name].isfinite().all():
            raise _invalid(path, f"{name} holds NaN or infinity; train the adapter again")
    unknown = sorted(set(state) - set(expected))
    if unknown:
        raise _invalid(path, f"{unknown[0]} is not part of a {kind} adapter; export the adapter again")
    network.load_state_dict(state)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return _adapter(network, kind, f"{kind}, {path.name}, SHA-256 {digest}", trained=True, notes=notes)


def _adapter(
    network: LinearAdapter | DenseAdapter, kind: str, name: str, *, trained: bool, notes: dict[str, str]
) -> Adapter:
    network.eval().requires_grad_(False)
    return Adapter(network, network.stride, network.keep(), kind, name, trained, notes)


def _invalid(path: Path, problem: str) -> ModelError:
    return ModelError(f"adapter {path}: {problem}", code="adapter_invalid")
