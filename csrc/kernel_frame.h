// How kernels get at a frame: geometry by value, addresses from device memory, one kernel per
// pixel format.
#pragma once

#include <type_traits>

#include "frame.h"
#include "host_device.h"

namespace efiqa {

// `frame` is read when the work runs: one graph serves frames of one geometry at any address.
EFIQA_HOST_DEVICE inline FrameView frame_at(const FrameView& geometry, const FrameView* frame) {
  FrameView view = geometry;
  view.data = frame->data;
  view.uv_data = frame->uv_data;
  return view;
}

template <PixelFormat kFormat>
using FormatConstant = std::integral_constant<PixelFormat, kFormat>;

// launch(FormatConstant<...>()) for the format of a valid frame.
template <typename Launch>
void for_format(PixelFormat format, Launch&& launch) {
  switch (format) {
    case PixelFormat::kRgb8:
      return launch(FormatConstant<PixelFormat::kRgb8>());
    case PixelFormat::kBgr8:
      return launch(FormatConstant<PixelFormat::kBgr8>());
    case PixelFormat::kGray8:
      return launch(FormatConstant<PixelFormat::kGray8>());
    case PixelFormat::kRgba8:
      return launch(FormatConstant<PixelFormat::kRgba8>());
    case PixelFormat::kNv12:
      return launch(FormatConstant<PixelFormat::kNv12>());
    case PixelFormat::kYuyv:
      return launch(FormatConstant<PixelFormat::kYuyv>());
  }
}

}  // namespace efiqa
