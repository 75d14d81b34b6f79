"""The exceptions that efiqa raises, and the one place where failures of the core become them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class EfiqaError(Exception):
    """Base of everything that efiqa raises on purpose.

    ``code`` is a stable lower-case name for programs; the message is for people and names the field,
    its value, the rule it breaks and, where there is one, the fix.
    """

    default_code: ClassVar[str] = "error"

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code or self.default_code


class OptionError(EfiqaError, ValueError):
    """An option of a call is outside its range or its list of names."""

    default_code = "invalid_argument"


class FrameError(EfiqaError, ValueError):
    """An array that cannot be a frame: type, dtype, shape, strides or size."""

    default_code = "invalid_frame"


class FileError(EfiqaError, OSError):
    """A file or folder that is missing, unreadable or cannot be written."""

    default_code = "file_unreadable"


class PictureError(EfiqaError, ValueError):
    """A file that is no picture, a damaged one, or one whose content would have to be guessed."""

    default_code = "picture_unreadable"


class LabelError(EfiqaError, ValueError):
    """Labels of pictures that break a rule, or that no limit of the score can follow."""

    default_code = "labels_invalid"


class ModelError(EfiqaError):
    """A model that does not parse, or does not fit its contract."""

    default_code = "model_invalid"


class ContractError(ModelError):
    """A contract that is missing, garbled, incomplete, unknown, or of another model."""

    default_code = "contract_invalid"


class SignatureError(ModelError):
    """A model that is unsigned, altered after signing, or signed by nobody who is trusted."""

    default_code = "signature_invalid"


class BackendError(EfiqaError):
    """A back end, or the checking of signatures, that this installation or machine does not have."""

    default_code = "backend_unavailable"


class BuildError(EfiqaError):
    """TensorRT did not build a plan, or the plan that it built does not compute the same."""

    default_code = "build_failed"


class EngineError(EfiqaError):
    """The engine failed in the middle of a frame, or answered with NaN or infinity."""

    default_code = "engine_failure"


class DeadlineError(EfiqaError, TimeoutError):
    """A frame took longer than ``deadline_ms``; there is no judgement, and the Runtime stays usable."""

    default_code = "deadline"


class ThreadError(EfiqaError):
    """Two threads were inside one Runtime at the same time."""

    default_code = "wrong_thread"


class ClosedError(EfiqaError):
    """A Runtime was used after ``close()``."""

    default_code = "closed"


class InternalError(EfiqaError):
    """A defect of efiqa itself; please report it."""

    default_code = "internal"


# Names of csrc/status.h; the only files that the core reads are models and contracts. A name that is missing
# here becomes an InternalError that shows it.
_BY_CODE: dict[str, type[EfiqaError]] = {
    "invalid_argument": OptionError,
    "invalid_frame": FrameError,
    "file_unreadable": ModelError,
    "model_invalid": ModelError,
    "contract_invalid": ContractError,
    "backend_unavailable": BackendError,
    "engine_failure": EngineError,
    "deadline": DeadlineError,
    "wrong_thread": ThreadError,
    "internal": InternalError,
    "signature_invalid": SignatureError,
}


@contextmanager
def core_errors() -> Iterator[None]:
    """Turn a ``CoreError`` raised inside the block into the matching ``EfiqaError``, same code and text."""
    from efiqa import _core  # here, so that the errors exist where the core does not load

    try:
        yield
    except _core.CoreError as error:
        kind = _BY_CODE.get(error.code, InternalError)
        raise kind(str(error), code=error.code) from None
