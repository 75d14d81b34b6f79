// From the C door's frame to the core's, with the sizes of its buffers checked.
#include <cstdint>
#include <limits>
#include <string>

#include "capi_runtime.h"
#include "capi_support.h"
#include "status.h"

namespace efiqa {
namespace {

static_assert(EFIQA_FORMAT_RGB8 == static_cast<int>(PixelFormat::kRgb8));
static_assert(EFIQA_FORMAT_BGR8 == static_cast<int>(PixelFormat::kBgr8));
static_assert(EFIQA_FORMAT_GRAY8 == static_cast<int>(PixelFormat::kGray8));
static_assert(EFIQA_FORMAT_RGBA8 == static_cast<int>(PixelFormat::kRgba8));
static_assert(EFIQA_FORMAT_NV12 == static_cast<int>(PixelFormat::kNv12));
static_assert(EFIQA_FORMAT_YUYV == static_cast<int>(PixelFormat::kYuyv));
static_assert(EFIQA_MATRIX_BT709 == static_cast<int>(YuvMatrix::kBt709));
static_assert(EFIQA_RANGE_FULL == static_cast<int>(YuvRange::kFull));
static_assert(EFIQA_MEMORY_DEVICE == static_cast<int>(Memory::kDevice));

[[noreturn]] void refuse(const std::string& message) {
  throw Error(StatusCode::kInvalidFrame, message);
}

void check_plane(const char* name, std::size_t size_bytes, std::ptrdiff_t stride_bytes,
                 std::size_t row_bytes, int rows) {
  if (plane_fits(size_bytes, stride_bytes, row_bytes, rows)) return;
  refuse(std::string("frame.") + name + " is " + std::to_string(size_bytes) + ", too small for " +
         std::to_string(rows) + " rows of " + std::to_string(row_bytes) + " bytes, " +
         std::to_string(stride_bytes) + " apart");
}

}  // namespace

FrameView frame_view(const efiqa_frame* given) {
  const efiqa_frame frame = read_struct(given, "frame", "efiqa_frame");
  if (frame.reserved != 0) {
    refuse("frame.reserved is " + std::to_string(frame.reserved) + ", expected 0; use EFIQA_INIT");
  }
  FrameView view;
  view.data = frame.data;
  view.width_px = frame.width_px;
  view.height_px = frame.height_px;
  view.row_stride_bytes = frame.row_stride_bytes;
  view.format = static_cast<PixelFormat>(frame.format);
  view.uv_data = frame.uv_data;
  view.uv_stride_bytes = frame.uv_stride_bytes;
  view.matrix = static_cast<YuvMatrix>(frame.matrix);
  view.range = static_cast<YuvRange>(frame.range);
  view.memory = static_cast<Memory>(frame.memory);
  view.stream = static_cast<Stream>(frame.stream);
  validate_frame(view);
  const std::size_t row_bytes =
      static_cast<std::size_t>(view.width_px) * bytes_per_pixel(view.format);
  check_plane("data_size_bytes", frame.data_size_bytes, view.row_stride_bytes, row_bytes,
              view.height_px);
  if (view.format == PixelFormat::kNv12) {
    check_plane("uv_size_bytes", frame.uv_size_bytes, view.uv_stride_bytes,
                static_cast<std::size_t>(view.width_px), view.height_px / 2);
  }
  return view;
}

}  // namespace efiqa
