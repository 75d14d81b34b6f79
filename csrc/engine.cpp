#include "engine.h"

#include "engine_backends.h"
#include "names.h"
#include "status.h"

namespace efiqa {
namespace {

using OpenFunction = std::unique_ptr<Engine> (*)(const std::string& model_bytes,
                                                 const Contract& contract, int threads);

struct Entry {
  Backend backend;
  ModelFormat format;  // the only one it runs
  OpenFunction open;   // null: not built in
  std::string (*version)();
};

#ifndef EFIQA_WITH_OPENVINO
std::string openvino_version() {
  return "not built in: efiqa was built without EFIQA_WITH_OPENVINO";
}
constexpr OpenFunction open_openvino = nullptr;
#endif

#ifndef EFIQA_WITH_TENSORRT
std::string tensorrt_version() {
  return "not built in: efiqa was built without EFIQA_WITH_TENSORRT";
}
constexpr OpenFunction open_tensorrt = nullptr;
#endif

// In the order in which kAuto tries them.
constexpr Entry kEntries[] = {
    {Backend::kTensorRt, ModelFormat::kTensorRtPlan, open_tensorrt, tensorrt_version},
    {Backend::kOpenVino, ModelFormat::kOnnx, open_openvino, openvino_version},
};

const char* backend_name(Backend backend) {
  for (const Named<Backend>& entry : kBackendNames) {
    if (entry.value == backend) return entry.name;
  }
  return "unrecognised";
}

std::string format_noun(ModelFormat format) {
  return format == ModelFormat::kOnnx ? "an ONNX file" : "a TensorRT plan";
}

}  // namespace

std::vector<BackendInfo> backends() {
  std::vector<BackendInfo> list;
  for (const Entry& entry : kEntries) {
    list.push_back(
        {entry.backend, backend_name(entry.backend), entry.open != nullptr, entry.version()});
  }
  return list;
}

std::unique_ptr<Engine> open_engine(const std::string& model_bytes, const Contract& contract,
                                    Backend backend, int threads) {
  for (const Entry& entry : kEntries) {
    const bool fits = entry.format == contract.format;
    if (backend == Backend::kAuto ? !fits : backend != entry.backend) continue;
    const std::string name = backend_name(entry.backend);
    if (entry.open == nullptr) {
      throw Error(StatusCode::kBackendUnavailable,
                  backend == Backend::kAuto
                      ? "the model is " + format_noun(contract.format) +
                            ", which needs the back end \"" + name + "\"; it is " + entry.version()
                      : "backend is \"" + name + "\", which is " + entry.version());
    }
    if (!fits) {
      throw Error(StatusCode::kModelInvalid,
                  "backend is \"" + name + "\", which runs " + format_noun(entry.format) +
                      ", and the model is " + format_noun(contract.format) +
                      (contract.format == ModelFormat::kOnnx
                           ? "; build a plan of it with efiqa build, or choose openvino"
                           : "; choose tensorrt, or open the .onnx file that it was built from"));
    }
    return entry.open(model_bytes, contract, threads);
  }
  throw Error(StatusCode::kBackendUnavailable,
              "backend is " + std::to_string(static_cast<int>(backend)) +
                  ", expected one of: " + list_names(kBackendNames));
}

}  // namespace efiqa
