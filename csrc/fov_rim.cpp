#include "fov_rim.h"

#include <algorithm>
#include <cmath>

namespace efiqa {
namespace {

constexpr double kPi = 3.14159265358979323846;

// Partially sorts `values`.
float quantile(std::vector<float>& values, double share) {
  if (values.empty()) return 0;
  const auto n = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + n, values.end());
  return values[static_cast<std::size_t>(n)];
}

// Smallest fall of the grey level that counts as a rim.
float least_step(const Levels& levels) {
  return std::max({1.0f, 3 * levels.noise, 0.05f * levels.contrast()});
}

}  // namespace

// A disc that does not cover the frame leaves at least one corner free, so the border's level is
// that of the darkest corner. Medians, so that a stamp in a corner does not matter.
Levels estimate_levels(const Plane& plane, std::vector<float>& buffer) {
  Levels levels;
  const int shortest = std::min(plane.width, plane.height);  // 2 for a frame of 8192 x 64
  const int legs = std::min(std::max(3, static_cast<int>(0.035 * shortest)), shortest);
  levels.border = 1e9f;
  for (int corner = 0; corner < 4; ++corner) {
    buffer.clear();
    for (int j = 0; j < legs; ++j) {
      for (int i = 0; i + j < legs; ++i) {
        const int x = corner % 2 == 0 ? i : plane.width - 1 - i;
        const int y = corner / 2 == 0 ? j : plane.height - 1 - j;
        buffer.push_back(plane.row(y)[x]);
      }
    }
    const float median = quantile(buffer, 0.5);
    if (median >= levels.border) continue;
    levels.border = median;
    for (float& value : buffer) value = std::abs(value - median);
    levels.noise = 1.4826f * quantile(buffer, 0.5);  // of a normal distribution
  }
  std::array<int, 256> histogram = {};
  const int pixels = plane.width * plane.height;
  for (int i = 0; i < pixels; ++i) {
    ++histogram[static_cast<std::size_t>(static_cast<int>(plane.values[i]))];
  }
  int level = 255;
  // The bright end without the brightest 5 %: a stamp, a reflex or the optic disc.
  for (int above = histogram[255]; level > 0 && above < pixels / 20; above += histogram[level]) {
    --level;
  }
  levels.field = static_cast<float>(level) + 0.5f;
  return levels;
}

Rim::Rim() {
  for (int i = 0; i < kRimAngles; ++i) {
    const double angle = 2 * kPi * (i + 0.5) / kRimAngles;
    directions_[i] = {std::cos(angle), std::sin(angle)};
  }
  points_.reserve(kRimAngles);
  inner_.reserve(kRimAngles);
  outer_.reserve(kRimAngles);
}

RimSupport Rim::support(const Plane& plane, const Circle& c, const Levels& levels) {
  RimSupport support;
  const double width = plane.width * plane.scale_px, height = plane.height * plane.scale_px;
  const double gap = std::max(0.03 * c.radius, 1.5 * plane.scale_px);
  const float least = least_step(levels);
  inner_.clear();
  outer_.clear();
  for (const Direction& d : directions_) {
    const double x = c.x + d.x * (c.radius + gap), y = c.y + d.y * (c.radius + gap);
    if (x < 0 || y < 0 || x >= width || y >= height) continue;
    ++support.in_frame;
    const float outer = plane.at(x, y);
    const float inner = plane.at(c.x + d.x * (c.radius - gap), c.y + d.y * (c.radius - gap));
    if (inner - outer >= least && outer - levels.border < 0.6f * (inner - levels.border)) {
      ++support.steps;
      inner_.push_back(inner);
      outer_.push_back(outer);
    } else if (outer - levels.border >= least) {
      ++support.violations;
    }
  }
  support.inner = quantile(inner_, 0.25);
  support.outer = quantile(outer_, 0.5);
  return support;
}

