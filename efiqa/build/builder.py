"""From an ONNX model to a serialised plan: one code path for TensorRT 10, 11 and TensorRT-RTX.

The network is strongly typed: each tensor's precision is the ONNX graph's. TensorRT 11 has nothing else, and
in 10 it keeps what the parity figures were measured on.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from efiqa._files import reading, write_atomically
from efiqa.build.monitor import OnProgress, Progress, TrtObject, make_log, make_monitor
from efiqa.build.provider import Provider
from efiqa.errors import BuildError, ModelError, OptionError

_MAX_ERRORS_SHOWN = 3
_POLL_SECONDS = 0.1  # signal handlers run between two of these
MIB = 1 << 20


@dataclass(frozen=True)
class BuildOptions:
    """``compute_capabilities``: of the target devices, RTX only; None or empty leave TensorRT its default."""

    compute_capabilities: tuple[str, ...] = ()
    workspace_mib: int | None = None
    optimization_level: int | None = None
    timing_cache: Path | None = None


@dataclass(frozen=True)
class Tensor:
    """An input or output of a network: ``dtype`` as TensorRT calls it, for example ``FLOAT``."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} ({', '.join(map(str, self.shape))})"


@dataclass(frozen=True)
class NetworkFacts:
    """What TensorRT's parser made of the ONNX graph; a plan itself can be inspected on a device only."""

    layers: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class BuiltPlan:
    """``plan`` is a buffer of TensorRT's, or a file in the cache; ``seconds`` are the build's."""

    plan: memoryview | Path
    network: NetworkFacts
    seconds: float


class Builder:
    """One build: ``parse`` the model, look at ``network``, then ``build``.

    Raises:
        OptionError: an option that this TensorRT does not have, or a value outside its range.
    """

    def __init__(self, provider: Provider, options: BuildOptions) -> None:
        trt = provider.module
        self._provider = provider
        self._options = options
        self._log = make_log(trt)
        self._builder = trt.Builder(self._log)
        if self._builder is None:
            raise self._failure("cannot start")
        self._config = self._builder.create_builder_config()
        flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
        if flag is None:
            raise BuildError(f"{provider.name} has no strongly typed networks; install TensorRT 10 or later")
        self._network = self._builder.create_network(1 << int(flag))
        self._configure()

    def parse(self, model: bytes, path: Path) -> NetworkFacts:
        """Return what the parser made of the ONNX file ``model``; ``path`` is for messages.

        Raises:
            ModelError: the parser refuses it.
        """
        parser = self._provider.module.OnnxParser(self._network, self._log)
        if not parser.parse(model):
            errors = [parser.get_error(i) for i in range(parser.num_errors)]
            shown = "; ".join(_parser_line(error) for error in errors[:_MAX_ERRORS_SHOWN])
            more = f"; and {len(errors) - _MAX_ERRORS_SHOWN} more" if len(errors) > _MAX_ERRORS_SHOWN else ""
            raise ModelError(f"{self._provider.name} cannot parse {path}: {shown}{more}")
        network = self._network
        return NetworkFacts(
            layers=network.num_layers,
            inputs=tuple(_tensor(network.get_input(i)) for i in range(network.num_inputs)),
            outputs=tuple(_tensor(network.get_output(i)) for i in range(network.num_outputs)),
        )

    def build(self, facts: NetworkFacts, on_progress: OnProgress | None = None) -> BuiltPlan:
        """Return the plan of the parsed network. Ctrl-C ends it at TensorRT's next step.

        Raises:
            BuildError: TensorRT gave no plan; the message has its errors.
            KeyboardInterrupt: it was interrupted, and TensorRT has let go of the network.
        """
        started = time.monotonic()
        self._log.lines.clear()
        progress = Progress(on_progress)
        monitor = make_monitor(self._provider.module, progress)
        self._config.progress_monitor = monitor
        plan = _interruptible(
            lambda: self._builder.build_serialized_network(self._network, self._config), progress
        )
        self._config.progress_monitor = None
        if progress.cancelled:
            raise KeyboardInterrupt
        if isinstance(plan, Exception):
            raise self._failure(f"failed with {type(plan).__name__} ({plan})")
        if plan is None or plan.nbytes == 0:
            raise self._failure("built no plan")
        self._save_timing_cache()
        return BuiltPlan(
            plan=memoryview(plan),
            network=facts,
            seconds=time.monotonic() - started,
        )

    @property
    def workspace_mib(self) -> int:
        """The limit that TensorRT keeps to."""
        pool = self._provider.module.MemoryPoolType.WORKSPACE
        return int(self._config.get_memory_pool_limit(pool)) // MIB

    @property
    def optimization_level(self) -> int:
        """The level that TensorRT uses."""
        return int(self._config.builder_optimization_level)

    def _configure(self) -> None:
        options, trt = self._options, self._provider.module
        if options.workspace_mib is not None:
            self._config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib * MIB)
        if options.optimization_level is not None:
            self._config.builder_optimization_level = options.optimization_level
        if options.compute_capabilities:
            self._set_compute_capabilities(options.compute_capabilities)
        if options.timing_cache is not None:
            self._load_timing_cache(options.timing_cache)

    def _set_compute_capabilities(self, wanted: tuple[str, ...]) -> None:
        if self._provider.flavour != "tensorrt_rtx":
            raise OptionError(
                f"compute_capability is {', '.join(wanted)}, and {self._provider.name} builds for the GPU of "
                "this machine alone; leave it out, or use --provider tensorrt_rtx"
            )
        members = self._provider.module.ComputeCapability.__members__
        known = {_capability_text(name): member for name, member in members.items() if name[:2] == "SM"}
        self._config.num_compute_capabilities = len(wanted)
        for index, text in enumerate(wanted):
            if text not in known:
                raise OptionError(
                    f"compute_capability is {text!r}, expected one of {', '.join(known)}, which "
                    f"{self._provider.name} can build for"
                )
            if not self._config.set_compute_capability(known[text], index):
                raise self._failure(f"refuses compute capability {text}")

    def _load_timing_cache(self, path: Path) -> None:
        if self._provider.flavour == "tensorrt_rtx":
            raise OptionError(
                f"timing_cache is {path}, and TensorRT-RTX times its kernels on the device that runs them; "
                "leave it out"
            )
        with reading(f"timing_cache {path}", kind=OptionError):
            data = path.read_bytes() if path.exists() else b""
        cache = self._config.create_timing_cache(data)
        if cache is None or not self._config.set_timing_cache(cache, False):
            raise OptionError(
                f"timing_cache {path} is not one of {self._provider.name} on this GPU; remove it"
            )

    def _save_timing_cache(self) -> None:
        if self._options.timing_cache is not None:
            data = bytes(self._config.get_timing_cache().serialize())
            write_atomically(self._options.timing_cache, data)

    def _failure(self, what: str) -> BuildError:
        lines = "; ".join(self._log.lines[-_MAX_ERRORS_SHOWN:]) or "it gave no reason"
        return BuildError(f"{self._provider.name} {what}: {lines}")


