// Frames on the GPU: those of the host are copied there, those of the device are checked and waited
// for.
#pragma once

#include <cstdint>

#include "cuda_util.h"
#include "frame.h"
#include "parallel.h"

namespace efiqa {

// Throws Error(code) unless `memory` is device memory of `device`; `field` is for the message.
void check_device_pointer(const void* memory, const char* field, int device, StatusCode code);

// Buffers grow with the largest frame seen and are then reused.
class FrameUpload {
 public:
  explicit FrameUpload(ThreadPool& pool) : pool_(pool) {}

  // Puts what the frame needs into `stream`, and returns the view of it in device memory. Before
  // the next call `stream` must be waited for. Throws Error(kInvalidFrame) for a frame that says
  // device memory and is not there: freed, of the host, or of another device than `device`.
  FrameView take(const FrameView& frame, int device, Stream stream);

 private:
  FrameView copy(const FrameView& frame, Stream stream);
  void copy_plane(const std::uint8_t* source, std::ptrdiff_t source_stride_bytes,
                  std::ptrdiff_t row_bytes, int rows, std::size_t offset,
                  std::ptrdiff_t stride_bytes, Stream stream);

  ThreadPool& pool_;
  DeviceBuffer<std::uint8_t> pixels_;
  PinnedBuffer<std::uint8_t> staged_;
  Event made_{Event::Timing::kOff};  // by the producer of a frame in device memory
};

}  // namespace efiqa
