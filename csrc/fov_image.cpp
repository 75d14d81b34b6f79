#include "fov_image.h"

#include <algorithm>

#include "frame_rows.h"
#include "pixel_ops.h"

namespace efiqa {
namespace {

// Longest side of the fine image: one pixel is 0.4 % of the radius of a field that fills it, and
// edges are found to a fraction of a pixel.
constexpr int kFineSidePx = 512;
constexpr int kMaxScale = (kMaxSidePx + kFineSidePx - 1) / kFineSidePx;
static_assert(255 * kMaxScale * kMaxScale <= 65535, "the sum of a block must fit 16 bits");

// sums[i] = (accumulate ? sums[i] : 0) + the bytes of two rows.
EFIQA_CLONES void add_rows2(const std::uint8_t* __restrict row0,
                            const std::uint8_t* __restrict row1, int length, bool accumulate,
                            std::uint16_t* __restrict sums) {
  if (accumulate) {
    for (int i = 0; i < length; ++i) {
      sums[i] = static_cast<std::uint16_t>(sums[i] + row0[i] + row1[i]);
    }
  } else {
    for (int i = 0; i < length; ++i) sums[i] = static_cast<std::uint16_t>(row0[i] + row1[i]);
  }
}

EFIQA_CLONES void add_row(const std::uint8_t* __restrict row, int length, bool accumulate,
                          std::uint16_t* __restrict sums) {
  if (accumulate) {
    for (int i = 0; i < length; ++i) sums[i] = static_cast<std::uint16_t>(sums[i] + row[i]);
  } else {
    for (int i = 0; i < length; ++i) sums[i] = row[i];
  }
}

// out[i] = sum of `count` values of `in`, `step` apart, from i on: at every channel of every pixel,
// although only each count-th pixel is used. Contiguous sums are faster than a strided choice.
EFIQA_CLONES void sum_neighbours(const std::uint16_t* __restrict in, int length, int step,
                                 int count, std::uint16_t* __restrict out) {
  const std::uint16_t* second = in + (count > 1 ? step : 0);
  if (count > 1) {
    for (int i = 0; i < length; ++i) out[i] = static_cast<std::uint16_t>(in[i] + second[i]);
  } else {
    for (int i = 0; i < length; ++i) out[i] = in[i];
  }
  for (int k = 2; k < count; ++k) {
    const std::uint16_t* other = in + k * step;
    for (int i = 0; i < length; ++i) out[i] = static_cast<std::uint16_t>(out[i] + other[i]);
  }
}

// values[x] = the largest of `channels` neighbouring sums, one block each `step`.
void pick_brightest(const std::uint16_t* sums, int width, int step, int channels, float to_level,
                    float* values) {
  if (channels == 1) {
    for (int x = 0; x < width; ++x) values[x] = static_cast<float>(sums[x * step]) * to_level;
    return;
  }
  for (int x = 0; x < width; ++x) {
    const std::uint16_t* s = sums + x * step;
    values[x] = static_cast<float>(std::max(std::max(s[0], s[1]), s[2])) * to_level;
  }
}

EFIQA_CLONES void halve_rows(const float* __restrict top, const float* __restrict bottom, int width,
                             float* __restrict out) {
  for (int x = 0; x < width; ++x) {
    out[x] = ((top[2 * x] + top[2 * x + 1]) + (bottom[2 * x] + bottom[2 * x + 1])) * 0.25f;
  }
}

}  // namespace

void Plane::resize(int new_width, int new_height, int new_scale_px) {
  width = new_width;
  height = new_height;
  scale_px = new_scale_px;
  const std::size_t size = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  if (values.size() < size) values.resize(size);
}

float Plane::at(double x_px, double y_px) const {
  const float scale = 1.0f / static_cast<float>(scale_px);
  const float x =
      std::clamp(static_cast<float>(x_px) * scale - 0.5f, 0.0f, static_cast<float>(width - 1));
  const float y =
      std::clamp(static_cast<float>(y_px) * scale - 0.5f, 0.0f, static_cast<float>(height - 1));
  const int x0 = std::min(static_cast<int>(x), width - 2);
  const int y0 = std::min(static_cast<int>(y), height - 2);
  const float fx = x - static_cast<float>(x0), fy = y - static_cast<float>(y0);
  const float* top = row(y0) + x0;
  const float* bottom = top + width;
  const float upper = top[0] + (top[1] - top[0]) * fx;
  const float lower = bottom[0] + (bottom[1] - bottom[0]) * fx;
  return upper + (lower - upper) * fy;
}

void SmallImages::make(const FrameView& frame, ThreadPool& pool) {
  const int longest = std::max(frame.width_px, frame.height_px);
  const int scale = (longest + kFineSidePx - 1) / kFineSidePx;
  const bool yuv = is_yuv(frame.format);
  const int bytes = yuv ? 3 : bytes_per_pixel(frame.format);  // in the rows that are summed
  fine.resize(frame.width_px / scale, frame.height_px / scale, scale);
  const int used = fine.width * scale * bytes;    // bytes of a row that are looked at
  const int summed = used - (scale - 1) * bytes;  // starts of horizontal sums
  const int bands = std::min(fine.height, pool.threads() == 1 ? 1 : pool.threads() * 4);
  const std::size_t row_size = static_cast<std::size_t>(used);
  if (sums_.size() < 2 * row_size * static_cast<std::size_t>(bands)) {
    sums_.resize(2 * row_size * static_cast<std::size_t>(bands));
  }
  if (yuv && rgb_.size() < 2 * row_size * static_cast<std::size_t>(bands)) {
    rgb_.resize(2 * row_size * static_cast<std::size_t>(bands));
  }
  const float to_level = 1.0f / static_cast<float>(scale * scale);
  // A frame whose fine image is small already is not halved.
  const int factor = std::max(fine.width, fine.height) > kFineSidePx / 2 ? 2 : 1;
  coarse.resize(fine.width / factor, fine.height / factor, scale * factor);

  pool.for_ranges(bands, 1, [&](int first_band, int last_band) {
    for (int band = first_band; band < last_band; ++band) {
      std::uint16_t* down = sums_.data() + 2 * row_size * static_cast<std::size_t>(band);
      std::uint16_t* across = down + row_size;
      // Row `y` of the frame; of Y'CbCr frames converted into one of the band's two rows.
      const auto row_of = [&](int y, std::size_t slot) -> const std::uint8_t* {
        if (!yuv) return frame.data + y * frame.row_stride_bytes;
        std::uint8_t* row = rgb_.data() + row_size * (2 * static_cast<std::size_t>(band) + slot);
        unpack_rgb(frame, 0, y, used / 3, row);
        return row;
      };
      for (int y = fine.height * band / bands; y < fine.height * (band + 1) / bands; ++y) {
        int k = 0;
        for (; k + 1 < scale; k += 2) {
          add_rows2(row_of(y * scale + k, 0), row_of(y * scale + k + 1, 1), used, k > 0, down);
        }
        if (k < scale) add_row(row_of(y * scale + k, 0), used, k > 0, down);
        sum_neighbours(down, summed, bytes, scale, across);
        pick_brightest(across, fine.width, scale * bytes, bytes, to_level, fine.row(y));
      }
    }
  });
  pool.for_ranges(coarse.height, 64, [&](int begin, int end) {
    for (int y = begin; y < end; ++y) {
      if (factor == 1) {
        std::copy(fine.row(y), fine.row(y) + fine.width, coarse.row(y));
      } else {
        halve_rows(fine.row(2 * y), fine.row(2 * y + 1), coarse.width, coarse.row(y));
      }
    }
  });
}

void sample_histograms(const FrameView& frame, LevelHistogram* channels) {
  constexpr int kSide = 256;  // samples along the longest side
  const int step = std::max(1, std::max(frame.width_px, frame.height_px) / kSide);
  const YuvScale scale = yuv_scale(frame.matrix, frame.range);
  for (int c = 0; c < 3; ++c) channels[c] = {};
  for (int y = step / 2; y < frame.height_px; y += step) {
    for (int x = step / 2; x < frame.width_px; x += step) {
      const Rgb8 color = pixel_at(frame, scale, x, y);
      ++channels[0].counts[color.red];
      ++channels[1].counts[color.green];
      ++channels[2].counts[color.blue];
    }
  }
  for (int c = 0; c < 3; ++c) {
    for (const int count : channels[c].counts) channels[c].total += count;
  }
}

}  // namespace efiqa
