// Per-pixel arithmetic that the CPU loops and the CUDA kernels share.
#pragma once

#include <cstddef>
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

struct Rgb8 {
  std::uint8_t red = 0, green = 0, blue = 0;
};

// Y'CbCr to R'G'B' in 16-bit fixed point:
//   red = luma * (Y - luma_offset) + red_v * (V - 128), and so on, rounded and clamped to 0..255.
// Each sample of chroma serves all the pixels it was averaged from (2 x 2 in NV12, 2 x 1 in YUYV):
// fine detail is in the luma, and nothing is read across an edge.
struct YuvScale {
  int luma = 0, luma_offset = 0, red_v = 0, green_u = 0, green_v = 0, blue_u = 0;
};

constexpr int kYuvBits = 16;  // fraction bits; the error stays below 0.01 levels

// Source: ITU-R BT.601-7 section 2.5 and BT.709-6 section 3 (luma weights, and quantisation to
// 8 bits: Y 219 and C 224 steps); full range: 255 steps of each, as in JFIF 1.02.
EFIQA_HOST_DEVICE constexpr YuvScale yuv_scale(YuvMatrix matrix, YuvRange range) {
  const double red = matrix == YuvMatrix::kBt601 ? 0.299 : 0.2126;
  const double blue = matrix == YuvMatrix::kBt601 ? 0.114 : 0.0722;
  const double green = 1 - red - blue;
  const bool limited = range == YuvRange::kLimited;
  const double luma = (limited ? 255.0 / 219.0 : 1.0) * (1 << kYuvBits);
  const double chroma = (limited ? 255.0 / 224.0 : 1.0) * (1 << kYuvBits);
  return {static_cast<int>(luma + 0.5),
          limited ? 16 : 0,
          static_cast<int>(2 * (1 - red) * chroma + 0.5),
          static_cast<int>(-2 * (1 - blue) * blue / green * chroma - 0.5),
          static_cast<int>(-2 * (1 - red) * red / green * chroma - 0.5),
          static_cast<int>(2 * (1 - blue) * chroma + 0.5)};
}

// The share of U and V in the three colours, the rounding included.
struct YuvChroma {
  int red = 0, green = 0, blue = 0;
};

EFIQA_HOST_DEVICE inline YuvChroma yuv_chroma(const YuvScale& scale, int u, int v) {
  constexpr int kHalf = 1 << (kYuvBits - 1);
  return {kHalf + scale.red_v * (v - 128),
          kHalf + scale.green_u * (u - 128) + scale.green_v * (v - 128),
          kHalf + scale.blue_u * (u - 128)};
}

EFIQA_HOST_DEVICE inline std::uint8_t yuv_level(int sum) {
  const int level = sum >> kYuvBits;
  return static_cast<std::uint8_t>(level < 0 ? 0 : (level > 255 ? 255 : level));
}

EFIQA_HOST_DEVICE inline Rgb8 yuv_to_rgb(const YuvScale& scale, int y, const YuvChroma& chroma) {
  const int luma = scale.luma * (y - scale.luma_offset);
  return {yuv_level(luma + chroma.red), yuv_level(luma + chroma.green),
          yuv_level(luma + chroma.blue)};
}

// The colour of pixel (x, y), whatever the frame's format; `scale` is used for Y'CbCr only.
EFIQA_HOST_DEVICE inline Rgb8 pixel_at(const FrameView& frame, const YuvScale& scale, int x,
                                       int y) {
  const std::uint8_t* row = frame.data + static_cast<std::ptrdiff_t>(y) * frame.row_stride_bytes;
  if (frame.format == PixelFormat::kNv12) {
    const std::uint8_t* uv =
        frame.uv_data + static_cast<std::ptrdiff_t>(y / 2) * frame.uv_stride_bytes + (x / 2) * 2;
    return yuv_to_rgb(scale, row[x], yuv_chroma(scale, uv[0], uv[1]));
  }
  if (frame.format == PixelFormat::kYuyv) {
    const std::uint8_t* pair = row + (x / 2) * 4;
    return yuv_to_rgb(scale, pair[(x & 1) * 2], yuv_chroma(scale, pair[1], pair[3]));
  }
  const ChannelOrder order = channel_order(frame.format);
  const std::uint8_t* pixel = row + static_cast<std::ptrdiff_t>(x) * bytes_per_pixel(frame.format);
  return {pixel[order.red], pixel[order.green], pixel[order.blue]};
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

// Centre of output pixel i of an axis whose pixels are `step` frame pixels wide, in frame pixels.
EFIQA_HOST_DEVICE inline float output_center_px(int start_px, int i, float step) {
  return static_cast<float>(start_px) + (static_cast<float>(i) + 0.5f) * step;
}

}  // namespace efiqa