void Rim::refine(const Plane& plane, const Levels& levels, const Box& box, Circle* circle) {
  // Cuts are soft and may lean a little: what lies near one is not taken for the rim.
  const double margin = 1.5 * plane.scale_px;
  const Box inner{box.left + margin, box.top + margin, box.right - margin, box.bottom - margin};
  const double step = 0.5 * plane.scale_px;
  // The steepest fall over this many steps, two pixels, marks the rim.
  constexpr int kSpan = 4;
  std::array<float, 128> profile;
  for (const double reach_share : {0.06, 0.03}) {  // of the radius, to either side
    const double reach = std::max(reach_share * circle->radius, 3.0 * plane.scale_px);
    const int samples =
        std::min(2 * static_cast<int>(reach / step) + 1, static_cast<int>(profile.size()));
    points_.clear();
    for (const Direction& d : directions_) {
      int seen = 0;
      for (; seen < samples; ++seen) {
        const double r = circle->radius - reach + seen * step;
        const double x = circle->x + d.x * r, y = circle->y + d.y * r;
        if (x < inner.left || y < inner.top || x > inner.right || y > inner.bottom) break;
        profile[seen] = plane.at(x, y);
      }
      int best = -1;
      float fall = least_step(levels);
      for (int i = 0; i + kSpan < seen; ++i) {
        const float f = profile[i] - profile[i + kSpan];
        if (f > fall) {
          fall = f;
          best = i;
        }
      }
      if (best < 0) continue;
      // Where the level passes the middle between both ends of the fall.
      const float half = 0.5f * (profile[best] + profile[best + kSpan]);
      int i = best;
      while (i + 1 < best + kSpan && profile[i + 1] > half) ++i;
      const float drop = profile[i] - profile[i + 1];
      const double part = drop > 0 ? static_cast<double>((profile[i] - half) / drop) : 0.5;
      const double r = circle->radius - reach + (i + std::clamp(part, 0.0, 1.0)) * step;
      points_.push_back({circle->x + d.x * r, circle->y + d.y * r});
    }
    Circle refined = *circle;
    if (points_.size() < kRimAngles / 20 ||
        !refine_circle(points_.data(), points_.size(), reach, &refined)) {
      return;
    }
    const double moved = std::hypot(refined.x - circle->x, refined.y - circle->y) +
                         std::abs(refined.radius - circle->radius);
    if (moved > 2 * reach) return;
    *circle = refined;
  }
}

namespace {

// One direction of the search for cuts: lines are rows or columns of the plane.
struct Lines {
  const Plane& plane;
  const Circle& circle;
  float threshold;
  bool rows;

  int count() const { return rows ? plane.height : plane.width; }

  // Share of bright pixels in a line of the circle, a little inside the rim; -1 where none is.
  float filled(int line) const {
    const double scale = plane.scale_px;
    const double across = (line + 0.5) * scale - (rows ? circle.y : circle.x);
    const double inner = 0.97 * circle.radius;
    if (line < 0 || line >= count() || std::abs(across) >= inner) return -1;
    const double half = std::sqrt(inner * inner - across * across);
    const double center = rows ? circle.x : circle.y;
    const int length = rows ? plane.width : plane.height;
    const int begin = std::max(0, static_cast<int>(std::ceil((center - half) / scale - 0.5)));
    const int end = std::min(length, static_cast<int>((center + half) / scale - 0.5) + 1);
    if (end - begin < 3) return -1;
    int bright = 0;
    for (int i = begin; i < end; ++i) {
      bright += (rows ? plane.row(line)[i] : plane.row(i)[line]) > threshold;
    }
    return static_cast<float>(bright) / static_cast<float>(end - begin);
  }

  // From the first line on (or the last one back), the frame coordinate of the cut, or `uncut`.
  double cut(bool forward, double uncut) const {
    // A cut may lean or be soft, but within this share of the radius it is over.
    const int transition = std::max(2, static_cast<int>(0.05 * circle.radius / plane.scale_px));
    const int step = forward ? 1 : -1;
    int line = forward ? 0 : count() - 1;
    while (line >= 0 && line < count() && filled(line) < 0) line += step;
    const int first = line;
    int last_dark = line - step;
    for (; line >= 0 && line < count(); line += step) {
      const float share = filled(line);
      if (share < 0) return uncut;  // dark all through
      if (share <= 0.2f) last_dark = line;
      if (share >= 0.5f) break;
    }
    if (line < 0 || line >= count() || line == first || last_dark == first - step) return uncut;
    for (int on = line; std::abs(on - last_dark) <= transition; on += step) {
      if (filled(on) >= 0.8f) return (forward ? line : line + 1) * plane.scale_px;
    }
    return uncut;
  }
};

}  // namespace

void find_cuts(const Plane& plane, const Circle& circle, float threshold, Box* box) {
  const Lines rows{plane, circle, threshold, true}, columns{plane, circle, threshold, false};
  box->left = std::max(box->left, columns.cut(true, box->left));
  box->right = std::min(box->right, columns.cut(false, box->right));
  box->top = std::max(box->top, rows.cut(true, box->top));
  box->bottom = std::min(box->bottom, rows.cut(false, box->bottom));
}

}  // namespace efiqa
