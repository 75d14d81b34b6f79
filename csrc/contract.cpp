#include "contract.h"

#include <algorithm>
#include <string>

#include "contract_field.h"
#include "json.h"
#include "names.h"
#include "sha256.h"
#include "status.h"

namespace efiqa {
namespace {

constexpr const char* kExportFix = "; export the model again with efiqa export";
constexpr const char* kBuildFix = "; build the plan again with efiqa build";
constexpr std::size_t kMaxTensorNameBytes = 255;
constexpr std::size_t kMaxNoteBytes = 4096;  // a sentence or two about data and licence
constexpr std::size_t kMaxOperatingPoints = 16;
constexpr double kMinZoneWeight = 0.01;
constexpr std::size_t kMaxComputeCapabilities = 32;
constexpr int kMaxPictures = 1000000;
constexpr int kMaxWorkspaceMib = 1 << 20;
constexpr int kMaxOptimizationLevel = 5;  // TensorRT's own range

// What the network sees where there is no retina: the value is PreprocessSpec::blank_outside.
constexpr Named<bool> kOutsideNames[] = {{"black", true}, {"frame", false}};
// The value is Contract::parity_passed: what fails is never written.
constexpr Named<bool> kParityStatusNames[] = {{"passed", true}, {"not_run", false}};

void check_version(const JsonValue& root, const std::string& origin) {
  const JsonValue* version = root.find("contract_version");
  if (version == nullptr || version->kind != JsonValue::Kind::kNumber ||
      version->number == kContractVersion) {
    return;  // a missing or ill-typed one is reported with the other fields
  }
  throw Error(StatusCode::kContractInvalid,
              origin + ": contract_version is " + json_excerpt(*version) +
                  ", this efiqa reads version " + std::to_string(kContractVersion) +
                  "; install an efiqa that reads version " + json_excerpt(*version) +
                  ", or export the model again with this version's efiqa export");
}

void read_model(const Field& model, Contract& contract) {
  model.expect_members({"file", "sha256", "format", "precision", "trained"});
  contract.model_file = model["file"].file_name();
  contract.model_sha256 = model["sha256"].sha256();
  contract.format = model["format"].one_of(kModelFormatNames);
  contract.precision = model["precision"].one_of(kPrecisionNames);
  contract.trained = model["trained"].boolean();
}

void read_input(const Field& input, Contract& contract) {
  input.expect_members({"name", "width_px", "height_px", "layout", "dtype", "color_order", "crop",
                        "resize_filter", "outside", "mean", "std"});
  contract.input_name = input["name"].text(kMaxTensorNameBytes);
  PreprocessSpec& spec = contract.preprocess;
  spec.width_px = input["width_px"].integer(kMinInputPx, kMaxInputPx);
  spec.height_px = input["height_px"].integer(kMinInputPx, kMaxInputPx);
  input["layout"].expect_word("NCHW");
  input["dtype"].expect_word("float32");
  input["color_order"].expect_word("RGB");
  input["crop"].expect_word("field_of_view_square");
  spec.filter = input["resize_filter"].one_of(kResizeFilterNames);
  spec.blank_outside = input["outside"].one_of(kOutsideNames);
  input["mean"].count(3, 3, "an array of 3 numbers");
  input["std"].count(3, 3, "an array of 3 numbers");
  for (std::size_t c = 0; c < 3; ++c) {
    spec.mean[c] = input["mean"].item(c).finite();
    spec.std[c] = input["std"].item(c).positive();
  }
}

// The number of channels says which they are; there are six lists.
void read_channels(const Field& channels, Contract& contract) {
  const std::string rule =
      "an array of 1, 2 or 6 to 9 channels: anatomy_not_visible, then the five reasons or none of "
      "them, then not_a_fundus or not, then, if all others are there, macula, or macula and "
      "optic_disc, or neither";
  constexpr int kOthers = kReasonChannels + 2;
  const std::size_t count = channels.count(1, kOthers + kLandmarks, rule);
  contract.has_reasons = count > kReasonChannels;
  contract.landmark_count = std::max(static_cast<int>(count) - kOthers, 0);
  contract.has_not_a_fundus = contract.landmark_count > 0 || count % kReasonChannels == 2;
  if (count != static_cast<std::size_t>(contract.channel_count())) channels.fail(rule);
  for (std::size_t i = 0; i < count; ++i) {
    channels.item(i).expect_word(contract.channel_name(static_cast<int>(i)));
  }
}

// Whether the field holds the object that belongs to channels; null exactly where they are not.
bool is_wanted(const Field& field, bool has_channels, const char* channels) {
  const bool is_null = field.value().kind == JsonValue::Kind::kNull;
  if (!has_channels && !is_null) {
    field.fail("null, because output.channels does not list " + std::string(channels));
  }
  if (has_channels && is_null) {
    field.fail("an object, because output.channels lists " + std::string(channels));
  }
  return has_channels;
}

void read_reasons(const Field& reasons, Contract& contract) {
  if (!is_wanted(reasons, contract.has_reasons, "the reasons")) return;
  reasons.expect_members({"region_min_strength", "picture_min_strength"});
  contract.region_min_strength = reasons["region_min_strength"].between_0_and_1();
  contract.picture_min_strength = reasons["picture_min_strength"].between_0_and_1();
}

void read_not_a_fundus(const Field& limits, Contract& contract) {
  if (!is_wanted(limits, contract.has_not_a_fundus, "not_a_fundus")) return;
  limits.expect_members({"min_probability", "max_score"});
  contract.not_a_fundus_min_probability = limits["min_probability"].between_0_and_1();
  contract.not_a_fundus_max_score = limits["max_score"].number(0, 1, "a number from 0 to 1");
}

void read_output(const Field& output, Contract& contract) {
  output.expect_members(
      {"name", "width", "height", "dtype", "channels", "activation", "calibration"});
  contract.output_name = output["name"].text(kMaxTensorNameBytes);
  contract.grid_width = output["width"].integer(1, kMaxGridCells);
  contract.grid_height = output["height"].integer(1, kMaxGridCells);
  output["dtype"].expect_word("float32");
  read_channels(output["channels"], contract);
  output["activation"].expect_word("sigmoid");
  const Field calibration = output["calibration"];
  calibration.expect_members({"scale", "offset"});
  // A scale of 0 or below would turn bad into good.
  contract.calibration_scale = calibration["scale"].positive();
  contract.calibration_offset = calibration["offset"].finite();
}

void read_zone_weights(const Field& weights, OperatingPoint& point) {
  weights.expect_members({kZoneNames[0], kZoneNames[1], kZoneNames[2]});
  for (int zone = 0; zone < kZones; ++zone) {
    // At 0 a picture that shows nothing but that zone would have no score.
    point.zone_weights[zone] =
        weights[kZoneNames[zone]].number(kMinZoneWeight, 1, "a number from 0.01 to 1");
  }
}

void read_landmark_margins(const Field& limits, const Contract& contract, OperatingPoint& point) {
  for (int i = 0; i < kLandmarks; ++i) {
    const char* name = kLandmarkMarginNames[i];
    if (limits.value().find(name) == nullptr) continue;
    const Field margin = limits[name];
    if (i >= contract.landmark_count) {
      margin.fail("no such field, because output.channels does not list " +
                  std::string(kLandmarkNames[i]));
    }
    point.landmark_margins[i] = margin.number(0, 1, "a number from 0 to 1");
  }
}

void read_operating_points(const Field& points, Contract& contract) {
  const auto& members = points.value().members;
  if (points.value().kind != JsonValue::Kind::kObject || members.empty() ||
      members.size() > kMaxOperatingPoints) {
    points.fail("an object of 1 to " + std::to_string(kMaxOperatingPoints) +
                " named operating points");
  }
  for (const auto& member : members) {
    const Field limits = points[member.first];
    if (!Field::is_name(member.first)) limits.fail_name(member.first);
    limits.expect_members({"good_min_score", "usable_min_score"},
                          {"zone_weights", kLandmarkMarginNames[0], kLandmarkMarginNames[1]});
    OperatingPoint point;
    point.name = member.first;
    point.good_min_score = limits["good_min_score"].number(0, 1, "a number from 0 to 1");
    point.usable_min_score =
        limits["usable_min_score"].number(0, limits["good_min_score"].value().number,
                                          "a number from 0 to good_min_score, which is " +
                                              json_excerpt(limits["good_min_score"].value()));
    if (limits.value().find("zone_weights") != nullptr) {
      read_zone_weights(limits["zone_weights"], point);
    }
    read_landmark_margins(limits, contract, point);
    contract.operating_points.push_back(std::move(point));
  }
}

void read_provenance(const Field& provenance, Contract& contract) {
  provenance.expect_members(
      {"backbone", "backbone_licence", "adapter", "training_data", "licence"});
  contract.backbone = provenance["backbone"].text(kMaxNoteBytes);
  contract.backbone_licence = provenance["backbone_licence"].text(kMaxNoteBytes);
  contract.adapter = provenance["adapter"].text(kMaxNoteBytes);
  contract.training_data = provenance["training_data"].text(kMaxNoteBytes);
  contract.licence = provenance["licence"].text(kMaxNoteBytes);
}

void read_parity(const Field& parity, Contract& contract) {
  parity.expect_object();
  contract.parity_passed = parity["status"].one_of(kParityStatusNames);
  if (!contract.parity_passed) {
    parity.expect_members({"status", "reason"});
    contract.parity_not_run_reason = parity["reason"].text(kMaxNoteBytes);
    return;
  }
  parity.expect_members({"status", "reference", "runner", "pictures", "cosine", "patch_cosine_p1",
                         "relative_frobenius", "max_abs_error"});
  parity["reference"].text(kMaxNoteBytes);
  parity["runner"].text(kMaxNoteBytes);
  parity["pictures"].integer(1, kMaxPictures);
  // Figures outside the limits did not pass, whatever the status says.
  parity["cosine"].number(kMinParityCosine, 1, "a number from 0.999 to 1");
  parity["patch_cosine_p1"].number(kMinParityPatchCosineP1, 1, "a number from 0.995 to 1");
  parity["relative_frobenius"].number(0, kMaxParityRelativeFrobenius, "a number from 0 to 0.01");
  parity["max_abs_error"].number(0, kMaxMagnitude, "a number from 0 to 1000");
}

void read_golden(const Field& golden, Contract& contract) {
  const bool optional = contract.format == ModelFormat::kOnnx;
  if (optional && golden.value().kind == JsonValue::Kind::kNull) return;
  golden.expect_members({"file", "sha256"});
  contract.golden.file = golden["file"].file_name();
  contract.golden.sha256 = golden["sha256"].sha256();
}

// "8.7" or "8.0+": two numbers of one or two digits.
ComputeCapability read_compute_capability(const Field& field) {
  const std::string rule = "a compute capability such as \"8.7\", or \"8.0+\" with all later ones";
  if (field.value().kind != JsonValue::Kind::kString) field.fail(rule);
  std::string text = field.value().text;
  ComputeCapability capability;
  capability.or_later = !text.empty() && text.back() == '+';
  if (capability.or_later) text.pop_back();
  const std::size_t dot = text.find('.');
  const auto number = [&](const std::string& digits) {
    if (digits.empty() || digits.size() > 2 ||
        digits.find_first_not_of("0123456789") != std::string::npos) {
      field.fail(rule);
    }
    return std::stoi(digits);
  };
  capability.major = number(text.substr(0, dot));
  capability.minor = number(dot == std::string::npos ? "" : text.substr(dot + 1));
  return capability;
}

void read_plan(const Field& plan, PlanFacts& facts) {
  plan.expect_members({"onnx_sha256", "flavour", "version", "compute_capabilities", "workspace_mib",
                       "optimization_level"});
  facts.onnx_sha256 = plan["onnx_sha256"].sha256();
  facts.flavour = plan["flavour"].one_of(kTensorRtFlavourNames);
  facts.version = plan["version"].text(kMaxNameBytes);
  const Field capabilities = plan["compute_capabilities"];
  const std::size_t count = capabilities.count(
      1, kMaxComputeCapabilities,
      "an array of 1 to " + std::to_string(kMaxComputeCapabilities) + " compute capabilities");
  for (std::size_t i = 0; i < count; ++i) {
    facts.compute_capabilities.push_back(read_compute_capability(capabilities.item(i)));
  }
  facts.workspace_mib = plan["workspace_mib"].integer(1, kMaxWorkspaceMib);
  facts.optimization_level = plan["optimization_level"].integer(0, kMaxOptimizationLevel);
}

// Looked at before anything is checked: it decides which fields there must be, and the fix.
bool says_plan(const JsonValue& root) {
  const JsonValue* model = root.find("model");
  const JsonValue* format = model == nullptr ? nullptr : model->find("format");
  return root.find("plan") != nullptr ||
         (format != nullptr && format->kind == JsonValue::Kind::kString &&
          format->text == "tensorrt_plan");
}

std::string list_operating_points(const Contract& contract) {
  std::string list;
  for (const OperatingPoint& point : contract.operating_points) {
    list += (list.empty() ? "" : ", ") + point.name;
  }
  return list;
}

const OperatingPoint* find_operating_point(const Contract& contract, const std::string& name) {
  for (const OperatingPoint& point : contract.operating_points) {
    if (point.name == name) return &point;
  }
  return nullptr;
}

}  // namespace

const char* Contract::channel_name(int channel) const {
  if (channel == 0) return "anatomy_not_visible";
  if (landmark_count > 0 && channel >= first_landmark_channel()) {
    return kLandmarkNames[channel - first_landmark_channel()];
  }
  if (has_not_a_fundus && channel == not_a_fundus_channel()) {
    return reason_name(Reason::kNotAFundus);
  }
  return reason_name(reason_of_strength(channel - 1));
}

const OperatingPoint& Contract::operating_point(const std::string& name) const {
  const OperatingPoint* point =
      find_operating_point(*this, name.empty() ? default_operating_point : name);
  if (point != nullptr) return *point;
  throw Error(
      StatusCode::kInvalidArgument,
      "operating_point is \"" + name + "\", expected one of: " + list_operating_points(*this));
}

Contract parse_contract(const std::string& json_text, const std::string& origin) {
  const JsonValue tree = parse_json(json_text, origin);
  check_version(tree, origin);
  const bool is_plan = says_plan(tree);
  const ContractSource source{origin, is_plan ? kBuildFix : kExportFix};
  const Field root(tree, "", source);
  if (is_plan) {
    root.expect_members({"contract_version", "id", "model", "input", "output", "map", "reasons",
                         "not_a_fundus", "operating_points", "default_operating_point",
                         "provenance", "parity", "golden", "plan"});
  } else {
    root.expect_members({"contract_version", "id", "model", "input", "output", "map", "reasons",
                         "not_a_fundus", "operating_points", "default_operating_point",
                         "provenance", "parity", "golden"});
  }
  root["contract_version"].integer(kContractVersion, kContractVersion);
  Contract contract;
  contract.sha256 = sha256_hex(json_text.data(), json_text.size());
  contract.id = root["id"].name();
  read_model(root["model"], contract);
  if (is_plan && contract.format != ModelFormat::kTensorRtPlan) {
    root["model"]["format"].fail("\"tensorrt_plan\", because the contract has the field plan");
  }
  read_input(root["input"], contract);
  read_output(root["output"], contract);
  root["map"].expect_members({"region_threshold"});
  contract.region_threshold = root["map"]["region_threshold"].between_0_and_1();
  read_reasons(root["reasons"], contract);
  read_not_a_fundus(root["not_a_fundus"], contract);
  read_operating_points(root["operating_points"], contract);
  contract.default_operating_point = root["default_operating_point"].name();
  if (find_operating_point(contract, contract.default_operating_point) == nullptr) {
    root["default_operating_point"].fail("one of: " + list_operating_points(contract));
  }
  read_provenance(root["provenance"], contract);
  read_parity(root["parity"], contract);
  read_golden(root["golden"], contract);
  if (is_plan) read_plan(root["plan"], contract.plan);
  return contract;
}

std::string contract_path(const std::string& model_path) { return model_path + ".json"; }

}  // namespace efiqa
