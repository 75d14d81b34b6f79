// Search for the field of view: thresholds against the level of the darkest corner give outlines,
// each outline a circle; the circle with the best rim is refined, then its straight cuts are found.
#include "fov.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "circle_fit.h"
#include "fov_geometry.h"
#include "fov_image.h"
#include "fov_mask.h"

namespace efiqa {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr int kAngles = 256;

// Below this many grey levels between field and border even an 8-bit frame without noise shows
// nothing: JPEG and sensor noise reach one to two.
constexpr float kMinContrast = 3.0f;
// Thresholds, as a share of the contrast between the border and the bright parts of the field. Low
// ones keep dark rims, high ones get rid of stray light around the field.
constexpr std::array<float, 5> kThresholdShares = {0.04f, 0.08f, 0.14f, 0.22f, 0.35f};

struct Levels {
  float border = 0;  // darkest corner
  float noise = 0;   // spread of that corner
  float field = 0;   // bright parts of the frame
};

float nth(std::vector<float>& values, double share) {
  const auto n = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + n, values.end());
  return values[static_cast<std::size_t>(n)];
}

// A disc that does not cover the frame leaves at least one corner free, so the border's level is
// that of the darkest corner. Medians, so that a stamp in a corner does not matter.
Levels estimate_levels(const Plane& plane, std::vector<float>& buffer) {
  Levels levels;
  const int legs = std::max(3, static_cast<int>(0.035 * std::min(plane.width, plane.height)));
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
    const float median = nth(buffer, 0.5);
    if (median >= levels.border) continue;
    levels.border = median;
    for (float& value : buffer) value = std::abs(value - median);
    levels.noise = 1.4826f * nth(buffer, 0.5);  // standard deviation of a normal distribution
  }
  buffer.clear();
  for (int y = 0; y < plane.height; y += 2) {
    for (int x = 0; x < plane.width; x += 2) buffer.push_back(plane.row(y)[x]);
  }
  levels.field = nth(buffer, 0.95);
  return levels;
}

struct Direction {
  double x, y;
};

// How well the image supports a circle as the field's rim, in angles out of kAngles.
struct RimSupport {
  int steps = 0;       // bright inside, dark outside
  int violations = 0;  // bright on both sides, within the frame
  int score() const { return steps - violations; }
};

}  // namespace

struct FovFinder::Scratch {
  SmallImages images;
  Component component;
  std::vector<float> buffer;
  std::vector<Point> rim;
  std::array<Direction, kAngles> directions;

  Scratch() {
    for (int i = 0; i < kAngles; ++i) {
      const double angle = 2 * kPi * (i + 0.5) / kAngles;
      directions[i] = {std::cos(angle), std::sin(angle)};
    }
  }

  RimSupport rim_support(const Plane& plane, const Circle& c, const Levels& levels) const;
  void refine(const Plane& plane, const Levels& levels, Circle* circle);
  void find_cuts(const Plane& plane, const Circle& circle, float threshold, FieldOfView* fov);
};

RimSupport FovFinder::Scratch::rim_support(const Plane& plane, const Circle& c,
                                           const Levels& levels) const {
  RimSupport support;
  const double width = plane.width * plane.scale_px, height = plane.height * plane.scale_px;
  const double gap = std::max(0.03 * c.radius, 1.5 * plane.scale_px);
  const float least_step =
      std::max({1.0f, 3 * levels.noise, 0.05f * (levels.field - levels.border)});
  for (const Direction& d : directions) {
    const double ox = c.x + d.x * (c.radius + gap), oy = c.y + d.y * (c.radius + gap);
    if (ox < 0 || oy < 0 || ox >= width || oy >= height) continue;
    const float outer = plane.at(ox, oy);
    const float inner = plane.at(c.x + d.x * (c.radius - gap), c.y + d.y * (c.radius - gap));
    if (inner - outer >= least_step && outer - levels.border < 0.6f * (inner - levels.border)) {
      ++support.steps;
    } else if (outer - levels.border >= least_step) {
      ++support.violations;
    }
  }
  return support;
}

