#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, in one go: builds with CUDA, runs tests/gpu with no skips allowed and the kernels'
# benchmark; with TensorRT also installs efiqa into a venv of its own, verifies the plans and times frames; then
# compute-sanitizer on the kernels. Writes benchmarks/results/gpu-*.json.
#   bash benchmarks/gpu_check.sh
#   TENSORRT_ROOT   folder of TensorRT's or TensorRT-RTX's include/ and lib/; without it the kernels alone are checked
#   EFIQA_PLAN      plans made by `efiqa build`, separated by ':', that are opened, verified and timed as well
#   BUILD           build folder, by default build/gpu
# Needs Linux, nvcc, CMake, Python 3.10 with pip; for the plans also the packages scikit-build-core, pybind11, numpy, rich,
# safetensors, OpenCV and scikit-image, and for the frames torch with CUDA and timm, of this Python or on PYTHONPATH:
# nothing is downloaded. What could not be run stands in the result with its reason. Exit code 1 when a check fails.
# Each step has a limit in seconds, its second argument, and all together have LIMIT_S: a step that the rest of it cuts
# short has failed, one that it does not reach is "not run". The last ones are those that may be missed most easily.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
readonly LIMIT_S=530 # of 9 minutes; the rest is for writing the result
build=${BUILD:-build/gpu}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$work/steps"
failed=0

record() { printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" >>"$work/steps"; } # name state seconds note

skip() {
  echo "=== $1: not run: $2"
  record "$1" "not run" 0 "$2"
}

step() { # step NAME LIMIT_S COMMAND...: run it, keep the end of what it printed, go on when it fails; status of COMMAND
  local name=$1 limit=$2 started=$SECONDS state=passed status note
  shift 2
  if ((LIMIT_S - SECONDS < 5)); then
    skip "$name" "the $LIMIT_S s of all steps are used up"
    return 1
  fi
  if ((limit > LIMIT_S - SECONDS)); then limit=$((LIMIT_S - SECONDS)); fi
  echo "=== $name"
  timeout -k 5 "$limit" "$@" >"$work/$name.log" 2>&1
  status=$?
  tail -n 15 "$work/$name.log"
  note=$(tail -n 1 "$work/$name.log" | tr '\t' ' ' | cut -c1-300)
  if ((status == 124 || status == 137)); then note="stopped after $limit s: $note"; fi
  if ((status != 0)); then
    state=failed
    failed=1
  fi
  record "$name" "$state" "$((SECONDS - started))" "$note"
  return "$status"
}

if ! command -v nvidia-smi >/dev/null || ! nvidia-smi -L; then
  echo "no NVIDIA GPU here: nvidia-smi is missing or fails"
  exit 1
fi
export PATH=$PATH:/usr/local/cuda/bin
command -v nvcc >/dev/null || {
  echo "nvcc is missing; install the CUDA toolkit"
  exit 1
}

tensorrt=OFF
if [ -n "${TENSORRT_ROOT:-}" ]; then
  tensorrt=ON
  export LD_LIBRARY_PATH="$TENSORRT_ROOT/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
step configure 60 cmake -S . -B "$build" -DEFIQA_WITH_CUDA=ON -DEFIQA_WITH_TENSORRT=$tensorrt -DEFIQA_WITH_OPENVINO=OFF \
  -DEFIQA_BUILD_TESTS=ON -DEFIQA_BUILD_LIBRARY=OFF -DCMAKE_CUDA_ARCHITECTURES=native
step build 180 cmake --build "$build" -j "$(nproc)" --target test_kernels_gpu gpu_kernels
step tests 60 env EFIQA_REQUIRE=gpu ctest --test-dir "$build" -L gpu --no-tests=error --output-on-failure
benchmark=$(find "$build" -name gpu_kernels -type f | head -n 1)
if [ -n "$benchmark" ]; then
  # shellcheck disable=SC2016 # the inner bash expands it
  step kernels 60 bash -c '"$0" >"$1"' "$benchmark" "$work/kernels.json"
else
  skip kernels "the benchmark was not built"
fi

# The extension in a venv that sees this Python's packages, also where this Python is of a venv itself. Editable, because
# the folder efiqa/ here, which has no extension, would otherwise come first.
# shellcheck disable=SC2329 # by name, below
install_efiqa() {
  python3 -m venv --without-pip --system-site-packages "$venv" || return
  local site
  site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))') || return
  python3 -c 'import sys; print(*(p for p in sys.path if p.endswith("-packages")), sep="\n")' >"$site/parent.pth" || return
  CMAKE_BUILD_PARALLEL_LEVEL=$(nproc) "$python" -m pip install --no-deps --no-build-isolation --no-index -e . \
    -Cbuild-dir="$PWD/$build/python" -Ccmake.define.EFIQA_WITH_CUDA=ON -Ccmake.define.EFIQA_WITH_TENSORRT=ON \
    -Ccmake.define.EFIQA_WITH_OPENVINO=OFF -Ccmake.define.TENSORRT_ROOT="$TENSORRT_ROOT" \
    -Ccmake.define.CMAKE_CUDA_ARCHITECTURES=native || return
  "$python" -c 'import efiqa; from efiqa import _core; print(efiqa.__version__, _core.backends())'
}

