#include <string>
#include <utility>
#include <vector>

#include "check.h"
#include "contract.h"
#include "fixtures.h"
#include "json.h"

using efiqa::Contract;
using efiqa::JsonValue;
using efiqa_test::error_of;
using efiqa_test::replaced;
using efiqa_test::tiny_contract_text;

namespace {

std::string quoted(const std::string& text) { return "\"" + text + "\""; }  // no escapes in ours

std::string to_text(const JsonValue& value) {
  std::string text;
  switch (value.kind) {
    case JsonValue::Kind::kNull:
      return "null";
    case JsonValue::Kind::kBool:
      return value.boolean ? "true" : "false";
    case JsonValue::Kind::kNumber:
      return value.text;
    case JsonValue::Kind::kString:
      return quoted(value.text);
    case JsonValue::Kind::kArray:
      for (const JsonValue& item : value.items) text += (text.empty() ? "" : ", ") + to_text(item);
      return "[" + text + "]";
    case JsonValue::Kind::kObject:
      for (const auto& member : value.members) {
        text += (text.empty() ? "" : ", ") + quoted(member.first) + ": " + to_text(member.second);
      }
      return "{" + text + "}";
  }
  return text;
}

std::string refusal_of(const std::string& text) {
  return error_of([&] { efiqa::parse_contract(text, "m.onnx.json"); });
}

constexpr const char* kPrefix = "contract_invalid: m.onnx.json: ";
const std::string kFix = "; export the model again with efiqa export";
const std::string kPlanFix = "; build the plan again with efiqa build";

// The tiny model's contract as efiqa build would write it for a plan with measured parity.
std::string plan_contract_text() {
  const std::string hash(64, 'a');
  std::string text = replaced(tiny_contract_text(), "\"onnx\"", "\"tensorrt_plan\"");
  text = replaced(text, "\"tiny.onnx\"", "\"tiny.plan\"");
  const std::size_t parity = text.find("\"parity\"");
  return text.substr(0, parity) +
         R"("parity": {"status": "passed", "reference": "PyTorch fp32", "runner": "TensorRT 10.13.3",
           "pictures": 32, "cosine": 0.9999, "patch_cosine_p1": 0.998,
           "relative_frobenius": 0.004, "max_abs_error": 0.02},
         "golden": {"file": "tiny.plan.golden.safetensors", "sha256": ")" +
         hash + R"("},
         "plan": {"onnx_sha256": ")" +
         hash + R"(", "flavour": "tensorrt_rtx", "version": "1.7.1.116",
           "compute_capabilities": ["8.7", "11.0+"], "workspace_mib": 1024,
           "optimization_level": 3}})";
}

// Breaks each field of `value`, a part of `root`, in every way, and puts it right again.
int break_each_field(JsonValue& root, JsonValue& value, const std::string& path,
                     const std::string& fix) {
  int broken = 0;
  if (value.kind == JsonValue::Kind::kArray) {
    for (std::size_t i = 0; i < value.items.size(); ++i) {
      const JsonValue whole = value.items[i];
      value.items[i] = JsonValue();
      const std::string message = refusal_of(to_text(root));
      CHECK_EQ(message,
               kPrefix + path + "[" + std::to_string(i) + "] is null, expected " +
                   (path == "output.channels" ? quoted(whole.text)
                    : path == "input.std"     ? "a number > 0"
                    : path == "input.mean"
                        ? "a number from -1000 to 1000"
                        : "a compute capability such as \"8.7\", or \"8.0+\" with all later ones") +
                   fix);
      value.items[i] = whole;
      ++broken;
    }
    return broken;
  }
  for (std::size_t i = 0; i < value.members.size(); ++i) {
    const auto whole = value.members[i];
    const std::string field = (path.empty() ? "" : path + ".") + whole.first;

    value.members.erase(value.members.begin() + static_cast<std::ptrdiff_t>(i));
    // The set of operating points is free, but the default one must be there.
    CHECK(refusal_of(to_text(root)) ==
          (field == "operating_points.lenient" ? "no error"
           : field == "operating_points.screening"
               ? kPrefix +
                     std::string(
                         "default_operating_point is \"screening\", expected one of: lenient") +
                     fix

               : kPrefix + field + " is missing" + fix));
    value.members.insert(value.members.begin() + static_cast<std::ptrdiff_t>(i), whole);

    value.members[i].second = JsonValue();
    if (whole.second.kind == JsonValue::Kind::kNull) {  // what the model does not have
      CHECK_EQ(refusal_of(to_text(root)), "no error");
    } else {
      CHECK(refusal_of(to_text(root)).rfind(kPrefix + field + " is null, expected ", 0) == 0);
    }
    value.members[i] = whole;

    value.members[i].first = "typo_" + whole.first;
    const std::string typo = refusal_of(to_text(root));
    CHECK(typo.rfind("contract_invalid", 0) == 0 || path == "operating_points");
    value.members[i] = whole;

    value.members.emplace_back("extra", JsonValue());
    const std::string extra = (path.empty() ? "" : path + ".") + "extra";
    CHECK(refusal_of(to_text(root)) ==
          (path == "operating_points"
               ? kPrefix + extra + " is null, expected an object" + fix
               : kPrefix + extra + " is not a field of contract version 3" + fix));
    value.members.pop_back();

    ++broken;
    broken += break_each_field(root, value.members[i].second, field, fix);
  }
  return broken;
}

