// The grid of cells that the crop is divided into, and how much of each is visible.
#include "fov_geometry.h"

#include "fov.h"
#include "grid_ops.h"

namespace efiqa {

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
