#include "contract.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "json.h"
#include "names.h"
#include "sha256.h"
#include "status.h"

namespace efiqa {
namespace {

constexpr const char* kFix = "; export the model again with efiqa export";
constexpr std::size_t kMaxNameBytes = 64;
constexpr const char* kNameRule = "1 to 64 characters of a-z, 0-9, _ and -";
constexpr std::size_t kMaxFileNameBytes = 255;  // of a file name on Linux
constexpr std::size_t kMaxNoteBytes = 4096;     // a sentence or two about data and licence
constexpr std::size_t kMaxOperatingPoints = 16;
constexpr std::size_t kSha256Digits = 64;
// Wider calibrations or pixel statistics are a mistake, and would leave the range where float32
// arithmetic on them is exact enough.
constexpr double kMaxMagnitude = 1000;

// What the network sees where there is no retina: the value is PreprocessSpec::blank_outside.
constexpr Named<bool> kOutsideNames[] = {{"black", true}, {"frame", false}};

// One field of the contract: its value, and where it stands, for messages.
class Field {
 public:
  Field(const JsonValue& value, std::string path, const std::string& origin)
      : value_(value), path_(std::move(path)), origin_(origin) {}

  const JsonValue& value() const { return value_; }

  [[noreturn]] void fail(const std::string& rule) const {
    throw Error(StatusCode::kContractInvalid,
                origin_ + ": " + (path_.empty() ? "the text" : path_) + " is " +
                    json_excerpt(value_) + ", expected " + rule + kFix);
  }

  [[noreturn]] void fail_name(const std::string& name) const {
    throw Error(StatusCode::kContractInvalid, origin_ + ": the name of " + path_ + " has " +
                                                  std::to_string(name.size()) +
                                                  " bytes, expected " + kNameRule + kFix);
  }

  // The member's own field; refuses a missing one.
  Field operator[](const std::string& name) const {
    const JsonValue* member = value_.find(name);
    const std::string path = (path_.empty() ? "" : path_ + ".") + json_printable(name);
    if (member == nullptr) {
      throw Error(StatusCode::kContractInvalid, origin_ + ": " + path + " is missing" + kFix);
    }
    return Field(*member, path, origin_);
  }

  // Refuses anything but an object with exactly these members.
  void expect_members(std::initializer_list<const char*> names) const {
    if (value_.kind != JsonValue::Kind::kObject) fail("an object");
    for (const char* name : names) (*this)[name];
    for (const auto& member : value_.members) {
      const bool known = std::any_of(names.begin(), names.end(),
                                     [&](const char* name) { return member.first == name; });
      if (known) continue;
      throw Error(StatusCode::kContractInvalid,
                  origin_ + ": " + (path_.empty() ? "" : path_ + ".") +
                      json_printable(member.first) + " is not a field of contract version " +
                      std::to_string(kContractVersion) + kFix);
    }
  }

  bool boolean() const {
    if (value_.kind != JsonValue::Kind::kBool) fail("true or false");
    return value_.boolean;
  }

  float number(double low, double high, const std::string& rule) const {
    if (value_.kind != JsonValue::Kind::kNumber || !(value_.number >= low) ||
        !(value_.number <= high)) {
      fail(rule);
    }
    return static_cast<float>(value_.number);
  }

  // A number whose float is > 0 too: the runtime divides by it.
  float positive() const {
    const std::string rule = "a number > 0";
    const float value = number(0, kMaxMagnitude, rule);
    if (!(value > 0)) fail(rule);
    return value;
  }

  float finite() const {
    return number(-kMaxMagnitude, kMaxMagnitude, "a number from -1000 to 1000");
  }

  // The float must lie inside too: it is compared with probabilities that are floats.
  float between_0_and_1() const {
    const std::string rule = "a number > 0 and < 1";
    const float value = number(0, 1, rule);
    if (!(value > 0) || !(value < 1)) fail(rule);
    return value;
  }

  int integer(int low, int high) const {
    const std::string rule =
        "a whole number from " + std::to_string(low) + " to " + std::to_string(high);
    number(low, high, rule);
    if (value_.number != std::floor(value_.number)) fail(rule);
    return static_cast<int>(value_.number);
  }

  const std::string& text(std::size_t max_bytes) const {
    const std::string rule = "a text of 1 to " + std::to_string(max_bytes) + " bytes";
    if (value_.kind != JsonValue::Kind::kString || value_.text.empty() ||
        value_.text.size() > max_bytes) {
      fail(rule);
    }
    for (const char c : value_.text) {
      if (static_cast<std::uint8_t>(c) < 0x20 || c == 0x7F)
        fail("a text without control characters");
    }
    return value_.text;
  }

  // One of the `count` items of an array.
  Field item(std::size_t index, std::size_t count) const {
    if (value_.kind != JsonValue::Kind::kArray || value_.items.size() != count) {
      fail("an array of " + std::to_string(count) + " numbers");
    }
    return Field(value_.items[index], path_ + "[" + std::to_string(index) + "]", origin_);
  }

