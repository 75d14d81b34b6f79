// The contract parser: any bytes either are a contract whose values keep the rules, or are refused.
#include <cstddef>
#include <cstdint>
#include <string>

#include "contract.h"
#include "fuzz_check.h"
#include "status.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const efiqa::Contract contract = efiqa::parse_contract(text, "fuzz");
    FUZZ_CHECK(contract.preprocess.width_px >= efiqa::kMinInputPx);
    FUZZ_CHECK(contract.preprocess.height_px <= efiqa::kMaxInputPx);
    FUZZ_CHECK(contract.grid_width >= 1 && contract.grid_width <= efiqa::kMaxGridCells);
    FUZZ_CHECK(contract.grid_height >= 1 && contract.grid_height <= efiqa::kMaxGridCells);
    FUZZ_CHECK(contract.calibration_scale > 0);
    FUZZ_CHECK(contract.region_threshold > 0 && contract.region_threshold < 1);
    for (int c = 0; c < 3; ++c) FUZZ_CHECK(contract.preprocess.std[c] > 0);
    for (const float limit : {contract.region_min_strength, contract.picture_min_strength,
                              contract.not_a_fundus_min_probability}) {
      FUZZ_CHECK(limit > 0 && limit < 1);
    }
    FUZZ_CHECK(contract.not_a_fundus_max_score >= 0 && contract.not_a_fundus_max_score <= 1);
    const efiqa::OperatingPoint& point = contract.operating_point("");
    FUZZ_CHECK(point.usable_min_score <= point.good_min_score);
    for (const float weight : point.zone_weights) FUZZ_CHECK(weight > 0 && weight <= 1);
    FUZZ_CHECK(contract.model_file.find('/') == std::string::npos);
    FUZZ_CHECK(contract.sha256.size() == 64 && contract.model_sha256.size() == 64);
  } catch (const efiqa::Error& error) {
    FUZZ_CHECK(error.code() == efiqa::StatusCode::kContractInvalid);
    FUZZ_CHECK(std::string(error.what()).rfind("fuzz: ", 0) == 0);
  }
  return 0;
}
