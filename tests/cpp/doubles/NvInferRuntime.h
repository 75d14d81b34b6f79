// Stands in for TensorRT's NvInferRuntime.h: the part of its API that engine_tensorrt.cpp uses,
// with the signatures of TensorRT 10 and 11. A plan is text, whose "network" is a function of the
// test:
//
//   efiqa_double::plan_text({{"image", true, {1, 3, 64, 64}}, {"logits", false, {1, 1, 8, 8}}})
//   efiqa_double::tensorrt().network = [](const float* input, float* output) { ... };
//   efiqa_double::tensorrt().fail("enqueueV3", "the reason that goes to the log");
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#define NV_TENSORRT_MAJOR 10

namespace nvinfer1 {

enum class DataType : std::int32_t {
  kFLOAT = 0,
  kHALF = 1,
  kINT8 = 2,
  kINT32 = 3,
  kBOOL = 4,
  kUINT8 = 5,
  kFP8 = 6,
  kBF16 = 7,
  kINT64 = 8,
};
enum class TensorIOMode : std::int32_t { kNONE = 0, kINPUT = 1, kOUTPUT = 2 };
enum class TensorLocation : std::int32_t { kDEVICE = 0, kHOST = 1 };
enum class TensorFormat : std::int32_t { kLINEAR = 0, kCHW2 = 1 };

struct Dims {
  std::int32_t nbDims = 0;
  std::int64_t d[8] = {};
};

class ILogger {
 public:
  enum class Severity : std::int32_t {
    kINTERNAL_ERROR = 0,
    kERROR = 1,
    kWARNING = 2,
    kINFO = 3,
    kVERBOSE = 4,
  };
  virtual ~ILogger() = default;
  virtual void log(Severity severity, const char* message) noexcept = 0;
};

}  // namespace nvinfer1

namespace efiqa_double {

struct PlanTensor {
  std::string name;
  bool is_input = false;
  std::vector<std::int64_t> shape;
  nvinfer1::DataType type = nvinfer1::DataType::kFLOAT;
  nvinfer1::TensorLocation location = nvinfer1::TensorLocation::kDEVICE;
  nvinfer1::TensorFormat format = nvinfer1::TensorFormat::kLINEAR;
};

struct TensorRt {
  int version = 100300;  // 10.3.0
  std::function<void(const float* input, float* output)> network;
  std::map<std::string, std::string> failing;  // function and what it logs
  std::string
      fail_in_capture;  // what enqueueV3 logs when its stream is being captured; empty: it can
  std::vector<std::string> warnings;  // logged by every deserializeCudaEngine
  nvinfer1::ILogger* logger = nullptr;
  int alive = 0;  // runtimes, engines and contexts
  int runs = 0;   // of the network

  void fail(const std::string& function, const std::string& message) {
    failing[function] = message;
  }
  // Logs, and says so, where the function is to fail.
  bool fails(const char* function) {
    const auto found = failing.find(function);
    if (found == failing.end()) return false;
    if (!found->second.empty()) {
      logger->log(nvinfer1::ILogger::Severity::kERROR, found->second.c_str());
    }
    return true;
  }
};

inline TensorRt& tensorrt() {
  static TensorRt everything;
  return everything;
}

constexpr const char* kPlanBegin = "plan-of-the-double";

inline std::string plan_text(const std::vector<PlanTensor>& tensors) {
  std::ostringstream text;
  text << kPlanBegin << ' ' << tensors.size();
  for (const PlanTensor& tensor : tensors) {
    text << ' ' << tensor.name << ' ' << tensor.is_input << ' ' << static_cast<int>(tensor.type)
         << ' ' << static_cast<int>(tensor.location) << ' ' << static_cast<int>(tensor.format)
         << ' ' << tensor.shape.size();
    for (const std::int64_t side : tensor.shape) text << ' ' << side;
  }
  text << " end";
  return text.str();
}

// False for text that is not a whole plan.
inline bool parse_plan(const std::string& bytes, std::vector<PlanTensor>& tensors) {
  std::istringstream text(bytes);
  std::string word;
  std::size_t count = 0;
  if (!(text >> word >> count) || word != kPlanBegin) return false;
  for (std::size_t i = 0; i < count; ++i) {
    PlanTensor tensor;
    int type = 0, location = 0, format = 0;
    std::size_t sides = 0;
    if (!(text >> tensor.name >> tensor.is_input >> type >> location >> format >> sides)) {
      return false;
    }
    tensor.type = static_cast<nvinfer1::DataType>(type);
    tensor.location = static_cast<nvinfer1::TensorLocation>(location);
    tensor.format = static_cast<nvinfer1::TensorFormat>(format);
    tensor.shape.resize(sides);
    for (std::int64_t& side : tensor.shape) text >> side;
    tensors.push_back(std::move(tensor));
  }
  return text >> word && word == "end";
}

// Counts what is alive, as TensorRT's objects are deleted by their owner.
class Counted {
 public:
  Counted() { ++tensorrt().alive; }
  virtual ~Counted() noexcept { --tensorrt().alive; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
};

}  // namespace efiqa_double

namespace nvinfer1 {

class IExecutionContext : public efiqa_double::Counted {
 public:
  explicit IExecutionContext(const std::vector<efiqa_double::PlanTensor>& tensors)
      : tensors_(tensors) {}

