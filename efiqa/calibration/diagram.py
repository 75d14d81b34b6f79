"""The reliability diagram: how often pictures were found good, against how often the score promised it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from efiqa.calibration.criterion import Cut

U8Array = NDArray[np.uint8]
SIDE_PX, MARGIN_PX, TITLE_PX = 440, 64, 56
_BLACK, _GREY, _LIGHT, _BLUE = (0, 0, 0), (120, 120, 120), (222, 222, 222), (30, 90, 170)
_TICKS = 5


def draw_reliability(cuts: Sequence[Cut]) -> U8Array:
    """Return one panel a cut, uint8 (H, W, 3) RGB: a dot for each bin and its 95 % limits.

    Dots on the diagonal are probabilities that hold.
    """
    return np.concatenate([_panel(cut) for cut in cuts], axis=1)


def _panel(cut: Cut) -> U8Array:
    import cv2

    height, width = TITLE_PX + SIDE_PX + MARGIN_PX, SIDE_PX + 2 * MARGIN_PX
    panel = np.full((height, width, 3), 255, np.uint8)

    def place(x: float, y: float) -> tuple[int, int]:
        return round(MARGIN_PX + x * SIDE_PX), round(TITLE_PX + (1 - y) * SIDE_PX)

    def text(
        words: str, at: tuple[int, int], size: float = 0.42, color: tuple[int, int, int] = _BLACK
    ) -> None:
        cv2.putText(panel, words, at, cv2.FONT_HERSHEY_SIMPLEX, size, color, 1, cv2.LINE_AA)

    for tick in range(_TICKS + 1):
        share = tick / _TICKS
        cv2.line(panel, place(share, 0), place(share, 1), _LIGHT, 1)
        cv2.line(panel, place(0, share), place(1, share), _LIGHT, 1)
        text(f"{share:.1f}", (place(share, 0)[0] - 10, place(0, 0)[1] + 18))
        text(f"{share:.1f}", (place(0, 0)[0] - 30, place(0, share)[1] + 4))
    cv2.rectangle(panel, place(0, 1), place(1, 0), _GREY, 1)
    cv2.line(panel, place(0, 0), place(1, 1), _GREY, 1, cv2.LINE_AA)
    dots = [place(each.predicted, each.observed) for each in cut.bins]
    cv2.polylines(panel, [np.array(dots, np.int32)], False, _BLUE, 1, cv2.LINE_AA)
    for each, dot in zip(cut.bins, dots, strict=True):
        cv2.line(panel, place(each.predicted, each.low), place(each.predicted, each.high), _BLUE, 1)
        cv2.circle(panel, dot, 4, _BLUE, -1, cv2.LINE_AA)
    # OpenCV's font is ASCII.
    title = f"{cut.above} against {cut.below}".encode("ascii", "replace").decode()
    text(title, (MARGIN_PX, 20), 0.5)
    text(_summary(cut), (MARGIN_PX, 40), 0.42, _GREY)
    text("predicted by the score", (MARGIN_PX + SIDE_PX // 2 - 75, height - 14))
    text("found", (8, TITLE_PX - 8))
    return panel


def _summary(cut: Cut) -> str:
    """Return how many pictures the dots stand for: bins hold equally many, but for one."""
    counts = sorted({each.count for each in cut.bins})
    each = " or ".join(map(str, counts))
    return f"out of fold, {len(cut.bins)} bins of {each} pictures; mean error {cut.calibration_error:.3f}"
