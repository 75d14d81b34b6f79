// Search for the field of view: thresholds against the level of the darkest corner give outlines,
// each outline a circle; the circle with the best rim is refined, then its straight cuts are found.
// Written once, in phases of a block (block.h): the CPU goes through it lazily, the GPU makes
// everything that may be needed side by side.
#pragma once

#include "fov.h"
#include "fov_cuts.h"
#include "fov_geometry.h"
#include "fov_levels.h"
#include "fov_mask.h"
#include "fov_picture.h"
#include "fov_plane.h"
#include "fov_rim.h"

namespace efiqa {

// Below this many grey levels between field and border there is no rim to be seen.
constexpr float kMinContrast = kMinRange;
// Thresholds, as shares of the contrast between the border and the bright parts of the field. Low
// ones keep dark rims, high ones get rid of stray light around the field.
constexpr int kThresholds = 5;
EFIQA_HOST_DEVICE constexpr float threshold_share(int i) {
  return i == 0 ? 0.04f : (i == 1 ? 0.08f : (i == 2 ? 0.14f : (i == 3 ? 0.22f : 0.35f)));
}
// Once this share of the rim that the frame shows is a step, no other threshold does better.
constexpr float kClearRim = 0.97f;
// Least visible rim: 22 degrees in all, as in crops that leave only the corners dark.
constexpr int kMinSteps = kRimAngles / 16;
// When less of the rim than this is a step, it must also be much darker outside: in 483 crops with
// little rim the outer level was at most a third of the inner one, at a frame-filling retina's
// vignetting at least three quarters. The same holds for a small disc, which may be the optic one.
constexpr int kFewSteps = kRimAngles / 4;
constexpr float kSmallRadius = 0.35f;  // of the frame's shorter side
constexpr float kMaxOuterShare = 0.5f;
// A field of straight sides only fills this share of its bounding box.
constexpr float kMinBoxFill = 0.95f;
// From this radius on, in its pixels, the coarse image holds the circle to 1 % from a quarter of
// it.
constexpr float kCoarseRadius = 64;
// Level of a cut's edge between the border and the dimmer quarter of the rim.
constexpr float kCutShare = 0.3f;

struct SearchInput {
  Plane fine, coarse;
  float width = 0, height = 0;  // of the frame
  const RimDirections* directions = nullptr;
};

// What one block works in, besides its scratch. Large, and only touched where it is needed.
struct SearchBuffers {
  BrightComponent component;
  Points points;
  RimProfiles profiles;
};

// Small and much used: shared memory on the device.
struct SearchScratch {
  LevelScratch levels;
  union {
    ComponentArea areas[kAreaLanes];
    Extent extents[kAreaLanes];
  };
  OutlineScratch outline;
  CircleScratch circle;
  RimScratch rim;
};

struct FinishScratch {
  PictureScratch picture;
  CutScratch cuts;
  RefineScratch refine;
  union {
    CircleScratch circle;
    NeighbourScratch neighbours;
  };
};

// The circle of one threshold, where there is one.
struct RimCandidate {
  bool found = false;
  Circle circle;
  RimSupport support;
};

EFIQA_HOST_DEVICE inline CircleLimits circle_limits(float width, float height) {
  CircleLimits limits;
  limits.min_radius = 0.15f * min_of(width, height);
  limits.max_radius = 0.75f * std::sqrt(width * width + height * height);
  // The centre may lie a little outside: an eye that has moved away still shows a part.
  limits.left = -0.1f * width;
  limits.right = 1.1f * width;
  limits.top = -0.1f * height;
  limits.bottom = 1.1f * height;
  return limits;
}

EFIQA_HOST_DEVICE inline float threshold_at(const Levels& levels, int i) {
  return levels.border +
         max_of(max_of(1.5f, 4 * levels.noise), threshold_share(i) * levels.contrast());
}

// Every thread gets the result.
template <typename Block>
EFIQA_HOST_DEVICE RimCandidate try_threshold(const Block& block, const SearchInput& input,
                                             const Plane& plane, const Levels& levels, int i,
                                             SearchBuffers* buffers, SearchScratch* scratch) {
  RimCandidate candidate;
  const float threshold = threshold_at(levels, i);
  if (levels.contrast() < kMinContrast || threshold >= levels.field ||
      (i > 0 && threshold <= threshold_at(levels, i - 1))) {
    return candidate;
  }
  const ComponentArea area =
      find_component(block, plane, threshold, &buffers->component, scratch->areas);
  if (area.pixels * 50 < plane.size()) return candidate;
  trace_component(block, plane, area.root, &buffers->component);
  const int count = trace_outline(block, plane, threshold, buffers->component, &scratch->outline,
                                  &buffers->points);
  const float tolerance = 1.2f * static_cast<float>(plane.scale_px);
  const CircleLimits limits = circle_limits(input.width, input.height);
  Circle circle;
  if (!find_circle(block, buffers->points, count, tolerance, limits, &scratch->circle, &circle)) {
    return candidate;
  }
  Circle refined = circle;
  if (refine_circle(block, buffers->points, count, 2 * tolerance, &scratch->circle, &refined) &&
      admissible(refined, limits)) {
    circle = refined;
  }
  candidate.found = true;
  candidate.circle = circle;
  candidate.support = rim_support(block, plane, circle, levels, *input.directions, &scratch->rim);
  return candidate;
}

EFIQA_HOST_DEVICE inline bool acceptable(const RimSupport& support, bool small) {
  return support.steps >= kMinSteps && support.steps > 2 * support.violations &&
         ((support.steps >= kFewSteps && !small) ||
          support.outer <= kMaxOuterShare * support.inner);
}

// The candidate with the best rim; not found when none has a good one. candidate(i): that of
// threshold i.
template <typename Candidates>
EFIQA_HOST_DEVICE RimCandidate best_rim(const SearchInput& input, Candidates&& candidate) {
  RimCandidate best;
  for (int i = 0; i < kThresholds; ++i) {
    const RimCandidate next = candidate(i);
    if (!next.found || next.support.score() <= best.support.score()) continue;
    best = next;
    const RimSupport& support = best.support;
    if (support.steps >= kMinSteps &&
        static_cast<float>(support.steps) >= kClearRim * static_cast<float>(support.in_frame)) {
      break;
    }
  }
  best.found = acceptable(best.support,
                          best.circle.radius < kSmallRadius * min_of(input.width, input.height));
  return best;
}

// The box of a rectangular field inside a dark border, else the whole frame. Every thread gets the
// result.
template <typename Block>
EFIQA_HOST_DEVICE Box find_box(const Block& block, const SearchInput& input, const Levels& levels,
                               SearchBuffers* buffers, SearchScratch* scratch) {
  const Box frame{0, 0, input.width, input.height};
  const Plane& plane = input.fine;
  if (levels.border > kMaxOuterShare * levels.field || levels.contrast() < kMinContrast) {
    return frame;
  }
  const float threshold = levels.border + max_of(4 * levels.noise, 0.25f * levels.contrast());
  const ComponentArea area =
      find_component(block, plane, threshold, &buffers->component, scratch->areas);
  if (area.pixels == 0) return frame;
  trace_component(block, plane, area.root, &buffers->component);
  const Extent across = bounds(block, buffers->component.rows, plane.height, scratch->extents);
  const Extent down = bounds(block, buffers->component.columns, plane.width, scratch->extents);
  const int box_area = (across.end - across.begin) * (down.end - down.begin);
  if (box_area * 10 < plane.size() ||
      static_cast<float>(area.pixels) < kMinBoxFill * static_cast<float>(box_area)) {
    return frame;
  }
  const float scale = static_cast<float>(plane.scale_px);
  // Lines of the frame behind the last whole pixel of the plane belong to that pixel.
  return {static_cast<float>(across.begin) * scale, static_cast<float>(down.begin) * scale,
          across.end == plane.width ? input.width : static_cast<float>(across.end) * scale,
          down.end == plane.height ? input.height : static_cast<float>(down.end) * scale};
}

EFIQA_HOST_DEVICE inline FieldOfView field_of(FovShape shape, const Circle& circle,
                                              const Box& box) {
  constexpr float kPi = 3.14159265f;
  FieldOfView fov;
  fov.shape = shape;
  fov.center_x_px = circle.x;
  fov.center_y_px = circle.y;
  fov.radius_px = circle.radius;
  fov.left_px = box.left;
  fov.top_px = box.top;
  fov.right_px = box.right;
  fov.bottom_px = box.bottom;
  fov.visible_area_px =
      circle_box_area(circle.x, circle.y, circle.radius, box.left, box.top, box.right, box.bottom);
  if (shape == FovShape::kCircle) {
    const float whole = kPi * circle.radius * circle.radius;
    fov.cut_fraction = max_of(0.0f, 1 - fov.visible_area_px / whole);
  }
  return fov;
}

// The whole search from the levels on. `stages` makes, or has made, what its first half gives:
//   RimCandidate candidate(const Plane&, int threshold)   try_threshold's
//   Box box()                                             find_box's
//   void samples(int* counts)                             count_samples' over all rows; counts is
//                                                         shared, complete and visible on return
// Every thread gets the result.
template <typename Block, typename Stages>
EFIQA_HOST_DEVICE FieldOfView finish_search(const Block& block, const SearchInput& input,
                                            const Levels& levels, Stages& stages,
                                            SearchBuffers* buffers, FinishScratch* scratch) {
  FinishScratch& s = *scratch;
  const Plane &fine = input.fine, &coarse = input.coarse;
  RimCandidate rim = best_rim(input, [&](int i) { return stages.candidate(coarse, i); });
  FieldOfView fov;
  if (rim.found) {
    // A small circle, of which cuts leave little, needs the finer outline.
    if (rim.circle.radius < kCoarseRadius * static_cast<float>(coarse.scale_px)) {
      const RimCandidate finer = best_rim(input, [&](int i) { return stages.candidate(fine, i); });
      if (finer.found) rim = finer;
    }
    Circle circle = rim.circle;
    const float edge = rim.support.outer + kCutShare * (rim.support.inner - rim.support.outer);
    std::uint32_t* bits = buffers->component.bits;
    mark_bright(block, fine, edge, bits);
    Box cuts{0, 0, input.width, input.height};
    find_cuts(block, fine, circle, bits, &s.cuts, &cuts);
    refine_rim(block, fine, levels, cuts, *input.directions, &buffers->profiles, &buffers->points,
               &s.refine, &s.circle, &circle);
    Box box{max_of(0.0f, circle.x - circle.radius), max_of(0.0f, circle.y - circle.radius),
            min_of(input.width, circle.x + circle.radius),
            min_of(input.height, circle.y + circle.radius)};
    find_cuts(block, fine, circle, bits, &s.cuts, &box);
    fov = field_of(FovShape::kCircle, circle, box);
  } else {
    stages.samples(s.picture.counts);
    if (!looks_like_picture(block, &s.picture)) return {};
    const Box box = stages.box();
    const float width = box.right - box.left, height = box.bottom - box.top;
    const Circle circle{(box.left + box.right) / 2, (box.top + box.bottom) / 2,
                        std::sqrt(width * width + height * height) / 2};
    fov = field_of(FovShape::kRectangle, circle, box);
  }
  return neighbours_are_alike(block, coarse, fov, &s.neighbours) ? fov : FieldOfView();
}

}  // namespace efiqa
