#include <cmath>
#include <string>

#include "check.h"
#include "engine.h"
#include "fixtures.h"

using efiqa::Backend;
using efiqa_test::error_of;
using efiqa_test::read_golden;
using efiqa_test::replaced;

TEST(engine_back_ends_are_listed_in_order_with_the_reason_of_a_missing_one) {
  const std::vector<efiqa::BackendInfo> list = efiqa::backends();
  CHECK(list.size() == 2);
  CHECK_EQ(std::string(list[0].name), std::string("tensorrt"));
  CHECK(!list[0].built_in);
  CHECK_EQ(list[0].version,
           std::string("not built in: efiqa was built without EFIQA_WITH_TENSORRT"));
  CHECK_EQ(std::string(list[1].name), std::string("openvino"));
#ifdef EFIQA_WITH_OPENVINO
  CHECK(list[1].built_in);
  CHECK(list[1].version.find('.') != std::string::npos);
#else
  CHECK(!list[1].built_in);
#endif
}

TEST(engine_forced_back_end_that_is_not_built_in_is_refused) {
  const efiqa::Contract contract = efiqa_test::tiny_contract();
  CHECK_EQ(error_of([&] { efiqa::open_engine("", contract, Backend::kTensorRt, 1); }),
           std::string("backend_unavailable: backend is \"tensorrt\", which is not built in: "
                       "efiqa was built without EFIQA_WITH_TENSORRT"));
  CHECK_EQ(error_of([&] { efiqa::open_engine("", contract, static_cast<Backend>(9), 1); }),
           std::string("backend_unavailable: backend is 9, expected one of: auto, openvino, "
                       "tensorrt"));
}

TEST(engine_for_a_plan_that_is_not_built_in_is_refused_by_the_format) {
  efiqa::Contract contract = efiqa_test::tiny_contract();
  contract.format = efiqa::ModelFormat::kTensorRtPlan;
  CHECK_EQ(error_of([&] { efiqa::open_engine("", contract, Backend::kAuto, 1); }),
           std::string("backend_unavailable: the model is a TensorRT plan, which needs the back "
                       "end \"tensorrt\"; it is not built in: efiqa was built without "
                       "EFIQA_WITH_TENSORRT"));
}

#ifndef EFIQA_WITH_OPENVINO

TEST(engine_for_an_onnx_model_that_is_not_built_in_is_refused_by_the_format) {
  const efiqa::Contract contract = efiqa_test::tiny_contract();
  CHECK_EQ(error_of([&] { efiqa::open_engine("", contract, Backend::kAuto, 1); }),
           std::string("backend_unavailable: the model is an ONNX file, which needs the back end "
                       "\"openvino\"; it is not built in: efiqa was built without "
                       "EFIQA_WITH_OPENVINO"));
  CHECK(error_of([&] {
          efiqa::open_engine("", contract, Backend::kOpenVino, 1);
        }).find("backend is \"openvino\", which is not built in") != std::string::npos);
}

#else

namespace {

// What opening the tiny model answers under a contract in which `from` became `to`.
std::string refusal_under(const std::string& from, const std::string& to) {
  const std::string text = replaced(efiqa_test::tiny_contract_text(), from, to);
  const efiqa::Contract contract = efiqa::parse_contract(text, "tiny.onnx.json");
  return error_of(
      [&] { efiqa::open_engine(read_golden("tiny.onnx"), contract, Backend::kAuto, 1); });
}

}  // namespace

TEST(engine_of_tiny_model_answers_block_means) {
  const efiqa::Contract contract = efiqa_test::tiny_contract();
  const auto engine = efiqa::open_engine(read_golden("tiny.onnx"), contract, Backend::kAuto, 1);
  const efiqa::TensorView input = engine->input(), output = engine->output();
  CHECK(input.channels == 3);
  CHECK(input.height == 64);
  CHECK(input.width == 64);
  CHECK(output.channels == 1);
  CHECK(output.height == 8);
  CHECK(output.width == 8);
  for (int c = 0; c < 3; ++c) {
    for (int i = 0; i < 64 * 64; ++i) {
      input.data[c * 64 * 64 + i] = (i / 64) < 8 ? 1.0f : -1.0f;  // the top row of cells is white
    }
  }
  for (int run = 0; run < 2; ++run) {  // bound once: the second run uses the same buffers
    engine->run(nullptr);
    for (int i = 0; i < 64; ++i) CHECK_NEAR(output.data[i], i < 8 ? -6.5 : 2.5, 1e-5);
  }
  CHECK(engine->description().rfind("OpenVINO ", 0) == 0);
  CHECK(engine->description().find(" CPU f32, 1 thread") != std::string::npos);
}

TEST(engine_plan_given_to_openvino_is_refused_with_both_formats) {
  efiqa::Contract contract = efiqa_test::tiny_contract();
  contract.format = efiqa::ModelFormat::kTensorRtPlan;
  CHECK_EQ(error_of([&] { efiqa::open_engine("", contract, Backend::kOpenVino, 1); }),
           std::string("model_invalid: backend is \"openvino\", which runs an ONNX file, and the "
                       "model is a TensorRT plan; choose tensorrt, or open the .onnx file that it "
                       "was built from"));
}

TEST(engine_model_that_does_not_fit_its_contract_is_refused_with_both_sides) {
  CHECK_EQ(refusal_under("\"name\": \"image\"", "\"name\": \"frame\""),
           std::string("model_invalid: the model's input is called \"image\", the contract says "
                       "\"frame\""));
  CHECK_EQ(refusal_under("\"name\": \"logits\"", "\"name\": \"map\""),
           std::string("model_invalid: the model's output is called \"logits\", the contract says "
                       "\"map\""));
  CHECK_EQ(refusal_under("\"height_px\": 64", "\"height_px\": 96"),
           std::string("model_invalid: the model's input \"image\" has the shape [1,3,64,64], the "
                       "contract says [1,3,96,64]"));
  CHECK_EQ(refusal_under("\"width\": 8", "\"width\": 4"),
           std::string("model_invalid: the model's output \"logits\" has the shape [1,1,8,8], the "
                       "contract says [1,1,8,4]"));
  const std::string model = read_golden("tiny.onnx");
  CHECK_EQ(
      error_of([&] { efiqa::open_engine(model, efiqa_test::full_contract(), Backend::kAuto, 1); }),
      std::string("model_invalid: the model's output \"logits\" has the shape [1,1,8,8], the "
                  "contract says [1,7,8,8]"));
}

TEST(engine_bytes_that_are_no_model_are_refused_with_a_named_error) {
  const efiqa::Contract contract = efiqa_test::tiny_contract();
  const std::string model = read_golden("tiny.onnx");
  const std::string xml = "<?xml version=\"1.0\"?><net name=\"m\" version=\"11\"></net>";
  for (const std::string& bytes : {std::string("not a model"), std::string(1000, '\0'), xml,
                                   model.substr(0, model.size() / 2), model.substr(1)}) {
    const std::string message =
        error_of([&] { efiqa::open_engine(bytes, contract, Backend::kOpenVino, 1); });
    CHECK(message.rfind("model_invalid: ", 0) == 0);
    CHECK(message.find('\n') == std::string::npos);
  }
}

#endif
