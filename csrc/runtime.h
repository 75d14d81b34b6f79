// One opened model: owns the engine, the buffers and the stages. After open, and after the first
// frame of the largest size, a frame costs no further allocation in this code. An engine on a GPU
// runs on the device that is current in the thread that opens the Runtime.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "contract.h"
#include "engine.h"
#include "postprocess.h"
#include "report.h"

namespace efiqa {

struct RuntimeOptions {
  std::string model_path;  // its contract is read from contract_path(model_path)
  Backend backend = Backend::kAuto;
  int threads = 0;              // 0: one per core this process may use, at most 4
  std::string operating_point;  // empty: the contract's default
  bool allow_untrained = false;
};

class Runtime {
 public:
  explicit Runtime(const RuntimeOptions& options);
  // With an engine that is already open, e.g. a test's. Of the options, threads and operating_point
  // count.
  Runtime(Contract contract, std::unique_ptr<Engine> engine, const RuntimeOptions& options);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Valid until the next call. Throws Error; kWrongThread when another thread is inside.
  const Report& assess(const FrameView& frame);
  // The same, into the caller's report, so that no other thread's call can replace it meanwhile.
  void assess_into(const FrameView& frame, Report& report);
  // Where the engine runs, as postprocess.h has it on the CPU; `out` lies in `out_memory`, and is
  // complete on return. On a GPU the report must be the last frame's, unless frame and `out` are
  // both the host's. Throws Error.
  void render_overlay(const FrameView& frame, const Report& report, const OverlayOptions& options,
                      std::uint8_t* out, std::ptrdiff_t out_stride_bytes,
                      Memory out_memory = Memory::kHost);
  // The network alone: host `input` (3, H, W), normalised as the contract says, gives host `logits`
  // (h, w). Throws Error; kWrongThread when another thread is inside.
  void run_network(const float* input, float* logits);

  const Contract& contract() const noexcept;
  std::string engine_description() const;
  std::shared_ptr<ThreadPool> pool() const noexcept;  // also for render_overlay

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace efiqa
