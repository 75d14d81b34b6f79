"""``efiqa doctor``: what works in this installation, what is missing for which feature, and what mends it."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from efiqa.cli import output
from efiqa.cli.info import version_of

# Can hold OpenVINO to fewer instructions than the processor has; and values that do not.
_INSTRUCTIONS, _ALL_INSTRUCTIONS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"), ("", "ALL", "DEFAULT")
_TRAIN_MODULES = ("torch", "torchvision", "timm", "lightning", "albumentations", "onnx", "sklearn")


@dataclass(frozen=True)
class Check:
    """One finding: ``state`` is ``ok``, ``failed`` (efiqa cannot work), ``missing`` (optional feature)."""

    name: str
    state: str
    detail: str
    fix: str = ""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this sub-command to ``commands``."""
    parser = commands.add_parser("doctor", help="check the installation and say what mends it")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line instead of a table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Return 0 when pictures can be assessed, 1 when something needed for that fails."""
    checks = examine()
    failed = any(check.state == "failed" for check in checks)
    if arguments.json:
        for check in checks:
            print(json.dumps(asdict(check)))
        return 1 if failed else 0
    output.print_table(
        ("check", "state", "found", "what mends it"), [(c.name, c.state, c.detail, c.fix) for c in checks]
    )
    print("efiqa cannot assess pictures here" if failed else "efiqa can assess pictures here")
    return 1 if failed else 0


def examine() -> list[Check]:
    """Return the findings in order; a check that raises is a ``failed`` one, never an exception."""
    needed = (_openvino, _instruction_set, _extension, _pictures, _embedded_model, _self_test)
    checks = [_guarded(check) for check in needed]
    optional = (_tensorrt, _efiqa_build, _signatures)
    return [*checks, _demo_extra(), _train_extra(), *map(_guarded, optional), _sign_extra()]


def _guarded(check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:
        name = check.__name__.strip("_").replace("_", " ")
        return Check(
            name, "failed", f"{type(error).__name__}: {error}", "pip install --force-reinstall efiqa"
        )


def _openvino() -> Check:
    found = version_of("openvino")
    wanted = ""
    for requirement in importlib.metadata.requires("efiqa") or []:
        match = re.match(r"openvino==([0-9.]+)", requirement)
        wanted = match[1] if match else wanted
    if found.startswith(wanted) and found:
        return Check("openvino", "ok", found)
    return Check(
        "openvino",
        "failed",
        f"{found or 'not installed'}, expected {wanted}",
        f"pip install openvino=={wanted}",
    )


def _instruction_set() -> Check:
    """Held to fewer instructions than the processor has, OpenVINO 2026.4.0 computes wrongly."""
    held = {name: os.environ.get(name, "") for name in _INSTRUCTIONS}
    held = {name: value for name, value in held.items() if value.upper() not in _ALL_INSTRUCTIONS}
    if not held:
        return Check("instruction set", "ok", "all that the processor has")
    detail = ", ".join(f"{name} is {value}" for name, value in held.items())
    return Check(
        "instruction set", "failed", f"{detail}: OpenVINO's answers are wrong", f"unset {' '.join(held)}"
    )


def _extension() -> Check:
    from efiqa import _core

    installed = version_of("efiqa")
    if _core.__version__ == installed:
        return Check("extension", "ok", f"version {_core.__version__}")
    detail = f"built for {_core.__version__}, the package is {installed}"
    return Check("extension", "failed", detail, "pip install --force-reinstall efiqa")


def _pictures() -> Check:
    import cv2

    return Check("pictures", "ok", f"OpenCV {cv2.__version__}")


def _embedded_model() -> Check:
    from efiqa import _core
    from efiqa.contract import Contract
    from efiqa.runtime import EMBEDDED_MODEL

    contract = Contract.of_model(EMBEDDED_MODEL)
    data = EMBEDDED_MODEL.read_bytes()
    if _core.sha256_hex(data) != contract.model_sha256:
        detail = f"{EMBEDDED_MODEL.name} is not the file that its contract describes (SHA-256)"
        return Check("embedded model", "failed", detail, "pip install --force-reinstall efiqa")
    return Check(
        "embedded model", "ok", f"{contract.id}, {len(data) / 2**20:.2f} MiB, SHA-256 as in its contract"
    )


def _self_test() -> Check:
    """Assess a drawn field of view and a black frame; the black one must stay without a score."""
    from efiqa.runtime import Runtime

    with Runtime() as runtime:
        lit, black = runtime.assess(_drawn_field(512)), runtime.assess(np.zeros((512, 512, 3), np.uint8))
        # A drawn disc is no retina: a model that says so answers without a score, and is right.
        scored = lit.score is not None and 0 <= lit.score <= 1
        if not lit.fov.found or not (scored or lit.reason == "not_a_fundus"):
            return Check("self test", "failed", f"a drawn field of view gave {lit.verdict} {lit.reason}")
        if black.verdict != "unknown" or black.score is not None:
            return Check("self test", "failed", f"a black frame gave {black.verdict}")
        return Check(
            "self test", "ok", f"{runtime.info.engine}, {lit.timings_ms['total']:.1f} ms for 512 x 512 px"
        )


def _drawn_field(side_px: int) -> NDArray[np.uint8]:
    """Return an RGB frame with a reddish disc, brighter in the middle, on black; about a retina's colours."""
    y, x = np.mgrid[:side_px, :side_px] + 0.5 - side_px / 2
    radius = np.hypot(x, y) / (0.46 * side_px)
    light = np.where(radius <= 1, 1 - 0.4 * radius**2, 0)[:, :, None]
    frame: NDArray[np.uint8] = (light * (190, 90, 45)).round().astype(np.uint8)
    return frame


def _demo_extra() -> Check:
    if importlib.util.find_spec("skimage"):
        return Check("efiqa demo", "ok", f"scikit-image {version_of('scikit-image')}")
    return Check(
        "efiqa demo", "missing", "scikit-image, whose photograph it shows", "pip install 'efiqa[demo]'"
    )


def _train_extra() -> Check:
    missing = [name for name in _TRAIN_MODULES if not importlib.util.find_spec(name)]
    if not missing:
        return Check("training", "ok", f"torch {version_of('torch')}")
    return Check("training", "missing", ", ".join(missing), "pip install 'efiqa[train]'")


def _tensorrt() -> Check:
    from efiqa import _core

    row = next((row for row in _core.backends() if row["name"] == "tensorrt"), None)
    if row and row["built_in"]:
        return Check("TensorRT", "ok", str(row["version"]))
    return Check(
        "TensorRT", "missing", "not built into this installation", "the openvino back end runs .onnx models"
    )


def _efiqa_build() -> Check:
    from efiqa.build.provider import NAMES, installed

    found = [f"{NAMES[flavour]} {version}" for flavour, version in installed()]
    if found:
        return Check("efiqa build", "ok", ", ".join(found))
    return Check("efiqa build", "missing", "TensorRT, which builds plans", "pip install 'efiqa[tensorrt]'")


def _signatures() -> Check:
    from efiqa import _core

    support = _core.signature_support()
    if support["built_in"]:
        return Check("signed models", "ok", str(support["version"]))
    fix = "apt-get install libssl-dev, then pip install --force-reinstall --no-binary efiqa efiqa"
    return Check("signed models", "missing", str(support["version"]), fix)


def _sign_extra() -> Check:
    if importlib.util.find_spec("cryptography"):
        return Check("efiqa sign", "ok", f"cryptography {version_of('cryptography')}")
    return Check("efiqa sign", "missing", "cryptography, which makes keys", "pip install 'efiqa[sign]'")
