// Robust circle fits to boundary points; host and device share this file. Floats do: a frame is at
// most 8192 pixels wide, where they are exact to 1/2000 pixel, and only differences are squared.
#pragma once

#include <climits>
#include <cmath>
#include <cstdint>

#include "block.h"
#include "small_math.h"

namespace efiqa {

struct Circle {
  float x = 0, y = 0, radius = 0;
};

// What a circle may be, in the points' unit.
struct CircleLimits {
  float min_radius = 0, max_radius = 0;
  float left = 0, top = 0, right = 0, bottom = 0;  // of the centre
};

constexpr int kMaxPoints = 2048;

struct Points {
  float x[kMaxPoints], y[kMaxPoints];
};

struct Compaction {
  std::uint32_t kept[kMaxPoints / kWordBits];
  int begins[kMaxPoints / kWordBits + 1];
};

// emit(i, place) for each i in [0, count) that keep(i) holds for, at places 0, 1, 2, ... in the
// order of i; count is at most kMaxPoints. Every thread gets the number of places.
template <typename Block, typename Keep, typename Emit>
EFIQA_HOST_DEVICE int compact(const Block& block, int count, Compaction* scratch, Keep&& keep,
                              Emit&& emit) {
  Compaction& s = *scratch;
  const int words = (count + kWordBits - 1) / kWordBits;
  block.pack_bits(words, s.kept, [&](int word, int bit) {
    const int i = word * kWordBits + bit;
    return i < count && keep(i);
  });
  block.once([&] {
    int sum = 0;
    for (int word = 0; word < words; ++word) {
      s.begins[word] = sum;
      sum += count_bits(s.kept[word]);
    }
    s.begins[words] = sum;
  });
  block.for_each(count, [&](int i) {
    const std::uint32_t kept = s.kept[i / kWordBits], bit = std::uint32_t{1} << (i % kWordBits);
    if ((kept & bit) != 0) emit(i, s.begins[i / kWordBits] + count_bits(kept & (bit - 1)));
  });
  return s.begins[words];
}

EFIQA_HOST_DEVICE inline bool admissible(const Circle& c, const CircleLimits& limits) {
  return c.radius >= limits.min_radius && c.radius <= limits.max_radius && c.x >= limits.left &&
         c.x <= limits.right && c.y >= limits.top && c.y <= limits.bottom;
}

constexpr int kTrials = 400;  // at one third of good points, 1e-6 of missing three good ones
constexpr int kTrialLanes = 512;
constexpr int kTested = 160;  // points that a trial is judged by
constexpr int kMinInliers = 8;

// A number in [0, limit), always the same for one index: the final mix of MurmurHash3.
EFIQA_HOST_DEVICE inline int scattered(int index, int limit) {
  std::uint32_t h = (static_cast<std::uint32_t>(index) + 1) * 0x9e3779b9u;
  h = (h ^ (h >> 16)) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  h ^= h >> 16;
  return static_cast<int>((static_cast<std::uint64_t>(h) * static_cast<std::uint64_t>(limit)) >>
                          32);
}

// The circle through the three points of one trial; not admissible where they are in line.
EFIQA_HOST_DEVICE inline Circle trial_circle(const Points& points, int count, int trial) {
  const int i = scattered(3 * trial, count), j = scattered(3 * trial + 1, count),
            k = scattered(3 * trial + 2, count);
  const float bx = points.x[j] - points.x[i], by = points.y[j] - points.y[i];
  const float cx = points.x[k] - points.x[i], cy = points.y[k] - points.y[i];
  const float d = 2 * (bx * cy - by * cx);
  if (d == 0) return {};
  const float b2 = bx * bx + by * by, c2 = cx * cx + cy * cy;
  const float x = (cy * b2 - by * c2) / d, y = (bx * c2 - cx * b2) / d;
  return {points.x[i] + x, points.y[i] + y, std::sqrt(x * x + y * y)};
}

struct Trial {
  int score, number;
};

// Of the normal equations of refine_circle: row a, column b; column 3 is the right side.
struct FitSums {
  float xx, xy, xr, x, yy, yr, y, rr, r;
};

constexpr int kFitLanes = 256;

struct CircleScratch {
  float tested_x[kTested], tested_y[kTested];
  union {
    Trial trials[kTrialLanes];
    FitSums sums[kFitLanes];
  };
};

// The circle that passes within `tolerance` of the most points, where points that lie farther out
// than that count against it (shadows and lids lie inside the rim, hardly anything outside).
// Deterministic. False when no admissible circle has at least 8 points. Every thread gets the
// result.
template <typename Block>
EFIQA_HOST_DEVICE bool find_circle(const Block& block, const Points& points, int count,
                                   float tolerance, const CircleLimits& limits,
                                   CircleScratch* scratch, Circle* circle) {
  if (count < kMinInliers) return false;
  CircleScratch& s = *scratch;
  const int tested = min_of(count, kTested);
  block.for_each(tested, [&](int i) {
    s.tested_x[i] = points.x[i * count / tested];
    s.tested_y[i] = points.y[i * count / tested];
  });
  const auto better = [](Trial a, Trial b) {
    return b.score > a.score || (b.score == a.score && b.number < a.number) ? b : a;
  };
  const Trial best = block.template reduce<kTrialLanes>(
      kTrials, Trial{0, INT_MAX},
      [&](int trial) {
        const Circle c = trial_circle(points, count, trial);
        if (!admissible(c, limits)) return Trial{0, INT_MAX};
        const float inner = max_of(0.0f, c.radius - tolerance), outer = c.radius + tolerance;
        const float inner2 = inner * inner, outer2 = outer * outer;
        int within = 0, outside = 0;  // not nearer than `inner`; farther than `outer`
        for (int i = 0; i < tested; ++i) {
          const float dx = s.tested_x[i] - c.x, dy = s.tested_y[i] - c.y;
          const float d2 = dx * dx + dy * dy;
          within += d2 >= inner2 ? 1 : 0;
          outside += d2 > outer2 ? 1 : 0;
        }
        const int near = within - outside;
        return near < kMinInliers ? Trial{0, INT_MAX} : Trial{near - outside, trial};
      },
      better, s.trials);
  if (best.score <= 0) return false;
  *circle = trial_circle(points, count, best.number);
  return true;
}

// The normal equations' solution in 3 unknowns with a pivot search; false when they degenerate.
EFIQA_HOST_DEVICE inline bool solve_fit(const FitSums& sums, float* dx, float* dy, float* dr) {
  float m[3][4] = {{sums.xx, sums.xy, sums.xr, sums.x},
                   {sums.xy, sums.yy, sums.yr, sums.y},
                   {sums.xr, sums.yr, sums.rr, sums.r}};
  const float least = 1e-6f * sums.rr;  // float rounding of the sums
  for (int a = 0; a < 3; ++a) {
    // The largest pivot comes up by swaps of whole rows: no row is named by a variable, so that all
    // of them stay in registers.
    for (int b = a + 1; b < 3; ++b) {
      const bool swap = std::fabs(m[b][a]) > std::fabs(m[a][a]);
      for (int k = 0; k < 4; ++k) {
        const float upper = m[a][k];
        m[a][k] = swap ? m[b][k] : upper;
        m[b][k] = swap ? upper : m[b][k];
      }
    }
    if (!(std::fabs(m[a][a]) > least)) return false;
    for (int b = 0; b < 3; ++b) {
      if (b == a) continue;
      const float factor = m[b][a] / m[a][a];
      for (int k = a; k < 4; ++k) m[b][k] -= factor * m[a][k];
    }
  }
  *dx = m[0][3] / m[0][0];
  *dy = m[1][3] / m[1][1];
  *dr = m[2][3] / m[2][2];
  return true;
}

// Refines `circle` by least squares of the radial distances over the points within `tolerance`,
// several rounds, each point weighted down smoothly with its distance. False when it degenerates.
template <typename Block>
EFIQA_HOST_DEVICE bool refine_circle(const Block& block, const Points& points, int count,
                                     float tolerance, CircleScratch* scratch, Circle* circle) {
  Circle c = *circle;
  for (int round = 0; round < 10; ++round) {
    // Sums for the step (dx, dy, dr) that removes the residuals distance - radius.
    const FitSums sums = block.template reduce<kFitLanes>(
        count, FitSums{0, 0, 0, 0, 0, 0, 0, 0, 0},
        [&](int i) {
          const float dx = points.x[i] - c.x, dy = points.y[i] - c.y;
          const float distance = std::sqrt(dx * dx + dy * dy);
          const float residual = distance - c.radius;
          if (distance < 1e-6f || std::fabs(residual) >= tolerance) {
            return FitSums{0, 0, 0, 0, 0, 0, 0, 0, 0};
          }
          const float share = residual / tolerance, keep = 1 - share * share;
          const float weight = keep * keep;  // Tukey's biweight
          const float gx = dx / distance, gy = dy / distance;
          const float wx = weight * gx, wy = weight * gy;
          return FitSums{wx * gx, wx * gy,       wx,     wx * residual,    wy * gy,
                         wy,      wy * residual, weight, weight * residual};
        },
        [](const FitSums& a, const FitSums& b) {
          return FitSums{a.xx + b.xx, a.xy + b.xy, a.xr + b.xr, a.x + b.x, a.yy + b.yy,
                         a.yr + b.yr, a.y + b.y,   a.rr + b.rr, a.r + b.r};
        },
        scratch->sums);
    float dx = 0, dy = 0, dr = 0;
    if (!solve_fit(sums, &dx, &dy, &dr)) return false;
    c.x += dx;
    c.y += dy;
    c.radius += dr;
    if (!(c.radius > 0)) return false;
    if (std::fabs(dx) + std::fabs(dy) + std::fabs(dr) < 1e-4f * c.radius) break;
  }
  *circle = c;
  return true;
}

}  // namespace efiqa
