"""What a plan's time on a GPU is compared with: OpenCV and the same network in torch, compiled or eager."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.gpu_roofline import Work
from benchmarks.latency import checked
from efiqa import QualityReport, parity

if TYPE_CHECKING:
    import torch

ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

SEED = 0
MAX_ALPHA = 0.6  # the default of QualityReport.overlay
# Both are bfloat16 of the same weights, rounded at other places; a wrong layer gives far less.
MIN_PEER_COSINE = 0.99
# OpenCV rounds the resized picture to grey levels, has another filter and leaves what is outside the field of
# view; mean absolute difference of the networks' inputs, in standard deviations: 0.018 with this frame at
# 224 px, and 1.2 with the channels in the wrong order.
INPUT_TOLERANCE = 0.03
PEERS = {
    "compiled": "OpenCV + torch.compile(mode='reduce-overhead'), bfloat16",
    "eager": "OpenCV + eager torch, bfloat16",
}


@dataclass(frozen=True)
class PlanFacts:
    """What a plan's contract says that a peer needs; ``grid`` is (height, width)."""

    backbone: str
    adapter: str
    precision: str
    size_px: int
    grid: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def plan_facts(document: Mapping[str, Any]) -> PlanFacts:
    """Return the facts of a contract.

    Raises:
        ValueError: it is not of a plan, or of no backbone with an adapter.
    """
    if document["model"]["format"] != "tensorrt_plan":
        raise ValueError(
            f"model.format is {document['model']['format']}, expected tensorrt_plan: efiqa build"
        )
    backbone = document["provenance"]["backbone"].partition(",")[0]
    adapter = document["provenance"]["adapter"].partition(",")[0]
    if not backbone.startswith("vit_") or adapter not in ("linear", "dense"):
        raise ValueError(
            f"the plan is of {backbone} with {adapter}, expected vit_... with a linear or dense adapter"
        )
    return PlanFacts(
        backbone,
        adapter,
        document["model"]["precision"],
        document["input"]["width_px"],
        (document["output"]["height"], document["output"]["width"]),
        tuple(document["input"]["mean"]),
        tuple(document["input"]["std"]),
    )


class OpenCvChain:
    """Crop and resize by OpenCV, a torch network, the map back on the host; for one place of the field."""

    def __init__(
        self, network: Callable[[torch.Tensor], torch.Tensor], facts: PlanFacts, report: QualityReport
    ) -> None:
        """``network`` on the GPU: bfloat16 (1, 3, S, S) -> logits; ``report``: its crop is given."""
        self._network = network
        self._size_px = facts.size_px
        self._scale = (1 / (255 * np.array(facts.std))).astype(np.float32)
        self._offset = (np.array(facts.mean) / np.array(facts.std)).astype(np.float32)
        x, y, self._side = report.crop
        height, width = report.frame_size
        self._left, self._top = max(x, 0), max(y, 0)
        self._right, self._bottom = min(x + self._side, width), min(y + self._side, height)
        # How much of the crop is outside the frame: top, bottom, left, right.
        self._border = (
            self._top - y,
            y + self._side - self._bottom,
            self._left - x,
            x + self._side - self._right,
        )

    def picture(self, frame: ByteArray) -> FloatArray:
        """Return the network's input (1, 3, S, S) of ``frame`` (H, W, 3)."""
        square = frame[self._top : self._bottom, self._left : self._right]
        if any(self._border):
            square = np.asarray(cv2.copyMakeBorder(square, *self._border, cv2.BORDER_CONSTANT), np.uint8)
        small = cv2.resize(square, (self._size_px, self._size_px), interpolation=cv2.INTER_AREA)
        values = small * self._scale - self._offset
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None])

    def logits(self, picture: FloatArray) -> FloatArray:
        """Return the logits (h, w), copied back."""
        import torch

        with torch.inference_mode():
            logits = self._network(torch.from_numpy(picture).to("cuda", torch.bfloat16))
            return np.asarray(logits[0, 0].float().cpu().numpy())

    def __call__(self, frame: ByteArray) -> FloatArray:
        """Return the map (h, w)."""
        return np.asarray(1 / (1 + np.exp(-self.logits(self.picture(frame)))))

    def overlay(self, frame: ByteArray, grid: FloatArray) -> ByteArray:
        """Return ``frame`` (H, W, 3) under the coloured ``grid`` (h, w), of one opacity everywhere."""
        level = np.zeros(frame.shape[:2], np.uint8)
        top, _, left, _ = self._border
        enlarged = cv2.resize(np.rint(255 * grid).astype(np.uint8), (self._side, self._side))
        height, width = self._bottom - self._top, self._right - self._left
        level[self._top : self._bottom, self._left : self._right] = enlarged[
            top : top + height, left : left + width
        ]
        colored = cv2.applyColorMap(level, cv2.COLORMAP_TURBO)[:, :, ::-1]
        return np.asarray(cv2.addWeighted(frame, 1 - MAX_ALPHA, np.ascontiguousarray(colored), MAX_ALPHA, 0))


