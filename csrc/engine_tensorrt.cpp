// The TensorRT back end, for TensorRT 10 and 11 and for TensorRT-RTX: the only file that includes
// their headers.
#include <NvInferRuntime.h>

#include <algorithm>
#include <exception>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>

#include "cuda_util.h"
#include "engine_backends.h"
#include "status.h"

namespace efiqa {
namespace {

#ifdef EFIQA_TENSORRT_RTX
constexpr TensorRtFlavour kFlavour = TensorRtFlavour::kTensorRtRtx;
#else
constexpr TensorRtFlavour kFlavour = TensorRtFlavour::kTensorRt;
static_assert(NV_TENSORRT_MAJOR >= 10, "TensorRT 10 or later is needed");
#endif

const char* product_name(TensorRtFlavour flavour) {
  return flavour == TensorRtFlavour::kTensorRt ? "TensorRT" : "TensorRT-RTX";
}

// Keeps what TensorRT says, for the message of the error that follows; prints nothing. TensorRT
// calls it from threads of its own, too.
class Messages : public nvinfer1::ILogger {
 public:
  void log(Severity severity, const char* message) noexcept override {
    if (severity > Severity::kWARNING || message == nullptr) return;
    try {
      const std::lock_guard<std::mutex> lock(mutex_);
      std::string& text = severity == Severity::kWARNING ? warnings_ : errors_;
      if (text.size() >= kMaxBytes) return;
      if (!text.empty()) text += "; ";
      text.append(message, std::min(std::char_traits<char>::length(message), kMaxBytes));
    } catch (...) {  // no memory for a message is no reason to end the program
    }
  }

  void clear() {
    const std::lock_guard<std::mutex> lock(mutex_);
    errors_.clear();
    warnings_.clear();
  }

  bool any_error() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return !errors_.empty();
  }

