// Small copies of a frame, on which the field of view is searched.
#pragma once

#include <vector>

#include "frame.h"
#include "parallel.h"

namespace efiqa {

// Grey levels 0..255, not rounded. Pixel (i, j) is the mean over the square
// [i * scale_px, (i + 1) * scale_px) x [j * scale_px, (j + 1) * scale_px) of the frame.
struct Plane {
  int width = 0, height = 0, scale_px = 1;
  std::vector<float> values;

  void resize(int new_width, int new_height, int new_scale_px);
  const float* row(int y) const { return values.data() + static_cast<std::ptrdiff_t>(y) * width; }
  float* row(int y) { return values.data() + static_cast<std::ptrdiff_t>(y) * width; }
  // Bilinear, at a point in frame pixels; the border pixels continue outwards.
  float at(double x_px, double y_px) const;
};

struct SmallImages {
  Plane fine;    // brightest channel; longest side at most kFineSidePx
  Plane coarse;  // the same, at most half of that
  Plane grey;    // mean of the channels, at the size of `coarse`

  // One pass over the frame. Buffers grow only.
  void make(const FrameView& frame, ThreadPool& pool);

 private:
  std::vector<std::uint16_t> column_sums_;  // per band
  Plane fine_grey_;
};

}  // namespace efiqa
