// Areas of a circle within boxes, exactly; the crop and the grid made from them.
#include "fov_geometry.h"

#include <algorithm>
#include <cmath>

#include "fov.h"
#include "grid_ops.h"

namespace efiqa {
SquareCrop square_crop(const FieldOfView& fov) {
  if (!fov.found()) return {};
  const double width = static_cast<double>(fov.right_px) - static_cast<double>(fov.left_px);
  const double height = static_cast<double>(fov.bottom_px) - static_cast<double>(fov.top_px);
  SquareCrop crop;
  // Rounded up, but not for the last rounding error of a float.
  crop.side_px = std::max(1, static_cast<int>(std::ceil(std::max(width, height) - 1e-3)));
  const double x = (static_cast<double>(fov.left_px) + static_cast<double>(fov.right_px)) / 2;
  const double y = (static_cast<double>(fov.top_px) + static_cast<double>(fov.bottom_px)) / 2;
  crop.x_px = static_cast<int>(std::lround(x - crop.side_px / 2.0));
  crop.y_px = static_cast<int>(std::lround(y - crop.side_px / 2.0));
  return crop;
}

void grid_weights(const FieldOfView& fov, const SquareCrop& crop, int grid_width, int grid_height,
                  float* weights) {
  const CropGrid grid{fov, crop, grid_width, grid_height};
  for (int cell = 0; cell < grid_width * grid_height; ++cell) {
    CellShare share = simple_share(grid, cell);
    if (share.rim) share.weight = rim_weight(grid, cell);
    weights[cell] = share.weight;
  }
}

}  // namespace efiqa
