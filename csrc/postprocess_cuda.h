// From logits to map, score and regions, and the overlay, on the GPU.
#pragma once

#include <memory>

#include "contract.h"
#include "fov_cuda.h"
#include "postprocess.h"
#include "report.h"

namespace efiqa {

// The device's twin of Postprocessor: one block, same arithmetic. Owns its device buffers.
class DevicePostprocessor {
 public:
  explicit DevicePostprocessor(const Contract& contract);
  ~DevicePostprocessor();
  DevicePostprocessor(const DevicePostprocessor&) = delete;
  DevicePostprocessor& operator=(const DevicePostprocessor&) = delete;

  // Puts map, weights, score and regions into the result in device memory, and its copy to the host
  // into `stream` behind it; both may be captured. `logits`: (channel_count, grid_height,
  // grid_width) in device memory.
  void enqueue(const float* logits, const DeviceField* field, Stream stream);

  // Once the stream is through: fills fov, crop, and all that Postprocessor fills, of `report` from
  // the host's copy. Throws Error(kEngineFailure) for NaN or infinity in the logits, as that does.
  void read(const OperatingPoint& operating_point, Report& report) const;

  // render_overlay's twin for the result of the last enqueue: RGB8 of the frame's size in device
  // memory.
  void enqueue_overlay(const FrameView& geometry, const FrameView* frame, const DeviceField* field,
                       const OverlayOptions& options, std::uint8_t* out,
                       std::ptrdiff_t out_stride_bytes, Stream stream);

 private:
  struct Buffers;
  std::unique_ptr<Buffers> buffers_;
};

}  // namespace efiqa
