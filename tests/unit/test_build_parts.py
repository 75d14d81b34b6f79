"""The parts of efiqa/build that need no TensorRT: progress, targets, cache keys, providers."""

import os
import signal
import sys
import time
import types
from pathlib import Path

import pytest

from efiqa import BackendError
from efiqa.build import device, provider
from efiqa.build.builder import BuiltPlan, NetworkFacts, Tensor, _interruptible
from efiqa.build.cache import PlanCache, cache_key, default_folder, file_sha256
from efiqa.build.monitor import Progress


def test_progress_nested_phases_make_one_share_that_never_falls():
    told: list[tuple[float, str]] = []
    progress = Progress(lambda share, phase: told.append((share, phase)))
    progress.phase_start("build", None, 2)
    progress.phase_start("parse", "build", 4)
    assert progress.step_complete("parse", 1) is True
    assert told[-1] == (0.25, "parse")  # half of the first of two steps
    progress.phase_finish("parse")
    assert told[-1] == (0.5, "parse")
    progress.step_complete("build", 0)
    progress.phase_start("time", "build", 2)
    progress.step_complete("time", 0)
    assert told[-1] == (0.75, "time")
    progress.phase_finish("time")
    progress.phase_finish("build")
    assert told[-1] == (1.0, "build")
    shares = [share for share, _ in told]
    assert shares == sorted(shares)


def test_progress_takes_phases_without_steps_and_steps_without_phases():
    progress = Progress()
    progress.phase_start("empty", "nobody", 0)
    assert progress.step_complete("unknown", 3) is True
    progress.phase_finish("unknown")
    progress.phase_finish("empty")


def test_progress_cancelled_asks_to_stop_at_each_step():
    progress = Progress()
    progress.phase_start("build", None, 3)
    assert progress.step_complete("build", 0) is True
    progress.cancel()
    assert progress.step_complete("build", 1) is False
    assert progress.step_complete("unknown", 1) is False


@pytest.mark.parametrize(
    ("gpu", "targets", "fits"),
    [
        ("8.7", ["8.7"], True),
        ("8.7", ["8.6", "8.9"], False),
        ("9.0", ["8.0+"], True),
        ("12.1", ["8.6", "12.0+"], True),
        ("7.5", ["8.0+"], False),
        ("10.0", ["9.0+"], True),  # as numbers, not as text
    ],
)
def test_device_fits_targets(gpu, targets, fits):
    assert device.fits(gpu, targets) is fits


def test_cache_key_changes_with_each_fact():
    facts = {"onnx_sha256": "a" * 64, "version": "1.7", "compute_capabilities": ["8.0+"], "workspace_mib": 1}
    keys = {cache_key(facts)} | {cache_key({**facts, name: "other"}) for name in facts}
    assert len(keys) == 5
    assert cache_key(dict(reversed(facts.items()))) == cache_key(facts)


