// From frame and field of view to the network's input: crop, antialiased resize, mask, normalise.
#pragma once

#include <cstdint>
#include <memory>

#include "fov.h"
#include "frame.h"
#include "parallel.h"

namespace efiqa {

// Resampling kernels, stretched by the scale on a downscale so that nothing aliases.
enum class ResizeFilter : std::int32_t {
  kBox = 0,       // Pillow's BOX
  kTriangle = 1,  // Pillow's BILINEAR
};

struct PreprocessSpec {
  int width_px = 0;
  int height_px = 0;
  ResizeFilter filter = ResizeFilter::kTriangle;
  bool blank_outside = true;  // output pixels whose centre is not visible are black
  float mean[3] = {0, 0, 0};  // of RGB in 0..1
  float std[3] = {1, 1, 1};
};

// Buffers grow with the largest frame seen and are then reused. Not thread-safe.
class Preprocessor {
 public:
  Preprocessor(const PreprocessSpec& spec, ThreadPool& pool);
  ~Preprocessor();
  Preprocessor(const Preprocessor&) = delete;
  Preprocessor& operator=(const Preprocessor&) = delete;

  const PreprocessSpec& spec() const noexcept;

  // out[c, y, x] = (rgb[y, x, c] / 255 - mean[c]) / std[c] over the resized crop, not rounded to
  // whole grey levels in between. `fov` is needed for blank_outside only. out: (3, height, width).
  void run(const FrameView& frame, const SquareCrop& crop, const FieldOfView& fov, float* out);

  // The same crop and resize as rounded grey levels, RGB, (height, width, 3), no normalisation.
  void run_u8(const FrameView& frame, const SquareCrop& crop, const FieldOfView& fov,
              std::uint8_t* out);

 private:
  struct Scratch;
  // Calls emit_row(y, levels) for each output row; levels: (3, width) grey levels, not rounded.
  template <typename EmitRow>
  void resample(const FrameView& frame, const SquareCrop& crop, const FieldOfView& fov,
                EmitRow&& emit_row);

  PreprocessSpec spec_;
  ThreadPool& pool_;
  std::unique_ptr<Scratch> scratch_;
};

}  // namespace efiqa
