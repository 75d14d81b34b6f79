"""The soak run in short: memory and answers, never time."""

import json

import pytest

from benchmarks import soak

FRAMES = 2000


@pytest.mark.slow
def test_soak_keeps_its_memory_and_answers_alike(library, retina, tmp_path, capsys):
    out = tmp_path / "soak.json"
    status = soak.main(["--frames", str(FRAMES), "--library", str(library), "--out", str(out)])
    result = json.loads(out.read_text())
    assert result["resident_growth_kib"] <= soak.MAX_GROWTH_KIB, result["resident_kib"]
    assert status == 0
    assert sum(result["verdicts"].values()) == FRAMES
    assert min(result["verdicts"].values()) > 0


class Drifting(soak.Library):
    """Answers the same frame a little differently each time."""

    def assess(self, frame):
        report = super().assess(frame)
        report.score += 1e-6 * next(self.calls)
        return report

    calls = iter(range(1, 1_000_000))


def test_soak_sees_answers_that_drift(library, retina, tiny_model):
    with pytest.raises(RuntimeError, match="answered differently than the same frame before"):
        soak.soak(Drifting(library, tiny_model, 1), frames=20, seed=1)


def test_soak_structs_are_those_of_the_header(library):
    from tests.capi import abi

    text = abi.SNAPSHOT.read_text()
    for structure, name in ((soak.Options, "options"), (soak.Frame, "frame"), (soak.Report, "report")):
        assert f"struct efiqa_{name}: {soak.ctypes.sizeof(structure)} bytes" in text
        for field, *_ in structure._fields_:
            if field in {"geometry", "timings_ms"}:
                continue
            assert f"  {field} at {getattr(structure, field).offset}, " in text
