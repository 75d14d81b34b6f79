// Field of view on the GPU: the same search as fov.h, without a word to the host.
#pragma once

#include <memory>

#include "fov.h"
#include "frame.h"

namespace efiqa {

// What the stages on the GPU hand on, in device memory.
struct DeviceField {
  FieldOfView fov;
  SquareCrop crop;  // all 0 without a field of view
};

// Owns its device buffers, 20 MB, made for the largest frame at once. Not thread-safe.
class DeviceFovFinder {
 public:
  DeviceFovFinder();
  ~DeviceFovFinder();
  DeviceFovFinder(const DeviceFovFinder&) = delete;
  DeviceFovFinder& operator=(const DeviceFovFinder&) = delete;

  // Puts the search into `stream`; may be captured into a graph. `geometry` is a host copy of the
  // frame, of which everything but the pointers counts; `frame` points to the view in device
  // memory, whose pointers are read when the work runs, so that one graph serves frames of one
  // geometry at any address.
  void enqueue(const FrameView& geometry, const FrameView* frame, DeviceField* field,
               Stream stream);

 private:
  struct Buffers;
  std::unique_ptr<Buffers> buffers_;
};

}  // namespace efiqa
