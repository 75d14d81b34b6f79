import pytest

import efiqa
from efiqa import _core, errors


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_argument", efiqa.OptionError),
        ("invalid_frame", efiqa.FrameError),
        ("file_unreadable", efiqa.ModelError),
        ("model_invalid", efiqa.ModelError),
        ("contract_invalid", efiqa.ContractError),
        ("backend_unavailable", efiqa.BackendError),
        ("engine_failure", efiqa.EngineError),
        ("deadline", efiqa.DeadlineError),
        ("wrong_thread", efiqa.ThreadError),
        ("internal", efiqa.InternalError),
        ("signature_invalid", efiqa.SignatureError),
        ("a_code_of_the_future", efiqa.InternalError),
    ],
)
def test_core_error_becomes_the_named_exception(code, kind):
    failure = _core.CoreError("frame.width_px is 3")
    failure.code = code
    with pytest.raises(kind, match=r"frame\.width_px is 3") as caught, errors.core_errors():
        raise failure
    assert type(caught.value) is kind
    assert caught.value.code == code


def test_core_errors_lets_other_exceptions_pass():
    with pytest.raises(ZeroDivisionError), errors.core_errors():
        _ = 1 // 0


def test_every_error_is_an_efiqa_error_with_a_code_of_its_own():
    kinds = [getattr(efiqa, name) for name in efiqa.__all__ if name.endswith("Error")]
    assert all(issubclass(kind, efiqa.EfiqaError) for kind in kinds)
    assert len({kind("x").code for kind in kinds}) == len(kinds)


def test_builtin_bases_let_callers_stay_ignorant_of_efiqa():
    assert issubclass(efiqa.FrameError, ValueError)
    assert issubclass(efiqa.FileError, OSError)
    assert issubclass(efiqa.ContractError, efiqa.ModelError)
