// The way of one frame: field of view, preprocessing, engine, postprocessing; on the CPU
// (stages_host.cpp) or on the GPU (stages_cuda.cpp), whichever the engine's tensors lie in.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "contract.h"
#include "deadline.h"
#include "engine.h"
#include "frame_measures.h"
#include "parallel.h"
#include "postprocess.h"
#include "report.h"

namespace efiqa {

// Buffers grow with the largest frame seen and are then reused. Not thread-safe.
class Stages {
 public:
  virtual ~Stages() = default;

  // Fills everything of `report` but the frame's size, and `measures` unless that is null. `frame`
  // is valid. Throws Error; kDeadline where the work can be given up when the time is over.
  virtual void run(const FrameView& frame, const OperatingPoint& operating_point,
                   const Deadline& deadline, Report& report, FrameMeasures* measures) = 0;

  // render_overlay (postprocess.h) where the stages run; `out` lies in `out_memory`. On the GPU the
  // report must be the last one that run() filled, unless both frame and `out` are the host's.
  virtual void render_overlay(const FrameView& frame, const Report& report,
                              const OverlayOptions& options, std::uint8_t* out,
                              std::ptrdiff_t out_stride_bytes, Memory out_memory) = 0;

  // The engine alone, from and to arrays of the host: (3, H, W) and (C, h, w).
  virtual void run_network(const float* input, float* logits) = 0;

  virtual std::string description() const = 0;  // the engine's, and how the stages run
};

// `contract` must outlive the stages. Throws Error(kBackendUnavailable) for an engine on the GPU in
// a build without EFIQA_WITH_CUDA.
std::unique_ptr<Stages> make_stages(const Contract& contract, std::unique_ptr<Engine> engine,
                                    std::shared_ptr<ThreadPool> pool);

std::unique_ptr<Stages> make_host_stages(const Contract& contract, std::unique_ptr<Engine> engine,
                                         std::shared_ptr<ThreadPool> pool);
#ifdef EFIQA_WITH_CUDA
std::unique_ptr<Stages> make_device_stages(const Contract& contract, std::unique_ptr<Engine> engine,
                                           std::shared_ptr<ThreadPool> pool);
#endif

class Stopwatch {
 public:
  // Milliseconds since the last call, or since construction.
  float lap_ms() {
    const auto now = std::chrono::steady_clock::now();
    const float ms = std::chrono::duration<float, std::milli>(now - last_).count();
    last_ = now;
    return ms;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace efiqa
