#include "frame_measures.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "host_device.h"

namespace efiqa {
namespace {

constexpr int kLanes = 16;                     // sums run in lanes, so that they vectorise
constexpr float kInnerRadius = 0.9f;           // leaves out the rim, whose edge is no detail
constexpr float kEdgeMarginPx = 2;             // of the input, along straight cuts
constexpr float kSaturated = 250.0f / 255.0f;  // of green; JPEG and noise keep clipped pixels there
constexpr float kMinGreen = 1.0f / 255.0f;     // divisor of the contrast in a black field
constexpr double kReferencePx = 384;           // input size at which the bands are named
constexpr int kSharpnessLevel = 1, kContrastLevel = 3, kMaxLevel = 6;
constexpr int kMinBlocks = 12;  // of detail, below which a band says nothing
// Rim sectors of the lid: an annulus, split by the diagonals.
constexpr float kSectorInner = 0.55f, kSectorOuter = 0.95f;
constexpr int kSectorStep = 4, kMinSectorSamples = 8;
constexpr float kRed = 0.299f, kGreen = 0.587f, kBlue = 0.114f;  // ITU-R BT.601

// lanes[l] += the values at l, l + kLanes, ...; the rest goes into the first lanes.
EFIQA_CLONES void add_span(const float* __restrict values, int count, float* __restrict lanes) {
  int i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) lanes[l] += values[i + l];
  }
  for (int l = 0; i < count; ++i, ++l) lanes[l] += values[i];
}

// counts[l] += 1 for each value of at least `limit`.
EFIQA_CLONES void count_span(const float* __restrict values, int count, float limit,
                             float* __restrict counts) {
  int i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) counts[l] += values[i + l] >= limit ? 1.0f : 0.0f;
  }
  for (int l = 0; i < count; ++i, ++l) counts[l] += values[i] >= limit ? 1.0f : 0.0f;
}

// out[i] = mean of the block of 2 x 2; out may be `top`.
EFIQA_CLONES void average_blocks(const float* top, const float* bottom, int count, float* out) {
  for (int i = 0; i < count; ++i) {
    out[i] = 0.25f * ((top[2 * i] + top[2 * i + 1]) + (bottom[2 * i] + bottom[2 * i + 1]));
  }
}

// out[i] = variance within the block of 2 x 2, from differences: means cancel nothing.
EFIQA_CLONES void block_variances(const float* __restrict top, const float* __restrict bottom,
                                  int count, float* __restrict out) {
  for (int i = 0; i < count; ++i) {
    const float a = top[2 * i], b = top[2 * i + 1], c = bottom[2 * i], d = bottom[2 * i + 1];
    out[i] = 0.0625f *
             ((((a - b) * (a - b) + (c - d) * (c - d)) + ((a - c) * (a - c) + (b - d) * (b - d))) +
              ((a - d) * (a - d) + (b - c) * (b - c)));
  }
}

double total(const float* lanes) {
  double sum = 0;
  for (int l = 0; l < kLanes; ++l) sum += static_cast<double>(lanes[l]);
  return sum;
}

}  // namespace

bool FrameMeasures::complete() const {
  return std::isfinite(level) && std::isfinite(green) && std::isfinite(saturated_share) &&
         std::isfinite(sharpness) && std::isfinite(contrast) && std::isfinite(lid_share);
}

FrameMeter::FrameMeter(const PreprocessSpec& spec)
    : spec_(spec),
      plane_(static_cast<std::size_t>(spec.width_px) * static_cast<std::size_t>(spec.height_px)),
      spans_(static_cast<std::size_t>(spec.height_px)) {}

// The input's row y inside the field; begin == end where there is none of it.
FrameMeter::Span FrameMeter::inner_span(const FieldOfView& fov, const SquareCrop& crop,
                                        int y) const {
  const float scale_x = static_cast<float>(crop.side_px) / static_cast<float>(spec_.width_px);
  const float scale_y = static_cast<float>(crop.side_px) / static_cast<float>(spec_.height_px);
  const float y_px = (static_cast<float>(y) + 0.5f) * scale_y + static_cast<float>(crop.y_px);
  const float margin_y = kEdgeMarginPx * scale_y, margin_x = kEdgeMarginPx * scale_x;
  const float radius = kInnerRadius * fov.radius_px, dy = y_px - fov.center_y_px;
  if (y_px < fov.top_px + margin_y || y_px > fov.bottom_px - margin_y || std::abs(dy) >= radius) {
    return {0, 0};
  }
  const float half = std::sqrt(radius * radius - dy * dy);
  const float left = std::max(fov.center_x_px - half, fov.left_px + margin_x);
  const float right = std::min(fov.center_x_px + half, fov.right_px - margin_x);
  const float limit = static_cast<float>(spec_.width_px), x_px = static_cast<float>(crop.x_px);
  // Pixels whose centre lies within.
  const int begin =
      static_cast<int>(std::ceil(std::clamp((left - x_px) / scale_x - 0.5f, 0.0f, limit)));
  const int end =
      static_cast<int>(std::ceil(std::clamp((right - x_px) / scale_x - 0.5f, 0.0f, limit)));
  return {begin, std::max(begin, end)};
}

