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

}  // namespace

void validate_frame(const FrameView& frame) {
  if (frame.data == nullptr) refuse("frame.data is null, expected the first byte of the top row");
  const int bytes = bytes_per_pixel(frame.format);
  if (bytes == 0) {
    refuse("frame.format is " + std::to_string(static_cast<std::int32_t>(frame.format)) +
           ", expected 0 (RGB8), 1 (BGR8), 2 (GRAY8) or 3 (RGBA8)");
  }
  check_side("width_px", frame.width_px);
  check_side("height_px", frame.height_px);
  const std::ptrdiff_t row_bytes = static_cast<std::ptrdiff_t>(frame.width_px) * bytes;
  if (frame.row_stride_bytes < row_bytes) {
    refuse("frame.row_stride_bytes is " + std::to_string(frame.row_stride_bytes) +
           ", expected at least " + std::to_string(row_bytes) + " for " +
           std::to_string(frame.width_px) + " " + format_name(frame.format) + " pixels");
  }
}

}  // namespace efiqa
