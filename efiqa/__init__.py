"""Tells a fundus camera whether a retinal photograph is good enough, where it is not, and why.

The public names are loaded when they are first used, so that ``efiqa doctor`` can explain an installation
whose compiled core does not load.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from efiqa._core import __version__ as __version__
    from efiqa.calibration import Calibration as Calibration
    from efiqa.calibration import calibrate as calibrate
    from efiqa.contract import Contract as Contract
    from efiqa.contract import OperatingPoint as OperatingPoint
    from efiqa.errors import BackendError as BackendError
    from efiqa.errors import BuildError as BuildError
    from efiqa.errors import ClosedError as ClosedError
    from efiqa.errors import ContractError as ContractError
    from efiqa.errors import DeadlineError as DeadlineError
    from efiqa.errors import EfiqaError as EfiqaError
    from efiqa.errors import EngineError as EngineError
    from efiqa.errors import FileError as FileError
    from efiqa.errors import FrameError as FrameError
    from efiqa.errors import InternalError as InternalError
    from efiqa.errors import LabelError as LabelError
    from efiqa.errors import ModelError as ModelError
    from efiqa.errors import OptionError as OptionError
    from efiqa.errors import PictureError as PictureError
    from efiqa.errors import SignatureError as SignatureError
    from efiqa.errors import ThreadError as ThreadError
    from efiqa.gate import BestFrame as BestFrame
    from efiqa.gate import CaptureDecision as CaptureDecision
    from efiqa.gate import CaptureGate as CaptureGate
    from efiqa.gate import FrameMeasures as FrameMeasures
    from efiqa.gate import GateParams as GateParams
    from efiqa.io import read_image as read_image
    from efiqa.report import FieldOfView as FieldOfView
    from efiqa.report import QualityReport as QualityReport
    from efiqa.report import Region as Region
    from efiqa.runtime import Runtime as Runtime
    from efiqa.runtime import RuntimeInfo as RuntimeInfo

_HOME = {
    "__version__": "_core",
    "Calibration": "calibration",
    "calibrate": "calibration",
    "Contract": "contract",
    "OperatingPoint": "contract",
    "BackendError": "errors",
    "ClosedError": "errors",
    "ContractError": "errors",
    "DeadlineError": "errors",
    "EfiqaError": "errors",
    "BuildError": "errors",
    "EngineError": "errors",
    "FileError": "errors",
    "FrameError": "errors",
    "InternalError": "errors",
    "LabelError": "errors",
    "ModelError": "errors",
    "OptionError": "errors",
    "PictureError": "errors",
    "SignatureError": "errors",
    "ThreadError": "errors",
    "BestFrame": "gate",
    "CaptureDecision": "gate",
    "CaptureGate": "gate",
    "FrameMeasures": "gate",
    "GateParams": "gate",
    "read_image": "io",
    "FieldOfView": "report",
    "QualityReport": "report",
    "Region": "report",
    "Runtime": "runtime",
    "RuntimeInfo": "runtime",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'efiqa' has no attribute {name!r}")
    value: object = getattr(import_module(f"efiqa.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
