#include "frame.h"

#include <string>

#include "status.h"

namespace efiqa {
namespace {

[[noreturn]] void refuse(const std::string& message) {
  throw Error(StatusCode::kInvalidFrame, message);
}

const char* format_name(PixelFormat format) {
  switch (format) {
    case PixelFormat::kRgb8:
      return "RGB8";
    case PixelFormat::kBgr8:
      return "BGR8";
    case PixelFormat::kGray8:
      return "GRAY8";
    case PixelFormat::kRgba8:
      return "RGBA8";
    case PixelFormat::kNv12:
      return "NV12";
    case PixelFormat::kYuyv:
      return "YUYV";
  }
  return "unknown";
}

void check_side(const char* field, int side_px) {
  if (side_px < kMinSidePx || side_px > kMaxSidePx) {
    refuse(std::string("frame.") + field + " is " + std::to_string(side_px) + ", expected " +
           std::to_string(kMinSidePx) + " to " + std::to_string(kMaxSidePx));
  }
}

void check_even(const char* field, int side_px, PixelFormat format) {
  if (side_px % 2 == 0) return;
  refuse(std::string("frame.") + field + " is " + std::to_string(side_px) +
         ", expected an even number: " + format_name(format) +
         " has one sample of colour for two pixels");
}

// What frames in Y'CbCr need on top.
void check_yuv(const FrameView& frame) {
  check_even("width_px", frame.width_px, frame.format);
  if (frame.matrix != YuvMatrix::kBt601 && frame.matrix != YuvMatrix::kBt709) {
    refuse("frame.matrix is " + std::to_string(static_cast<std::int32_t>(frame.matrix)) +
           ", expected 0 (BT.601) or 1 (BT.709)");
  }
  if (frame.range != YuvRange::kLimited && frame.range != YuvRange::kFull) {
    refuse("frame.range is " + std::to_string(static_cast<std::int32_t>(frame.range)) +
           ", expected 0 (limited) or 1 (full)");
  }
  if (frame.format != PixelFormat::kNv12) return;
  check_even("height_px", frame.height_px, frame.format);
  if (frame.uv_data == nullptr) {
    refuse("frame.uv_data is null, expected the first byte of NV12's plane of U and V");
  }
  if (frame.uv_stride_bytes < frame.width_px) {
    refuse("frame.uv_stride_bytes is " + std::to_string(frame.uv_stride_bytes) +
           ", expected at least " + std::to_string(frame.width_px) + " for " +
           std::to_string(frame.width_px / 2) + " pairs of U and V");
  }
}

}  // namespace

void validate_frame(const FrameView& frame) {
  if (frame.data == nullptr) refuse("frame.data is null, expected the first byte of the top row");
  const int bytes = bytes_per_pixel(frame.format);
  if (bytes == 0) {
    refuse("frame.format is " + std::to_string(static_cast<std::int32_t>(frame.format)) +
           ", expected 0 (RGB8), 1 (BGR8), 2 (GRAY8), 3 (RGBA8), 4 (NV12) or 5 (YUYV)");
  }
  check_side("width_px", frame.width_px);
  check_side("height_px", frame.height_px);
  const std::ptrdiff_t row_bytes = static_cast<std::ptrdiff_t>(frame.width_px) * bytes;
  if (frame.row_stride_bytes < row_bytes) {
    refuse("frame.row_stride_bytes is " + std::to_string(frame.row_stride_bytes) +
           ", expected at least " + std::to_string(row_bytes) + " for " +
           std::to_string(frame.width_px) + " " + format_name(frame.format) + " pixels");
  }
  if (is_yuv(frame.format)) check_yuv(frame);
  if (frame.memory != Memory::kHost && frame.memory != Memory::kDevice) {
    refuse("frame.memory is " + std::to_string(static_cast<std::int32_t>(frame.memory)) +
           ", expected 0 (host) or 1 (device)");
  }
}

}  // namespace efiqa
