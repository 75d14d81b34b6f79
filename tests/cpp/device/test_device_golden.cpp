// A plan's files as efiqa build leaves them where there is no GPU, opened on a device.
#include <string>
#include <vector>

#include "check.h"
#include "device_fixtures.h"
#include "sha256.h"

using efiqa_test::error_of;
using efiqa_test::replaced;
using efiqa_test::reset_doubles;

namespace {

std::string hash_of(const std::string& bytes) {
  return efiqa::sha256_hex(bytes.data(), bytes.size());
}

const std::string kNotRun = R"({"status": "not_run", "reason": "no GPU"})";
const std::string kPassed =
    R"({"status": "passed", "reference": "PyTorch fp32", "runner": "TensorRT",
  "pictures": 32, "cosine": 0.9999, "patch_cosine_p1": 0.998, "relative_frobenius": 0.004,
  "max_abs_error": 0.02})";

std::string contract_text(const std::string& plan, const std::string& golden,
                          const std::string& parity) {
  std::string text = replaced(efiqa_test::tiny_contract_text(), "\"onnx\"", "\"tensorrt_plan\"");
  text = replaced(text, "\"tiny.onnx\"", "\"tiny.plan\"");
  text = replaced(text, efiqa_test::tiny_contract().model_sha256, hash_of(plan));
  return text.substr(0, text.find("\"parity\"")) + "\"parity\": " + parity +
         R"(, "golden": {"file": "tiny.golden.safetensors", "sha256": ")" + hash_of(golden) +
         R"("}, "plan": {"onnx_sha256": ")" + std::string(64, 'a') +
         R"(", "flavour": "tensorrt", "version": "10.3.0.26", "compute_capabilities": ["8.0+"],
         "workspace_mib": 1024, "optimization_level": 3}})";
}

// What opening a folder with these files answers; the folder's name becomes "FOLDER".
std::string open_message(const std::string& golden_to_write, const std::string& golden_of_contract,
                         const std::string& parity) {
  efiqa_test::Folder folder;
  const std::string plan = efiqa_test::tiny_plan();
  efiqa::RuntimeOptions options;
  options.model_path = folder.write("tiny.plan", plan);
  options.allow_untrained = true;
  options.threads = 1;
  folder.write("tiny.plan.json", contract_text(plan, golden_of_contract, parity));
  if (!golden_to_write.empty()) folder.write("tiny.golden.safetensors", golden_to_write);
  std::string message = error_of([&] { efiqa::Runtime runtime(options); });
  const std::string name = options.model_path.substr(0, options.model_path.rfind('/'));
  for (std::size_t at; (at = message.find(name)) != std::string::npos;) {
    message.replace(at, name.size(), "FOLDER");
  }
  return message;
}

// Three grey pictures, and the network's answers times `factor`.
std::string golden_of(float factor) {
  std::vector<float> inputs, logits;
  for (const float level : {-0.5f, 0.0f, 0.75f}) {
    inputs.insert(inputs.end(), efiqa_test::kInputValues, level);
    logits.insert(logits.end(), efiqa_test::kCells, (-2 - 4.5f * level) * factor);
  }
  return efiqa_test::golden_file(inputs, logits);
}

}  // namespace

TEST(device_plan_whose_parity_was_not_measured_passes_the_gate_when_it_opens) {
  reset_doubles();
  const std::string golden = golden_of(1);
  CHECK_EQ(open_message(golden, golden, kNotRun), "no error");
  CHECK_EQ(efiqa_double::tensorrt().runs, 4);  // the first run, and three pictures
}

TEST(device_plan_that_computes_something_else_does_not_open) {
  reset_doubles();
  const std::string golden = golden_of(1.02f);
  const std::string message = open_message(golden, golden, kNotRun);
  CHECK_EQ(
      message,
      "model_invalid: model FOLDER/tiny.plan does not compute on this device what the "
      "original does: over 3 golden pictures the logits of anatomy_not_visible are finite, cosine "
      "1.000000 (expected at least 0.999000), relative error 0.019608 (expected at most 0.010000); "
      "build the "
      "plan again with efiqa build for this device, or export the model with --precision "
      "fp32");
  efiqa_double::tensorrt().network = [](const float*, float* logits) {
    for (std::size_t i = 0; i < efiqa_test::kCells; ++i) logits[i] = NAN;
  };
  CHECK(open_message(golden, golden, kNotRun)
            .find("the logits of anatomy_not_visible are not finite") != std::string::npos);
}

TEST(device_plan_with_measured_parity_opens_without_its_golden_file) {
  reset_doubles();
  CHECK_EQ(open_message("", golden_of(1.02f), kPassed), "no error");
  CHECK_EQ(efiqa_double::tensorrt().runs, 1);
}

TEST(device_plan_without_its_golden_file_or_with_another_is_refused) {
  reset_doubles();
  const std::string golden = golden_of(1), other = golden_of(1.5f);
  CHECK_EQ(open_message("", golden, kNotRun),
           "file_unreadable: golden file FOLDER/tiny.golden.safetensors does not exist; a model "
           "whose parity was not measured at build needs it beside its contract: copy it along, or "
           "build the plan again with efiqa build");
  CHECK_EQ(open_message(other, golden, kNotRun),
           "contract_invalid: golden file FOLDER/tiny.golden.safetensors has the SHA-256 " +
               hash_of(other) + ", the contract FOLDER/tiny.plan.json expects " + hash_of(golden) +
               "; copy the model's files again, or build the plan again with efiqa build");
  const std::string cut = golden.substr(0, golden.size() - 4);
  CHECK(open_message(cut, cut, kNotRun)
            .rfind("contract_invalid: golden file FOLDER/tiny.golden.safetensors: logits", 0) == 0);
}

TEST(device_plan_given_to_openvino_is_refused_as_not_built_in) {
  reset_doubles();
  efiqa::Contract contract = efiqa_test::plan_contract();
  CHECK_EQ(error_of([&] { efiqa::open_engine("", contract, efiqa::Backend::kOpenVino, 1); }),
           "backend_unavailable: backend is \"openvino\", which is not built in: efiqa was built "
           "without EFIQA_WITH_OPENVINO");
}
