// One opened model: owns the engine, the buffers and the stages. After open, and after the first
// frame of the largest size, a frame costs no further allocation in this code.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "contract.h"
#include "engine.h"
#include "frame_measures.h"
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
  // Where `measures` is not null it is filled, too; all NaN without a field of view or on an error.
  void assess_into(const FrameView& frame, Report& report, FrameMeasures* measures = nullptr);

  const Contract& contract() const noexcept;
  std::string engine_description() const;
  std::shared_ptr<ThreadPool> pool() const noexcept;  // also for render_overlay

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace efiqa
