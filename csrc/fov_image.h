// Small copies of a frame, on which the field of view is searched.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "frame.h"
#include "parallel.h"

namespace efiqa {

// Grey levels 0..255, not rounded; at least 2 x 2. Pixel (i, j) stands for the square
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

// Every channel averaged over each pixel's square, then the brightest channel: in the retina that
// is red, in haze and in borders whichever there is, and grey frames have only the one.
struct SmallImages {
  Plane fine;    // longest side at most 512
  Plane coarse;  // longest side at most 256

  // One pass over the frame. Buffers grow only.
  void make(const FrameView& frame, ThreadPool& pool);

 private:
  std::vector<std::uint16_t> sums_;  // two rows per band
  std::vector<std::uint8_t> rgb_;    // of Y'CbCr frames: two converted rows per band
};

struct LevelHistogram {
  std::array<int, 256> counts;
  int total;
};

// Counts the levels of each of the three channels (of a grey frame three times the one) over pixels
// on a regular grid.
void sample_histograms(const FrameView& frame, LevelHistogram* channels);

}  // namespace efiqa
