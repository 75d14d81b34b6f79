"""Tells a fundus camera whether a retinal photograph is good enough, where it is not, and why."""

from efiqa._core import __version__
from efiqa.contract import Contract, OperatingPoint
from efiqa.errors import (
    BackendError,
    ClosedError,
    ContractError,
    EfiqaError,
    EngineError,
    FileError,
    FrameError,
    InternalError,
    ModelError,
    OptionError,
    PictureError,
    ThreadError,
)
from efiqa.io import read_image
from efiqa.report import FieldOfView, QualityReport, Region
from efiqa.runtime import Runtime, RuntimeInfo

__all__ = [
    "BackendError",
    "ClosedError",
    "Contract",
    "ContractError",
    "EfiqaError",
    "EngineError",
    "FieldOfView",
    "FileError",
    "FrameError",
    "InternalError",
    "ModelError",
    "OperatingPoint",
    "OptionError",
    "PictureError",
    "QualityReport",
    "Region",
    "Runtime",
    "RuntimeInfo",
    "ThreadError",
    "__version__",
    "read_image",
]
