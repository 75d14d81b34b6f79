"""The Runtime: check the arguments, call the core, return a report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from efiqa import _core
from efiqa.contract import Contract
from efiqa.errors import BackendError, ClosedError, ModelError, OptionError, core_errors
from efiqa.frame import Frame, FrameLayout, checked_frame
from efiqa.report import QualityReport, make_report
from efiqa.trust import PublicKey, trusted_key_bytes

EMBEDDED_MODEL = Path(__file__).with_name("models") / "efiqa.onnx"
BACKENDS = ("auto", "openvino", "tensorrt")
_PLAN_SUFFIXES = (".plan", ".engine")
_Assess = Callable[[_core.Runtime, Frame, str], _core.Report]


@dataclass(frozen=True)
class RuntimeInfo:
    """What an open Runtime runs: file, contract, back end and options.

    ``signed_by`` is the id of the trusted key that signed the contract; empty when no key was given.
    """

    model_path: str
    model_id: str
    model_sha256: str
    trained: bool
    engine: str
    threads: int
    operating_point: str
    contract: Contract
    signed_by: str


class Runtime:
    """One opened model. Use each Runtime from one thread at a time; open one per thread.

    The GIL is released while a model opens and while a frame is assessed. A second thread that calls
    ``assess`` meanwhile gets a ThreadError at once; nothing is queued.

    Args:
        model: path of an ONNX model with its contract beside it (``NAME.onnx.json``); by default the model
            that is installed with the package.
        threads: how many CPU threads one frame may use, from 1; by default one per core that this process
            may use, at most 4.
        operating_point: name in the contract; by default the contract's own default.
        backend: ``auto``, ``openvino`` or ``tensorrt``. A back end that is named and not there is an error.
        allow_untrained: open a model whose contract says that its weights are random (for latency work).
        trusted_keys: Ed25519 public keys, each as 32 bytes or as the path of its PEM file. When there are
            any, the model opens only with a signature by one of them (``NAME.onnx.json.sig``).
        deadline_ms: the longest that one frame may take, 1 to 60000; by default there is no limit. On the CPU
            the network is interrupted; on a GPU a late answer is withheld.
        require_signature: True makes an empty ``trusted_keys`` an error instead of a way to ask for none.

    Raises:
        ModelError: the model is missing, does not parse, or does not fit its contract.
        ContractError: the contract is missing, invalid, or of another model.
        SignatureError: the model is unsigned, altered, or signed by nobody who is trusted.
        BackendError: the back end, or the checking of signatures, is not in this installation.
        OptionError: an unknown back end or operating point, threads below 1, or a deadline out of its range.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        threads: int | None = None,
        operating_point: str | None = None,
        backend: str = "auto",
        allow_untrained: bool = False,
        trusted_keys: Iterable[PublicKey] = (),
        require_signature: bool = False,
        deadline_ms: int | None = None,
    ) -> None:
        self._core: _core.Runtime | None = None
        if backend not in BACKENDS:
            raise OptionError(f"backend is {backend!r}, expected one of {', '.join(BACKENDS)}")
        if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
            raise OptionError(f"threads is {threads!r}, expected an integer from 1, or None for the default")
        if deadline_ms is not None and (isinstance(deadline_ms, bool) or deadline_ms == 0):
            raise OptionError(f"deadline_ms is {deadline_ms!r}, expected 1 to 60000, or None for no limit")
        path = EMBEDDED_MODEL if model is None else Path(model)
        _check_model_file(path, embedded=model is None, backend=backend)
        if not Path(_core.contract_path(str(path))).is_file():
            Contract.of_model(path)  # raises the error that says what is missing
        keys = trusted_key_bytes(trusted_keys)
        with core_errors():
            core = _core.Runtime(
                str(path),
                backend=backend,
                threads=threads or 0,
                operating_point=operating_point or "",
                allow_untrained=allow_untrained,
                trusted_keys=keys,
                require_signature=require_signature,
                deadline_ms=deadline_ms or 0,
            )
            # What the core read and checked; the file may have changed since.
            contract = Contract(core.contract_text.decode("utf-8"), origin=_core.contract_path(str(path)))
            self.info = RuntimeInfo(
                model_path=str(path),
                model_id=contract.id,
                model_sha256=contract.model_sha256,
                trained=contract.trained,
                engine=core.engine_description,
                threads=core.threads,
                operating_point=operating_point or contract.default_operating_point,
                contract=contract,
                signed_by=core.signed_by,
            )
        self._core = core

    def assess(
        self,
        frame: object,
        *,
        bgr: bool = False,
        pixel_format: str | None = None,
        yuv_matrix: str = "bt601",
        yuv_range: str = "limited",
    ) -> QualityReport:
        """Return the judgement of one frame.

        Args:
            frame: uint8 (H, W) grey, (H, W, 3) RGB, or (H, W, 4) RGBA, whose fourth channel is ignored; 64 to
                8192 pixels a side: a numpy array, or an object with ``__cuda_array_interface__`` or DLPack
                (pycuda, CuPy, torch), which a Runtime on the GPU takes where it is, after the work of the
                stream that writes it. Views are taken without a copy as long as the pixels of a row lie side
                by side. Do not write to it while it is assessed.
            bgr: the channels are blue, green, red, as OpenCV has them.
            pixel_format: ``nv12``, uint8 (H * 3 / 2, W) with the plane of Y above that of U and V, or
                ``yuyv``, uint8 (H, W, 2); None for the shapes above.
            yuv_matrix: ``bt601`` or ``bt709``: the colours that ``nv12`` and ``yuyv`` mean. The bytes do not
                tell; the camera's documentation does. No meaning for other frames.
            yuv_range: ``limited`` (Y in 16..235) or ``full`` (0..255), likewise.

        Raises:
            FrameError: ``frame`` is not such an array; nothing is converted or guessed.
            OptionError: an unknown name, or ``bgr`` beside ``pixel_format``.
            ThreadError: another thread is inside this Runtime.
            EngineError: the engine failed; the Runtime stays usable.
            DeadlineError: the frame took longer than ``deadline_ms``; the Runtime stays usable.
            ClosedError: after ``close()``.
        """

        def assess(core: _core.Runtime, array: Frame, core_format: str) -> _core.Report:
            return core.assess(array, core_format, yuv_matrix=yuv_matrix, yuv_range=yuv_range)

        return self._judge(frame, FrameLayout(bgr, pixel_format, yuv_matrix, yuv_range), assess)

    def _judge(self, frame: object, layout: FrameLayout, assess: _Assess) -> QualityReport:
        """Return the public report of what ``assess`` makes of the checked frame."""
        core = self._core
        if core is None:
            raise ClosedError("this Runtime is closed; open another one")
        array, core_format = checked_frame(frame, bgr=layout.bgr, pixel_format=layout.pixel_format)
        with core_errors():
            report = assess(core, array, core_format)
        info = self.info
        return make_report(
            report,
            array,
            runtime=core,
            layout=layout,
            model={"id": info.model_id, "sha256": info.model_sha256},
            engine=info.engine,
            operating_point=info.operating_point,
        )

    def run_network(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (N, C, h, w) of the network alone, for checks against the original.

        Args:
            inputs: float32 (N, 3, H, W), cropped, resized and normalised as the contract says.

        Raises:
            OptionError: ``inputs`` is not such an array.
            ThreadError, EngineError, ClosedError: as in ``assess``.
        """
        core = self._core
        if core is None:
            raise ClosedError("this Runtime is closed; open another one")
        if not isinstance(inputs, np.ndarray) or inputs.ndim != 4 or len(inputs) == 0:
            shape = getattr(inputs, "shape", type(inputs).__name__)
            raise OptionError(f"inputs is {shape}, expected a float32 array (N, 3, H, W) with N from 1")
        with core_errors():
            logits = [core.run_network(np.ascontiguousarray(picture)) for picture in inputs]
        return np.stack(logits)

    def close(self) -> None:
        """Give the model and its buffers back. Closing twice is fine."""
        self._core = None

    def __enter__(self) -> Runtime:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._core is None else self.info.engine
        return f"<efiqa.Runtime {self.info.model_id}, {state}>"


def _check_model_file(path: Path, *, embedded: bool, backend: str) -> None:
    """Raise the error that says why ``path`` cannot be opened, before anything is read from it."""
    is_plan = path.suffix.lower() in _PLAN_SUFFIXES
    if is_plan or backend == "tensorrt":
        with core_errors():
            tensorrt = [row for row in _core.backends() if row["name"] == "tensorrt" and row["built_in"]]
        if not tensorrt:
            subject = f"{path} is a TensorRT plan" if is_plan else "backend is 'tensorrt'"
            raise BackendError(
                f"{subject}, and TensorRT is not built into this installation; "
                "use an .onnx model, which the openvino back end runs"
            )
    if path.is_file():
        return
    if embedded:
        raise ModelError(
            f"the embedded model {path.name} is not in this installation; "
            "reinstall efiqa, or give the path of a model",
            code="model_missing",
        )
    what = "is a folder" if path.is_dir() else "does not exist"
    raise ModelError(f"model {path} {what}, expected an .onnx file", code="model_missing")
