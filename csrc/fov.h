// Field of view: where in a frame the retina is. A circle, cut by up to four straight edges.
#pragma once

#include <cmath>
#include <memory>

#include "frame.h"
#include "host_device.h"
#include "parallel.h"
#include "small_math.h"

namespace efiqa {

enum class FovShape : std::int32_t {
  kNone = 0,       // nothing in the frame looks like a field of view
  kCircle = 1,     // a dark border was found around a (possibly cut) circle
  kRectangle = 2,  // the retina fills the frame, or a box in it; the circle circumscribes that
};

// Square in frame pixels that the network sees. It may reach outside the frame (read as black).
struct SquareCrop {
  int x_px = 0;
  int y_px = 0;
  int side_px = 0;
};

// Coordinates are continuous frame pixels: pixel (i, j) covers [i, i+1) x [j, j+1).
struct FieldOfView {
  FovShape shape = FovShape::kNone;
  float center_x_px = 0;
  float center_y_px = 0;
  float radius_px = 0;
  // The visible part is the circle within [left, right) x [top, bottom), which lies in the frame.
  float left_px = 0;
  float top_px = 0;
  float right_px = 0;
  float bottom_px = 0;
  float visible_area_px = 0;  // area of the visible part
  float cut_fraction = 0;     // 1 - visible area / circle area; 0 for shape kRectangle

  EFIQA_HOST_DEVICE bool found() const { return shape != FovShape::kNone; }
  EFIQA_HOST_DEVICE bool contains(float x_px, float y_px) const {
    const float dx = x_px - center_x_px, dy = y_px - center_y_px;
    return x_px >= left_px && x_px < right_px && y_px >= top_px && y_px < bottom_px &&
           dx * dx + dy * dy <= radius_px * radius_px;
  }
};

// Square around the visible part: same centre as its bounding box, side = its longer side.
EFIQA_HOST_DEVICE inline SquareCrop square_crop(const FieldOfView& fov) {
  if (!fov.found()) return {};
  const double left = static_cast<double>(fov.left_px), right = static_cast<double>(fov.right_px);
  const double top = static_cast<double>(fov.top_px), bottom = static_cast<double>(fov.bottom_px);
  SquareCrop crop;
  // Rounded up, but not for the last rounding error of a float.
  crop.side_px = max_of(1, static_cast<int>(std::ceil(max_of(right - left, bottom - top) - 1e-3)));
  crop.x_px = static_cast<int>(std::lround((left + right) / 2 - crop.side_px / 2.0));
  crop.y_px = static_cast<int>(std::lround((top + bottom) / 2 - crop.side_px / 2.0));
  return crop;
}

// weights[y * grid_width + x] = share of that grid cell of the crop which is visible, in 0..1.
void grid_weights(const FieldOfView& fov, const SquareCrop& crop, int grid_width, int grid_height,
                  float* weights);

// Finds the field of view. Buffers grow with the largest frame seen and are then reused.
// Not thread-safe; `pool` may be shared and must outlive the finder.
class FovFinder {
 public:
  explicit FovFinder(ThreadPool& pool);
  ~FovFinder();
  FovFinder(const FovFinder&) = delete;
  FovFinder& operator=(const FovFinder&) = delete;

  // `frame` must be valid (validate_frame). Never throws for content: shape kNone says "none".
  FieldOfView find(const FrameView& frame);

 private:
  struct Scratch;
  ThreadPool& pool_;
  std::unique_ptr<Scratch> scratch_;
};

}  // namespace efiqa
