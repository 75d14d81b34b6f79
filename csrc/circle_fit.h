// Robust circle fits to boundary points.
#pragma once

#include <cstddef>
#include <vector>

namespace efiqa {

struct Point {
  double x = 0, y = 0;
};

struct Circle {
  double x = 0, y = 0, radius = 0;
};

// What a circle may be, in the points' unit.
struct CircleLimits {
  double min_radius = 0, max_radius = 0;
  double left = 0, top = 0, right = 0, bottom = 0;  // of the centre
};

bool admissible(const Circle& circle, const CircleLimits& limits);

// The circle that passes within `tolerance` of the most points, where points that lie farther out
// than that count against it (shadows and lids lie inside the rim, hardly anything outside).
// Deterministic. False when no admissible circle has at least 8 points.
bool find_circle(const Point* points, std::size_t count, double tolerance,
                 const CircleLimits& limits, Circle* circle);

// Refines `circle` by least squares of the radial distances over the points within `tolerance`,
// several rounds, each point weighted down smoothly with its distance. False when it degenerates.
bool refine_circle(const Point* points, std::size_t count, double tolerance, Circle* circle);

}  // namespace efiqa
