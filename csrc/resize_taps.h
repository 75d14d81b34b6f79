// The source pixels of an output pixel along one axis of the antialiased resize, and their weights:
// in whole numbers up to one last division, so that CPU and GPU agree to the last bit without
// arithmetic in double precision, which is slow on most GPUs.
#pragma once

#include <cstdint>

#include "host_device.h"
#include "preprocess.h"
#include "small_math.h"

namespace efiqa {

// One axis of the resize of a crop. Crop pixel x lies at frame pixel start + x; outside the frame
// it reads black.
struct ResizeAxis {
  ResizeFilter filter = ResizeFilter::kTriangle;
  int start = 0, side = 0;  // of the crop
  int frame_side = 0;
  int out_side = 0;
};

// Taps outside the frame are left out without renormalising. Without initial values, as shared
// memory has none.
struct TapRange {
  int first, count;    // frame pixels; first is 0..frame_side
  int offset;          // crop pixel of the first tap
  std::int64_t total;  // sum of filter_height over all taps, those outside the frame included
};

// Where a crop pixel lies exactly on the edge of a box, Pillow's doubles decide by their last
// rounding error; so do these.
EFIQA_HOST_DEVICE inline bool box_edge_counts(const ResizeAxis& axis, int i, int x) {
  const double scale = static_cast<double>(axis.side) / axis.out_side;
  const double stretch = max_of(1.0, scale), center = (i + 0.5) * scale, support = 0.5 * stretch;
  const double place = (x - center + 0.5) / stretch;
  return x >= static_cast<int>(center - support + 0.5) &&
         x < static_cast<int>(center + support + 0.5) && place > -0.5 && place <= 0.5;
}

// Crop pixel x is (2 x + 1) out_side - (2 i + 1) side away from output pixel i, in units of half an
// output pixel times half a crop pixel; the filter's kernel is one output pixel wide (box) or two
// (triangle) on a downscale, and as wide in crop pixels on an upscale.
EFIQA_HOST_DEVICE inline int filter_height(const ResizeAxis& axis, int i, int x) {
  const int difference = (2 * x + 1) * axis.out_side - (2 * i + 1) * axis.side;
  const int distance = difference < 0 ? -difference : difference;
  const int unit = max_of(axis.side, axis.out_side);
  if (axis.filter == ResizeFilter::kTriangle) return max_of(0, 2 * unit - distance);
  if (distance == unit) return box_edge_counts(axis, i, x) ? 1 : 0;
  return distance < unit ? 1 : 0;
}

// Half of the kernel's width in crop pixels is this over (2 out_side).
EFIQA_HOST_DEVICE inline int filter_reach(const ResizeAxis& axis) {
  return max_of(axis.side, axis.out_side) * (axis.filter == ResizeFilter::kBox ? 1 : 2);
}

// No output pixel has more taps.
EFIQA_HOST_DEVICE inline int max_taps(const ResizeAxis& axis) {
  const int reach = filter_reach(axis), unit = 2 * axis.out_side;
  return (reach + unit - 1) / unit * 2 + 1;
}

EFIQA_HOST_DEVICE inline TapRange tap_range(const ResizeAxis& axis, int i) {
  const int reach = filter_reach(axis), unit = 2 * axis.out_side;
  const int center = (2 * i + 1) * axis.side;
  // A pixel on the near edge of a triangle weighs nothing; of a box it may count.
  const int edge = axis.filter == ResizeFilter::kBox ? 1 : 0;
  const int begin = max_of(0, center - reach + axis.out_side - edge) / unit;
  const int end = min_of(axis.side, (center + reach + axis.out_side) / unit);
  TapRange range = {};
  for (int x = begin; x < end; ++x) range.total += filter_height(axis, i, x);
  range.offset = max_of(begin, -axis.start);
  range.first = clamp_to(axis.start + range.offset, 0, axis.frame_side);
  range.count = max_of(0, min_of(end, axis.frame_side - axis.start) - range.offset);
  return range;
}

// Of tap k of `range`. Height and total are exact in float wherever a frame has such a crop (sides
// up to 8192, outputs from 32), so the quotient is the correctly rounded one.
EFIQA_HOST_DEVICE inline float tap_weight(const ResizeAxis& axis, int i, const TapRange& range,
                                          int k) {
  return static_cast<float>(filter_height(axis, i, range.offset + k)) /
         static_cast<float>(range.total);
}

}  // namespace efiqa