def test_cache_folder_is_named_by_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("EFIQA_CACHE_DIR", raising=False)
    assert default_folder() == tmp_path / "xdg" / "efiqa"
    monkeypatch.setenv("EFIQA_CACHE_DIR", str(tmp_path / "own"))
    assert default_folder() == tmp_path / "own"
    monkeypatch.delenv("EFIQA_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache" / "efiqa"


@pytest.fixture
def stored(tmp_path):
    """A cache with one plan under the key ``k``."""
    source = tmp_path / "built.plan"
    source.write_bytes(b"plan" * 1000)
    tensor = Tensor("image", "FLOAT", (1, 3, 64, 64))
    built = BuiltPlan(memoryview(b""), NetworkFacts(2, (tensor,), (tensor,)), 1.25)
    cache = PlanCache(tmp_path / "cache")
    cache.store("k", source, file_sha256(source), built)
    return cache, built, tmp_path / "cache" / "plans"


def test_cache_finds_what_was_stored_and_nothing_else(stored):
    cache, built, folder = stored
    found = cache.find("k")
    assert found is not None
    assert Path(found.plan).read_bytes() == b"plan" * 1000
    assert found.network == built.network
    assert found.seconds == 1.25
    assert cache.find("other") is None
    assert sorted(path.name for path in folder.iterdir()) == ["k.facts.json", "k.plan"]


@pytest.mark.parametrize("damage", ["cut", "changed", "no facts", "garbled", "wrong kind", "no plan"])
def test_cache_entry_that_is_not_whole_is_no_entry(stored, damage):
    cache, _, folder = stored
    plan, facts = folder / "k.plan", folder / "k.facts.json"
    match damage:
        case "cut":
            plan.write_bytes(plan.read_bytes()[:-1])
        case "changed":
            plan.write_bytes(b"nalp" * 1000)
        case "no facts":
            facts.unlink()
        case "garbled":
            facts.write_text(facts.read_text()[:30])
        case "wrong kind":
            facts.write_text("[]")
        case "no plan":
            plan.unlink()
    assert cache.find("k") is None


@pytest.fixture
def only(monkeypatch):
    """Make exactly these modules importable; an exception stands for one that does not load."""

    def install(**modules):
        def find(name):
            return object() if name in modules else None

        def load(name):
            if isinstance(modules[name], Exception):
                raise modules[name]
            return modules[name]

        monkeypatch.setattr(provider.importlib.util, "find_spec", find)
        monkeypatch.setattr(provider.importlib, "import_module", load)

    return install


def test_provider_auto_takes_tensorrt_before_tensorrt_rtx(only):
    module = types.SimpleNamespace(__version__="10.13.3.9")
    only(tensorrt=module, tensorrt_rtx_bindings=types.SimpleNamespace(__version__="1.7.1.116"))
    found = provider.load_provider()
    assert (found.flavour, found.version, found.name) == ("tensorrt", "10.13.3.9", "TensorRT 10.13.3.9")
    assert provider.load_provider("tensorrt_rtx").name == "TensorRT-RTX 1.7.1.116"
    assert [flavour for flavour, _ in provider.installed()] == ["tensorrt", "tensorrt_rtx"]


def test_provider_that_does_not_load_gives_way_or_is_named(only):
    rtx = types.SimpleNamespace(__version__="1.7.1.116")
    only(tensorrt=ImportError("libnvinfer.so.10: not found"), tensorrt_rtx=rtx)
    assert provider.load_provider().flavour == "tensorrt_rtx"
    with pytest.raises(BackendError, match=r"TensorRT is installed but does not load \(libnvinfer"):
        provider.load_provider("tensorrt")


@pytest.mark.parametrize("wanted", provider.PROVIDERS)
def test_provider_that_is_not_there_says_what_mends_it(only, wanted):
    only()
    assert provider.installed() == []
    with pytest.raises(BackendError, match=r"is not installed.*(pip install|--provider tensorrt_rtx)"):
        provider.load_provider(wanted)


def test_provider_installed_imports_nothing():
    before = set(sys.modules)
    provider.installed()
    assert not [name for name in set(sys.modules) - before if name.startswith("tensorrt")]


def test_interruptible_hands_on_what_the_build_returns_or_raises():
    assert _interruptible(lambda: "plan", Progress()) == "plan"
    error = RuntimeError("out of memory")

    def fail():
        raise error

    assert _interruptible(fail, Progress()) is error


def test_interruptible_build_sees_the_cancellation_and_is_waited_for():
    progress = Progress()
    seen = []

    def build():
        os.kill(os.getpid(), signal.SIGINT)
        assert progress._cancelled.wait(60)
        time.sleep(0.3)  # several polls
        seen.append("stopped")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert _interruptible(build, progress) is None
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert progress.cancelled
    assert seen == ["stopped"]


def test_interruptible_leaves_an_ignored_signal_ignored():
    progress = Progress()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert _interruptible(lambda: os.kill(os.getpid(), signal.SIGINT), progress) is None
    finally:
        signal.signal(signal.SIGINT, before)
    assert not progress.cancelled
