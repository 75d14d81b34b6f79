#include <string>

#include "check.h"
#include "device_fixtures.h"

using efiqa::Backend;
using efiqa::Contract;
using efiqa_test::error_of;
using efiqa_test::plan_contract;
using efiqa_test::reset_doubles;
using efiqa_test::tiny_plan;
using efiqa_test::tiny_tensors;

namespace {

efiqa_double::TensorRt& trt() { return efiqa_double::tensorrt(); }

// What opening answers; nothing of it may stay behind.
std::string refusal_of(const std::string& plan, const Contract& contract) {
  const long cuda_before = efiqa_double::alive();
  const int trt_before = trt().alive;
  const std::string message =
      error_of([&] { efiqa::open_engine(plan, contract, Backend::kAuto, 1); });
  CHECK_EQ(efiqa_double::alive(), cuda_before);
  CHECK_EQ(trt().alive, trt_before);
  return message;
}

const std::string kBuildFix = "; build the plan again here: efiqa build MODEL.onnx -o tiny.plan";

}  // namespace

TEST(tensorrt_is_listed_with_the_librarys_version) {
  reset_doubles();
  const std::vector<efiqa::BackendInfo> list = efiqa::backends();
  CHECK_EQ(std::string(list[0].name), std::string("tensorrt"));
  CHECK(list[0].built_in);
  CHECK_EQ(list[0].version, std::string("10.3.0"));
  trt().version = 111204;
  CHECK_EQ(efiqa::backends()[0].version, std::string("11.12.4"));
}

TEST(tensorrt_plan_runs_in_the_callers_stream) {
  reset_doubles();
  const auto engine = efiqa::open_engine(tiny_plan(), plan_contract(), Backend::kAuto, 1);
  const efiqa::TensorView input = engine->input(), output = engine->output();
  CHECK(input.memory == efiqa::Memory::kDevice);
  CHECK(output.memory == efiqa::Memory::kDevice);
  CHECK_EQ(efiqa::value_count(input), efiqa_test::kInputValues);
  CHECK_EQ(efiqa::value_count(output), efiqa_test::kCells);
  CHECK_EQ(engine->description(), std::string("TensorRT 10.3.0 on Double (8.7)"));

  efiqa_double::defer_work(true);
  const efiqa::StreamHandle stream;
  std::vector<float> host(efiqa_test::kInputValues, 0.5f), logits(efiqa_test::kCells);
  cudaMemcpyAsync(input.data, host.data(), host.size() * sizeof(float), cudaMemcpyHostToDevice,
                  stream.get());
  engine->run(stream.get());
  CHECK_EQ(trt().runs, 0);  // nothing is waited for
  cudaMemcpyAsync(logits.data(), output.data, logits.size() * sizeof(float), cudaMemcpyDeviceToHost,
                  stream.get());
  CHECK_EQ(trt().runs, 1);
  for (const float logit : logits) CHECK_NEAR(logit, -4.25, 1e-5);
}

TEST(tensorrt_gives_everything_back) {
  reset_doubles();
  const long before = efiqa_double::alive();
  {
    const auto engine = efiqa::open_engine(tiny_plan(), plan_contract(), Backend::kAuto, 1);
  }
  CHECK_EQ(efiqa_double::alive(), before);
  CHECK_EQ(trt().alive, 0);
}

TEST(tensorrt_plan_of_another_version_is_refused_with_both) {
  reset_doubles();
  Contract contract = plan_contract();
  contract.plan.version = "10.13.3.9";
  CHECK_EQ(refusal_of(tiny_plan(), contract),
           "model_invalid: the plan was built by TensorRT 10.13.3.9, this efiqa runs TensorRT "
           "10.3.0" +
               kBuildFix);
  contract.plan.version = "10.3.01";  // 10.3.0 is only a part of it
  CHECK(refusal_of(tiny_plan(), contract).rfind("model_invalid: the plan was built by", 0) == 0);
  contract.plan.version = "10.3.0";
  CHECK_EQ(refusal_of(tiny_plan(), contract), "no error");
}

TEST(tensorrt_plan_of_another_flavour_is_refused_with_both) {
  reset_doubles();
  Contract contract = plan_contract();
  contract.plan.flavour = efiqa::TensorRtFlavour::kTensorRtRtx;
  CHECK_EQ(refusal_of(tiny_plan(), contract),
           "model_invalid: the plan was built by TensorRT-RTX 10.3.0.26, this efiqa runs TensorRT "
           "10.3.0" +
               kBuildFix);
}

