// Whether a frame is a picture at all; host and device share this file.
#pragma once

#include "fov.h"
#include "fov_levels.h"

namespace efiqa {

constexpr int kChannels = 3;
constexpr int kRowLanes = kWordBits;  // threads that share a row, neighbours at neighbours
constexpr int kSampleSide = 256;      // samples along the longest side
constexpr int kSampleCopies = 8;      // of the histograms, as most samples share a few levels

struct SampleScratch {
  int copies[kChannels * kLevels * kSampleCopies];
};

// Counts the levels of red, green and blue over pixels on a regular grid, in every `parts`-th row
// of it from row `part` on. counts: (kChannels, kLevels). `frame` must be readable here.
template <typename Block>
EFIQA_HOST_DEVICE void count_samples(const Block& block, const FrameView& frame, int part,
                                     int parts, SampleScratch* scratch, int* counts) {
  int* copies = scratch->copies;
  const int step = max_of(1, max_of(frame.width_px, frame.height_px) / kSampleSide);
  const int rows = (frame.height_px - step / 2 + step - 1) / step;
  const int own_rows = (rows - part + parts - 1) / parts;
  const YuvScale scale = yuv_scale(frame.matrix, frame.range);
  block.for_each(kChannels * kLevels * kSampleCopies, [&](int i) { copies[i] = 0; });
  block.for_each(own_rows * kRowLanes, [&](int i) {
    const int y = step / 2 + (part + i / kRowLanes * parts) * step;
    const int lane = i % kRowLanes;
    for (int x = step / 2 + lane * step; x < frame.width_px; x += kRowLanes * step) {
      const Rgb8 color = pixel_at(frame, scale, x, y);
      const int levels[kChannels] = {color.red, color.green, color.blue};
      for (int c = 0; c < kChannels; ++c) {
        atomic_add(&copies[(c * kLevels + levels[c]) * kSampleCopies + lane % kSampleCopies], 1);
      }
    }
  });
  block.for_each(kChannels * kLevels, [&](int i) {
    int sum = 0;
    for (int k = 0; k < kSampleCopies; ++k) sum += copies[i * kSampleCopies + k];
    counts[i] = sum;
  });
}

// Below this many grey levels between dark and bright even an 8-bit frame shows nothing: JPEG and
// sensor noise reach one to two.
constexpr int kMinRange = 3;

struct Mode {
  int count, level;
};

struct PictureScratch {
  int counts[kChannels * kLevels], up_to[kChannels * kLevels], groups[kChannels * kLevelGroups];
  int quantiles[kChannels * 3];
  Mode modes[kLevels];
};

// A frame without a dark border: is it a picture, and not a blank or a sheet of paper? Judged by
// the channel that varies most, as others may be saturated. scratch->counts are the samples. Every
// thread gets the result.
template <typename Block>
EFIQA_HOST_DEVICE bool looks_like_picture(const Block& block, PictureScratch* scratch) {
  PictureScratch& s = *scratch;
  add_up_levels(block, s.counts, kChannels, s.groups, s.up_to);
  // Lowest levels that more than 2, 50, 98 % of the samples do not exceed.
  const int total = s.up_to[kLevels - 1];
  block.for_each(kChannels * kLevels, [&](int i) {
    const int level = i % kLevels, channel = i / kLevels;
    for (int k = 0; k < 3; ++k) {
      const int least = (k == 0 ? 2 : (k == 1 ? 50 : 98)) * total;
      if (100 * s.up_to[i] > least && (level == 0 || 100 * s.up_to[i - 1] <= least)) {
        s.quantiles[channel * 3 + k] = level;
      }
    }
  });
  const auto quantile = [&](int channel, int k) { return s.quantiles[channel * 3 + k]; };
  int widest = 0, dullest = quantile(0, 1), brightest = dullest;
  for (int c = 1; c < kChannels; ++c) {
    if (quantile(c, 2) - quantile(c, 0) > quantile(widest, 2) - quantile(widest, 0)) widest = c;
    dullest = min_of(dullest, quantile(c, 1));
    brightest = max_of(brightest, quantile(c, 1));
  }
  const int low = quantile(widest, 0), high = quantile(widest, 2);
  // A retina that fills the frame shades by more than 1/16 of its level; a flat sheet does not.
  if (high - low < max_of(kMinRange, high / 16)) return false;
  // Paper: colourless, nearly half of its pixels share one level, and there is none much brighter.
  if (brightest - dullest > brightest / 8) return true;
  const int spread = 1 + high / 64;
  const int* up_to = s.up_to + widest * kLevels;
  const Mode mode = block.template reduce<kLevels>(
      kLevels, Mode{0, 0},
      [&](int i) {
        const int first = i - spread, last = min_of(i + spread, kLevels - 1);
        return Mode{up_to[last] - (first > 0 ? up_to[first - 1] : 0), i};
      },
      [](Mode a, Mode b) {
        return b.count > a.count || (b.count == a.count && b.level < a.level) ? b : a;
      },
      s.modes);
  return 100 * mode.count < 45 * total || mode.level + 2 * spread < high;
}

// Neighbouring pixels of a photograph are alike, those of noise are not. Lowest of 250 pictures of
// many cameras and qualities: 0.83; noise of any amplitude, in blocks of up to 4 pixels: at most
// 0.3.
constexpr double kMinNeighbourCorrelation = 0.5;
// Grey levels squared; a flat field tells nothing. A sensor's noise in the dark is above.
constexpr double kFlatVariance = 0.5 * 0.5;
constexpr float kRimMargin = 2;  // pixels of the plane that the rim's edge is left out over

struct NeighbourSums {
  std::int64_t count, sum, squares, differences;  // of values; whole numbers, so in any order
};

constexpr int kNeighbourLanes = 256;

struct NeighbourScratch {
  int begins[kCoarseSidePx], ends[kCoarseSidePx];
  NeighbourSums sums[kNeighbourLanes];
};

// The pixels of row y that lie inside the field of view together with their right and lower
// neighbours.
EFIQA_HOST_DEVICE inline void span_inside(const Plane& plane, const FieldOfView& fov, int y,
                                          int* begin, int* end) {
  const float scale = static_cast<float>(plane.scale_px);
  const float radius = fov.radius_px - kRimMargin * scale;
  const float top = (static_cast<float>(y) + 0.5f) * scale, bottom = top + scale;
  const float up = fov.center_y_px - top, down = bottom - fov.center_y_px;
  *begin = *end = 0;
  if (top < fov.top_px || bottom >= fov.bottom_px || radius <= std::fabs(up) ||
      radius <= std::fabs(down)) {
    return;
  }
  const float upper = std::sqrt(radius * radius - up * up);
  const float lower = std::sqrt(radius * radius - down * down);
  // The square of the pixels lies inside when its upper left and its lower right corner do.
  const float left = max_of(fov.left_px, fov.center_x_px - min_of(upper, lower + scale));
  const float right = min_of(fov.right_px - scale, fov.center_x_px + min_of(upper, lower - scale));
  *begin = max_of(0, static_cast<int>(std::ceil(left / scale - 0.5f)));
  *end = min_of(plane.width - 1, static_cast<int>(std::floor(right / scale - 0.5f)) + 1);
}

// Whether horizontal and vertical neighbours inside the field of view are alike, as in a
// photograph; also of a flat field. `plane` is the coarse one. Every thread gets the result.
template <typename Block>
EFIQA_HOST_DEVICE bool neighbours_are_alike(const Block& block, const Plane& plane,
                                            const FieldOfView& fov, NeighbourScratch* scratch) {
  NeighbourScratch& s = *scratch;
  block.for_each(plane.height - 1,
                 [&](int y) { span_inside(plane, fov, y, &s.begins[y], &s.ends[y]); });
  const NeighbourSums sums = block.template reduce<kNeighbourLanes>(
      (plane.height - 1) * kRowLanes, NeighbourSums{0, 0, 0, 0},
      [&](int i) {
        const int y = i / kRowLanes;
        const std::uint16_t* row = plane.row(y);
        const std::uint16_t* below = plane.row(y + 1);
        NeighbourSums own{0, 0, 0, 0};
        for (int x = s.begins[y] + i % kRowLanes; x < s.ends[y]; x += kRowLanes) {
          const std::int64_t value = row[x], across = row[x + 1] - value, down = below[x] - value;
          own.count += 1;
          own.sum += value;
          own.squares += value * value;
          own.differences += across * across + down * down;
        }
        return own;
      },
      [](const NeighbourSums& a, const NeighbourSums& b) {
        return NeighbourSums{a.count + b.count, a.sum + b.sum, a.squares + b.squares,
                             a.differences + b.differences};
      },
      s.sums);
  if (sums.count == 0) return true;
  const double count = static_cast<double>(sums.count);
  const double mean = static_cast<double>(sums.sum) / count;
  const double variance = static_cast<double>(sums.squares) / count - mean * mean;
  constexpr double kUnits = static_cast<double>(kUnitsPerLevel) * kUnitsPerLevel;
  if (variance <= kFlatVariance * kUnits) return true;
  const double correlation = 1 - static_cast<double>(sums.differences) / (4 * count * variance);
  return correlation >= kMinNeighbourCorrelation;
}

}  // namespace efiqa
