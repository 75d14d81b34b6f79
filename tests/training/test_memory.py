"""Memory that a training process keeps."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.train

# Pages that come back, emptied, for 20 arrays of 64 MB, one after the other: (64 << 20) / 4096 each.
PROGRAM = """
import resource
import numpy as np
from training.memory import keep_freed_memory

if {kept}:
    assert keep_freed_memory()
np.ones(64 << 20, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(64 << 20, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone can")
def test_freed_memory_is_used_again_and_not_paged_in_anew():
    faults = [
        int(subprocess.run([sys.executable, "-c", PROGRAM.format(kept=kept)], capture_output=True, check=True,
                           text=True).stdout)
        for kept in (False, True)
    ]  # fmt: skip
    assert faults[1] < faults[0] / 10