TEST(tensorrt_plan_for_another_device_is_refused_with_both) {
  reset_doubles();
  Contract contract = plan_contract();
  efiqa::ComputeCapability thor;
  thor.major = 11;
  thor.or_later = true;
  contract.plan.compute_capabilities.push_back(thor);
  const struct {
    int device;
    bool runs;
  } cases[] = {{87, true}, {86, false}, {89, false}, {90, false}, {110, true}, {121, true}};
  for (const auto& one : cases) {
    efiqa_double::state().compute_capability = one.device;
    const std::string text =
        std::to_string(one.device / 10) + "." + std::to_string(one.device % 10);
    CHECK_EQ(refusal_of(tiny_plan(), contract),
             one.runs ? "no error"
                      : "model_invalid: the plan was built for compute capability 8.7, 11.0+, this "
                        "device (Double) has " +
                            text + kBuildFix);
  }
}

TEST(tensorrt_without_a_gpu_or_a_driver_says_what_cuda_says) {
  const std::string before =
      "backend_unavailable: a TensorRT plan needs an NVIDIA GPU and its driver, and CUDA finds "
      "none: ";
  const std::string after =
      "; check nvidia-smi, on Jetson that JetPack is installed, or use an .onnx model, which the "
      "openvino back end runs";
  reset_doubles();
  efiqa_double::state().device_count = 0;
  CHECK_EQ(refusal_of(tiny_plan(), plan_contract()),
           before + "no CUDA-capable device is detected (100)" + after);
  reset_doubles();
  efiqa_double::fail("cudaGetDeviceCount", 1, cudaErrorInsufficientDriver);
  CHECK_EQ(refusal_of(tiny_plan(), plan_contract()),
           before + "CUDA driver version is insufficient for CUDA runtime version (35)" + after);
  CHECK_EQ(cudaPeekAtLastError(), cudaSuccess);  // no later launch is blamed
}

TEST(tensorrt_plan_that_is_cut_short_is_refused_with_tensorrts_message) {
  reset_doubles();
  for (const std::string& plan : {tiny_plan().substr(0, 40), std::string("not a plan")}) {
    CHECK_EQ(refusal_of(plan, plan_contract()),
             "model_invalid: TensorRT cannot open the plan: IRuntime::deserializeCudaEngine: Error "
             "Code 1: Serialization (magicTag does not match)" +
                 kBuildFix);
  }
}

TEST(tensorrt_plan_whose_tensors_do_not_fit_the_contract_is_refused_with_both_sides) {
  reset_doubles();
  using Tensors = std::vector<efiqa_double::PlanTensor>;
  const auto refusal_with = [](const std::function<void(Tensors&)>& change) {
    Tensors tensors = tiny_tensors();
    change(tensors);
    return refusal_of(efiqa_double::plan_text(tensors), plan_contract());
  };
  CHECK_EQ(refusal_with([](Tensors& t) { t[0].name = "frame"; }),
           "model_invalid: the plan's input is called \"frame\", the contract says \"image\"");
  CHECK_EQ(refusal_with([](Tensors& t) { t[1].name = "map"; }),
           "model_invalid: the plan's output is called \"map\", the contract says \"logits\"");
  CHECK_EQ(refusal_with([](Tensors& t) { t[0].shape[2] = 96; }),
           "model_invalid: the plan's input \"image\" has the shape [1,3,96,64], the contract says "
           "[1,3,64,64]");
  CHECK_EQ(refusal_with([](Tensors& t) { t[0].shape[0] = -1; }),
           "model_invalid: the plan's input \"image\" has the shape [-1,3,64,64], the contract "
           "says [1,3,64,64]");
  CHECK_EQ(refusal_with([](Tensors& t) { t[1].shape = {}; }),
           "model_invalid: the plan's output \"logits\" has the shape [], the contract says "
           "[1,1,8,8]");
  CHECK_EQ(refusal_with([](Tensors& t) { t[1].shape[1] = 7; }),
           "model_invalid: the plan's output \"logits\" has the shape [1,7,8,8], the contract says "
           "[1,1,8,8]");
  CHECK_EQ(
      refusal_with([](Tensors& t) { t.pop_back(); }),
      "model_invalid: the plan has 1 inputs and 0 outputs, the contract describes one of each");
  CHECK_EQ(
      refusal_with([](Tensors& t) { t.push_back({"more", false, {1}}); }),
      "model_invalid: the plan has 1 inputs and 2 outputs, the contract describes one of each");
  const std::string not_linear =
      "is not in linear device memory; build the plan again with efiqa build";
  CHECK_EQ(refusal_with([](Tensors& t) { t[0].location = nvinfer1::TensorLocation::kHOST; }),
           "model_invalid: the plan's input \"image\" " + not_linear);
  CHECK_EQ(refusal_with([](Tensors& t) { t[1].format = nvinfer1::TensorFormat::kCHW2; }),
           "model_invalid: the plan's output \"logits\" " + not_linear);
  const struct {
    nvinfer1::DataType type;
    const char* name;
  } types[] = {
      {nvinfer1::DataType::kHALF, "float16"},     {nvinfer1::DataType::kBF16, "bfloat16"},
      {nvinfer1::DataType::kINT8, "int8"},        {nvinfer1::DataType::kUINT8, "uint8"},
      {nvinfer1::DataType::kINT32, "int32"},      {nvinfer1::DataType::kINT64, "int64"},
      {nvinfer1::DataType::kFP8, "another type"},
  };
  for (const auto& type : types) {
    CHECK_EQ(refusal_with([&](Tensors& t) { t[0].type = type.type; }),
             std::string("model_invalid: the plan's input \"image\" holds ") + type.name +
                 ", the contract says float32");
  }
}

