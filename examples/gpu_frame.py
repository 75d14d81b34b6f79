"""Assess a frame that already lies in GPU memory, without a copy through the host.

python examples/gpu_frame.py engine.plan photo.jpg [-o overlay.png]

The photograph stands for what a CUDA decoder or a capture card writes: pycuda uploads it on a stream of its
own, and the Runtime waits for that stream on the GPU. Needs a GPU, an efiqa built with TensorRT, and pycuda
(`pip install 'efiqa[tensorrt]'`). CuPy arrays and torch tensors are handed over in the same way.
"""

import argparse
import sys

import efiqa


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plan", help="made by `efiqa build model.onnx -o engine.plan`")
    parser.add_argument("photo")
    parser.add_argument("-o", "--overlay", help="write the map over the photograph here")
    parser.add_argument("--allow-untrained", action="store_true", help="for plans with random weights")
    options = parser.parse_args()
    try:
        import pycuda.autoprimaryctx  # noqa: F401  # the context that TensorRT uses too
        from pycuda import driver, gpuarray
    except Exception as error:  # not installed, or no driver
        print(f"pycuda cannot be used: {error}", file=sys.stderr)
        return 1
    try:
        photo = efiqa.read_image(options.photo)
        with efiqa.Runtime(options.plan, allow_untrained=options.allow_untrained) as runtime:
            frame = gpuarray.to_gpu_async(photo, stream=driver.Stream())
            report = runtime.assess(frame)
            print(f"{report.verdict}, score {report.score}: {report.engine}")
            print(f"{report.timings_ms['total']:.2f} ms from the frame to the report")
            if options.overlay:
                report.save(options.overlay)  # coloured on the GPU, copied once
    except efiqa.EfiqaError as error:
        print(f"{error} [{error.code}]", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
