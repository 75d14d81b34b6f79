// The small copies of a frame (fov_plane.h), made on the CPU.
#pragma once

#include <cstdint>
#include <vector>

#include "fov_plane.h"
#include "frame.h"
#include "parallel.h"

namespace efiqa {

// Every channel averaged over each pixel's square, then the brightest channel: in the retina that
// is red, in haze and in borders whichever there is, and grey frames have only the one.
class SmallImages {
 public:
  // One pass over the frame. Buffers grow only.
  void make(const FrameView& frame, ThreadPool& pool);

  const Plane& fine() const { return fine_; }      // longest side at most kFineSidePx
  const Plane& coarse() const { return coarse_; }  // longest side at most kCoarseSidePx

 private:
  Plane fine_, coarse_;
  std::vector<std::uint16_t> fine_values_, coarse_values_;
  std::vector<std::uint16_t> sums_;  // two rows per band
  std::vector<std::uint8_t> rgb_;    // of Y'CbCr frames: two converted rows per band
};

}  // namespace efiqa
