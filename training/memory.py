"""Memory of a training process, kept by it."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3)


def keep_freed_memory() -> bool:
    """Let the C library keep what is freed, and return whether it does; glibc alone can.

    A batch's maps are larger than what glibc keeps by itself: their pages go back to the system, and come
    from it again, emptied, at each layer. On a CPU that takes as long as the layers.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_TRIM_THRESHOLD, -1) and mallopt(_MMAP_MAX, 0))