struct Refusal {
  const char* from;
  const char* to;
  const char* message;  // between origin and fix
};

}  // namespace

TEST(contract_of_tiny_model_is_read) {
  const Contract contract = efiqa_test::tiny_contract();
  CHECK(contract.id == "tiny-v1");
  CHECK(contract.model_file == "tiny.onnx");
  CHECK(contract.model_sha256.size() == 64);
  CHECK(contract.format == efiqa::ModelFormat::kOnnx);
  CHECK(contract.precision == efiqa::Precision::kFp32);
  CHECK(!contract.parity_passed);
  CHECK(contract.parity_not_run_reason == "no original to compare with");
  CHECK(contract.golden.file.empty());
  CHECK(!contract.trained);
  CHECK(contract.input_name == "image");
  CHECK(contract.preprocess.width_px == 64);
  CHECK(contract.preprocess.height_px == 64);
  CHECK(contract.preprocess.filter == efiqa::ResizeFilter::kTriangle);
  CHECK(contract.preprocess.blank_outside);
  CHECK(contract.preprocess.mean[2] == 0.5f);
  CHECK(contract.preprocess.std[0] == 0.5f);
  CHECK(contract.output_name == "logits");
  CHECK(contract.grid_width == 8);
  CHECK(contract.grid_height == 8);
  CHECK(contract.calibration_scale == 1.0f);
  CHECK(contract.calibration_offset == 0.0f);
  CHECK(contract.region_threshold == 0.5f);
  CHECK(contract.operating_points.size() == 2);
  CHECK(contract.default_operating_point == "screening");
  CHECK(contract.backbone == "none");
  CHECK(contract.training_data == "none: for tests only");
}

TEST(contract_alternatives_are_read) {
  std::string text = replaced(tiny_contract_text(), "\"triangle\"", "\"box\"");
  text = replaced(text, "\"black\"", "\"frame\"");
  text = replaced(text, "\"trained\": false", "\"trained\": true");
  const Contract contract = efiqa::parse_contract(text, "m.onnx.json");
  CHECK(contract.preprocess.filter == efiqa::ResizeFilter::kBox);
  CHECK(!contract.preprocess.blank_outside);
  CHECK(contract.trained);
}

TEST(contract_with_any_field_removed_or_garbled_is_refused) {
  JsonValue root = efiqa::parse_json(tiny_contract_text(), "tiny");
  const int broken = break_each_field(root, root, "", kFix);
  CHECK_EQ(std::to_string(broken),
           std::string("59"));  // fields and items of version 3: none was skipped
  CHECK(refusal_of(to_text(root)) == "no error");
}

TEST(contract_of_every_channel_with_any_field_removed_or_garbled_is_refused) {
  JsonValue root = efiqa::parse_json(efiqa_test::full_contract_text(), "full");
  const int broken = break_each_field(root, root, "", kFix);
  CHECK_EQ(std::to_string(broken), std::string("69"));
  CHECK(refusal_of(to_text(root)) == "no error");
}

