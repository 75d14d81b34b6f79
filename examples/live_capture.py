"""Take the best picture of a live preview: a camera's number, or a video that OpenCV can open.

    python examples/live_capture.py 0 --save eye.png     # the first camera, in a window; q ends it
    python examples/live_capture.py exam.mp4 --no-window --save eye.png

Prints a line whenever the state or the advice changes, and writes the best frame when there is one.
The window needs an OpenCV with one (pip install opencv-python).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import cv2

import efiqa


def main() -> int:
    """Return 0 when a picture was taken, 3 when the stream ended without one, 1 when it gave no frame."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="number of a camera, or path of a video")
    parser.add_argument("--no-window", action="store_true", help="print only")
    parser.add_argument("--save", type=Path, help="write the picture that was taken here")
    parser.add_argument("--model", help="an .onnx model; by default the embedded one")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=NUMBER", help="a parameter of efiqa.GateParams"
    )
    arguments = parser.parse_args()
    params = {name: float(value) for name, _, value in (item.partition("=") for item in arguments.set)}
    live = arguments.source.isdigit()
    stream = cv2.VideoCapture(int(arguments.source) if live else arguments.source)
    said = ""
    count = 0
    decision: efiqa.CaptureDecision | None = None
    with efiqa.Runtime(arguments.model) as runtime:
        gate = efiqa.CaptureGate(runtime, **params)
        while decision is None or decision.state != "captured":
            found, frame = stream.read()
            if not found:
                break
            # A camera's frames come when they come; a video says when each was taken.
            now_ms = time.monotonic() * 1000 if live else count * 1000 / (stream.get(cv2.CAP_PROP_FPS) or 25)
            decision = gate.update(frame, timestamp_ms=now_ms, bgr=True)
            count += 1
            saying = f"{decision.state:10} {decision.text}"
            if saying != said:
                print(f"{count - 1:6} {saying}")
                said = saying
            if not arguments.no_window:
                cv2.putText(frame, decision.text, (20, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2)
                cv2.imshow("efiqa", frame)
                if cv2.waitKey(1) & 0xFF == ord("q"):
                    break
    stream.release()
    if not count:
        print(f"{arguments.source} gives no frame", file=sys.stderr)
        return 1
    best = decision.best if decision is not None and decision.state == "captured" else None
    if best is None:
        print("no picture was taken", file=sys.stderr)
        return 3
    print(f"took frame {best.frame_index}, score {best.score:.3f}")
    if arguments.save and not cv2.imwrite(str(arguments.save), best.frame):
        print(f"{arguments.save} cannot be written", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
