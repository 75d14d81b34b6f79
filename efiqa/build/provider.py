"""Which TensorRT there is: the package ``tensorrt`` or TensorRT-RTX's bindings, behind one name.

This is the only place that imports them. They load some hundred MB of libraries, so ``installed()`` answers
from the packages' metadata alone.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from typing import Any

from efiqa.errors import BackendError

# Flavour as in the contract, with the modules that may hold it, in the order of trying. NVIDIA's own index
# has tensorrt_rtx; what PyPI has is imported as tensorrt_rtx_bindings.
MODULES = {"tensorrt": ("tensorrt",), "tensorrt_rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings")}
NAMES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
PROVIDERS = ("auto", *MODULES)
_FIXES = {
    "auto": "pip install 'efiqa[tensorrt]' for TensorRT-RTX, or use JetPack's package tensorrt",
    "tensorrt": "install NVIDIA's package tensorrt (JetPack has it), or use --provider tensorrt_rtx",
    "tensorrt_rtx": "pip install 'efiqa[tensorrt]'",
}


@dataclass(frozen=True)
class Provider:
    """An imported TensorRT: ``module`` is what the vendor's documentation calls ``trt``."""

    flavour: str  # a key of MODULES
    version: str
    module: Any

    @property
    def name(self) -> str:
        """For people, for example ``TensorRT-RTX 1.7.1.116``."""
        return f"{NAMES[self.flavour]} {self.version}"


def installed() -> list[tuple[str, str]]:
    """Return (flavour, version) of each TensorRT that Python would find, without importing any."""
    found = []
    for flavour, modules in MODULES.items():
        module = next((name for name in modules if importlib.util.find_spec(name)), "")
        if module:
            found.append((flavour, _version_of_module(module)))
    return found


def _version_of_module(module: str) -> str:
    for distribution in importlib.metadata.packages_distributions().get(module, ()):
        return importlib.metadata.version(distribution)
    return "of unknown version"


def load_provider(wanted: str = "auto") -> Provider:
    """Return the TensorRT that ``wanted`` (one of PROVIDERS) names; ``auto`` takes the first that there is.

    Raises:
        BackendError: it is not installed, or its libraries do not load.
    """
    flavours = tuple(MODULES) if wanted == "auto" else (wanted,)
    broken = ""
    for flavour in flavours:
        for name in MODULES[flavour]:
            if importlib.util.find_spec(name) is None:
                continue
            try:
                module = importlib.import_module(name)
                return Provider(flavour, str(module.__version__), module)
            except (ImportError, OSError, AttributeError) as error:
                broken = f"{NAMES[flavour]} is installed but does not load ({error})"
    what = broken or f"{NAMES.get(wanted, 'TensorRT')} is not installed"
    raise BackendError(f"{what}, and plans are built with it; {_FIXES[wanted]}")