  template <typename Value, std::size_t kCount>
  Value one_of(const Named<Value> (&table)[kCount]) const {
    if (value_.kind == JsonValue::Kind::kString) {
      for (const Named<Value>& entry : table) {
        if (value_.text == entry.name) return entry.value;
      }
    }
    fail("one of: " + list_names(table));
  }

  // A fixed word: today's only choice, written down so that a later choice cannot be misread.
  void expect_word(const char* word) const {
    if (value_.kind != JsonValue::Kind::kString || value_.text != word) {
      fail("\"" + std::string(word) + "\"");
    }
  }

  const std::string& name() const {
    if (value_.kind != JsonValue::Kind::kString || !is_name(value_.text)) {
      fail(kNameRule);
    }
    return value_.text;
  }

  static bool is_name(const std::string& text) {
    return !text.empty() && text.size() <= kMaxNameBytes &&
           text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == std::string::npos;
  }

 private:
  const JsonValue& value_;
  std::string path_;
  const std::string& origin_;
};

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
  model.expect_members({"file", "sha256", "format", "trained"});
  contract.model_file = model["file"].text(kMaxFileNameBytes);
  if (contract.model_file.find_first_of("/\\") != std::string::npos || contract.model_file == "." ||
      contract.model_file == "..") {
    model["file"].fail("a bare file name without a folder");
  }
  contract.model_sha256 = model["sha256"].value().text;
  if (model["sha256"].value().kind != JsonValue::Kind::kString ||
      contract.model_sha256.size() != kSha256Digits ||
      contract.model_sha256.find_first_not_of("0123456789abcdef") != std::string::npos) {
    model["sha256"].fail("64 lower-case hexadecimal digits");
  }
  model["format"].expect_word("onnx");
  contract.trained = model["trained"].boolean();
}

void read_input(const Field& input, Contract& contract) {
  input.expect_members({"name", "width_px", "height_px", "layout", "dtype", "color_order", "crop",
                        "resize_filter", "outside", "mean", "std"});
  contract.input_name = input["name"].text(kMaxFileNameBytes);
  PreprocessSpec& spec = contract.preprocess;
  spec.width_px = input["width_px"].integer(kMinInputPx, kMaxInputPx);
  spec.height_px = input["height_px"].integer(kMinInputPx, kMaxInputPx);
  input["layout"].expect_word("NCHW");
  input["dtype"].expect_word("float32");
  input["color_order"].expect_word("RGB");
  input["crop"].expect_word("field_of_view_square");
  spec.filter = input["resize_filter"].one_of(kResizeFilterNames);
  spec.blank_outside = input["outside"].one_of(kOutsideNames);
  for (int c = 0; c < 3; ++c) {
    spec.mean[c] = input["mean"].item(c, 3).finite();
    spec.std[c] = input["std"].item(c, 3).positive();
  }
}

void read_output(const Field& output, Contract& contract) {
  output.expect_members(
      {"name", "width", "height", "dtype", "meaning", "activation", "calibration"});
  contract.output_name = output["name"].text(kMaxFileNameBytes);
  contract.grid_width = output["width"].integer(1, kMaxGridCells);
  contract.grid_height = output["height"].integer(1, kMaxGridCells);
  output["dtype"].expect_word("float32");
  output["meaning"].expect_word("probability_anatomy_not_visible");
  output["activation"].expect_word("sigmoid");
  const Field calibration = output["calibration"];
  calibration.expect_members({"scale", "offset"});
  // A scale of 0 or below would turn bad into good.
  contract.calibration_scale = calibration["scale"].positive();
  contract.calibration_offset = calibration["offset"].finite();
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
    limits.expect_members({"good_min_score", "usable_min_score"});
    OperatingPoint point;
    point.name = member.first;
    point.good_min_score = limits["good_min_score"].number(0, 1, "a number from 0 to 1");
    point.usable_min_score =
        limits["usable_min_score"].number(0, limits["good_min_score"].value().number,
                                          "a number from 0 to good_min_score, which is " +
                                              json_excerpt(limits["good_min_score"].value()));
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
  const Field root(tree, "", origin);
  root.expect_members({"contract_version", "id", "model", "input", "output", "map",
                       "operating_points", "default_operating_point", "provenance"});
  root["contract_version"].integer(kContractVersion, kContractVersion);
  Contract contract;
  contract.sha256 = sha256_hex(json_text.data(), json_text.size());
  contract.id = root["id"].name();
  read_model(root["model"], contract);
  read_input(root["input"], contract);
  read_output(root["output"], contract);
  root["map"].expect_members({"region_threshold"});
  contract.region_threshold = root["map"]["region_threshold"].between_0_and_1();
  read_operating_points(root["operating_points"], contract);
  contract.default_operating_point = root["default_operating_point"].name();
  if (find_operating_point(contract, contract.default_operating_point) == nullptr) {
    root["default_operating_point"].fail("one of: " + list_operating_points(contract));
  }
  read_provenance(root["provenance"], contract);
  return contract;
}

std::string contract_path(const std::string& model_path) { return model_path + ".json"; }

}  // namespace efiqa
