# What the README's commands call. Needs python3 (3.10 or later), a C++ compiler and make; everything else comes
# into .venv. The stamp files in .venv make a repeat fast: they are as old as the last installation.
PYTHON ?= python3
VENV ?= .venv
TRAIN_VENV ?= .venv-train
BUILD ?= build/cpp
BIN := $(VENV)/bin
SOURCES := pyproject.toml CMakeLists.txt $(wildcard csrc/*.cpp csrc/*.cu csrc/*.h csrc/include/efiqa/*.h)
CXX_FILES := $(wildcard csrc/*.cpp csrc/*.cu csrc/*.h csrc/include/efiqa/*.h tests/cpp/*.cpp tests/cpp/*.h \
  tests/cpp/*.c tests/cpp/*/*.cpp tests/cpp/*/*.h tests/fuzz/*.cpp tests/fuzz/*.h examples/*.c tests/capi/*.c)
PIP_FLAGS ?= -q
export PYTHONDONTWRITEBYTECODE = 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-cpp test-capi test-python test-tensorrt test-train fuzz sanitize lint types format bench bench-quality readme sbom clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.demo  ## assess a real photograph and three degradations of it; writes demo/efiqa-demo.png
	$(BIN)/efiqa demo --out demo

test: lint types test-cpp test-capi test-python  ## everything: ruff, clang-format, mypy, ctest, pytest
	@echo "make test: all passed"

lint: $(VENV)/.dev  ## ruff and clang-format, without changing anything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $(CXX_FILES)

types: $(VENV)/.dev  ## mypy --strict on efiqa/
	$(BIN)/mypy

test-cpp: $(VENV)/.dev  ## configure, build and run the C++ tests
	$(BIN)/cmake -S . -B $(BUILD) -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja \
	  -DEFIQA_BUILD_TESTS=ON -DPython_EXECUTABLE=$(abspath $(BIN))/python
	$(BIN)/cmake --build $(BUILD)
	$(BIN)/ctest --test-dir $(BUILD) --output-on-failure

test-capi: test-cpp  ## libefiqa as firmware sees it: exports, ABI, installation, consumers, camera hook
	PATH=$(abspath $(BIN)):$$PATH EFIQA_CPP_BUILD=$(BUILD) $(BIN)/python -m pytest -ra tests/capi

# Both sanitizers are g++'s; each has its own folder. OpenVINO is not in these builds.
sanitize: $(VENV)/.dev  ## the C++ tests under ASan + UBSan, then under TSan
	for preset in asan tsan; do \
	  PATH=$(abspath $(BIN)):$$PATH && cmake --preset $$preset -G Ninja && cmake --build --preset $$preset && \
	  ctest --preset $$preset || exit 1; \
	done

FUZZ_SECONDS ?= 60
fuzz: $(VENV)/.dev  ## fuzz each target for FUZZ_SECONDS (60); needs clang with its runtime, installs nothing
	PATH=$(abspath $(BIN)):$$PATH FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run.sh

test-python: $(VENV)/.dev  ## run the Python tests; the last lines say what was skipped and why
	$(BIN)/python -m pytest -ra -m "not train" --ignore=tests/training --ignore=tests/capi

test-tensorrt: $(VENV)/.tensorrt  ## build real TensorRT plans of small models; needs no GPU
	EFIQA_REQUIRE=tensorrt $(BIN)/python -m pytest -ra -m tensorrt tests/integration

test-train: $(TRAIN_VENV)/.train  ## run the training at toy size, in an environment with torch
	$(TRAIN_VENV)/bin/python -m pytest -ra tests/unit/test_gpu_frame.py  # its parts that need torch
	$(TRAIN_VENV)/bin/python -m pytest -ra -m train tests/training

format: $(VENV)/.dev  ## put all sources into the house's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CXX_FILES)

bench: $(VENV)/.bench  ## measure latency on this machine into benchmarks/results
	$(BIN)/python -m benchmarks.latency

readme: $(VENV)/.dev  ## run the README's example and write its output, picture and tables
	$(BIN)/python -m benchmarks.readme_example
	$(BIN)/python -m benchmarks.tables

sbom: $(VENV)/.dev  ## make wheel and libefiqa in dist/, each with its CycloneDX bill of materials beside it
	rm -rf dist
	$(BIN)/pip wheel $(PIP_FLAGS) --no-deps -w dist .
	$(BIN)/cmake -S . -B $(BUILD) -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja \
	  -DPython_EXECUTABLE=$(abspath $(BIN))/python
	$(BIN)/cmake --build $(BUILD) --target efiqa_shared
	$(BIN)/cmake --install $(BUILD) --prefix dist/libefiqa
	$(BIN)/cmake --install $(BUILD) --prefix dist/libefiqa --component openvino
	$(BIN)/python .ci/sbom.py dist/*.whl $$(find dist/libefiqa -name 'libefiqa.so.*.*')

clean:  ## remove environments, builds and caches
	rm -rf $(VENV) $(TRAIN_VENV) build demo .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python $(SOURCES)
	$(BIN)/pip install $(PIP_FLAGS) -e '.[demo]'
	@touch $@

$(VENV)/.dev: $(BIN)/python $(SOURCES)
	$(BIN)/pip install $(PIP_FLAGS) -e '.[demo,dev]'
	@touch $@ $(VENV)/.demo

$(VENV)/.tensorrt: $(VENV)/.dev
	$(BIN)/pip install $(PIP_FLAGS) -e '.[tensorrt]'
	@touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(BIN)/pip install $(PIP_FLAGS) torch==2.14.1 torchvision==0.29.1
	$(BIN)/pip install $(PIP_FLAGS) -e '.[bench,train]'
	@touch $@

# A second environment, so that `make test` proves that nothing else needs torch.
$(TRAIN_VENV)/.train: $(SOURCES)
	$(PYTHON) -m venv $(TRAIN_VENV)
	$(TRAIN_VENV)/bin/pip install $(PIP_FLAGS) torch==2.14.1 torchvision==0.29.1
	$(TRAIN_VENV)/bin/pip install $(PIP_FLAGS) -e '.[train]' 'pytest>=8' 'hypothesis>=6.100' 'pillow>=10'
	@touch $@
