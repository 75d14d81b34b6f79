#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "check.h"
#include "fixtures.h"
#include "golden.h"
#include "runtime.h"
#include "sha256.h"
#include "stages.h"

using efiqa::Parity;
using efiqa_test::bytes_of;
using efiqa_test::error_of;
using efiqa_test::golden_file;
using efiqa_test::replaced;
using efiqa_test::safetensors;

namespace {

constexpr std::size_t kInputs = 3 * 64 * 64, kLogits = 8 * 8;

std::vector<float> ramp(std::size_t count, float from, float step) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = from + step * static_cast<float>(i);
  return values;
}

std::string refusal_of(const std::string& bytes) {
  return error_of([&] { efiqa::parse_golden(bytes, efiqa_test::tiny_contract(), "g"); });
}

const std::string kFix = "; copy it again, or build the plan again with efiqa build";

const std::string kHeader =
    "{\"inputs\":{\"dtype\":\"F32\",\"shape\":[1,3,64,64],\"data_offsets\":[0,49152]},"
    "\"logits\":{\"dtype\":\"F32\",\"shape\":[1,1,8,8],\"data_offsets\":[49152,49408]}}";
const std::string kData = std::string(49408, '\0');

}  // namespace

TEST(golden_file_is_read_as_it_was_written) {
  const std::vector<float> inputs = ramp(2 * kInputs, -1, 1e-4f), logits = ramp(2 * kLogits, 3, 1);
  const efiqa::GoldenSet golden =
      efiqa::parse_golden(golden_file(inputs, logits), efiqa_test::tiny_contract(), "g");
  CHECK(golden.count == 2);
  CHECK(golden.inputs == inputs);
  CHECK(golden.logits == logits);
}

TEST(golden_file_in_another_order_and_with_metadata_is_read) {
  const std::string header =
      replaced(replaced(kHeader, "[0,49152]", "[256,49408]"), "[49152,49408]}}",
               "[0,256]},\"__metadata__\":{\"source\":\"a text\"}}   ");  // writers pad with spaces
  const std::vector<float> inputs = ramp(kInputs, 0, 1), logits = ramp(kLogits, 5, 1);
  const efiqa::GoldenSet golden = efiqa::parse_golden(
      safetensors(header, bytes_of(logits) + bytes_of(inputs)), efiqa_test::tiny_contract(), "g");
  CHECK(golden.count == 1);
  CHECK(golden.inputs == inputs);
  CHECK(golden.logits == logits);
}

TEST(golden_file_with_a_wrong_length_or_header_is_refused) {
  const std::string prefix = "contract_invalid: golden file g: ";
  CHECK_EQ(refusal_of("1234567"),
           prefix + "it has 7 bytes, expected at least 8 for the header's length" + kFix);
  CHECK_EQ(refusal_of(std::string(8, '\xFF') + "{}"),
           prefix + "the header's length is 18446744073709551615, the file has 10 bytes" + kFix);
  const std::string whole = safetensors(kHeader, kData);
  CHECK_EQ(refusal_of(whole.substr(0, 100)), prefix + "the header's length is " +
                                                 std::to_string(kHeader.size()) +
                                                 ", the file has 100 bytes" + kFix);
  CHECK(refusal_of(safetensors("{\"inputs\":", kData)).rfind(prefix + "line 1, column ", 0) == 0);
  CHECK_EQ(refusal_of(safetensors("[]", kData)), prefix + "the header is not an object" + kFix);
}

