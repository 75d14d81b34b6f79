#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, in one go: builds with CUDA (and TensorRT where it is found), runs tests/gpu with no
# skips allowed, compute-sanitizer on the kernels, and the kernels' benchmark; writes benchmarks/results/gpu-*.json.
#   bash benchmarks/gpu_check.sh
#   TENSORRT_ROOT   folder of TensorRT's or TensorRT-RTX's include/ and lib/; without it the kernels alone are checked
#   EFIQA_PLAN      a plan made by `efiqa build` that is opened and verified as well (needs an installed efiqa)
#   BUILD           build folder, by default build/gpu
# Needs Linux, nvcc, CMake, Python 3.10. What could not be run stands in the result with its reason. Exit code 1 when a check fails.
set -uo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build/gpu}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$work/steps"
failed=0

record() { printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" >>"$work/steps"; }  # name state seconds note

step() {  # step NAME COMMAND...: run it, keep the end of what it printed, go on when it fails
  local name=$1 started=$SECONDS state=passed
  shift
  echo "=== $name"
  if ! timeout 300 "$@" >"$work/$name.log" 2>&1; then
    state=failed
    failed=1
  fi
  tail -n 15 "$work/$name.log"
  record "$name" "$state" "$((SECONDS - started))" "$(tail -n 1 "$work/$name.log" | tr '\t' ' ' | cut -c1-300)"
}

skip() {
  echo "=== $1: not run: $2"
  record "$1" "not run" 0 "$2"
}

command -v nvidia-smi >/dev/null && nvidia-smi -L || { echo "no NVIDIA GPU here: nvidia-smi is missing or fails"; exit 1; }
export PATH=$PATH:/usr/local/cuda/bin
command -v nvcc >/dev/null || { echo "nvcc is missing; install the CUDA toolkit"; exit 1; }

tensorrt=OFF
if [ -n "${TENSORRT_ROOT:-}" ]; then tensorrt=ON; fi
step configure cmake -S . -B "$build" -DEFIQA_WITH_CUDA=ON -DEFIQA_WITH_TENSORRT=$tensorrt -DEFIQA_WITH_OPENVINO=OFF \
  -DEFIQA_BUILD_TESTS=ON -DEFIQA_BUILD_LIBRARY=OFF -DCMAKE_CUDA_ARCHITECTURES=native
step build cmake --build "$build" -j "$(nproc)" --target test_kernels_gpu gpu_kernels
step tests env EFIQA_REQUIRE=gpu ctest --test-dir "$build" -L gpu --output-on-failure
program=$(find "$build" -name test_kernels_gpu -type f | head -n 1)
if command -v compute-sanitizer >/dev/null && [ -n "$program" ]; then
  step memcheck compute-sanitizer --tool memcheck --error-exitcode 9 "$program"
  step racecheck compute-sanitizer --tool racecheck --error-exitcode 9 "$program"
  step synccheck compute-sanitizer --tool synccheck --error-exitcode 9 "$program"
else
  skip memcheck "compute-sanitizer is missing"
fi
benchmark=$(find "$build" -name gpu_kernels -type f | head -n 1)
if [ -n "$benchmark" ]; then
  step kernels bash -c "'$benchmark' >'$work/kernels.json'"
else
  skip kernels "the benchmark was not built"
fi
if [ $tensorrt = OFF ]; then
  skip tensorrt "TENSORRT_ROOT is not set"
elif [ -z "${EFIQA_PLAN:-}" ]; then
  skip tensorrt "EFIQA_PLAN names no plan"
else
  step tensorrt efiqa verify "$EFIQA_PLAN"
fi

python3 - "$work" <<'PYTHON'
import json, subprocess, sys
from pathlib import Path

sys.path.insert(0, ".")
from benchmarks import machine

work = Path(sys.argv[1])
steps = [dict(zip(("name", "state", "seconds", "note"), line.split("\t"))) for line in (work / "steps").read_text().splitlines()]
query = "--query-gpu=name,driver_version,compute_cap,power.limit,clocks.max.sm,clocks.max.mem"
gpu = subprocess.run(["nvidia-smi", query, "--format=csv,noheader"], capture_output=True, text=True).stdout.strip()
try:
    kernels = json.loads((work / "kernels.json").read_text())
except (OSError, ValueError) as error:
    kernels = {"error": str(error)}
results = {
    "command": "bash benchmarks/gpu_check.sh",
    "machine": machine.describe(),
    "gpu": gpu,
    "nvcc": subprocess.run(["nvcc", "--version"], capture_output=True, text=True).stdout.strip().splitlines()[-1],
    "steps": steps,
    "kernels": kernels,
}
name = "-".join(gpu.split(",")[0].lower().split()) or "unknown"
path = Path("benchmarks/results") / f"gpu-{name}-{machine.commit()}.json"
path.write_text(json.dumps(results, indent=1) + "\n")
print(f"wrote {path}")
PYTHON
exit $failed