  // One line, of what was said since clear(): the errors, or where there are none the warnings.
  std::string text() {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::string line = !errors_.empty() ? errors_ : warnings_;
    std::replace_if(line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    while (!line.empty() && line.back() == ' ') line.pop_back();
    return line.empty() ? "no message" : line;
  }

 private:
  static constexpr std::size_t kMaxBytes = 1000;
  std::mutex mutex_;
  std::string errors_, warnings_;
};

const char* dtype_name(nvinfer1::DataType type) {
  switch (type) {
    case nvinfer1::DataType::kFLOAT:
      return "float32";
    case nvinfer1::DataType::kHALF:
      return "float16";
    case nvinfer1::DataType::kBF16:
      return "bfloat16";
    case nvinfer1::DataType::kINT8:
      return "int8";
    case nvinfer1::DataType::kUINT8:
      return "uint8";
    case nvinfer1::DataType::kINT32:
      return "int32";
    case nvinfer1::DataType::kINT64:
      return "int64";
    default:
      return "another type";
  }
}

template <typename Sides>
std::string shape_text(const Sides& sides) {
  std::string text;
  for (const auto side : sides) text += (text.empty() ? "[" : ",") + std::to_string(side);
  return text + "]";
}

std::string shape_text(const nvinfer1::Dims& dims) {
  std::string text;
  for (int i = 0; i < dims.nbDims; ++i) {
    text += (text.empty() ? "[" : ",") + std::to_string(dims.d[i]);
  }
  return text.empty() ? "[]" : text + "]";
}

[[noreturn]] void refuse_model(const std::string& message) {
  throw Error(StatusCode::kModelInvalid, message);
}

// One input or output of the plan against what the contract says of it.
void check_tensor(const nvinfer1::ICudaEngine& engine, const char* actual_name, const char* kind,
                  const std::string& name, std::initializer_list<int> shape) {
  const std::string subject = "the plan's " + std::string(kind);
  if (name != actual_name) {
    refuse_model(subject + " is called \"" + actual_name + "\", the contract says \"" + name +
                 "\"");
  }
  const nvinfer1::DataType type = engine.getTensorDataType(actual_name);
  if (type != nvinfer1::DataType::kFLOAT) {
    refuse_model(subject + " \"" + name + "\" holds " + dtype_name(type) +
                 ", the contract says float32");
  }
  const std::string actual = shape_text(engine.getTensorShape(actual_name));
  const std::string expected = shape_text(shape);
  if (actual != expected) {
    refuse_model(subject + " \"" + name + "\" has the shape " + actual + ", the contract says " +
                 expected);
  }
  if (engine.getTensorLocation(actual_name) != nvinfer1::TensorLocation::kDEVICE ||
      engine.getTensorFormat(actual_name) != nvinfer1::TensorFormat::kLINEAR) {
    refuse_model(subject + " \"" + name +
                 "\" is not in linear device memory; build the plan again with efiqa build");
  }
}

void check_plan(const nvinfer1::ICudaEngine& engine, const Contract& contract) {
  const char* input = nullptr;
  const char* output = nullptr;
  int inputs = 0, outputs = 0;
  for (int i = 0; i < engine.getNbIOTensors(); ++i) {
    const char* name = engine.getIOTensorName(i);
    const bool is_input = engine.getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT;
    (is_input ? input : output) = name;
    ++(is_input ? inputs : outputs);
  }
  if (inputs != 1 || outputs != 1) {
    refuse_model("the plan has " + std::to_string(inputs) + " inputs and " +
                 std::to_string(outputs) + " outputs, the contract describes one of each");
  }
  check_tensor(engine, input, "input", contract.input_name,
               {1, 3, contract.preprocess.height_px, contract.preprocess.width_px});
  check_tensor(engine, output, "output", contract.output_name,
               {1, contract.channel_count(), contract.grid_height, contract.grid_width});
}

// "10.13.3", of the library that is loaded, whatever headers this was compiled with.
std::string library_version() {
  const int version = getInferLibVersion();
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

constexpr const char* kBuildHere = "; build the plan again here: efiqa build MODEL.onnx -o ";

// Plans run on the TensorRT that built them alone. The contract's version has a build number more.
void check_version(const Contract& contract) {
  const std::string library = library_version();
  const PlanFacts& plan = contract.plan;
  if (plan.flavour == kFlavour &&
      (plan.version == library || plan.version.rfind(library + ".", 0) == 0)) {
    return;
  }
  refuse_model("the plan was built by " + std::string(product_name(plan.flavour)) + " " +
               plan.version + ", this efiqa runs " + product_name(kFlavour) + " " + library +
               kBuildHere + contract.model_file);
}

struct Device {
  std::string name;
  ComputeCapability capability;
};

// The calling thread's device.
Device find_device() {
  int count = 0;
  const cudaError_t result = cudaGetDeviceCount(&count);
  if (result != cudaSuccess || count == 0) {
    (void)cudaGetLastError();
    throw Error(StatusCode::kBackendUnavailable,
                "a TensorRT plan needs an NVIDIA GPU and its driver, and CUDA finds none: " +
                    std::string(cudaGetErrorString(result)) + " (" +
                    std::to_string(static_cast<int>(result)) +
                    "); check nvidia-smi, on Jetson that JetPack is installed, or use an .onnx "
                    "model, which the openvino back end runs");
  }
  int number = 0;
  check_cuda(cudaGetDevice(&number), "cudaGetDevice");
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, number), "cudaGetDeviceProperties");
  Device device{properties.name, {}};
  device.capability.major = properties.major;
  device.capability.minor = properties.minor;
  return device;
}

std::string capability_text(const ComputeCapability& capability) {
  return std::to_string(capability.major) + "." + std::to_string(capability.minor) +
         (capability.or_later ? "+" : "");
}

bool runs_on(const ComputeCapability& built_for, const ComputeCapability& device) {
  if (built_for.major == device.major && built_for.minor == device.minor) return true;
  return built_for.or_later &&
         (device.major > built_for.major ||
          (device.major == built_for.major && device.minor > built_for.minor));
}

void check_device(const Device& device, const Contract& contract) {
  std::string targets;
  for (const ComputeCapability& target : contract.plan.compute_capabilities) {
    if (runs_on(target, device.capability)) return;
    targets += (targets.empty() ? "" : ", ") + capability_text(target);
  }
  refuse_model("the plan was built for compute capability " + targets + ", this device (" +
               device.name + ") has " + capability_text(device.capability) + kBuildHere +
               contract.model_file);
}

class TensorRtEngine : public Engine {
 public:
  TensorRtEngine(const std::string& plan, const Contract& contract)
      : input_name_(contract.input_name), output_name_(contract.output_name) {
    check_version(contract);
    const Device device = find_device();
    check_device(device, contract);
    description_ = std::string(product_name(kFlavour)) + " " + library_version() + " on " +
                   device.name + " (" + capability_text(device.capability) + ")";

    // After an error TensorRT 11.4 answers an address near null rather than null.
    nvinfer1::IRuntime* runtime = nvinfer1::createInferRuntime(messages_);
    if (runtime == nullptr || messages_.any_error()) {
      fail("cannot start", StatusCode::kBackendUnavailable, "");
    }
    runtime_.reset(runtime);
    engine_.reset(runtime_->deserializeCudaEngine(plan.data(), plan.size()));
    if (!engine_) {
      fail("cannot open the plan", StatusCode::kModelInvalid, kBuildHere + contract.model_file);
    }
    check_plan(*engine_, contract);
    context_.reset(engine_->createExecutionContext());
    if (!context_) {
      fail("cannot make an execution context", StatusCode::kEngineFailure,
           "; it needs " + std::to_string(engine_->getDeviceMemorySizeV2()) +
               " bytes of GPU memory");
    }
    input_view_ = {nullptr, 3, contract.preprocess.height_px, contract.preprocess.width_px,
                   Memory::kDevice};
    output_view_ = {nullptr, contract.channel_count(), contract.grid_height, contract.grid_width,
                    Memory::kDevice};
    bind(input_name_, input_, input_view_);
    bind(output_name_, output_, output_view_);
  }