TEST(contract_of_a_plan_with_any_field_removed_or_garbled_is_refused) {
  JsonValue root = efiqa::parse_json(plan_contract_text(), "plan");
  const int broken = break_each_field(root, root, "", kPlanFix);
  CHECK_EQ(std::to_string(broken), std::string("76"));
  CHECK(refusal_of(to_text(root)) == "no error");
}

TEST(contract_of_a_plan_is_read) {
  const Contract contract = efiqa::parse_contract(plan_contract_text(), "m.plan.json");
  CHECK(contract.format == efiqa::ModelFormat::kTensorRtPlan);
  CHECK(contract.precision == efiqa::Precision::kFp32);
  CHECK(contract.parity_passed);
  CHECK(contract.parity_not_run_reason.empty());
  CHECK(contract.golden.file == "tiny.plan.golden.safetensors");
  CHECK(contract.golden.sha256 == std::string(64, 'a'));
  CHECK(contract.plan.onnx_sha256 == std::string(64, 'a'));
  CHECK(contract.plan.flavour == efiqa::TensorRtFlavour::kTensorRtRtx);
  CHECK(contract.plan.version == "1.7.1.116");
  CHECK(contract.plan.compute_capabilities.size() == 2);
  CHECK(contract.plan.compute_capabilities[0].major == 8);
  CHECK(contract.plan.compute_capabilities[0].minor == 7);
  CHECK(contract.plan.compute_capabilities[1].major == 11);
  CHECK(contract.plan.compute_capabilities[1].minor == 0);
  CHECK(!contract.plan.compute_capabilities[0].or_later);
  CHECK(contract.plan.compute_capabilities[1].or_later);
  CHECK(contract.plan.workspace_mib == 1024);
  CHECK(contract.plan.optimization_level == 3);
}

TEST(contract_of_a_plan_value_outside_its_rule_is_refused) {
  const Refusal refusals[] = {
      {"\"passed\"", "\"failed\"", "parity.status is \"failed\", expected one of: passed, not_run"},
      {"\"passed\"", "\"not_run\"", "parity.reason is missing"},
      {"\"pictures\": 32", "\"pictures\": 0",
       "parity.pictures is 0, expected a whole number from 1 to 1000000"},
      {"0.9999", "0.9989", "parity.cosine is 0.9989, expected a number from 0.999 to 1"},
      {"0.998", "0.9949", "parity.patch_cosine_p1 is 0.9949, expected a number from 0.995 to 1"},
      {"0.004", "0.0101", "parity.relative_frobenius is 0.0101, expected a number from 0 to 0.01"},
      {"0.02", "-0.1", "parity.max_abs_error is -0.1, expected a number from 0 to 1000"},
      {"\"tiny.plan.golden.safetensors\"", "\"a/b\"",
       "golden.file is \"a/b\", expected a bare file name without a folder"},
      {"\"tensorrt_rtx\"", "\"rtx\"",
       "plan.flavour is \"rtx\", expected one of: tensorrt, tensorrt_rtx"},
      {"[\"8.7\", \"11.0+\"]", "[]",
       "plan.compute_capabilities is an array, expected an array of 1 to 32 compute capabilities"},
      {"\"8.7\"", "\"87\"",
       "plan.compute_capabilities[0] is \"87\", expected a compute capability such as \"8.7\", or "
       "\"8.0+\" with all later ones"},
      {"\"11.0+\"", "\"11.\"",
       "plan.compute_capabilities[1] is \"11.\", expected a compute capability such as \"8.7\", or "
       "\"8.0+\" with all later ones"},
      {"\"11.0+\"", "\"1.1.0\"",
       "plan.compute_capabilities[1] is \"1.1.0\", expected a compute capability such as \"8.7\", "
       "or \"8.0+\" with all later ones"},
      {"\"11.0+\"", "\"sm.0\"",
       "plan.compute_capabilities[1] is \"sm.0\", expected a compute capability such as \"8.7\", "
       "or \"8.0+\" with all later ones"},
      {"\"workspace_mib\": 1024", "\"workspace_mib\": 0",
       "plan.workspace_mib is 0, expected a whole number from 1 to 1048576"},
      {"\"optimization_level\": 3", "\"optimization_level\": 6",
       "plan.optimization_level is 6, expected a whole number from 0 to 5"},
  };
  for (const Refusal& refusal : refusals) {
    const std::string message =
        refusal_of(replaced(plan_contract_text(), refusal.from, refusal.to));
    const std::string expected = kPrefix + std::string(refusal.message) + kPlanFix;
    CHECK_EQ(message, expected);
  }
}

