// From logits to map, score, verdict and regions; and the overlay for people.
#pragma once

#include <cstdint>
#include <memory>

#include "contract.h"
#include "parallel.h"
#include "report.h"

namespace efiqa {

// Fills map, weights, landmarks, score, verdict, reason, regions, diagnosis and not_a_fundus of
// `report`, whose fov and crop are set. Buffers are made once for the contract's grid. Not
// thread-safe.
class Postprocessor {
 public:
  explicit Postprocessor(const Contract& contract);
  ~Postprocessor();
  Postprocessor(const Postprocessor&) = delete;
  Postprocessor& operator=(const Postprocessor&) = delete;

  // logits: (channel_count, grid_height, grid_width). Throws Error(kEngineFailure) for NaN or
  // infinity in them.
  void run(const float* logits, const OperatingPoint& operating_point, Report& report);

 private:
  struct Scratch;
  const Contract& contract_;
  std::unique_ptr<Scratch> scratch_;
};

enum class Colormap : std::int32_t { kTurbo = 0, kInferno = 1, kViridis = 2, kRed = 3 };

struct OverlayOptions {
  Colormap colormap = Colormap::kTurbo;
  float max_alpha = 0.6f;  // opacity at probability 1; opacity falls to 0 at probability 0
};

// Throws Error(kInvalidFrame or kInvalidArgument) unless render_overlay takes these arguments.
void check_overlay(const FrameView& frame, const Report& report, const OverlayOptions& options,
                   const std::uint8_t* out, std::ptrdiff_t out_stride_bytes);

// out = frame blended with the map, interpolated so that its cells keep their means, RGB8 of the
// frame's size, rows of out_stride_bytes. Pixels outside the field of view are the frame's own. The
// report must be of a frame of the same size (Error(kInvalidArgument)); without a field of view the
// frame is copied.
void render_overlay(const FrameView& frame, const Report& report, const OverlayOptions& options,
                    ThreadPool& pool, std::uint8_t* out, std::ptrdiff_t out_stride_bytes);

}  // namespace efiqa