void FrameMeter::halve(int width, int height) {
  const std::size_t row = static_cast<std::size_t>(width);
  for (int y = 0; y < height / 2; ++y) {
    const float* top = plane_.data() + row * (2 * static_cast<std::size_t>(y));
    average_blocks(top, top + row, width / 2,
                   plane_.data() + row / 2 * static_cast<std::size_t>(y));
    const Span a = spans_[2 * static_cast<std::size_t>(y)];
    const Span b = spans_[2 * static_cast<std::size_t>(y) + 1];
    const int begin = (std::max(a.begin, b.begin) + 1) / 2, end = std::min(a.end, b.end) / 2;
    spans_[static_cast<std::size_t>(y)] = {begin, std::max(begin, end)};
  }
}

// Mean variance of the blocks of 2 x 2 inside the field; NaN where there are too few.
double FrameMeter::detail(int width, int height) const {
  constexpr int kChunk = 256;
  float variances[kChunk];
  float lanes[kLanes] = {};
  long blocks = 0;
  const std::size_t row = static_cast<std::size_t>(width);
  for (int y = 0; y + 1 < height; y += 2) {
    const Span a = spans_[static_cast<std::size_t>(y)], b = spans_[static_cast<std::size_t>(y) + 1];
    const int begin = (std::max(a.begin, b.begin) + 1) / 2, end = std::min(a.end, b.end) / 2;
    const float* top = plane_.data() + row * static_cast<std::size_t>(y);
    for (int x = begin; x < end; x += kChunk) {
      const int count = std::min(kChunk, end - x);
      block_variances(top + 2 * x, top + row + 2 * x, count, variances);
      add_span(variances, count, lanes);
    }
    blocks += std::max(0, end - begin);
  }
  return blocks < kMinBlocks ? static_cast<double>(FrameMeasures::kNone)
                             : total(lanes) / static_cast<double>(blocks);
}

// A lid, and the shadow of one, comes from above or from below; the sides tell how bright the rim
// would be without. Red and green together: the optic disc's excess is least in red.
float FrameMeter::lid_share(const float* input, const SquareCrop& crop, const FieldOfView& fov,
                            int frame_height_px) const {
  const std::size_t pixels = plane_.size();
  const float scale_x = static_cast<float>(crop.side_px) / static_cast<float>(spec_.width_px);
  const float scale_y = static_cast<float>(crop.side_px) / static_cast<float>(spec_.height_px);
  double sums[3] = {0, 0, 0};  // top, bottom, sides
  int counts[3] = {0, 0, 0};
  for (int y = kSectorStep / 2; y < spec_.height_px; y += kSectorStep) {
    const float y_px = (static_cast<float>(y) + 0.5f) * scale_y + static_cast<float>(crop.y_px);
    const float dy = (y_px - fov.center_y_px) / fov.radius_px;
    for (int x = kSectorStep / 2; x < spec_.width_px; x += kSectorStep) {
      const float x_px = (static_cast<float>(x) + 0.5f) * scale_x + static_cast<float>(crop.x_px);
      const float dx = (x_px - fov.center_x_px) / fov.radius_px;
      const float distance2 = dx * dx + dy * dy;
      if (distance2 < kSectorInner * kSectorInner || distance2 > kSectorOuter * kSectorOuter ||
          !fov.contains(x_px, y_px)) {
        continue;
      }
      const int sector = std::abs(dx) >= std::abs(dy) ? 2 : dy < 0 ? 0 : 1;
      const float* pixel = input + static_cast<std::size_t>(y) * spec_.width_px + x;
      const float red = pixel[0] * spec_.std[0] + spec_.mean[0];
      const float green = pixel[pixels] * spec_.std[1] + spec_.mean[1];
      sums[sector] += static_cast<double>(red + green);
      ++counts[sector];
    }
  }
  if (counts[2] < kMinSectorSamples) return 0;
  const double sides = std::max(sums[2] / counts[2], static_cast<double>(kMinGreen));
  double darkest = sides;
  for (int i = 0; i < 2; ++i) {
    if (counts[i] >= kMinSectorSamples) darkest = std::min(darkest, sums[i] / counts[i]);
  }
  // A lid that is all black cuts the field on one side. Fields that end above and below in a
  // straight edge, as many cameras have it, do so on both.
  const double above = static_cast<double>(fov.top_px - (fov.center_y_px - fov.radius_px));
  const double below = static_cast<double>(fov.center_y_px + fov.radius_px - fov.bottom_px);
  const bool lid_above = above > below;
  const bool at_border =
      lid_above ? fov.top_px <= 0 : fov.bottom_px >= static_cast<float>(frame_height_px);
  const double cut = fov.shape == FovShape::kCircle && !at_border
                         ? std::abs(above - below) / static_cast<double>(fov.radius_px)
                         : 0.0;
  return static_cast<float>(std::clamp(std::max(1 - darkest / sides, cut), 0.0, 1.0));
}