TEST(contract_of_an_onnx_model_with_plan_facts_is_refused) {
  const std::string text = replaced(plan_contract_text(), "\"tensorrt_plan\"", "\"onnx\"");
  CHECK_EQ(refusal_of(text),
           kPrefix +
               std::string("model.format is \"onnx\", expected \"tensorrt_plan\", because the "
                           "contract has the field plan") +
               kPlanFix);
}

TEST(contract_value_outside_its_rule_is_refused_with_value_rule_and_fix) {
  const Refusal refusals[] = {
      {"\"tiny-v1\"", "\"Tiny v1\"",
       "id is \"Tiny v1\", expected 1 to 64 characters of a-z, 0-9, _ and -"},
      {"\"tiny-v1\"", "\"\"", "id is \"\", expected 1 to 64 characters of a-z, 0-9, _ and -"},
      {"\"tiny.onnx\"", "\"a/tiny.onnx\"",
       "model.file is \"a/tiny.onnx\", expected a bare file name without a folder"},
      {"\"tiny.onnx\"", "\"..\"",
       "model.file is \"..\", expected a bare file name without a folder"},
      {"\"tiny.onnx\"", "\"a\\\\b\"",
       "model.file is \"a\\b\", expected a bare file name without a folder"},
      {"\"tiny.onnx\"", "\"a\\u0000b\"",
       "model.file is \"a\\u0000b\", expected a text without control characters"},
      {"\"tiny.onnx\"", "\"\"", "model.file is \"\", expected a text of 1 to 255 bytes"},
      {"\"format\": \"onnx\"", "\"format\": \"plan\"",
       "model.format is \"plan\", expected one of: onnx, tensorrt_plan"},
      {"\"precision\": \"fp32\"", "\"precision\": \"tf32\"",
       "model.precision is \"tf32\", expected one of: fp32, bf16, fp16, int8"},
      {"\"trained\": false", "\"trained\": 0", "model.trained is 0, expected true or false"},
      {"\"width_px\": 64", "\"width_px\": 31",
       "input.width_px is 31, expected a whole number from 32 to 2048"},
      {"\"width_px\": 64", "\"width_px\": 64.5",
       "input.width_px is 64.5, expected a whole number from 32 to 2048"},
      {"\"height_px\": 64", "\"height_px\": 2049",
       "input.height_px is 2049, expected a whole number from 32 to 2048"},
      {"\"height_px\": 64", "\"height_px\": \"64\"",
       "input.height_px is \"64\", expected a whole number from 32 to 2048"},
      {"\"NCHW\"", "\"NHWC\"", "input.layout is \"NHWC\", expected \"NCHW\""},
      {"\"RGB\"", "\"BGR\"", "input.color_order is \"BGR\", expected \"RGB\""},
      {"\"field_of_view_square\"", "\"center\"",
       "input.crop is \"center\", expected \"field_of_view_square\""},
      {"\"triangle\"", "\"lanczos\"",
       "input.resize_filter is \"lanczos\", expected one of: box, triangle"},
      {"\"black\"", "\"white\"", "input.outside is \"white\", expected one of: black, frame"},
      {"\"anatomy_not_visible\"", "\"quality\"",
       "output.channels[0] is \"quality\", expected \"anatomy_not_visible\""},
      {"\"reasons\": null", "\"reasons\": {}",
       "reasons is an object, expected null, because output.channels does not list the reasons"},
      {"\"not_a_fundus\": null", "\"not_a_fundus\": 0.5",
       "not_a_fundus is 0.5, expected null, because output.channels does not list not_a_fundus"},
      {"\"sigmoid\"", "\"none\"", "output.activation is \"none\", expected \"sigmoid\""},
      {"\"width\": 8", "\"width\": 0", "output.width is 0, expected a whole number from 1 to 128"},
      {"\"height\": 8", "\"height\": 129",
       "output.height is 129, expected a whole number from 1 to 128"},
      {"\"scale\": 1.0", "\"scale\": 0.0",
       "output.calibration.scale is 0.0, expected a number > 0"},
      {"\"scale\": 1.0", "\"scale\": -1", "output.calibration.scale is -1, expected a number > 0"},
      {"\"scale\": 1.0", "\"scale\": 1e-60",
       "output.calibration.scale is 1e-60, expected a number > 0"},
      {"\"offset\": 0.0", "\"offset\": 1e9",
       "output.calibration.offset is 1e9, expected a number from -1000 to 1000"},
      {"\"region_threshold\": 0.5", "\"region_threshold\": 0",
       "map.region_threshold is 0, expected a number > 0 and < 1"},
      {"\"region_threshold\": 0.5", "\"region_threshold\": 1",
       "map.region_threshold is 1, expected a number > 0 and < 1"},
      {"\"region_threshold\": 0.5", "\"region_threshold\": 0.99999999999",
       "map.region_threshold is 0.99999999999, expected a number > 0 and < 1"},
      {"\"good_min_score\": 0.85", "\"good_min_score\": 1.01",
       "operating_points.screening.good_min_score is 1.01, expected a number from 0 to 1"},
      {"\"usable_min_score\": 0.6", "\"usable_min_score\": 0.86",
       "operating_points.screening.usable_min_score is 0.86, expected a number from 0 to "
       "good_min_score, which is 0.85"},
      {"\"usable_min_score\": 0.6", "\"usable_min_score\": -0.1",
       "operating_points.screening.usable_min_score is -0.1, expected a number from 0 to "
       "good_min_score, which is 0.85"},
      {"\"usable_min_score\": 0.6",
       R"("usable_min_score": 0.6, "zone_weights": {"center": 1, "middle": 0, "periphery": 1})",
       "operating_points.screening.zone_weights.middle is 0, expected a number from 0.01 to 1"},
      {"\"usable_min_score\": 0.6", R"("usable_min_score": 0.6, "zone_weights": {"center": 1.5,
                                      "middle": 1, "periphery": 1})",
       "operating_points.screening.zone_weights.center is 1.5, expected a number from 0.01 to 1"},
      {"\"usable_min_score\": 0.6",
       R"("usable_min_score": 0.6, "zone_weights": {"center": 1, "middle": 1})",
       "operating_points.screening.zone_weights.periphery is missing"},
      {"\"usable_min_score\": 0.6", R"("usable_min_score": 0.6, "zone_weights": null)",
       "operating_points.screening.zone_weights is null, expected an object"},
      {"\"usable_min_score\": 0.6", R"("usable_min_score": 0.6, "zones": null)",
       "operating_points.screening.zones is not a field of contract version 3"},
      {"\"lenient\"", "\"Lenient\"",
       "the name of operating_points.Lenient has 7 bytes, expected 1 to 64 characters of a-z, "
       "0-9, _ and -"},
      {"\"default_operating_point\": \"screening\"", "\"default_operating_point\": \"strict\"",
       "default_operating_point is \"strict\", expected one of: screening, lenient"},
      {"\"none: for tests only\"", "\"\"",
       "provenance.training_data is \"\", expected a text of 1 to 4096 bytes"},
  };
  for (const Refusal& refusal : refusals) {
    const std::string message =
        refusal_of(replaced(tiny_contract_text(), refusal.from, refusal.to));
    const std::string expected = kPrefix + std::string(refusal.message) + kFix;
    CHECK_EQ(message, expected);
  }
}

