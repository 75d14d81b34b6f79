// The network behind one interface, and the explicit table of back ends.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "contract.h"
#include "deadline.h"
#include "frame.h"

namespace efiqa {

enum class Backend : std::int32_t { kAuto = 0, kOpenVino = 1, kTensorRt = 2 };

struct TensorView {
  float* data = nullptr;
  int channels = 0, height = 0, width = 0;  // batch is always 1
  Memory memory = Memory::kHost;
};

constexpr std::size_t value_count(const TensorView& view) {
  return static_cast<std::size_t>(view.channels) * view.height * view.width;
}

class Engine {
 public:
  virtual ~Engine() = default;
  virtual TensorView input() = 0;   // (1, 3, H, W) float32, engine-owned
  virtual TensorView output() = 0;  // (1, C, h, w) float32 logits, engine-owned
  // Host memory: `stream` is null, and the output is complete on return. Device memory: the work is
  // put into `stream`, and nothing is waited for. Throws Error(kEngineFailure).
  virtual void run(Stream stream) = 0;
  // Host memory: as run, but an engine that can be interrupted throws Error(kDeadline) when the
  // time is over, and lets input() wait for what it gave up. The others run to their end.
  virtual void run_before(const Deadline& /*deadline*/) { run(nullptr); }
  virtual std::string description() const = 0;  // "OpenVINO 2026.4.0 CPU f32, 2 threads"
};

struct BackendInfo {
  Backend backend;
  const char* name;     // "openvino", "tensorrt"
  bool built_in;        // compiled into this library
  std::string version;  // of the vendor library, or why there is none
};

// In the order in which kAuto tries them.
std::vector<BackendInfo> backends();

// `model_bytes` is the whole model file, whose hash the caller has checked. `threads` >= 1.
// A forced back end that is not there, or a model that does not fit the contract, throws.
std::unique_ptr<Engine> open_engine(const std::string& model_bytes, const Contract& contract,
                                    Backend backend, int threads);

}  // namespace efiqa