def random_network(facts: PlanFacts, *, typed: bool = False) -> torch.nn.Module:
    """Return backbone and adapter with random weights in float32, or ``typed`` as the export writes them.

    On the device of torch's context: under ``torch.device("meta")`` no weight is held.
    """
    from torch import nn

    from efiqa.export import adapters, backbones
    from efiqa.export.precision import apply_precision

    backbone = backbones.open_backbone(facts.backbone, facts.size_px, weights=None, random_weights=True)
    adapter = adapters.random_adapter(facts.adapter, backbone.channels)
    network = nn.Sequential(backbone.network, adapter.network).eval()
    if typed:
        apply_precision(network, facts.precision, adapter.keep)
    return network


def network_work(facts: PlanFacts) -> Work:
    """Return the work of the network as it was exported; no weight is held and nothing is computed."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    side = facts.size_px
    with torch.device("meta"), torch.no_grad():
        network = random_network(facts, typed=True)
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, 3, side, side))
    weights = sum(each.numel() * each.element_size() for each in network.parameters())
    float32 = 4
    return Work(
        counter.get_total_flops(), weights + float32 * (3 * side * side + facts.grid[0] * facts.grid[1])
    )


def cosine(a: FloatArray, b: FloatArray) -> float:
    """Return the cosine of two arrays (h, w), the parity gate's."""
    return parity.compare(a[None, None], b[None, None]).cosine


def make_peers(
    facts: PlanFacts, frame: ByteArray, report: QualityReport, image: FloatArray
) -> tuple[dict[str, OpenCvChain], dict[str, str], dict[str, float]]:
    """Return the peers that run here, why the others do not, and how far they agree, checked."""
    import torch

    try:
        torch.manual_seed(SEED)
        network = random_network(facts).to("cuda", torch.bfloat16)
    except ImportError as error:
        return {}, dict.fromkeys(PEERS, str(error)), {}
    peers = {"eager": OpenCvChain(network, facts, report)}
    left_out: dict[str, str] = {}
    difference = float(np.abs(peers["eager"].picture(frame) - image).mean())
    agreement = {"chain_input_mean": checked("the chain's input", difference, INPUT_TOLERANCE)}
    expected = peers["eager"].logits(image)
    try:
        compiled = OpenCvChain(torch.compile(network, mode="reduce-overhead"), facts, report)
        for _ in range(3):  # compiles, records the CUDA graph, replays it
            found = compiled.logits(image)
    except Exception as error:  # inductor needs a C compiler and Triton, and has many kinds of errors
        left_out["compiled"] = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"
        return peers, left_out, agreement
    agreement["compiled_eager_cosine"] = cosine(expected, found)
    checked("1 - cosine of torch.compile's logits", 1 - cosine(expected, found), 1 - MIN_PEER_COSINE)
    return {"compiled": compiled, **peers}, left_out, agreement


def chain_programs(
    name: str, chain: OpenCvChain, host: Sequence[ByteArray], device: Sequence[torch.Tensor]
) -> dict[str, Callable[[int], object]]:
    """Return the chain's programs; a device frame is first copied to the host, where OpenCV is."""

    def with_overlay(frame: ByteArray) -> ByteArray:
        return chain.overlay(frame, chain(frame))

    return {
        f"{name}_host": lambda i: chain(host[i % len(host)]),
        f"{name}_host_overlay": lambda i: with_overlay(host[i % len(host)]),
        f"{name}_device": lambda i: chain(device[i % len(device)].cpu().numpy()),
        f"{name}_device_overlay": lambda i: with_overlay(device[i % len(device)].cpu().numpy()),
    }
