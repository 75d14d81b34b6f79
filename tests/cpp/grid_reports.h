// Reports whose field of view is set, for tests of the postprocessing.
#pragma once

#include <cmath>

#include "report.h"

namespace efiqa_test {

// A square frame that the field of view fills: every cell counts fully.
inline efiqa::Report full_report(int side_px = 800) {
  efiqa::Report report;
  const float side = static_cast<float>(side_px);
  report.fov.shape = efiqa::FovShape::kRectangle;
  report.fov.center_x_px = report.fov.center_y_px = side / 2;
  report.fov.radius_px = side / std::sqrt(2.0f) + 1;
  report.fov.right_px = report.fov.bottom_px = side;
  report.fov.visible_area_px = side * side;
  report.crop = {0, 0, side_px};
  report.frame_width_px = report.frame_height_px = side_px;
  return report;
}

// A circle in the middle of a frame of 1000 x 900 pixels.
inline efiqa::Report circle_report() {
  efiqa::Report report;
  report.fov.shape = efiqa::FovShape::kCircle;
  report.fov.center_x_px = 500;
  report.fov.center_y_px = 450;
  report.fov.radius_px = 400;
  report.fov.left_px = 100;
  report.fov.top_px = 50;
  report.fov.right_px = 900;
  report.fov.bottom_px = 850;
  report.crop = efiqa::square_crop(report.fov);
  report.frame_width_px = 1000;
  report.frame_height_px = 900;
  return report;
}

}  // namespace efiqa_test
