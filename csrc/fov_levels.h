// Grey levels of the border and of the field, from a small image.
#pragma once

#include "fov_plane.h"

namespace efiqa {

constexpr int kLevels = 256;

struct Levels {
  float border = 0;  // grey level of the darkest corner
  float noise = 0;   // standard deviation there
  float field = 0;   // grey level of the bright parts of the frame

  EFIQA_HOST_DEVICE float contrast() const { return field - border; }
};

// Smallest fall of the grey level that counts as a rim.
EFIQA_HOST_DEVICE inline float least_step(const Levels& levels) {
  return max_of(1.0f, max_of(3 * levels.noise, 0.05f * levels.contrast()));
}

constexpr int kLevelGroups = 16;  // of 16 levels each, to add up in two short sums

// up_to[c][l] = counts[c][0] + ... + counts[c][l]; groups: (channels, kLevelGroups).
template <typename Block>
EFIQA_HOST_DEVICE void add_up_levels(const Block& block, const int* counts, int channels,
                                     int* groups, int* up_to) {
  constexpr int kSize = kLevels / kLevelGroups;
  block.for_each(channels * kLevelGroups, [&](int g) {
    int sum = 0;
    for (int i = 0; i < kSize; ++i) sum += counts[g * kSize + i];
    groups[g] = sum;
  });
  block.for_each(channels * kLevels, [&](int i) {
    const int group = i / kSize;
    int sum = 0;
    for (int g = group - group % kLevelGroups; g < group; ++g) sum += groups[g];
    for (int j = group * kSize; j <= i; ++j) sum += counts[j];
    up_to[i] = sum;
  });
}

// Threads count into copies of the histogram, as most pixels share a few levels.
constexpr int kHistogramCopies = 16;
constexpr int kMaxLegs = 8;  // 0.035 of kCoarseSidePx
constexpr int kMaxCorner = kMaxLegs * (kMaxLegs + 1) / 2;

struct LevelScratch {
  int copies[kLevels * kHistogramCopies];
  int counts[kLevels], up_to[kLevels], groups[kLevelGroups];
  float corners[4 * kMaxCorner];
  float medians[4], deviations[4];
  int field;
};

// The rank of distance(i) among those of [begin, begin + count).
template <typename Distance>
EFIQA_HOST_DEVICE int rank_of(int i, int begin, int count, Distance&& distance) {
  const float own = distance(i);
  int rank = 0;
  for (int j = begin; j < begin + count; ++j) {
    const float other = distance(j);
    rank += other < own || (other == own && j < i);
  }
  return rank;
}

// A disc that does not cover the frame leaves at least one corner free, so the border's level is
// that of the darkest corner. Medians, so that a stamp in a corner does not matter. `plane` is the
// coarse one. Every thread gets the result.
template <typename Block>
EFIQA_HOST_DEVICE Levels estimate_levels(const Block& block, const Plane& plane,
                                         LevelScratch* scratch) {
  LevelScratch& s = *scratch;
  const int shortest = min_of(plane.width, plane.height);  // 2 for a frame of 8192 x 64
  const int legs =
      min_of(max_of(3, static_cast<int>(0.035f * static_cast<float>(shortest))), shortest);
  const int corner_size = legs * (legs + 1) / 2, median = (corner_size - 1) / 2;
  block.for_each(4 * corner_size, [&](int k) {
    const int corner = k / corner_size;
    int i = k % corner_size, j = 0;
    for (; i >= legs - j; ++j) i -= legs - j;  // row j of the triangle has legs - j pixels
    s.corners[k] = plane.level(corner % 2 == 0 ? i : plane.width - 1 - i,
                               corner / 2 == 0 ? j : plane.height - 1 - j);
  });
  block.for_each(kLevels * kHistogramCopies, [&](int i) { s.copies[i] = 0; });
  block.for_each(plane.size(), [&](int i) {
    const int level = plane.values[i] / kUnitsPerLevel;
    atomic_add(&s.copies[level * kHistogramCopies + i % kHistogramCopies], 1);
  });
  block.for_each(kLevels, [&](int level) {
    int sum = 0;
    for (int i = 0; i < kHistogramCopies; ++i) sum += s.copies[level * kHistogramCopies + i];
    s.counts[level] = sum;
  });
  add_up_levels(block, s.counts, 1, s.groups, s.up_to);
  // The bright end without the brightest 5 %: a stamp, a reflex or the optic disc.
  const int bright = plane.size() / 20;
  const auto from = [&](int level) {  // pixels at `level` and above
    return plane.size() - (level > 0 ? s.up_to[level - 1] : 0);
  };
  block.for_each(kLevels, [&](int level) {
    if ((from(level) >= bright || level == 0) &&
        (level == kLevels - 1 || from(level + 1) < bright)) {
      s.field = level;
    }
  });
  block.for_each(4 * corner_size, [&](int k) {
    const int corner = k / corner_size;
    if (rank_of(k, corner * corner_size, corner_size, [&](int j) { return s.corners[j]; }) ==
        median) {
      s.medians[corner] = s.corners[k];
    }
  });
  block.for_each(4 * corner_size, [&](int k) {
    const int corner = k / corner_size;
    const auto deviation = [&](int j) { return std::fabs(s.corners[j] - s.medians[corner]); };
    if (rank_of(k, corner * corner_size, corner_size, deviation) == median) {
      s.deviations[corner] = deviation(k);
    }
  });
  int darkest = 0;
  for (int corner = 1; corner < 4; ++corner) {
    if (s.medians[corner] < s.medians[darkest]) darkest = corner;
  }
  Levels levels;
  levels.border = s.medians[darkest];
  levels.noise = 1.4826f * s.deviations[darkest];  // of a normal distribution
  levels.field = static_cast<float>(s.field) + 0.5f;
  return levels;
}

}  // namespace efiqa
