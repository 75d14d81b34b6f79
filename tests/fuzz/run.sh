#!/usr/bin/env bash
# Builds the libFuzzer targets (preset fuzz) and runs each for FUZZ_SECONDS, from the committed seeds. What it
# learns goes to build/fuzz/corpus, an input that breaks a target to build/fuzz/found: make a test of it.
#   FUZZ_SECONDS  for each target, 60
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${FUZZ_SECONDS:-60}

if ! command -v clang++ > /dev/null; then
  echo "fuzz: clang++ is missing (Debian: apt-get install clang libclang-rt-14-dev)" >&2
  exit 1
fi
probe=$(mktemp -d)
trap 'rm -rf "$probe"' EXIT
echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' > "$probe/probe.cpp"
if ! clang++ -fsanitize=fuzzer,address,undefined "$probe/probe.cpp" -o "$probe/probe" 2> "$probe/log"; then
  cat "$probe/log" >&2
  echo "fuzz: clang's sanitizer runtime is missing (Debian: apt-get install libclang-rt-14-dev)" >&2
  exit 1
fi

cmake --preset fuzz -G Ninja
cmake --build --preset fuzz
mkdir -p build/fuzz/found
for source in tests/fuzz/fuzz_*.cpp; do
  name=$(basename "$source" .cpp)
  seeds=tests/fuzz/corpus/${name#fuzz_}
  if [ ! -d "$seeds" ]; then
    echo "fuzz: $name has no seeds: $seeds is missing" >&2
    exit 1
  fi
  learned=build/fuzz/corpus/$name
  mkdir -p "$learned"
  printf '\n=== %s, %s s\n' "$name" "$seconds"
  UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 "build/fuzz/tests/fuzz/$name" -max_total_time="$seconds" \
    -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 -artifact_prefix="build/fuzz/found/$name-" \
    "$learned" "$seeds"
done
echo "fuzz: nothing found"
