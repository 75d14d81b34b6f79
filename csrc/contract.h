// The model contract: everything about a model that a runtime must not guess.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "preprocess.h"
#include "report.h"

namespace efiqa {

constexpr int kContractVersion = 3;
constexpr int kMinInputPx = 32, kMaxInputPx = 2048;
constexpr int kMaxGridCells = 128;  // per side

// What a network's logits must keep to against the reference's, over all pictures together (the
// relative Frobenius error: |difference| / |reference|), and cell by cell over the pictures.
constexpr double kMinParityCosine = 0.999;
constexpr double kMinParityPatchCosineP1 = 0.995;  // 1st percentile of the cells
constexpr double kMaxParityRelativeFrobenius = 0.01;

enum class ModelFormat { kOnnx, kTensorRtPlan };
enum class Precision { kFp32, kBf16, kFp16, kInt8 };  // of the network's arithmetic; I/O is float32
enum class TensorRtFlavour { kTensorRt, kTensorRtRtx };

struct OperatingPoint {
  std::string name;
  float good_min_score = 0;                // verdict good from here
  float usable_min_score = 0;              // verdict usable from here, reject below
  float zone_weights[kZones] = {1, 1, 1};  // how much a visible area counts in the score
  // How far the score may lie above the visible share of each landmark.
  float landmark_margins[kLandmarks] = {1, 1};
};

// safetensors beside the contract: `inputs` (N, 3, H, W) and the reference's `logits` (N, C, h, w),
// both F32. Run on a device they show that a plan computes the same as the original.
struct GoldenFile {
  std::string file;    // empty: there is none, which only an ONNX model may say
  std::string sha256;  // lower-case hex
};

struct ComputeCapability {
  int major = 0, minor = 0;
  bool or_later = false;  // "8.0+": this one and all later ones
};

// Of a TensorRT plan alone.
struct PlanFacts {
  std::string onnx_sha256;  // of the ONNX file it was built from
  TensorRtFlavour flavour = TensorRtFlavour::kTensorRt;
  std::string version;  // of the builder, e.g. "10.13.3.9", "1.7.1.116"
  std::vector<ComputeCapability> compute_capabilities;  // of the devices it was built for
  int workspace_mib = 0;
  int optimization_level = 0;
};

struct Contract {
  std::string sha256;        // of the contract's own text, lower-case hex
  std::string id;            // of this contract, e.g. "efiqa-lite0-320-v1"
  std::string model_file;    // file name beside the contract
  std::string model_sha256;  // lower-case hex
  ModelFormat format = ModelFormat::kOnnx;
  Precision precision = Precision::kFp32;
  bool trained = false;
  std::string input_name;
  PreprocessSpec preprocess;
  std::string output_name;
  int grid_width = 0;
  int grid_height = 0;
  // The output is (1, C, h, w): channel 0 is the probability that anatomy is NOT visible, then come
  // the strengths of the reasons, then the probability that the picture shows no fundus, then those
  // that a cell is of a landmark.
  bool has_reasons = false;  // kReasonChannels channels from 1 on
  bool has_not_a_fundus = false;
  int landmark_count = 0;       // the first ones of Landmark; only beside all others
  float calibration_scale = 1;  // of channel 0: probability = sigmoid(scale * logit + offset)
  float calibration_offset = 0;
  float region_threshold = 0.5f;  // a cell from here on belongs to a bad region
  // The least strength of a main reason. The second stands for a picture's field_cut, too, which no
  // channel is needed for.
  float region_min_strength = 0.2f, picture_min_strength = 0.1f;
  // A picture is refused from this probability on, unless its score is greater than this one.
  float not_a_fundus_min_probability = 0.5f, not_a_fundus_max_score = 1;
  std::vector<OperatingPoint> operating_points;
  std::string default_operating_point;
  bool parity_passed = false;         // against the reference, within the limits above
  std::string parity_not_run_reason;  // empty when it passed
  GoldenFile golden;
  PlanFacts plan;  // only where format is kTensorRtPlan
  std::string backbone, backbone_licence, adapter, training_data, licence;

  int channel_count() const {
    return not_a_fundus_channel() + (has_not_a_fundus ? 1 : 0) + landmark_count;
  }
  // Where they are, if they are there.
  int not_a_fundus_channel() const { return 1 + (has_reasons ? kReasonChannels : 0); }
  int first_landmark_channel() const { return not_a_fundus_channel() + 1; }
  const char* channel_name(int channel) const;  // "anatomy_not_visible", "under_exposed", ...

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
