// The look into an ONNX file: any bytes are accepted, or refused by name, and never read beyond.
#include <cstddef>
#include <cstdint>
#include <string>

#include "fuzz_check.h"
#include "onnx_scan.h"
#include "status.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    efiqa::check_onnx_is_self_contained(std::string(reinterpret_cast<const char*>(data), size));
  } catch (const efiqa::Error& error) {
    FUZZ_CHECK(error.code() == efiqa::StatusCode::kModelInvalid);
  }
  return 0;
}
