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
#include "fov_rim.h"

namespace efiqa {
namespace {

constexpr double kPi = 3.14159265358979323846;

// Below this many grey levels between field and border even an 8-bit frame shows nothing: JPEG and
// sensor noise reach one to two.
constexpr float kMinContrast = 3.0f;
constexpr int kMinRange = 3;
// Thresholds, as shares of the contrast between the border and the bright parts of the field. Low
// ones keep dark rims, high ones get rid of stray light around the field.
constexpr std::array<float, 5> kThresholdShares = {0.04f, 0.08f, 0.14f, 0.22f, 0.35f};
// Once this share of the rim that the frame shows is a step, no other threshold does better.
constexpr double kClearRim = 0.97;
// Least visible rim: 22 degrees in all, as in crops that leave only the corners dark.
constexpr int kMinSteps = kRimAngles / 16;
// When less of the rim than this is a step, it must also be much darker outside: in 483 crops with
// little rim the outer level was at most a third of the inner one, at a frame-filling retina's
// vignetting at least three quarters. The same holds for a small disc, which may be the optic one.
constexpr int kFewSteps = kRimAngles / 4;
constexpr double kSmallRadius = 0.35;  // of the frame's shorter side
constexpr float kMaxOuterShare = 0.5f;
// A field of straight sides only fills this share of its bounding box.
constexpr double kMinBoxFill = 0.95;
// From this radius on, in its pixels, the coarse image holds the circle to 1 % from a quarter of
// it.
constexpr double kCoarseRadius = 64;
// Level of a cut's edge between the border and the dimmer quarter of the rim.
constexpr float kCutShare = 0.3f;

CircleLimits circle_limits(double width, double height) {
  CircleLimits limits;
  limits.min_radius = 0.15 * std::min(width, height);
  limits.max_radius = 0.75 * std::hypot(width, height);
  // The centre may lie a little outside: an eye that has moved away still shows a part.
  limits.left = -0.1 * width;
  limits.right = 1.1 * width;
  limits.top = -0.1 * height;
  limits.bottom = 1.1 * height;
  return limits;
}

bool acceptable(const RimSupport& support, bool small) {
  return support.steps >= kMinSteps && support.steps > 2 * support.violations &&
         ((support.steps >= kFewSteps && !small) ||
          support.outer <= kMaxOuterShare * support.inner);
}

// Lowest level that more than `share` of the counted pixels do not exceed.
int level_at(const LevelHistogram& histogram, double share) {
  int level = 0;
  for (double below = histogram.counts[0]; level < 255 && below <= share * histogram.total;) {
    below += histogram.counts[++level];
  }
  return level;
}

// A frame without a dark border: is it a picture at all, and not a blank or a sheet of paper?
// Judged by the channel that varies most, as others may be saturated.
bool looks_like_picture(const FrameView& frame) {
  std::array<LevelHistogram, 3> channels;
  sample_histograms(frame, channels.data());
  const LevelHistogram* widest = nullptr;
  int low = 0, high = -1;
  for (const LevelHistogram& channel : channels) {
    const int from = level_at(channel, 0.02), to = level_at(channel, 0.98);
    if (to - from <= high - low) continue;
    low = from;
    high = to;
    widest = &channel;
  }
  // A retina that fills the frame shades by more than 1/16 of its level; a flat sheet does not.
  if (widest == nullptr || high - low < std::max(kMinRange, high / 16)) return false;
  // Paper: colourless, nearly half of its pixels share one level, and there is none much brighter.
  const int middles[3] = {level_at(channels[0], 0.5), level_at(channels[1], 0.5),
                          level_at(channels[2], 0.5)};
  const auto [dullest, brightest] = std::minmax_element(middles, middles + 3);
  if (*brightest - *dullest > *brightest / 8) return true;
  const int spread = 1 + high / 64;
  int most = 0, mode = 0;
  for (int i = 0; i < 256; ++i) {
    int sum = 0;
    for (int j = std::max(0, i - spread); j <= std::min(255, i + spread); ++j) {
      sum += widest->counts[j];
    }
    if (sum > most) {
      most = sum;
      mode = i;
    }
  }
  return most < 0.45 * widest->total || mode + 2 * spread < high;
}

// Neighbouring pixels of a photograph are alike, those of noise are not. Lowest of 250 pictures of
// many cameras and qualities: 0.83; noise of any amplitude, in blocks of up to 4 pixels: at most
// 0.3.
constexpr double kMinNeighbourCorrelation = 0.5;
constexpr double kFlatVariance = 1.5 * 1.5;  // grey levels squared; a flat field tells nothing
constexpr float kRimMargin = 2;  // pixels of the plane that the rim's edge is left out over

// Correlation of horizontal and vertical neighbours inside the field of view; 1 for a flat field.
double neighbour_correlation(const Plane& plane, const FieldOfView& fov) {
  const float scale = static_cast<float>(plane.scale_px);
  FieldOfView inner = fov;
  inner.radius_px -= kRimMargin * scale;
  double count = 0, sum = 0, squares = 0, pairs = 0, differences = 0;
  for (int y = 0; y + 1 < plane.height; ++y) {
    const float* row = plane.row(y);
    const float* below = plane.row(y + 1);
    for (int x = 0; x + 1 < plane.width; ++x) {
      const float x_px = (static_cast<float>(x) + 0.5f) * scale;
      const float y_px = (static_cast<float>(y) + 0.5f) * scale;
      // The square of three pixels lies inside when its two outer corners do.
      if (!inner.contains(x_px, y_px) || !inner.contains(x_px + scale, y_px + scale)) continue;
      const double value = row[x], across = row[x + 1] - value, down = below[x] - value;
      count += 1;
      sum += value;
      squares += value * value;
      pairs += 2;
      differences += across * across + down * down;
    }
  }
  if (count == 0) return 1;
  const double variance = squares / count - (sum / count) * (sum / count);
  return variance > kFlatVariance ? 1 - differences / pairs / (2 * variance) : 1;
}

}  // namespace

struct FovFinder::Scratch {
  SmallImages images;
  Component component;
  Rim rim;
  std::vector<float> buffer;