// Moves the circle onto the steepest part of the rim, seen along rays from its centre.
void FovFinder::Scratch::refine(const Plane& plane, const Levels& levels, Circle* circle) {
  const double width = plane.width * plane.scale_px, height = plane.height * plane.scale_px;
  const float least_step =
      std::max({1.0f, 3 * levels.noise, 0.04f * (levels.field - levels.border)});
  for (const double reach_share : {0.06, 0.03}) {
    const double step = 0.5 * plane.scale_px;
    const double reach = std::max(reach_share * circle->radius, 3.0 * plane.scale_px);
    const int samples = std::min(2 * static_cast<int>(reach / step) + 1, 256);
    std::array<float, 256> profile;
    rim.clear();
    for (const Direction& d : directions) {
      int seen = 0;
      for (; seen < samples; ++seen) {
        const double r = circle->radius - reach + seen * step;
        const double x = circle->x + d.x * r, y = circle->y + d.y * r;
        if (x < plane.scale_px || y < plane.scale_px || x > width - plane.scale_px ||
            y > height - plane.scale_px) {
          break;
        }
        profile[seen] = plane.at(x, y);
      }
      if (seen < 8) continue;
      // The fall over two pixels, which is largest at the rim.
      constexpr int kSpan = 4;
      int best = -1;
      float fall = least_step;
      for (int i = 0; i + kSpan < seen; ++i) {
        const float f = profile[i] - profile[i + kSpan];
        if (f > fall) {
          fall = f;
          best = i;
        }
      }
      if (best < 0) continue;
      const float half = 0.5f * (profile[best] + profile[best + kSpan]);
      int i = best;
      while (i + 1 < best + kSpan && profile[i + 1] > half) ++i;
      const float drop = profile[i] - profile[i + 1];
      const double part = drop > 0 ? static_cast<double>((profile[i] - half) / drop) : 0.5;
      const double r = circle->radius - reach + (i + std::clamp(part, 0.0, 1.0)) * step;
      rim.push_back({circle->x + d.x * r, circle->y + d.y * r});
    }
    Circle refined = *circle;
    if (rim.size() < 12 || !refine_circle(rim.data(), rim.size(), reach, &refined)) return;
    const double moved = std::hypot(refined.x - circle->x, refined.y - circle->y) +
                         std::abs(refined.radius - circle->radius);
    if (moved > 2 * reach) return;
    *circle = refined;
  }
}

// Straight cuts: rows (or columns) of the circle that are dark up to a sudden end.
void FovFinder::Scratch::find_cuts(const Plane& plane, const Circle& circle, float threshold,
                                   FieldOfView* fov) {
  const double scale = plane.scale_px;
  // Share of bright pixels in one line of the circle, a little inside the rim; -1 outside it.
  const auto filled = [&](bool rows, int line) {
    const double across = (line + 0.5) * scale - (rows ? circle.y : circle.x);
    const double inner = 0.97 * circle.radius;
    if (std::abs(across) >= inner) return -1.0f;
    const double half = std::sqrt(inner * inner - across * across);
    const double center = rows ? circle.x : circle.y;
    const int limit = rows ? plane.width : plane.height;
    const int begin = std::max(0, static_cast<int>(std::ceil((center - half) / scale - 0.5)));
    const int end = std::min(limit, static_cast<int>((center + half) / scale - 0.5) + 1);
    if (end - begin < 3) return -1.0f;
    int bright = 0;
    for (int i = begin; i < end; ++i) {
      bright += (rows ? plane.row(line)[i] : plane.row(i)[line]) > threshold;
    }
    return static_cast<float>(bright) / static_cast<float>(end - begin);
  };
  // Walks from the outside in; returns the frame coordinate of the cut, or `uncut`.
  const auto walk = [&](bool rows, bool forward, double uncut) {
    const int lines = rows ? plane.height : plane.width;
    const double center = rows ? circle.y : circle.x;
    const int middle = std::clamp(static_cast<int>(center / scale), 0, lines - 1);
    int dark = 0;
    for (int line = forward ? 0 : lines - 1; line != middle; line += forward ? 1 : -1) {
      const float share = filled(rows, line);
      if (share < 0) continue;
      if (share < 0.5f) {
        ++dark;
        continue;
      }
      if (dark == 0) return uncut;
      // Sudden: two lines on, nearly all is bright, and two lines back nearly nothing was.
      const int on = std::clamp(line + (forward ? 2 : -2), 0, lines - 1);
      const int back = std::clamp(line - (forward ? 2 : -2), 0, lines - 1);
      const float before = filled(rows, back);
      if (filled(rows, on) < 0.8f || before > 0.2f) return uncut;
      return (forward ? line : line + 1) * scale;
    }
    return uncut;
  };
  const double left = std::max(static_cast<double>(fov->left_px), walk(false, true, -1e9));
  const double right = std::min(static_cast<double>(fov->right_px), walk(false, false, 1e9));
  const double top = std::max(static_cast<double>(fov->top_px), walk(true, true, -1e9));
  const double bottom = std::min(static_cast<double>(fov->bottom_px), walk(true, false, 1e9));
  fov->left_px = static_cast<float>(left);
  fov->right_px = static_cast<float>(right);
  fov->top_px = static_cast<float>(top);
  fov->bottom_px = static_cast<float>(bottom);
}