TEST(contract_zone_weights_are_of_one_operating_point_and_else_equal) {
  const std::string text = replaced(
      tiny_contract_text(), "\"usable_min_score\": 0.6",
      R"("usable_min_score": 0.6, "zone_weights": {"center": 1, "middle": 0.5, "periphery": 0.25})");
  const Contract contract = efiqa::parse_contract(text, "test");
  const float expected[] = {1, 0.5f, 0.25f};
  for (int zone = 0; zone < efiqa::kZones; ++zone) {
    CHECK(contract.operating_point("screening").zone_weights[zone] == expected[zone]);
    CHECK(contract.operating_point("lenient").zone_weights[zone] == 1);
  }
}

namespace {

using Names = std::vector<std::string>;

const Names kReasons = {"under_exposed", "over_exposed", "defocus", "haze", "occlusion"};

// The tiny contract with these channels after the first, and the limits that they need.
std::string text_of_channels(const Names& names) {
  std::string list = "\"anatomy_not_visible\"";
  bool reasons = false, not_a_fundus = false;
  for (const std::string& name : names) {
    list += ", \"" + name + "\"";
    if (name == "macula") continue;
    (name == "not_a_fundus" ? not_a_fundus : reasons) = true;
  }
  std::string text = tiny_contract_text();
  if (reasons) {
    text = replaced(text, "\"reasons\": null",
                    R"("reasons": {"region_min_strength": 0.3, "picture_min_strength": 0.2})");
  }
  if (not_a_fundus) {
    text = replaced(text, "\"not_a_fundus\": null",
                    R"("not_a_fundus": {"min_probability": 0.7, "max_score": 0.3})");
  }
  return replaced(text, "\"anatomy_not_visible\"", list);
}

Names with(Names names, const std::string& last) {
  names.push_back(last);
  return names;
}

Names with_macula() { return with(with(kReasons, "not_a_fundus"), "macula"); }

}  // namespace

