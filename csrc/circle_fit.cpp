#include "circle_fit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "pixel_ops.h"

namespace efiqa {
namespace {

constexpr int kTrials = 400;  // at one third of good points, 1e-6 of missing three good ones
constexpr std::size_t kTested = 160;  // points that a trial is judged by
constexpr int kMinInliers = 8;

// xorshift32; a fixed seed, so that the same frame always gives the same field.
class Random {
 public:
  std::size_t below(std::size_t limit) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return state_ % limit;
  }

 private:
  std::uint32_t state_ = 0x9e3779b9u;
};

bool circle_through(const Point& a, const Point& b, const Point& c, Circle* circle) {
  const double bx = b.x - a.x, by = b.y - a.y, cx = c.x - a.x, cy = c.y - a.y;
  const double d = 2 * (bx * cy - by * cx);
  if (std::abs(d) < 1e-6) return false;
  const double b2 = bx * bx + by * by, c2 = cx * cx + cy * cy;
  const double x = (cy * b2 - by * c2) / d, y = (bx * c2 - cx * b2) / d;
  *circle = {a.x + x, a.y + y, std::sqrt(x * x + y * y)};
  return true;
}

// The points that trials are judged by, laid out for vector loops.
struct TestPoints {
  std::array<float, kTested> x, y;
};

struct Votes {
  int near = 0, outside = 0;
};

EFIQA_CLONES void count_votes(const float* __restrict xs, const float* __restrict ys, int count,
                              float x, float y, float inner, float outer, Votes* votes) {
  int near = 0, outside = 0;
  for (int i = 0; i < count; ++i) {
    const float dx = xs[i] - x, dy = ys[i] - y, d2 = dx * dx + dy * dy;
    near += d2 >= inner ? 1 : 0;
    outside += d2 > outer ? 1 : 0;
  }
  *votes = {near - outside, outside};
}

}  // namespace

bool admissible(const Circle& c, const CircleLimits& limits) {
  return c.radius >= limits.min_radius && c.radius <= limits.max_radius && c.x >= limits.left &&
         c.x <= limits.right && c.y >= limits.top && c.y <= limits.bottom;
}

bool find_circle(const Point* points, std::size_t count, double tolerance,
                 const CircleLimits& limits, Circle* circle) {
  if (count < static_cast<std::size_t>(kMinInliers)) return false;
  Random random;
  int best = 0;
  const std::size_t tested = std::min(count, kTested);
  TestPoints test;
  for (std::size_t i = 0; i < tested; ++i) {
    test.x[i] = static_cast<float>(points[i * count / tested].x);
    test.y[i] = static_cast<float>(points[i * count / tested].y);
  }
  for (int trial = 0; trial < kTrials; ++trial) {
    Circle c;
    if (!circle_through(points[random.below(count)], points[random.below(count)],
                        points[random.below(count)], &c) ||
        !admissible(c, limits)) {
      continue;
    }
    const double inner = std::max(0.0, c.radius - tolerance), outer = c.radius + tolerance;
    Votes votes;
    count_votes(test.x.data(), test.y.data(), static_cast<int>(tested), static_cast<float>(c.x),
                static_cast<float>(c.y), static_cast<float>(inner * inner),
                static_cast<float>(outer * outer), &votes);
    const int score = votes.near - votes.outside;
    if (votes.near >= kMinInliers && score > best) {
      best = score;
      *circle = c;
    }
  }
  return best > 0;
}

bool refine_circle(const Point* points, std::size_t count, double tolerance, Circle* circle) {
  Circle c = *circle;
  for (int round = 0; round < 10; ++round) {
    // Normal equations of the step (dx, dy, dr) that removes the residuals distance - radius.
    double m[3][4] = {};
    for (std::size_t i = 0; i < count; ++i) {
      const double dx = points[i].x - c.x, dy = points[i].y - c.y;
      const double distance = std::sqrt(dx * dx + dy * dy);
      const double residual = distance - c.radius;
      if (distance < 1e-9 || std::abs(residual) >= tolerance) continue;
      const double share = residual / tolerance, keep = 1 - share * share;
      const double weight = keep * keep;  // Tukey's biweight
      const double g[4] = {dx / distance, dy / distance, 1, residual};
      for (int a = 0; a < 3; ++a) {
        for (int b = 0; b < 4; ++b) m[a][b] += weight * g[a] * g[b];
      }
    }
    for (int a = 0; a < 3; ++a) {
      int pivot = a;
      for (int b = a + 1; b < 3; ++b) {
        if (std::abs(m[b][a]) > std::abs(m[pivot][a])) pivot = b;
      }
      std::swap(m[a], m[pivot]);
      if (std::abs(m[a][a]) < 1e-9) return false;
      for (int b = 0; b < 3; ++b) {
        if (b == a) continue;
        const double factor = m[b][a] / m[a][a];
        for (int k = a; k < 4; ++k) m[b][k] -= factor * m[a][k];
      }
    }
    const double sx = m[0][3] / m[0][0], sy = m[1][3] / m[1][1], sr = m[2][3] / m[2][2];
    c.x += sx;
    c.y += sy;
    c.radius += sr;
    if (!(c.radius > 0)) return false;
    if (std::abs(sx) + std::abs(sy) + std::abs(sr) < 1e-4 * c.radius) break;
  }
  *circle = c;
  return true;
}

}  // namespace efiqa
