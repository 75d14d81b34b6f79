// Exact area of a circle within a box.
#pragma once

namespace efiqa {

double circle_box_area(double center_x, double center_y, double radius, double left, double top,
                       double right, double bottom);

}  // namespace efiqa