def _interruptible(build: Callable[[], TrtObject], progress: Progress) -> TrtObject:
    """Return what ``build`` returns, or the exception that it raises; Ctrl-C cancels ``progress`` meanwhile.

    ``build`` has a thread of its own: Python runs signal handlers in the main thread between two lines of
    Python, and an exception inside one of TensorRT's callbacks would end the process.
    """
    outcome: list[TrtObject] = []

    def work() -> None:
        try:
            outcome.append(build())
        except Exception as error:
            outcome.append(error)

    worker = threading.Thread(target=work, name="efiqa-build")
    with _interrupts_cancel(progress):
        worker.start()
        while worker.is_alive():
            worker.join(_POLL_SECONDS)
    return outcome[0]


@contextmanager
def _interrupts_cancel(progress: Progress) -> Iterator[None]:
    """Let Ctrl-C cancel ``progress`` instead of raising, so that TensorRT is never left behind."""
    before = signal.getsignal(signal.SIGINT)
    # Other threads get no KeyboardInterrupt, and a process that ignores SIGINT goes on ignoring it.
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: progress.cancel())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _parser_line(error: TrtObject) -> str:
    node = f"node {error.node()}: " if error.node() >= 0 else ""
    return node + " ".join(str(error.desc()).split())


def _tensor(tensor: TrtObject) -> Tensor:
    return Tensor(tensor.name, str(tensor.dtype).rpartition(".")[2], tuple(tensor.shape))


def _capability_text(name: str) -> str:
    """Return ``8.7`` for ``SM87``, ``12.1`` for ``SM121``."""
    digits = name[2:]
    return f"{digits[:-1]}.{digits[-1]}"
