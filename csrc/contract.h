// The model contract: everything about a model that a runtime must not guess.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "preprocess.h"

namespace efiqa {

constexpr int kContractVersion = 1;
constexpr int kMinInputPx = 32, kMaxInputPx = 2048;
constexpr int kMaxGridCells = 128;  // per side

struct OperatingPoint {
  std::string name;
  float good_min_score = 0;    // verdict good from here
  float usable_min_score = 0;  // verdict usable from here, reject below
};

struct Contract {
  std::string sha256;        // of the contract's own text, lower-case hex
  std::string id;            // of this contract, e.g. "efiqa-lite0-320-v1"
  std::string model_file;    // file name beside the contract
  std::string model_sha256;  // lower-case hex
  bool trained = false;
  std::string input_name;
  PreprocessSpec preprocess;
  std::string output_name;
  int grid_width = 0;
  int grid_height = 0;
  float calibration_scale = 1;  // probability = sigmoid(scale * logit + offset)
  float calibration_offset = 0;
  float region_threshold = 0.5f;  // a cell from here on belongs to a bad region
  std::vector<OperatingPoint> operating_points;
  std::string default_operating_point;
  std::string backbone, backbone_licence, adapter, training_data, licence;

  // Throws Error(kInvalidArgument) that lists the names there are. Empty: the default one.
  const OperatingPoint& operating_point(const std::string& name) const;
};

// Parses and validates. Throws Error(kContractInvalid) naming field, value, rule and fix; a
// missing, unknown, repeated or ill-typed field is an error, never a default. `origin` is for
// messages.
Contract parse_contract(const std::string& json_text, const std::string& origin);

// "model.onnx" -> "model.onnx.json".
std::string contract_path(const std::string& model_path);

}  // namespace efiqa
