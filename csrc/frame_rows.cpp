#include "frame_rows.h"

#include <cstddef>
#include <cstring>

#include "pixel_ops.h"

namespace efiqa {
namespace {

EFIQA_CLONES
void reorder_pixels(const std::uint8_t* source, int pixel_bytes, ChannelOrder order, int count,
                    std::uint8_t* rgb) {
  for (int i = 0; i < count; ++i) {
    rgb[3 * i] = source[i * pixel_bytes + order.red];
    rgb[3 * i + 1] = source[i * pixel_bytes + order.green];
    rgb[3 * i + 2] = source[i * pixel_bytes + order.blue];
  }
}

constexpr int kChunkPairs = 256;  // pairs converted at a time: the buffers stay in the L1 cache

// One colour of both pixels of each pair, from Y and the pair's share of U and V.
EFIQA_CLONES
void convert_plane(const std::int32_t* __restrict luma0, const std::int32_t* __restrict luma1,
                   const std::int32_t* __restrict chroma, int pairs, std::uint8_t* __restrict out0,
                   std::uint8_t* __restrict out1) {
  for (int i = 0; i < pairs; ++i) {
    out0[i] = yuv_level(luma0[i] + chroma[i]);
    out1[i] = yuv_level(luma1[i] + chroma[i]);
  }
}

EFIQA_CLONES
void weigh_samples(const std::uint8_t* __restrict y0, const std::uint8_t* __restrict y1,
                   const std::uint8_t* __restrict u, const std::uint8_t* __restrict v,
                   YuvScale scale, int pairs, std::int32_t* __restrict luma0,
                   std::int32_t* __restrict luma1, std::int32_t* __restrict red,
                   std::int32_t* __restrict green, std::int32_t* __restrict blue) {
  for (int i = 0; i < pairs; ++i) {
    luma0[i] = scale.luma * (y0[i] - scale.luma_offset);
    luma1[i] = scale.luma * (y1[i] - scale.luma_offset);
    const YuvChroma chroma = yuv_chroma(scale, u[i], v[i]);
    red[i] = chroma.red;
    green[i] = chroma.green;
    blue[i] = chroma.blue;
  }
}

// Pairs of pixels that share a U and a V. A step is from one pair's U to the next one's, and
// luma_step from one Y to the next. Planes in between let the compiler use vectors.
template <int kLumaStep, int kChromaStep>
void convert_pairs(const std::uint8_t* luma, const std::uint8_t* u, const std::uint8_t* v,
                   const YuvScale& scale, int pairs, std::uint8_t* rgb) {
  std::uint8_t samples[4][kChunkPairs], levels[6][kChunkPairs];
  std::int32_t weighed[5][kChunkPairs];
  for (int begin = 0; begin < pairs; begin += kChunkPairs) {
    const int n = pairs - begin < kChunkPairs ? pairs - begin : kChunkPairs;
    for (int i = 0; i < n; ++i) {
      samples[0][i] = luma[2 * i * kLumaStep];
      samples[1][i] = luma[(2 * i + 1) * kLumaStep];
      samples[2][i] = u[i * kChromaStep];
      samples[3][i] = v[i * kChromaStep];
    }
    weigh_samples(samples[0], samples[1], samples[2], samples[3], scale, n, weighed[0], weighed[1],
                  weighed[2], weighed[3], weighed[4]);
    for (int c = 0; c < 3; ++c) {
      convert_plane(weighed[0], weighed[1], weighed[2 + c], n, levels[c], levels[3 + c]);
    }
    for (int i = 0; i < n; ++i) {
      for (int k = 0; k < 6; ++k) rgb[6 * i + k] = levels[k][i];
    }
    luma += std::ptrdiff_t{2} * n * kLumaStep;
    u += std::ptrdiff_t{n} * kChromaStep;
    v += std::ptrdiff_t{n} * kChromaStep;
    rgb += std::ptrdiff_t{6} * n;
  }
}

void put_pixel(const FrameView& frame, const YuvScale& scale, int x, int y, std::uint8_t* rgb) {
  const Rgb8 color = pixel_at(frame, scale, x, y);
  rgb[0] = color.red;
  rgb[1] = color.green;
  rgb[2] = color.blue;
}

void unpack_yuv(const FrameView& frame, int x, int y, int count, std::uint8_t* rgb) {
  const YuvScale scale = yuv_scale(frame.matrix, frame.range);
  if (count > 0 && x % 2 != 0) {
    put_pixel(frame, scale, x, y, rgb);
    ++x;
    --count;
    rgb += 3;
  }
  const std::uint8_t* row = frame.data + y * frame.row_stride_bytes;
  if (frame.format == PixelFormat::kNv12) {
    const std::uint8_t* uv = frame.uv_data + y / 2 * frame.uv_stride_bytes + x;
    convert_pairs<1, 2>(row + x, uv, uv + 1, scale, count / 2, rgb);
  } else {
    const std::uint8_t* pair = row + std::ptrdiff_t{2} * x;
    convert_pairs<2, 4>(pair, pair + 1, pair + 3, scale, count / 2, rgb);
  }
  if (count % 2 != 0) {
    const int last = count - 1;
    put_pixel(frame, scale, x + last, y, rgb + 3 * last);
  }
}

}  // namespace

void unpack_rgb(const FrameView& frame, int x, int y, int count, std::uint8_t* rgb) {
  if (is_yuv(frame.format)) return unpack_yuv(frame, x, y, count, rgb);
  const int pixel_bytes = bytes_per_pixel(frame.format);
  const std::uint8_t* source =
      frame.data + y * frame.row_stride_bytes + static_cast<std::ptrdiff_t>(x) * pixel_bytes;
  if (frame.format == PixelFormat::kRgb8) {
    std::memcpy(rgb, source, static_cast<std::size_t>(count) * 3);
  } else {
    reorder_pixels(source, pixel_bytes, channel_order(frame.format), count, rgb);
  }
}

}  // namespace efiqa