namespace {

// A frame without a dark border: is it a picture at all, and not a blank or a sheet of paper?
bool looks_like_picture(const Plane& grey, std::vector<float>& buffer) {
  buffer.clear();
  std::array<int, 256> histogram = {};
  for (int y = 0; y < grey.height; ++y) {
    for (int x = 0; x < grey.width; ++x) {
      const float value = grey.row(y)[x];
      buffer.push_back(value);
      ++histogram[static_cast<std::size_t>(std::clamp(value, 0.0f, 255.0f))];
    }
  }
  const float low = nth(buffer, 0.05), high = nth(buffer, 0.95);
  if (high < kMinContrast || high - low < std::max(kMinContrast, 0.06f * high)) return false;
  // Paper: most pixels share one level, and that is the brightest there is.
  constexpr std::size_t kSpread = 4;
  int most = 0;
  std::size_t mode = 0;
  for (std::size_t i = kSpread; i + kSpread < histogram.size(); ++i) {
    int sum = 0;
    for (std::size_t j = i - kSpread; j <= i + kSpread; ++j) sum += histogram[j];
    if (sum > most) {
      most = sum;
      mode = i;
    }
  }
  const bool one_level = most > 0.45 * static_cast<double>(buffer.size());
  return !(one_level && static_cast<float>(mode + 2 * kSpread) >= high);
}

}  // namespace

FovFinder::FovFinder(ThreadPool& pool) : pool_(pool), scratch_(std::make_unique<Scratch>()) {}
FovFinder::~FovFinder() = default;

FieldOfView FovFinder::find(const FrameView& frame) {
  Scratch& s = *scratch_;
  s.images.make(frame, pool_);
  const Plane& coarse = s.images.coarse;
  const Levels levels = estimate_levels(coarse, s.buffer);
  const float contrast = levels.field - levels.border;
  const double width = frame.width_px, height = frame.height_px;
  const double shorter = std::min(width, height), diagonal = std::hypot(width, height);

  FieldOfView fov;
  Circle best;
  RimSupport best_support;
  float best_threshold = 0;
  if (contrast >= kMinContrast) {
    CircleLimits limits;
    limits.min_radius = 0.15 * shorter;
    limits.max_radius = 0.75 * diagonal;
    limits.left = -0.1 * width;
    limits.right = 1.1 * width;
    limits.top = -0.1 * height;
    limits.bottom = 1.1 * height;
    float previous = -1;
    for (const float share : kThresholdShares) {
      const float threshold = levels.border + std::max({1.5f, 4 * levels.noise, share * contrast});
      if (threshold <= previous || threshold >= levels.field) continue;
      previous = threshold;
      s.component.find(coarse, threshold);
      if (s.component.area() < 0.02 * coarse.width * coarse.height) continue;
      const std::vector<Point>& outline = s.component.outline(coarse, threshold);
      Circle circle;
      const double tolerance = 1.2 * coarse.scale_px;
      if (!find_circle(outline.data(), outline.size(), tolerance, limits, &circle)) continue;
      refine_circle(outline.data(), outline.size(), 2 * tolerance, &circle);
      const RimSupport support = s.rim_support(coarse, circle, levels);
      if (support.score() > best_support.score()) {
        best = circle;
        best_support = support;
        best_threshold = threshold;
      }
    }
  }

  if (best_support.steps >= kAngles / 16 && best_support.steps > 2 * best_support.violations) {
    s.refine(s.images.fine, levels, &best);
    fov.shape = FovShape::kCircle;
    fov.center_x_px = static_cast<float>(best.x);
    fov.center_y_px = static_cast<float>(best.y);
    fov.radius_px = static_cast<float>(best.radius);
    fov.left_px = static_cast<float>(std::max(0.0, best.x - best.radius));
    fov.top_px = static_cast<float>(std::max(0.0, best.y - best.radius));
    fov.right_px = static_cast<float>(std::min(width, best.x + best.radius));
    fov.bottom_px = static_cast<float>(std::min(height, best.y + best.radius));
    s.find_cuts(s.images.fine, best, best_threshold, &fov);
  } else if (looks_like_picture(s.images.grey, s.buffer)) {
    fov.shape = FovShape::kRectangle;
    fov.center_x_px = static_cast<float>(width / 2);
    fov.center_y_px = static_cast<float>(height / 2);
    fov.radius_px = static_cast<float>(diagonal / 2);
    fov.right_px = static_cast<float>(width);
    fov.bottom_px = static_cast<float>(height);
  } else {
    return fov;
  }
  const double radius = static_cast<double>(fov.radius_px);
  const double area =
      circle_box_area(static_cast<double>(fov.center_x_px), static_cast<double>(fov.center_y_px),
                      radius, static_cast<double>(fov.left_px), static_cast<double>(fov.top_px),
                      static_cast<double>(fov.right_px), static_cast<double>(fov.bottom_px));
  fov.visible_area_px = static_cast<float>(area);
  if (fov.shape == FovShape::kCircle) {
    fov.cut_fraction = static_cast<float>(std::max(0.0, 1 - area / (kPi * radius * radius)));
  }
  return fov;
}

}  // namespace efiqa
