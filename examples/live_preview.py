"""Judge a live preview: a camera's number, or a video or picture sequence that OpenCV can open.

    python examples/live_preview.py 0                       # the first camera, in a window; q ends it
    python examples/live_preview.py exam.mp4 --frames 100 --no-window --save worst.png

Prints one line a frame. The window needs an OpenCV with one (pip install opencv-python).
"""

from __future__ import annotations

import argparse
import sys

import cv2

import efiqa


def main() -> int:
    """Return 0, or 1 when the source gives no frame."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="number of a camera, or path of a video")
    parser.add_argument("--frames", type=int, default=0, help="stop after so many frames; 0: at the end")
    parser.add_argument("--no-window", action="store_true", help="print only")
    parser.add_argument("--save", help="write the overlay of the worst frame here at the end")
    parser.add_argument("--model", help="an .onnx model; by default the embedded one")
    arguments = parser.parse_args()
    source = int(arguments.source) if arguments.source.isdigit() else arguments.source
    capture = cv2.VideoCapture(source)
    worst: efiqa.QualityReport | None = None
    count = 0
    with efiqa.Runtime(arguments.model) as runtime:
        while not arguments.frames or count < arguments.frames:
            found, frame = capture.read()
            if not found:
                break
            report = runtime.assess(frame, bgr=True)
            count += 1
            score = "  -  " if report.score is None else f"{report.score:.3f}"
            advice = f"{report.main_reason or report.reason} {report.remedy_text}".strip()
            print(f"{count:6} {report.verdict:8} {score} {report.timings_ms['total']:6.1f} ms {advice}")
            # capture.read() gives a new array for each frame, so the report may keep this one by reference.
            if report.score is not None and (worst is None or report.score < (worst.score or 0)):
                worst = report
            if not arguments.no_window:
                cv2.imshow("efiqa", cv2.cvtColor(report.overlay(), cv2.COLOR_RGB2BGR))
                if cv2.waitKey(1) & 0xFF == ord("q"):
                    break
    capture.release()
    if not count:
        print(f"{arguments.source} gives no frame", file=sys.stderr)
        return 1
    if arguments.save and worst is not None:
        worst.save(arguments.save)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
