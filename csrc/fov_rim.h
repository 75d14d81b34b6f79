// What the image says about a circle as the rim of the field of view; host and device share this
// file.
#pragma once

#include <limits>

#include "circle_fit.h"
#include "fov_levels.h"

namespace efiqa {

constexpr int kRimAngles = 256;

// Of rays from the centre, evenly spaced. A table, so that host and device see the same numbers.
struct RimDirections {
  float x[kRimAngles], y[kRimAngles];
};

RimDirections make_rim_directions();

struct RimSupport {
  int in_frame = 0;    // angles, out of kRimAngles, at which the frame shows both sides of the rim
  int steps = 0;       // of them: bright inside and dark outside
  int violations = 0;  // of them: bright on both sides
  float inner = 0;     // lower quartile of the level inside, at the steps
  float outer = 0;     // median of the level outside, at the steps

  EFIQA_HOST_DEVICE int score() const { return steps - violations; }
};

constexpr int kRimLanes = 256;

struct RimCounts {
  int in_frame, steps, violations;
};

constexpr float kNoLevel = std::numeric_limits<float>::infinity();  // behind all others in order

struct RimScratch {
  float inner[kRimAngles], outer[kRimAngles];  // at the steps; elsewhere kNoLevel
  RimCounts counts[kRimLanes];
  float place;
};

// Every thread gets the result.
template <typename Block>
EFIQA_HOST_DEVICE RimSupport rim_support(const Block& block, const Plane& plane, const Circle& c,
                                         const Levels& levels, const RimDirections& directions,
                                         RimScratch* scratch) {
  RimScratch& s = *scratch;
  const float width = static_cast<float>(plane.width * plane.scale_px);
  const float height = static_cast<float>(plane.height * plane.scale_px);
  const float gap = max_of(0.03f * c.radius, 1.5f * static_cast<float>(plane.scale_px));
  const float least = least_step(levels);
  const RimCounts counts = block.template reduce<kRimLanes>(
      kRimAngles, RimCounts{0, 0, 0},
      [&](int i) {
        s.inner[i] = s.outer[i] = kNoLevel;
        const float dx = directions.x[i], dy = directions.y[i];
        const float x = c.x + dx * (c.radius + gap), y = c.y + dy * (c.radius + gap);
        if (x < 0 || y < 0 || x >= width || y >= height) return RimCounts{0, 0, 0};
        const float outer = plane.at(x, y);
        const float inner = plane.at(c.x + dx * (c.radius - gap), c.y + dy * (c.radius - gap));
        if (inner - outer >= least && outer - levels.border < 0.6f * (inner - levels.border)) {
          s.inner[i] = inner;
          s.outer[i] = outer;
          return RimCounts{1, 1, 0};
        }
        return RimCounts{1, 0, outer - levels.border >= least ? 1 : 0};
      },
      [](RimCounts a, RimCounts b) {
        return RimCounts{a.in_frame + b.in_frame, a.steps + b.steps, a.violations + b.violations};
      },
      s.counts);
  RimSupport support;
  support.in_frame = counts.in_frame;
  support.steps = counts.steps;
  support.violations = counts.violations;
  if (counts.steps > 0) {
    const int quarter = (counts.steps - 1) / 4, half = (counts.steps - 1) / 2;
    support.inner = block.nth_smallest(s.inner, kRimAngles, quarter, &s.place);
    support.outer = block.nth_smallest(s.outer, kRimAngles, half, &s.place);
  }
  return support;
}

constexpr int kMaxProfile = 128;  // samples along one ray

// profile[sample][angle]: grey levels along the rays, or kUnseen.
struct RimProfiles {
  float level[kMaxProfile][kRimAngles];
};

constexpr float kUnseen = -1;
constexpr int kFallSpan = 4;  // the steepest fall over this many samples, two pixels, marks the rim

// The sample, and share of the way to the next, at which the ray crosses the rim; -1 where no fall
// exceeds `least`.
EFIQA_HOST_DEVICE inline float rim_crossing(const RimProfiles& profiles, int angle, int samples,
                                            float least) {
  const auto level = [&](int i) { return profiles.level[i][angle]; };
  int best = -1;
  float fall = least;
  for (int i = 0; i + kFallSpan < samples; ++i) {
    const float end = level(i + kFallSpan);
    if (level(i) < 0 || end < 0) break;
    if (level(i) - end > fall) {
      fall = level(i) - end;
      best = i;
    }
  }
  if (best < 0) return -1;
  // Where the level passes the middle between both ends of the fall.
  const float half = 0.5f * (level(best) + level(best + kFallSpan));
  int i = best;
  while (i + 1 < best + kFallSpan && level(i + 1) > half) ++i;
  const float drop = level(i) - level(i + 1);
  const float part = drop > 0 ? (level(i) - half) / drop : 0.5f;
  return static_cast<float>(i) + clamp_to(part, 0.0f, 1.0f);
}

struct RefineScratch {
  float crossings[kRimAngles];
  Compaction compaction;
};

// Moves the circle onto the steepest part of the rim, seen along rays from its centre as far as
// they stay in `box`.
template <typename Block>
EFIQA_HOST_DEVICE void refine_rim(const Block& block, const Plane& plane, const Levels& levels,
                                  const Box& box, const RimDirections& directions,
                                  RimProfiles* profiles, Points* points, RefineScratch* scratch,
                                  CircleScratch* circle_scratch, Circle* circle) {
  // Cuts are soft and may lean a little: what lies near one is not taken for the rim.
  const float scale = static_cast<float>(plane.scale_px);
  const float margin = 1.5f * scale, step = 0.5f * scale;
  const Box inner{box.left + margin, box.top + margin, box.right - margin, box.bottom - margin};
  for (int round = 0; round < 2; ++round) {
    const Circle from = *circle;
    const float reach_share = round == 0 ? 0.06f : 0.03f;  // of the radius, to either side
    const float reach = max_of(reach_share * from.radius, 3.0f * scale);
    const int samples = min_of(2 * static_cast<int>(reach / step) + 1, kMaxProfile);
    const auto radius = [&](float sample) { return from.radius - reach + sample * step; };
    block.for_each(samples * kRimAngles, [&](int i) {
      const int sample = i / kRimAngles, angle = i % kRimAngles;
      const float r = radius(static_cast<float>(sample));
      const float x = from.x + directions.x[angle] * r, y = from.y + directions.y[angle] * r;
      const bool seen = !(x < inner.left || y < inner.top || x > inner.right || y > inner.bottom);
      profiles->level[sample][angle] = seen ? plane.at(x, y) : kUnseen;
    });
    block.for_each(kRimAngles, [&](int angle) {
      scratch->crossings[angle] = rim_crossing(*profiles, angle, samples, least_step(levels));
    });
    const int count = compact(
        block, kRimAngles, &scratch->compaction,
        [&](int angle) { return scratch->crossings[angle] >= 0; },
        [&](int angle, int place) {
          const float r = radius(scratch->crossings[angle]);
          points->x[place] = from.x + directions.x[angle] * r;
          points->y[place] = from.y + directions.y[angle] * r;
        });
    Circle refined = from;
    if (count < kRimAngles / 20 ||
        !refine_circle(block, *points, count, reach, circle_scratch, &refined)) {
      return;
    }
    const float dx = refined.x - from.x, dy = refined.y - from.y;
    if (std::sqrt(dx * dx + dy * dy) + std::fabs(refined.radius - from.radius) > 2 * reach) return;
    *circle = refined;
  }
}

}  // namespace efiqa