TEST(contract_each_legal_list_of_channels_is_read) {
  const struct {
    Names names;
    bool reasons, not_a_fundus;
    int landmarks;
  } cases[] = {{{}, false, false, 0},          {{"not_a_fundus"}, false, true, 0},
               {kReasons, true, false, 0},     {with(kReasons, "not_a_fundus"), true, true, 0},
               {with_macula(), true, true, 1}, {with(with_macula(), "optic_disc"), true, true, 2}};
  for (const auto& expected : cases) {
    const Contract contract = efiqa::parse_contract(text_of_channels(expected.names), "m");
    CHECK_EQ(contract.has_reasons, expected.reasons);
    CHECK_EQ(contract.has_not_a_fundus, expected.not_a_fundus);
    CHECK_EQ(contract.landmark_count, expected.landmarks);
    CHECK_EQ(contract.channel_count(), 1 + static_cast<int>(expected.names.size()));
    CHECK_EQ(std::string(contract.channel_name(0)), "anatomy_not_visible");
    for (std::size_t i = 0; i < expected.names.size(); ++i) {
      CHECK_EQ(std::string(contract.channel_name(static_cast<int>(i) + 1)), expected.names[i]);
    }
    CHECK_EQ(contract.region_min_strength, expected.reasons ? 0.3f : 0.2f);
    CHECK_EQ(contract.picture_min_strength, expected.reasons ? 0.2f : 0.1f);
    CHECK_EQ(contract.not_a_fundus_min_probability, expected.not_a_fundus ? 0.7f : 0.5f);
    CHECK_EQ(contract.not_a_fundus_max_score, expected.not_a_fundus ? 0.3f : 1.0f);
  }
}

TEST(contract_margin_of_a_landmark_needs_its_channel) {
  const auto text = [](const std::string& channels, const std::string& name,
                       const std::string& margin) {
    return replaced(channels, "\"usable_min_score\": 0.6",
                    "\"usable_min_score\": 0.6, \"" + name + "_margin\": " + margin);
  };
  const std::string lists[] = {text_of_channels(with(kReasons, "not_a_fundus")),
                               text_of_channels(with_macula()),
                               text_of_channels(with(with_macula(), "optic_disc"))};
  const std::string names[] = {"macula", "optic_disc"};
  for (int i = 0; i < 2; ++i) {
    const std::string& told = lists[i + 1];
    const Contract contract = efiqa::parse_contract(text(told, names[i], "0.125"), "m");
    CHECK_EQ(contract.operating_point("screening").landmark_margins[i], 0.125f);
    CHECK_EQ(contract.operating_point("screening").landmark_margins[1 - i], 1.0f);
    CHECK_EQ(contract.operating_point("lenient").landmark_margins[i], 1.0f);
    const std::string place =
        kPrefix + std::string("operating_points.screening.") + names[i] + "_margin is ";
    for (const std::string margin : {"-0.1", "1.1", "null"}) {
      CHECK_EQ(refusal_of(text(told, names[i], margin)),
               place + margin + ", expected a number from 0 to 1" + kFix);
    }
    CHECK_EQ(refusal_of(text(lists[i], names[i], "1")),
             place + "1, expected no such field, because output.channels does not list " +
                 names[i] + kFix);
  }
}

