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
  OpenFunction open;  // null: not built in
  std::string (*version)();
};

#ifndef EFIQA_WITH_OPENVINO
std::string openvino_version() {
  return "not built in: efiqa was built without EFIQA_WITH_OPENVINO";
}
constexpr OpenFunction open_openvino = nullptr;
#endif

std::string tensorrt_version() {
  return "not built in: this version of efiqa has no TensorRT back end";
}

// In the order in which kAuto tries them.
constexpr Entry kEntries[] = {
    {Backend::kTensorRt, nullptr, tensorrt_version},
    {Backend::kOpenVino, open_openvino, openvino_version},
};

const char* backend_name(Backend backend) {
  for (const Named<Backend>& entry : kBackendNames) {
    if (entry.value == backend) return entry.name;
  }
  return "unrecognised";
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
    if (backend == Backend::kAuto && entry.open == nullptr) continue;
    if (backend != Backend::kAuto && backend != entry.backend) continue;
    if (entry.open == nullptr) {
      throw Error(
          StatusCode::kBackendUnavailable,
          "backend is \"" + std::string(backend_name(backend)) + "\", which is " + entry.version());
    }
    return entry.open(model_bytes, contract, threads);
  }
  throw Error(
      StatusCode::kBackendUnavailable,
      backend == Backend::kAuto
          ? "this build of efiqa has no back end at all; build it with EFIQA_WITH_OPENVINO=ON"
          : "backend is " + std::to_string(static_cast<int>(backend)) +
                ", expected one of: " + list_names(kBackendNames));
}

}  // namespace efiqa