venv=$PWD/$build/venv
python=$venv/bin/python
IFS=: read -ra plans <<<"${EFIQA_PLAN:-}"
if [ $tensorrt = OFF ]; then
  skip install "TENSORRT_ROOT is not set"
  skip verify "TENSORRT_ROOT is not set"
  skip frame "TENSORRT_ROOT is not set"
elif ! { export -f install_efiqa && export build venv python && step install 150 bash -c install_efiqa; }; then
  skip verify "efiqa is not installed"
  skip frame "efiqa is not installed"
elif [ ${#plans[@]} = 0 ]; then
  skip verify "EFIQA_PLAN names no plan"
  skip frame "EFIQA_PLAN names no plan"
else
  number=0
  for plan in "${plans[@]}"; do
    number=$((number + 1))
    step "verify-$number" 45 "$venv/bin/efiqa" verify "$plan"
  done
  # Its file holds the plans that were through when the limit came.
  if ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    skip frame "torch with CUDA is not installed"
  else
    step frame 240 "$python" -m benchmarks.gpu_frame "${plans[@]}" --out "$work/frame.json"
  fi
fi

program=$(find "$build" -name test_kernels_gpu -type f | head -n 1)
for tool in memcheck racecheck synccheck; do
  if command -v compute-sanitizer >/dev/null && [ -n "$program" ]; then
    step $tool 90 compute-sanitizer --tool $tool --error-exitcode 9 "$program"
  else
    skip $tool "compute-sanitizer is missing, or the tests were not built"
  fi
done

python3 - "$work" <<'PYTHON'
import json, subprocess, sys
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, ".")
from benchmarks import machine, tables_gpu

work = Path(sys.argv[1])
steps = [dict(zip(("name", "state", "seconds", "note"), line.split("\t"))) for line in (work / "steps").read_text().splitlines()]
gpu = machine.gpu()
reasons = {step["name"]: step["note"] for step in steps}


def part(name, read):
    try:
        return read(json.loads((work / f"{name}.json").read_text()))
    except (OSError, ValueError, KeyError):
        return {"error": reasons.get(name, "not run")}


results = {
    "command": "bash benchmarks/gpu_check.sh",
    "made_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    "machine": machine.describe(),
    "gpu": gpu,
    "nvcc": subprocess.run(["nvcc", "--version"], capture_output=True, text=True).stdout.strip().splitlines()[-1],
    "steps": steps,
    "kernels": part("kernels", dict),
    "frame": part("frame", lambda results: results["frame"]),
}
path = Path("benchmarks/results") / tables_gpu.gpu_file(gpu, machine.commit())
path.write_text(json.dumps(results, indent=1) + "\n")
print(f"wrote {path}")
PYTHON
exit $failed