TEST(golden_file_whose_header_breaks_a_rule_is_refused) {
  const struct {
    std::string from, to, message;
  } refusals[] = {
      {"\"logits\"", "\"answers\"", "answers is no tensor of a golden file"},
      {"{\"inputs\":", "{\"__metadata__\":", "inputs is missing"},
      {"{\"dtype\":\"F32\",\"shape\":[1,1,8,8],\"data_offsets\":[49152,49408]}", "7",
       "logits is 7, expected an object of dtype, shape and data_offsets"},
      {"\"shape\":[1,1,8,8],", "",
       "logits is an object, expected an object of dtype, shape and data_offsets"},
      {"\"shape\":[1,1,8,8],", "\"size\":[1,1,8,8],", "logits.shape is missing"},
      {"\"F32\",\"shape\":[1,3", "\"F16\",\"shape\":[1,3",
       "inputs.dtype is \"F16\", expected \"F32\""},
      {"[1,3,64,64]", "[1,3,64,32]",
       "inputs.shape is [1, 3, 64, 32], expected [N, 3, 64, 64] with N from 1 to 1024"},
      {"[1,3,64,64]", "[0,3,64,64]",
       "inputs.shape is [0, 3, 64, 64], expected [N, 3, 64, 64] with N from 1 to 1024"},
      {"[1,3,64,64]", "[3,64,64]",
       "inputs.shape is [3, 64, 64], expected [N, 3, 64, 64] with N from 1 to 1024"},
      {"[1,3,64,64]", "7", "inputs.shape is [], expected [N, 3, 64, 64] with N from 1 to 1024"},
      {"[1,3,64,64]", "[1,3,64,-64]", "inputs.shape is -64, expected a whole number"},
      {"[1,1,8,8]", "[2,1,8,8]", "logits.shape is [2, 1, 8, 8], expected [1, 1, 8, 8]"},
      {"[0,49152]", "[0]", "inputs.data_offsets is an array, expected two numbers"},
      {"[0,49152]", "[0,1.5]", "inputs.data_offsets is 1.5, expected a whole number"},
      {"[0,49152]", "[0,9e15]",
       "inputs.data_offsets is [0, 9000000000000000], expected 49152 bytes within the file's "
       "49408"},
      {"[0,49152]", "[49152,0]",
       "inputs.data_offsets is [49152, 0], expected 49152 bytes within the file's 49408"},
      {"[49152,49408]", "[49152,49404]",
       "logits.data_offsets is [49152, 49404], expected 256 bytes within the file's 49408"},
      {"[49152,49408]", "[49000,49256]",
       "the tensors lie at bytes 0 to 49152 and 49000 to 49256 of 49408, expected no gap and no "
       "overlap"},
  };
  for (const auto& refusal : refusals) {
    const std::string header = replaced(kHeader, refusal.from, refusal.to);
    CHECK_EQ(refusal_of(safetensors(header, kData)),
             "contract_invalid: golden file g: " + refusal.message + kFix);
  }
  CHECK_EQ(refusal_of(safetensors(kHeader, kData + "1234")),
           "contract_invalid: golden file g: the tensors lie at bytes 0 to 49152 and 49152 to "
           "49408 of 49412, expected no gap and no overlap" +
               kFix);
}

TEST(golden_file_with_a_value_that_is_not_finite_is_refused) {
  std::vector<float> inputs(kInputs, 0.5f), logits(kLogits, 1);
  logits[9] = std::numeric_limits<float>::infinity();
  CHECK_EQ(refusal_of(golden_file(inputs, logits)),
           "contract_invalid: golden file g: logits holds inf at index 9, expected finite numbers" +
               kFix);
}

TEST(parity_figures_are_those_of_the_definition) {
  // (3, 4) against (3, 4.5): cosine 27 / (5 * sqrt(29.25)), error 0.5 / 5.
  const Parity parity = efiqa::measure_parity({3, 4}, {3, 4.5f});
  CHECK(parity.finite);
  CHECK_NEAR(parity.cosine, 27 / (5 * std::sqrt(29.25)), 1e-12);
  CHECK_NEAR(parity.relative_frobenius, 0.1, 1e-12);
  CHECK(!parity.passed());
  CHECK(efiqa::measure_parity({3, 4}, {3, 4.04f}).passed());
  CHECK(!efiqa::measure_parity({3, 4}, {3, 4.06f}).passed());  // relative error .012
  CHECK(!efiqa::measure_parity({3, 4}, {-3, -4}).passed());
  CHECK(!efiqa::measure_parity({3, 4}, {0, 0}).passed());  // no direction at all
  CHECK(!efiqa::measure_parity({0, 0}, {0, 0}).passed());  // nothing to compare with
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(!efiqa::measure_parity({3, 4}, {3, nan}).finite);
  CHECK(!efiqa::measure_parity({3, 4}, {3, nan}).passed());
}

TEST(parity_limit_of_the_cosine_counts_by_itself) {
  Parity parity;
  parity.finite = true;
  parity.cosine = 0.9985;
  parity.relative_frobenius = 0.005;
  CHECK(!parity.passed());
  parity.cosine = 0.9995;
  CHECK(parity.passed());
  parity.finite = false;
  CHECK(!parity.passed());
}

namespace {

// The golden check of an engine whose answer to every input is `answer` times its first value, in
// channel `changed`, and right in the others.
std::string gate(float answer, float first_value,
                 const efiqa::Contract& contract = efiqa_test::tiny_contract(), int changed = 0) {
  auto engine = std::make_unique<efiqa_test::FakeEngine>(contract);
  efiqa_test::FakeEngine* fake = engine.get();
  const int channels = contract.channel_count();
  // Later channels are larger: by themselves they would hide an error of the first.
  const auto size_of = [](int channel) { return channel == 0 ? 1.0f : 100.0f; };
  fake->on_run = [=] {
    fake->logits.clear();
    for (int c = 0; c < channels; ++c) {
      const float factor = c == changed ? answer : 3;
      fake->logits.insert(fake->logits.end(), kLogits, factor * size_of(c) * fake->input().data[0]);
    }
  };
  const auto stages =
      efiqa::make_stages(contract, std::move(engine), std::make_shared<efiqa::ThreadPool>(1));
  efiqa::GoldenSet golden;
  golden.count = 2;
  golden.inputs.assign(2 * kInputs, first_value);
  golden.inputs[kInputs] = 2 * first_value;
  for (const float value : {first_value, 2 * first_value}) {
    for (int c = 0; c < channels; ++c) {
      golden.logits.insert(golden.logits.end(), kLogits, 3 * size_of(c) * value);
    }
  }
  const std::string message =
      error_of([&] { efiqa::check_golden(*stages, golden, contract, "m.plan"); });
  CHECK(fake->runs == 2);
  return message;
}

}  // namespace

