"""``efiqa build``: a TensorRT plan from an ONNX model. Nothing here is imported by the runtime."""

from efiqa.build.builder import BuildOptions, NetworkFacts, Tensor
from efiqa.build.plan import BuildReport, build_plan
from efiqa.build.provider import PROVIDERS, Provider, installed, load_provider

__all__ = [
    "PROVIDERS",
    "BuildOptions",
    "BuildReport",
    "NetworkFacts",
    "Provider",
    "Tensor",
    "build_plan",
    "installed",
    "load_provider",
]