TEST(contract_each_other_list_of_channels_is_refused_with_the_place) {
  const std::string count =
      "output.channels is an array, expected an array of 1, 2 or 6 to 9 channels: "
      "anatomy_not_visible, then the five reasons or none of them, then not_a_fundus or not, then, "
      "if all others are there, macula, or macula and optic_disc, or neither";
  const auto item = [](int index, const std::string& actual, const std::string& expected) {
    return "output.channels[" + std::to_string(index) + "] is \"" + actual + "\", expected \"" +
           expected + "\"";
  };
  const Names few(kReasons.begin(), kReasons.begin() + 4);
  Names swapped = kReasons;
  std::swap(swapped[1], swapped[2]);
  Names front = kReasons;
  front.insert(front.begin(), "not_a_fundus");
  const struct {
    Names names;
    std::string message;
  } cases[] = {
      {{"haze"}, item(1, "haze", "not_a_fundus")},
      {{"haze", "not_a_fundus"}, count},
      {few, count},
      {with(few, "not_a_fundus"), item(5, "not_a_fundus", "occlusion")},
      {with(few, "field_cut"), item(5, "field_cut", "occlusion")},
      {with(few, "haze"), item(5, "haze", "occlusion")},
      {swapped, item(2, "defocus", "over_exposed")},
      {front, item(1, "not_a_fundus", "under_exposed")},
      {with(kReasons, "anatomy_not_visible"), item(6, "anatomy_not_visible", "not_a_fundus")},
      {{"macula"}, item(1, "macula", "not_a_fundus")},
      {{"not_a_fundus", "macula"}, count},
      {with(kReasons, "macula"), item(6, "macula", "not_a_fundus")},
      {with(with(kReasons, "not_a_fundus"), "not_a_fundus"), item(7, "not_a_fundus", "macula")},
      {with(with_macula(), "macula"), item(8, "macula", "optic_disc")},
      {with(with(with_macula(), "optic_disc"), "optic_disc"), count}};
  for (const auto& refused : cases) {
    CHECK_EQ(refusal_of(text_of_channels(refused.names)), kPrefix + refused.message + kFix);
  }
  CHECK_EQ(refusal_of(replaced(tiny_contract_text(), "\"anatomy_not_visible\"", "")),
           kPrefix + count + kFix);
}

TEST(contract_limits_of_the_channels_are_checked_and_must_be_there) {
  const Refusal refusals[] = {
      {"\"region_min_strength\": 0.25", "\"region_min_strength\": 0",
       "reasons.region_min_strength is 0, expected a number > 0 and < 1"},
      {"\"picture_min_strength\": 0.15", "\"picture_min_strength\": 1",
       "reasons.picture_min_strength is 1, expected a number > 0 and < 1"},
      {"\"min_probability\": 0.5", "\"min_probability\": 1.5",
       "not_a_fundus.min_probability is 1.5, expected a number > 0 and < 1"},
      {"\"min_probability\": 0.5", "\"min_probability\": null",
       "not_a_fundus.min_probability is null, expected a number > 0 and < 1"},
      {"\"max_score\": 1", "\"max_score\": 1.01",
       "not_a_fundus.max_score is 1.01, expected a number from 0 to 1"},
      {"{\"min_probability\": 0.5, \"max_score\": 1}", "null",
       "not_a_fundus is null, expected an object, because output.channels lists not_a_fundus"},
  };
  for (const Refusal& refusal : refusals) {
    CHECK_EQ(refusal_of(replaced(efiqa_test::full_contract_text(), refusal.from, refusal.to)),
             kPrefix + std::string(refusal.message) + kFix);
  }
  JsonValue root = efiqa::parse_json(efiqa_test::full_contract_text(), "full");
  for (auto& member : root.members) {
    if (member.first == "reasons") member.second = JsonValue();
  }
  CHECK_EQ(refusal_of(to_text(root)),
           kPrefix +
               std::string("reasons is null, expected an object, because output.channels lists the "
                           "reasons") +
               kFix);
}

