// Tests that need a GPU: without one they are skipped, unless EFIQA_REQUIRE has "gpu".
#pragma once

#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace efiqa_test {

constexpr int kSkipped = 77;  // what ctest takes for a skip: SKIP_RETURN_CODE

// Whether a comma-separated list has `item`.
inline bool list_has(const char* list, const std::string& item) {
  std::string name;
  for (const char* c = list;; ++c) {
    if (*c != ',' && *c != '\0') {
      if (*c != ' ') name += *c;
      continue;
    }
    if (name == item) return true;
    if (*c == '\0') return false;
    name.clear();
  }
}

// 0: there is a GPU. Otherwise the program's exit code, and the reason is printed.
inline int without_device() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return 0;
  const char* reason = error != cudaSuccess ? cudaGetErrorString(error) : "there is none";
  const char* required = std::getenv("EFIQA_REQUIRE");
  if (required != nullptr && list_has(required, "gpu")) {
    std::printf("FAILED: EFIQA_REQUIRE has gpu, and there is no GPU to test: %s\n", reason);
    return 1;
  }
  std::printf("skipped: no GPU: %s\n", reason);
  return kSkipped;
}

}  // namespace efiqa_test
