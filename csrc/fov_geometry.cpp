// The grid of cells that the crop is divided into, and how much of each is visible.
#include "fov_geometry.h"

#include <algorithm>

#include "fov.h"

namespace efiqa {

// Rounding leaves some 1e-15 of a cell that lies outside; it must not count as visible.
constexpr double kNoShare = 1e-9;

void grid_weights(const FieldOfView& fov, const SquareCrop& crop, int grid_width, int grid_height,
                  float* weights) {
  const double step_x = static_cast<double>(crop.side_px) / grid_width;
  const double step_y = static_cast<double>(crop.side_px) / grid_height;
  const double cell_area = step_x * step_y;
  for (int j = 0; j < grid_height; ++j) {
    const double top = std::max(static_cast<double>(fov.top_px), crop.y_px + j * step_y);
    const double bottom =
        std::min(static_cast<double>(fov.bottom_px), crop.y_px + (j + 1) * step_y);
    for (int i = 0; i < grid_width; ++i) {
      const double left = std::max(static_cast<double>(fov.left_px), crop.x_px + i * step_x);
      const double right =
          std::min(static_cast<double>(fov.right_px), crop.x_px + (i + 1) * step_x);
      const double area = !fov.found() ? 0
                                       : circle_box_area(static_cast<double>(fov.center_x_px),
                                                         static_cast<double>(fov.center_y_px),
                                                         static_cast<double>(fov.radius_px), left,
                                                         top, right, bottom);
      const double share = std::min(area / cell_area, 1.0);
      weights[j * grid_width + i] = share < kNoShare ? 0.0f : static_cast<float>(share);
    }
  }
}

}  // namespace efiqa
