// A borrowed view of one camera frame, in host or in device memory.
#pragma once

#include <cstddef>
#include <cstdint>

struct CUstream_st;  // CUDA's, at global scope as there

namespace efiqa {

enum class PixelFormat : std::int32_t {
  kRgb8 = 0,
  kBgr8 = 1,
  kGray8 = 2,
  kRgba8 = 3,
  kNv12 =
      4,  // a plane of Y, and one of interleaved U and V at half the size; even width and height
  kYuyv = 5,  // Y0 U Y1 V for two pixels; even width
};

// Which RGB a Y'CbCr frame means. Ignored for other formats.
enum class YuvMatrix : std::int32_t { kBt601 = 0, kBt709 = 1 };
enum class YuvRange : std::int32_t {
  kLimited = 0,
  kFull = 1
};  // Y 16..235 and C 16..240, or 0..255

enum class Memory : std::int32_t {
  kHost = 0,
  kDevice = 1
};  // device: of the GPU that the engine runs on

// A cudaStream_t, without CUDA's headers; null where the work is the CPU's.
using Stream = CUstream_st*;

constexpr int kMinSidePx = 64;    // smaller frames hold no readable vessel
constexpr int kMaxSidePx = 8192;  // bounds memory and keeps 32-bit pixel arithmetic exact

// Bytes of one pixel in the plane at `data`: 3, 3, 1, 4, 1, 2; 0 for a number outside the list.
constexpr int bytes_per_pixel(PixelFormat format) {
  switch (format) {
    case PixelFormat::kRgb8:
    case PixelFormat::kBgr8:
      return 3;
    case PixelFormat::kGray8:
    case PixelFormat::kNv12:
      return 1;
    case PixelFormat::kYuyv:
      return 2;
    case PixelFormat::kRgba8:
      return 4;
  }
  return 0;
}

constexpr bool is_yuv(PixelFormat format) {
  return format == PixelFormat::kNv12 || format == PixelFormat::kYuyv;
}

struct FrameView {
  const std::uint8_t* data = nullptr;  // first byte of the top row; borrowed for the call
  int width_px = 0;
  int height_px = 0;
  std::ptrdiff_t row_stride_bytes = 0;  // >= width_px * bytes_per_pixel(format)
  PixelFormat format = PixelFormat::kRgb8;
  const std::uint8_t* uv_data = nullptr;  // NV12: first byte of the plane of U and V
  std::ptrdiff_t uv_stride_bytes = 0;     // NV12: >= width_px
  YuvMatrix matrix = YuvMatrix::kBt601;
  YuvRange range = YuvRange::kLimited;
  Memory memory = Memory::kHost;
  Stream stream =
      nullptr;  // device memory: where the frame is made; its work is waited for on the GPU
};

// Throws Error(kInvalidFrame) that names the field, its value and the rule it breaks.
void validate_frame(const FrameView& frame);

}  // namespace efiqa
