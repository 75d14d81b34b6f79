// A borrowed view of one camera frame in host memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace efiqa {

enum class PixelFormat : std::int32_t { kRgb8 = 0, kBgr8 = 1, kGray8 = 2, kRgba8 = 3 };

constexpr int kMinSidePx = 64;    // smaller frames hold no readable vessel
constexpr int kMaxSidePx = 8192;  // bounds memory and keeps 32-bit pixel arithmetic exact

// Bytes of one pixel: 3, 3, 1, 4; 0 for a number outside the list.
constexpr int bytes_per_pixel(PixelFormat format) {
  switch (format) {
    case PixelFormat::kRgb8:
    case PixelFormat::kBgr8:
      return 3;
    case PixelFormat::kGray8:
      return 1;
    case PixelFormat::kRgba8:
      return 4;
  }
  return 0;
}

struct FrameView {
  const std::uint8_t* data = nullptr;  // first byte of the top row; borrowed for the call
  int width_px = 0;
  int height_px = 0;
  std::ptrdiff_t row_stride_bytes = 0;  // >= width_px * bytes_per_pixel(format)
  PixelFormat format = PixelFormat::kRgb8;
};

// Throws Error(kInvalidFrame) that names the field, its value and the rule it breaks.
void validate_frame(const FrameView& frame);

}  // namespace efiqa
