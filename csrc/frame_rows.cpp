#include "frame_rows.h"

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

// Pairs of pixels that share a U and a V; a step is from one Y, and from one U, to the next.
EFIQA_CLONES
void convert_pairs(const std::uint8_t* __restrict luma, int luma_step,
                   const std::uint8_t* __restrict u, const std::uint8_t* __restrict v,
                   int chroma_step, YuvScale scale, int pairs, std::uint8_t* __restrict rgb) {
  for (int i = 0; i < pairs; ++i) {
    const YuvChroma chroma = yuv_chroma(scale, u[i * chroma_step], v[i * chroma_step]);
    for (int j = 0; j < 2; ++j) {
      const int y = scale.luma * (luma[(2 * i + j) * luma_step] - scale.luma_offset);
      rgb[6 * i + 3 * j] = yuv_level(y + chroma.red);
      rgb[6 * i + 3 * j + 1] = yuv_level(y + chroma.green);
      rgb[6 * i + 3 * j + 2] = yuv_level(y + chroma.blue);
    }
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
    convert_pairs(row + x, 1, uv, uv + 1, 2, scale, count / 2, rgb);
  } else {
    const std::uint8_t* pair = row + std::ptrdiff_t{2} * x;
    convert_pairs(pair, 2, pair + 1, pair + 3, 4, scale, count / 2, rgb);
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