FrameMeasures FrameMeter::measure(const float* input, const SquareCrop& crop,
                                  const FieldOfView& fov, int frame_height_px) {
  FrameMeasures measures;
  if (!fov.found() || !(fov.radius_px > 0) || crop.side_px <= 0) return measures;
  int width = spec_.width_px, height = spec_.height_px;
  const std::size_t row = static_cast<std::size_t>(width);
  const float* planes[3] = {input, input + plane_.size(), input + 2 * plane_.size()};
  float sums[3][kLanes] = {}, saturated[kLanes] = {};
  const float limit = (kSaturated - spec_.mean[1]) / spec_.std[1];
  long pixels = 0, every_fourth = 0;
  for (int y = 0; y < height; ++y) {
    const Span span = inner_span(fov, crop, y);
    spans_[static_cast<std::size_t>(y)] = span;
    const int count = span.end - span.begin;
    const std::size_t at = row * static_cast<std::size_t>(y) + static_cast<std::size_t>(span.begin);
    add_span(planes[1] + at, count, sums[1]);
    count_span(planes[1] + at, count, limit, saturated);
    pixels += count;
    if (y % 4 != 0) continue;  // enough for the mean of the other two
    add_span(planes[0] + at, count, sums[0]);
    add_span(planes[2] + at, count, sums[2]);
    every_fourth += count;
  }
  if (every_fourth < kMinBlocks) return measures;
  const long counts[3] = {every_fourth, pixels, every_fourth};
  float means[3];
  for (int c = 0; c < 3; ++c) {
    means[c] = static_cast<float>(total(sums[c]) / static_cast<double>(counts[c])) * spec_.std[c] +
               spec_.mean[c];
  }

  // A small crop was enlarged, and a large input shows the same detail on more pixels: the bands
  // move to the level at which a pixel of the pyramid is one of the frame's, or 1/384 of the field.
  const double finest = std::max(static_cast<double>(width) / crop.side_px, width / kReferencePx);
  const int shift = finest > 1.15 ? static_cast<int>(std::ceil(std::log2(finest) - 0.2)) : 0;
  const int contrast_level =
      std::clamp(kContrastLevel + static_cast<int>(std::lround(std::log2(width / kReferencePx))), 1,
                 kMaxLevel);
  const int sharpness_level = std::min(kSharpnessLevel + shift, kMaxLevel - 1);
  double details[kMaxLevel + 1];
  std::copy(planes[1], planes[1] + plane_.size(), plane_.begin());
  for (int level = 1; level <= kMaxLevel; ++level) {
    halve(width, height);
    width /= 2;
    height /= 2;
    details[level] = detail(width, height);
    if (level >= contrast_level && level > sharpness_level) break;
  }
  measures.level = kRed * means[0] + kGreen * means[1] + kBlue * means[2];
  measures.green = means[1];
  measures.saturated_share = static_cast<float>(total(saturated) / static_cast<double>(pixels));
  const double coarse = details[sharpness_level + 1];
  measures.sharpness = static_cast<float>(coarse > 0 ? details[sharpness_level] / coarse : coarse);
  measures.contrast = static_cast<float>(std::sqrt(details[contrast_level])) * spec_.std[1] /
                      std::max(means[1], kMinGreen);
  measures.lid_share = lid_share(input, crop, fov, frame_height_px);
  return measures;
}

}  // namespace efiqa
