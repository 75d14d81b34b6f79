// Exact area of a circle within a box; host and device share this file.
#pragma once

#include <cmath>

#include "small_math.h"

namespace efiqa {

// Area of the circle of radius r around the origin within [0, x) x [0, y); odd in x and in y.
template <typename Real>
EFIQA_HOST_DEVICE Real corner_area(Real x, Real y, Real r) {
  const Real zero = 0;
  const Real a = min_of(std::fabs(x), r), b = min_of(std::fabs(y), r);
  Real area = a * b;
  if (a * a + b * b > r * r) {
    // Full height b up to where the circle comes down to it, then the circle itself.
    const Real knee = std::sqrt(max_of(zero, r * r - b * b));
    const auto under_arc = [r, zero](Real u) {
      return Real{0.5} * (u * std::sqrt(max_of(zero, r * r - u * u)) + r * r * std::asin(u / r));
    };
    area = b * knee + under_arc(a) - under_arc(knee);
  }
  return (x < 0) == (y < 0) ? area : -area;
}

template <typename Real>
EFIQA_HOST_DEVICE Real circle_box_area(Real center_x, Real center_y, Real radius, Real left,
                                       Real top, Real right, Real bottom) {
  if (radius <= 0 || right <= left || bottom <= top) return 0;
  const Real x0 = left - center_x, x1 = right - center_x;
  const Real y0 = top - center_y, y1 = bottom - center_y;
  return corner_area(x1, y1, radius) - corner_area(x0, y1, radius) - corner_area(x1, y0, radius) +
         corner_area(x0, y0, radius);
}

}  // namespace efiqa