TEST(contract_channel_values_are_checked_one_by_one) {
  JsonValue root = efiqa::parse_json(tiny_contract_text(), "tiny");
  JsonValue* std_values = nullptr;
  for (auto& member : root.members) {
    if (member.first != "input") continue;
    for (auto& field : member.second.members) {
      if (field.first == "std") std_values = &field.second;
    }
  }
  std_values->items[1] = efiqa::parse_json("0", "item");
  CHECK_EQ(refusal_of(to_text(root)),
           kPrefix + std::string("input.std[1] is 0, expected a number > 0") + kFix);
  std_values->items.pop_back();
  CHECK_EQ(refusal_of(to_text(root)),
           kPrefix + std::string("input.std is an array, expected an array of 3 numbers") + kFix);
}

TEST(contract_sha256_must_be_64_lower_case_digits) {
  const std::string hash = efiqa_test::tiny_contract().model_sha256;
  for (const std::string& wrong :
       {hash.substr(1), hash + "0", "G" + hash.substr(1), "A" + hash.substr(1), std::string()}) {
    const std::string message = refusal_of(replaced(tiny_contract_text(), hash, wrong));
    CHECK(message.rfind(kPrefix + std::string("model.sha256 is \""), 0) == 0);
    CHECK(message.find("expected 64 lower-case hexadecimal digits") != std::string::npos);
  }
}

TEST(contract_of_another_version_names_both_and_the_fix) {
  const std::string text =
      replaced(tiny_contract_text(), "\"contract_version\": 3", "\"contract_version\": 2");
  CHECK_EQ(refusal_of(text), std::string(kPrefix) +
                                 "contract_version is 2, this efiqa reads version 3; install an "
                                 "efiqa that reads version 2, or export the model again with this "
                                 "version's efiqa export");
  CHECK_EQ(refusal_of("{\"contract_version\": 7}").substr(0, std::string(kPrefix).size() + 21),
           std::string(kPrefix) + "contract_version is 7");
}

TEST(contract_that_is_no_object_or_no_json_is_refused) {
  CHECK_EQ(refusal_of("[]"),
           kPrefix + std::string("the text is an array, expected an object") + kFix);
  CHECK_EQ(refusal_of(""),
           kPrefix + std::string("line 1, column 1: expected a value (end of text)"));
  const std::string text = tiny_contract_text();
  for (std::size_t length = 0; length + 2 < text.size(); ++length) {  // the last two are "}\n"
    CHECK(refusal_of(text.substr(0, length)).rfind("contract_invalid: ", 0) == 0);
  }
}

TEST(contract_without_operating_points_is_refused) {
  JsonValue root = efiqa::parse_json(tiny_contract_text(), "tiny");
  for (auto& member : root.members) {
    if (member.first == "operating_points") member.second.members.clear();
  }
  CHECK_EQ(refusal_of(to_text(root)),
           kPrefix +
               std::string("operating_points is an object, expected an object of 1 to 16 named "
                           "operating points") +
               kFix);
}

TEST(contract_operating_point_is_found_by_name_or_refused_with_the_list) {
  const Contract contract = efiqa_test::tiny_contract();
  CHECK(contract.operating_point("").name == "screening");
  CHECK(contract.operating_point("lenient").good_min_score == 0.8f);
  CHECK_EQ(error_of([&] { contract.operating_point("strict"); }),
           std::string("invalid_argument: operating_point is \"strict\", expected one of: "
                       "screening, lenient"));
}

TEST(contract_path_is_beside_the_model) {
  CHECK(efiqa::contract_path("a/model.onnx") == "a/model.onnx.json");
}