TEST(tensorrt_functions_that_fail_are_errors_with_what_was_logged) {
  const struct {
    const char* function;
    const char* logged;
    std::string message;
  } failures[] = {
      {"createInferRuntime", "no memory", "backend_unavailable: TensorRT cannot start: no memory"},
      {"createInferRuntime", "", "backend_unavailable: TensorRT cannot start: no message"},
      {"deserializeCudaEngine", "line one\nline two\n",
       "model_invalid: TensorRT cannot open the plan: line one line two" + kBuildFix},
      {"createExecutionContext", "no room",
       "engine_failure: TensorRT cannot make an execution context: no room; it needs 4096 bytes of "
       "GPU memory"},
      {"setTensorAddress", "not aligned",
       "engine_failure: TensorRT refuses the address of \"image\": not aligned"},
  };
  for (const auto& failure : failures) {
    reset_doubles();
    trt().fail(failure.function, failure.logged);
    CHECK_EQ(refusal_of(tiny_plan(), plan_contract()), failure.message);
  }
  reset_doubles();
  for (long call = 1; call <= 2; ++call) {
    efiqa_double::fail("cudaMalloc", call, cudaErrorMemoryAllocation);
    CHECK_EQ(refusal_of(tiny_plan(), plan_contract()),
             "engine_failure: CUDA failed at cudaMalloc of " +
                 std::string(call == 1 ? "49152" : "256") + " bytes: out of memory (2)");
    reset_doubles();
  }
  for (const char* function : {"cudaGetDevice", "cudaGetDeviceProperties"}) {
    efiqa_double::fail(function, 1, cudaErrorInvalidDevice);
    CHECK_EQ(refusal_of(tiny_plan(), plan_contract()),
             std::string("engine_failure: CUDA failed at ") + function +
                 ": invalid device ordinal (101)");
    reset_doubles();
  }
}

TEST(tensorrt_run_that_fails_tells_this_runs_messages_alone) {
  reset_doubles();
  const auto engine = efiqa::open_engine(tiny_plan(), plan_contract(), Backend::kTensorRt, 1);
  const efiqa::StreamHandle stream;
  trt().fail("enqueueV3", "the first reason");
  CHECK_EQ(error_of([&] { engine->run(stream.get()); }),
           "engine_failure: TensorRT failed: the first reason");
  trt().fail("enqueueV3", "the second reason");
  CHECK_EQ(error_of([&] { engine->run(stream.get()); }),
           "engine_failure: TensorRT failed: the second reason");
  trt().failing.clear();
  CHECK_EQ(error_of([&] { engine->run(stream.get()); }), "no error");
}

TEST(tensorrt_warnings_are_told_where_there_is_no_error_and_are_bounded) {
  reset_doubles();
  trt().warnings = {"the plan is of an older GPU", "and lazy"};
  trt().fail("deserializeCudaEngine", "");
  CHECK_EQ(refusal_of(tiny_plan(), plan_contract()),
           "model_invalid: TensorRT cannot open the plan: the plan is of an older GPU; and lazy" +
               kBuildFix);
  trt().warnings.assign(1000, std::string(5000, 'x'));
  CHECK(refusal_of(tiny_plan(), plan_contract()).size() < 3000);
}

TEST(tensorrt_given_an_onnx_model_says_both_formats) {
  reset_doubles();
  CHECK_EQ(
      error_of([&] { efiqa::open_engine("", efiqa_test::tiny_contract(), Backend::kTensorRt, 1); }),
      "model_invalid: backend is \"tensorrt\", which runs a TensorRT plan, and the model is "
      "an ONNX file; build a plan of it with efiqa build, or choose openvino");
}
