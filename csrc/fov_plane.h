// Small copies of a frame, on which the field of view is searched; host and device share this file.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "block.h"
#include "frame.h"
#include "small_math.h"

namespace efiqa {

// Longest side of the fine image: one pixel is 0.4 % of the radius of a field that fills it, and
// edges are found to a fraction of a pixel.
constexpr int kFineSidePx = 512;
constexpr int kCoarseSidePx = kFineSidePx / 2;
constexpr int kMaxScale = (kMaxSidePx + kFineSidePx - 1) / kFineSidePx;
// Values are grey levels in units of 1/256, so that a plane is read at twice the speed of floats.
constexpr int kUnitsPerLevel = 256;
// Readable values behind the last pixel of a plane: pixels are tested in words of kWordBits.
constexpr int kPlanePadding = kWordBits;

// Of frame pixels.
struct Box {
  float left = 0, top = 0, right = 0, bottom = 0;
};

// At least 2 x 2. Pixel (i, j) stands for the square [i * scale_px, (i + 1) * scale_px) x
// [j * scale_px, (j + 1) * scale_px) of the frame.
struct Plane {
  int width = 0, height = 0, scale_px = 1;
  const std::uint16_t* values = nullptr;

  EFIQA_HOST_DEVICE int size() const { return width * height; }
  EFIQA_HOST_DEVICE const std::uint16_t* row(int y) const {
    return values + static_cast<std::ptrdiff_t>(y) * width;
  }
  EFIQA_HOST_DEVICE float level(int x, int y) const { return to_level(row(y)[x]); }
  // Bilinear, at a point in frame pixels; the border pixels continue outwards.
  EFIQA_HOST_DEVICE float at(float x_px, float y_px) const {
    const float scale = 1.0f / static_cast<float>(scale_px);
    const float x = clamp_to(x_px * scale - 0.5f, 0.0f, static_cast<float>(width - 1));
    const float y = clamp_to(y_px * scale - 0.5f, 0.0f, static_cast<float>(height - 1));
    const int x0 = min_of(static_cast<int>(x), width - 2);
    const int y0 = min_of(static_cast<int>(y), height - 2);
    const float fx = x - static_cast<float>(x0), fy = y - static_cast<float>(y0);
    const std::uint16_t* top = row(y0) + x0;
    const std::uint16_t* bottom = top + width;
    const float top_left = static_cast<float>(top[0]), bottom_left = static_cast<float>(bottom[0]);
    const float upper = top_left + (static_cast<float>(top[1]) - top_left) * fx;
    const float lower = bottom_left + (static_cast<float>(bottom[1]) - bottom_left) * fx;
    return (upper + (lower - upper) * fy) * (1.0f / kUnitsPerLevel);
  }

  EFIQA_HOST_DEVICE static float to_level(std::uint16_t value) {
    return static_cast<float>(value) * (1.0f / kUnitsPerLevel);
  }
};

// The sizes of both planes of a frame.
struct PlaneSizes {
  int scale;   // frame pixels along a pixel of the fine plane
  int factor;  // fine pixels along a coarse one: a fine plane that is small already is not halved
  int fine_width, fine_height, coarse_width, coarse_height;
};

inline PlaneSizes plane_sizes(const FrameView& frame) {
  PlaneSizes sizes;
  sizes.scale = (max_of(frame.width_px, frame.height_px) + kFineSidePx - 1) / kFineSidePx;
  sizes.fine_width = frame.width_px / sizes.scale;
  sizes.fine_height = frame.height_px / sizes.scale;
  sizes.factor = max_of(sizes.fine_width, sizes.fine_height) > kCoarseSidePx ? 2 : 1;
  sizes.coarse_width = sizes.fine_width / sizes.factor;
  sizes.coarse_height = sizes.fine_height / sizes.factor;
  return sizes;
}

// The value of a pixel whose square holds `sum` of one channel; `to_value`: units_per_sum(scale).
EFIQA_HOST_DEVICE inline std::uint16_t average_value(int sum, float to_value) {
  return static_cast<std::uint16_t>(static_cast<float>(sum) * to_value + 0.5f);
}

EFIQA_HOST_DEVICE inline float units_per_sum(int scale) {
  return static_cast<float>(kUnitsPerLevel) / static_cast<float>(scale * scale);
}

EFIQA_HOST_DEVICE inline std::uint16_t halved_value(int a, int b, int c, int d) {
  return static_cast<std::uint16_t>((a + b + c + d + 2) >> 2);
}

// A value exceeds a threshold in grey levels when it exceeds this.
EFIQA_HOST_DEVICE inline int value_threshold(float level) {
  return static_cast<int>(level * static_cast<float>(kUnitsPerLevel));
}

// Words of one row of bits, one bit a pixel.
EFIQA_HOST_DEVICE inline int words_per_row(const Plane& plane) {
  return (plane.width + kWordBits - 1) / kWordBits;
}

// bits: (height, words_per_row); bit k of word w of a row says whether its pixel 32 w + k exceeds
// the threshold. Bits behind the row's last pixel mean nothing.
template <typename Block>
EFIQA_HOST_DEVICE void mark_bright(const Block& block, const Plane& plane, float threshold,
                                   std::uint32_t* bits) {
  const int words = words_per_row(plane), least = value_threshold(threshold);
  block.pack_bits(plane.height * words, bits, [&](int word, int bit) {
    return plane.row(word / words)[word % words * kWordBits + bit] > least;
  });
}

// The bits of word `word` of a row that belong to pixels [begin, end).
EFIQA_HOST_DEVICE inline std::uint32_t pixels_of_word(int word, int begin, int end) {
  const int first = max_of(begin - word * kWordBits, 0);
  const int last = min_of(end - word * kWordBits, kWordBits);
  return first < last ? bit_range(first, last) : 0;
}

}  // namespace efiqa
