// Areas of a circle within boxes, exactly; the crop and the grid made from them.
#include "fov_geometry.h"

#include <algorithm>
#include <cmath>

#include "fov.h"

namespace efiqa {
namespace {

// Area of the circle of radius r around the origin within [0, x) x [0, y); odd in x and in y.
double corner_area(double x, double y, double r) {
  const double a = std::min(std::abs(x), r), b = std::min(std::abs(y), r);
  double area = a * b;
  if (a * a + b * b > r * r) {
    // Full height b up to where the circle comes down to it, then the circle itself.
    const double knee = std::sqrt(std::max(0.0, r * r - b * b));
    const auto under_arc = [r](double u) {
      return 0.5 * (u * std::sqrt(std::max(0.0, r * r - u * u)) + r * r * std::asin(u / r));
    };
    area = b * knee + under_arc(a) - under_arc(knee);
  }
  return (x < 0) == (y < 0) ? area : -area;
}

}  // namespace

double circle_box_area(double center_x, double center_y, double radius, double left, double top,
                       double right, double bottom) {
  if (radius <= 0 || right <= left || bottom <= top) return 0;
  const double x0 = left - center_x, x1 = right - center_x;
  const double y0 = top - center_y, y1 = bottom - center_y;
  return corner_area(x1, y1, radius) - corner_area(x0, y1, radius) - corner_area(x1, y0, radius) +
         corner_area(x0, y0, radius);
}

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