  // Fills the circle with the best rim; false when nothing has one.
  bool find_rim(const Plane& plane, double width, double height, const Levels& levels, Circle* best,
                RimSupport* best_support);
  // The box of a rectangular field inside a dark border, else the whole frame.
  Box find_box(double width, double height, const Levels& levels);
};

bool FovFinder::Scratch::find_rim(const Plane& plane, double width, double height,
                                  const Levels& levels, Circle* best, RimSupport* best_support) {
  const CircleLimits limits = circle_limits(width, height);
  *best_support = {};
  const double tolerance = 1.2 * plane.scale_px;
  float previous = -1;
  for (const float share : kThresholdShares) {
    const float threshold =
        levels.border + std::max({1.5f, 4 * levels.noise, share * levels.contrast()});
    if (threshold <= previous || threshold >= levels.field) continue;
    previous = threshold;
    component.find(plane, threshold);
    if (component.area() < 0.02 * plane.width * plane.height) continue;
    const std::vector<Point>& outline = component.outline(plane, threshold);
    Circle circle;
    if (!find_circle(outline.data(), outline.size(), tolerance, limits, &circle)) continue;
    Circle refined = circle;
    if (refine_circle(outline.data(), outline.size(), 2 * tolerance, &refined) &&
        admissible(refined, limits)) {
      circle = refined;
    }
    const RimSupport support = rim.support(plane, circle, levels);
    if (support.score() <= best_support->score()) continue;
    *best = circle;
    *best_support = support;
    if (support.steps >= kMinSteps && support.steps >= kClearRim * support.in_frame) break;
  }
  return acceptable(*best_support, best->radius < kSmallRadius * std::min(width, height));
}

Box FovFinder::Scratch::find_box(double width, double height, const Levels& levels) {
  const Box frame{0, 0, width, height};
  const Plane& plane = images.fine;
  if (levels.border > kMaxOuterShare * levels.field || levels.contrast() < kMinContrast) {
    return frame;
  }
  component.find(plane, levels.border + std::max(4 * levels.noise, 0.25f * levels.contrast()));
  const Extent across = component.across(), down = component.down();
  const double area = static_cast<double>(across.end - across.begin) * (down.end - down.begin);
  if (area < 0.1 * plane.width * plane.height || component.area() < kMinBoxFill * area) {
    return frame;
  }
  const double scale = plane.scale_px;
  // Lines of the frame behind the last whole pixel of the plane belong to that pixel.
  return {across.begin * scale, down.begin * scale,
          across.end == plane.width ? width : across.end * scale,
          down.end == plane.height ? height : down.end * scale};
}

FovFinder::FovFinder(ThreadPool& pool) : pool_(pool), scratch_(std::make_unique<Scratch>()) {}
FovFinder::~FovFinder() = default;

FieldOfView FovFinder::find(const FrameView& frame) {
  Scratch& s = *scratch_;
  s.images.make(frame, pool_);
  const Levels levels = estimate_levels(s.images.coarse, s.buffer);
  const double width = frame.width_px, height = frame.height_px;

  FieldOfView fov;
  Circle circle;
  Box box{0, 0, width, height};
  RimSupport support;
  if (levels.contrast() >= kMinContrast &&
      s.find_rim(s.images.coarse, width, height, levels, &circle, &support)) {
    fov.shape = FovShape::kCircle;
    // A small circle, of which cuts leave little, needs the finer outline.
    Circle finer;
    RimSupport finer_support;
    if (circle.radius < kCoarseRadius * s.images.coarse.scale_px &&
        s.find_rim(s.images.fine, width, height, levels, &finer, &finer_support)) {
      circle = finer;
      support = finer_support;
    }
    const float edge = support.outer + kCutShare * (support.inner - support.outer);
    Box cuts = box;
    find_cuts(s.images.fine, circle, edge, &cuts);
    s.rim.refine(s.images.fine, levels, cuts, &circle);
    box = {std::max(0.0, circle.x - circle.radius), std::max(0.0, circle.y - circle.radius),
           std::min(width, circle.x + circle.radius), std::min(height, circle.y + circle.radius)};
    find_cuts(s.images.fine, circle, edge, &box);
  } else if (looks_like_picture(frame)) {
    fov.shape = FovShape::kRectangle;
    box = s.find_box(width, height, levels);
    circle = {(box.left + box.right) / 2, (box.top + box.bottom) / 2,
              std::hypot(box.right - box.left, box.bottom - box.top) / 2};
  } else {
    return fov;
  }
  fov.center_x_px = static_cast<float>(circle.x);
  fov.center_y_px = static_cast<float>(circle.y);
  fov.radius_px = static_cast<float>(circle.radius);
  fov.left_px = static_cast<float>(box.left);
  fov.top_px = static_cast<float>(box.top);
  fov.right_px = static_cast<float>(box.right);
  fov.bottom_px = static_cast<float>(box.bottom);
  const double area =
      circle_box_area(circle.x, circle.y, circle.radius, box.left, box.top, box.right, box.bottom);
  fov.visible_area_px = static_cast<float>(area);
  if (fov.shape == FovShape::kCircle) {
    fov.cut_fraction =
        static_cast<float>(std::max(0.0, 1 - area / (kPi * circle.radius * circle.radius)));
  }
  if (neighbour_correlation(s.images.coarse, fov) < kMinNeighbourCorrelation) return FieldOfView();
  return fov;
}

}  // namespace efiqa