TEST(golden_gate_passes_an_engine_that_answers_alike) { CHECK_EQ(gate(3, 1), "no error"); }

TEST(golden_gate_refuses_another_answer_with_the_figures) {
  CHECK_EQ(gate(3.06f, 1),
           std::string("model_invalid: model m.plan does not compute on this device what the "
                       "original does: over 2 golden pictures the logits of "
                       "anatomy_not_visible are finite, cosine 1.000000 (expected at least "
                       "0.999000), relative error 0.020000 (expected "
                       "at most 0.010000); build the plan again with efiqa build for this device, "
                       "or export the model with --precision fp32"));
  const std::string not_finite = gate(std::numeric_limits<float>::infinity(), 1);
  CHECK(not_finite.find("the logits of anatomy_not_visible are not finite, ") != std::string::npos);
}

TEST(golden_gate_judges_each_channel_by_itself) {
  const efiqa::Contract contract = efiqa_test::full_contract();
  CHECK_EQ(gate(3, 1, contract), "no error");
  for (int channel = 0; channel < contract.channel_count(); ++channel) {
    const std::string message = gate(3.06f, 1, contract, channel);
    CHECK(efiqa_test::contains(message, std::string("the logits of ") +
                                            contract.channel_name(channel) +
                                            " are finite, cosine 1.000000"));
    CHECK(efiqa_test::contains(message, "relative error 0.020000"));
  }
}

TEST(golden_file_holds_every_channel) {
  const efiqa::Contract contract = efiqa_test::full_contract();
  const std::string header =
      replaced(replaced(kHeader, "[1,1,8,8]", "[1,7,8,8]"), "[49152,49408]", "[49152,50944]");
  const std::vector<float> inputs(kInputs, 0.5f), logits = ramp(7 * kLogits, 1, 1);
  const std::string bytes = safetensors(header, bytes_of(inputs) + bytes_of(logits));
  CHECK(efiqa::parse_golden(bytes, contract, "g").logits == logits);
  CHECK_EQ(refusal_of(bytes),
           "contract_invalid: golden file g: logits.shape is [1, 7, 8, 8], expected [1, 1, 8, 8]" +
               kFix);
}

#ifdef EFIQA_WITH_OPENVINO

namespace {

// What the runtime says to the tiny model with this golden file, whose hash is `sha256`.
std::string open_with_golden(const std::string& golden, const std::string& sha256, bool written) {
  efiqa_test::Folder folder;
  const std::string model = folder.write("tiny.onnx", efiqa_test::read_golden("tiny.onnx"));
  folder.write("tiny.onnx.json",
               replaced(efiqa_test::tiny_contract_text(), "\"golden\": null",
                        R"("golden": {"file": "g.safetensors", "sha256": ")" + sha256 + "\"}"));
  if (written) folder.write("g.safetensors", golden);
  efiqa::RuntimeOptions options;
  options.model_path = model;
  options.allow_untrained = true;
  options.threads = 1;
  const std::string message = error_of([&] { efiqa::Runtime runtime(options); });
  const std::size_t at = message.find(model.substr(0, model.rfind('/')));
  return at == std::string::npos ? message : message.substr(0, at) + "FOLDER";
}

std::string hash_of(const std::string& bytes) {
  return efiqa::sha256_hex(bytes.data(), bytes.size());
}

}  // namespace

// tiny.onnx answers -2 - 1.5 * (r + g + b) of the mean of each block.
TEST(golden_gate_runs_when_a_model_opens) {
  const std::vector<float> inputs(kInputs, 0.5f);
  const std::string right = golden_file(inputs, std::vector<float>(kLogits, -4.25f));
  const std::string wrong = golden_file(inputs, std::vector<float>(kLogits, -4.4f));
  CHECK_EQ(open_with_golden(right, hash_of(right), true), "no error");
  CHECK_EQ(open_with_golden(wrong, hash_of(wrong), true), "model_invalid: model FOLDER");
  CHECK_EQ(open_with_golden(right, hash_of(wrong), true), "contract_invalid: golden file FOLDER");
  CHECK_EQ(open_with_golden(right, hash_of(right), false), "file_unreadable: golden file FOLDER");
}

#endif
