// One opened model: owns the engine, the buffers and the stages. After open, and after the first
// frame of the largest size, a frame costs no further allocation in this code. An engine on a GPU
// runs on the device that is current in the thread that opens the Runtime.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "contract.h"
#include "engine.h"
#include "frame_measures.h"
#include "postprocess.h"
#include "report.h"
#include "signature.h"

namespace efiqa {

struct RuntimeOptions {
  std::string model_path;  // its contract is read from contract_path(model_path)
  Backend backend = Backend::kAuto;
  int threads = 0;              // 0: one per core this process may use, at most 4
  std::string operating_point;  // empty: the contract's default
  bool allow_untrained = false;
  // When there are any, the model opens only with a signature by one of them at
  // signature_path(model_path).
  std::vector<PublicKey> trusted_keys;
  bool require_signature = false;  // true: no trusted_keys are an error, not a way to ask for none
  int deadline_ms = 0;             // of one frame; 0: none
};

// A model in memory, e.g. one that is linked into the program.
struct ModelBytes {
  std::string_view name;  // for messages
  std::string_view model, contract;
};

class Runtime {
 public:
  explicit Runtime(const RuntimeOptions& options);
  // Of the options, model_path does not count. The bytes are needed during the call only.
  Runtime(const ModelBytes& bytes, const RuntimeOptions& options);
  // With an engine that is already open, e.g. a test's. Of the options, threads, operating_point
  // and deadline_ms count.
  Runtime(Contract contract, std::unique_ptr<Engine> engine, const RuntimeOptions& options);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Valid until the next call. Throws Error; kWrongThread when another thread is inside, kDeadline
  // when the frame took too long. After an error the next frame is assessed as ever.
  // Where `measures` is not null it is filled, too; it says nothing after an error.
  const Report& assess(const FrameView& frame, FrameMeasures* measures = nullptr);
  // The same, into the caller's report, so that no other thread's call can replace it meanwhile.
  void assess_into(const FrameView& frame, Report& report, FrameMeasures* measures = nullptr);
  // Where the engine runs, as postprocess.h has it on the CPU; `out` lies in `out_memory`, and is
  // complete on return. On a GPU the report must be the last frame's, unless frame and `out` are
  // both the host's. Throws Error.
  void render_overlay(const FrameView& frame, const Report& report, const OverlayOptions& options,
                      std::uint8_t* out, std::ptrdiff_t out_stride_bytes,
                      Memory out_memory = Memory::kHost);
  // The network alone: host `input` (3, H, W), normalised as the contract says, gives host `logits`
  // (C, h, w). Throws Error; kWrongThread when another thread is inside.
  void run_network(const float* input, float* logits);

  const Contract& contract() const noexcept;
  // The contract's file as it was read, and checked, when the model was opened. Both are empty for
  // an engine that was handed in.
  const std::string& contract_text() const noexcept;
  const std::string& signed_by() const noexcept;  // key id; empty: no trusted key was given
  const OperatingPoint& operating_point() const noexcept;
  std::string engine_description() const;
  std::shared_ptr<ThreadPool> pool() const noexcept;  // also for render_overlay

 private:
  struct Impl;
  static std::unique_ptr<Impl> open(const std::string& model, Contract contract,
                                    const std::string& name, const RuntimeOptions& options);
  std::unique_ptr<Impl> impl_;
};

}  // namespace efiqa