  TensorView input() override { return input_view_; }
  TensorView output() override { return output_view_; }

  void run(Stream stream) override {
    messages_.clear();
    if (!context_->enqueueV3(stream)) fail("failed", StatusCode::kEngineFailure, "");
  }

  std::string description() const override { return description_; }

 private:
  [[noreturn]] void fail(const char* what, StatusCode code, const std::string& fix) {
    (void)cudaGetLastError();
    throw Error(code,
                std::string(product_name(kFlavour)) + " " + what + ": " + messages_.text() + fix);
  }

  void bind(const std::string& name, DeviceBuffer<float>& buffer, TensorView& view) {
    buffer.reserve(value_count(view));
    view.data = buffer.data();
    if (!context_->setTensorAddress(name.c_str(), buffer.data())) {
      fail(("refuses the address of \"" + name + "\"").c_str(), StatusCode::kEngineFailure, "");
    }
  }

  std::string input_name_, output_name_, description_;
  Messages messages_;  // TensorRT's objects keep a reference
  std::unique_ptr<nvinfer1::IRuntime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
  DeviceBuffer<float> input_, output_;
  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  TensorView input_view_, output_view_;
};

}  // namespace

std::unique_ptr<Engine> open_tensorrt(const std::string& model_bytes, const Contract& contract,
                                      int /*threads*/) {
  return std::make_unique<TensorRtEngine>(model_bytes, contract);
}

std::string tensorrt_version() {
  return (kFlavour == TensorRtFlavour::kTensorRt ? "" : "RTX ") + library_version();
}

}  // namespace efiqa
