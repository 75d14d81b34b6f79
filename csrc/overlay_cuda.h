// The overlay on the GPU: the filled grid, then one fused kernel over the frame's pixels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fov_cuda.h"
#include "pixel_ops.h"
#include "postprocess.h"

namespace efiqa {

// The map in fixed point, in device memory.
struct OverlayGrid {
  std::uint16_t* cells = nullptr;  // (height, width), the values at their centres
  std::uint16_t* means = nullptr;  // (height, width)
  std::int32_t* filled = nullptr;  // 0: no cell has a value, and the overlay is the frame
  int width = 0, height = 0;
};

// All pointers in device memory; `colors`: the 256 of the colour map. Arguments are checked by the
// caller (check_overlay).
void launch_fill_grid(const float* map, const float* weights, const OverlayGrid& grid,
                      Stream stream);
void launch_overlay(const FrameView& geometry, const FrameView* frame, const DeviceField* field,
                    const OverlayGrid& grid, const Rgb8* colors, float max_alpha, std::uint8_t* out,
                    std::ptrdiff_t out_stride_bytes, Stream stream);

}  // namespace efiqa
