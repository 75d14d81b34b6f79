// Per-pixel arithmetic that the CPU loops and the CUDA kernels share.
#pragma once

#include <cmath>
#include <cstdint>

#include "frame.h"
#include "host_device.h"
#include "preprocess.h"

namespace efiqa {

// Byte offset of each of red, green and blue within one pixel.
struct ChannelOrder {
  int red = 0, green = 1, blue = 2;
};

EFIQA_HOST_DEVICE inline ChannelOrder channel_order(PixelFormat format) {
  if (format == PixelFormat::kBgr8) return {2, 1, 0};
  if (format == PixelFormat::kGray8) return {0, 0, 0};
  return {0, 1, 2};
}

// Height of the resize filter's kernel at x, in output pixels of the downscale.
EFIQA_HOST_DEVICE inline double filter_value(ResizeFilter filter, double x) {
  if (filter == ResizeFilter::kBox) return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
  const double distance = x < 0 ? -x : x;
  return distance < 1.0 ? 1.0 - distance : 0.0;
}

// Half of the kernel's width, in output pixels of the downscale.
EFIQA_HOST_DEVICE inline double filter_support(ResizeFilter filter) {
  return filter == ResizeFilter::kBox ? 0.5 : 1.0;
}

// (level / 255 - mean) / std as one multiplication and one addition.
struct ChannelScale {
  float factor = 1;
  float offset = 0;
};

EFIQA_HOST_DEVICE inline ChannelScale channel_scale(float mean, float std) {
  return {static_cast<float>(1.0 / (255.0 * static_cast<double>(std))),
          static_cast<float>(-static_cast<double>(mean) / static_cast<double>(std))};
}

EFIQA_HOST_DEVICE inline float normalise(float level, ChannelScale scale) {
  return level * scale.factor + scale.offset;
}

// Nearest whole grey level of a value in or just outside 0..255.
EFIQA_HOST_DEVICE inline std::uint8_t round_level(float level) {
  const float clamped = level < 0.0f ? 0.0f : (level > 255.0f ? 255.0f : level);
  return static_cast<std::uint8_t>(clamped + 0.5f);
}

EFIQA_HOST_DEVICE inline float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

}  // namespace efiqa