  bool setTensorAddress(const char* name, void* data) noexcept {
    if (efiqa_double::tensorrt().fails("setTensorAddress")) return false;
    for (const efiqa_double::PlanTensor& tensor : tensors_) {
      if (tensor.name == name) (tensor.is_input ? input_ : output_) = static_cast<float*>(data);
    }
    return true;
  }

  bool enqueueV3(cudaStream_t stream) noexcept {
    efiqa_double::TensorRt& trt = efiqa_double::tensorrt();
    if (trt.fails("enqueueV3")) return false;
    if (!trt.fail_in_capture.empty() && efiqa_double::stream_of(stream).capture != nullptr) {
      trt.logger->log(ILogger::Severity::kERROR, trt.fail_in_capture.c_str());
      return false;
    }
    if (input_ == nullptr || output_ == nullptr) return false;
    efiqa_double::put(stream, [input = input_, output = output_] {
      ++efiqa_double::tensorrt().runs;
      efiqa_double::tensorrt().network(input, output);
    });
    return true;
  }

 private:
  const std::vector<efiqa_double::PlanTensor>& tensors_;
  float* input_ = nullptr;
  float* output_ = nullptr;
};

class ICudaEngine : public efiqa_double::Counted {
 public:
  explicit ICudaEngine(std::vector<efiqa_double::PlanTensor> tensors)
      : tensors_(std::move(tensors)) {}

  std::int32_t getNbIOTensors() const noexcept {
    return static_cast<std::int32_t>(tensors_.size());
  }
  const char* getIOTensorName(std::int32_t index) const noexcept {
    return tensors_[static_cast<std::size_t>(index)].name.c_str();
  }
  TensorIOMode getTensorIOMode(const char* name) const noexcept {
    return find(name).is_input ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
  }
  DataType getTensorDataType(const char* name) const noexcept { return find(name).type; }
  TensorLocation getTensorLocation(const char* name) const noexcept { return find(name).location; }
  TensorFormat getTensorFormat(const char* name) const noexcept { return find(name).format; }
  Dims getTensorShape(const char* name) const noexcept {
    Dims dims;
    for (const std::int64_t side : find(name).shape) dims.d[dims.nbDims++] = side;
    return dims;
  }
  std::int64_t getDeviceMemorySizeV2() const noexcept { return 4096; }
  IExecutionContext* createExecutionContext() noexcept {
    if (efiqa_double::tensorrt().fails("createExecutionContext")) return nullptr;
    return new IExecutionContext(tensors_);
  }

 private:
  const efiqa_double::PlanTensor& find(const std::string& name) const {
    for (const efiqa_double::PlanTensor& tensor : tensors_) {
      if (tensor.name == name) return tensor;
    }
    std::abort();  // TensorRT's own answer is an error; the engine asks for names it was given
  }

  std::vector<efiqa_double::PlanTensor> tensors_;
};

class IRuntime : public efiqa_double::Counted {
 public:
  ICudaEngine* deserializeCudaEngine(const void* blob, std::size_t size) noexcept {
    efiqa_double::TensorRt& trt = efiqa_double::tensorrt();
    for (const std::string& warning : trt.warnings) {
      trt.logger->log(ILogger::Severity::kWARNING, warning.c_str());
    }
    if (trt.fails("deserializeCudaEngine")) return nullptr;
    std::vector<efiqa_double::PlanTensor> tensors;
    if (!efiqa_double::parse_plan(std::string(static_cast<const char*>(blob), size), tensors)) {
      trt.logger->log(ILogger::Severity::kERROR,
                      "IRuntime::deserializeCudaEngine: Error Code 1: "
                      "Serialization (magicTag does not match)");
      return nullptr;
    }
    return new ICudaEngine(std::move(tensors));
  }
};

inline IRuntime* createInferRuntime(ILogger& logger) noexcept {
  efiqa_double::TensorRt& trt = efiqa_double::tensorrt();
  trt.logger = &logger;
  if (!trt.fails("createInferRuntime")) return new IRuntime;
  // As TensorRT 11.4 was seen to answer after logging an error.
  return trt.failing["createInferRuntime"].empty() ? nullptr : reinterpret_cast<IRuntime*>(0x228);
}

}  // namespace nvinfer1

inline std::int32_t getInferLibVersion() noexcept { return efiqa_double::tensorrt().version; }
