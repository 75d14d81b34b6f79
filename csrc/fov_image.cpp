#include "fov_image.h"

#include <algorithm>
#include <cmath>

#include "pixel_ops.h"

namespace efiqa {
namespace {

// Longest side of the fine image: one pixel is 0.4 % of the radius of a field that fills it, and
// edges are found to a fraction of a pixel.
constexpr int kFineSidePx = 512;
static_assert(255 * ((kMaxSidePx + kFineSidePx - 1) / kFineSidePx) *
                      ((kMaxSidePx + kFineSidePx - 1) / kFineSidePx) <=
                  65535,
              "the sum of a block must fit 16 bits");

EFIQA_CLONES void add_row(const std::uint8_t* __restrict row, int length,
                          std::uint16_t* __restrict sums) {
  for (int i = 0; i < length; ++i) sums[i] = static_cast<std::uint16_t>(sums[i] + row[i]);
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
  const double x = std::clamp(x_px / scale_px - 0.5, 0.0, static_cast<double>(width - 1));
  const double y = std::clamp(y_px / scale_px - 0.5, 0.0, static_cast<double>(height - 1));
  const int x0 = std::min(static_cast<int>(x), width - 2);
  const int y0 = std::min(static_cast<int>(y), height - 2);
  const float fx = static_cast<float>(x - x0), fy = static_cast<float>(y - y0);
  const float* top = row(y0) + x0;
  const float* bottom = top + width;
  return (top[0] + (top[1] - top[0]) * fx) * (1 - fy) +
         (bottom[0] + (bottom[1] - bottom[0]) * fx) * fy;
}

void SmallImages::make(const FrameView& frame, ThreadPool& pool) {
  const int longest = std::max(frame.width_px, frame.height_px);
  const int scale = (longest + kFineSidePx - 1) / kFineSidePx;
  const int bytes = bytes_per_pixel(frame.format);
  const int colours = bytes == 1 ? 1 : 3;
  fine.resize(frame.width_px / scale, frame.height_px / scale, scale);
  fine_grey_.resize(fine.width, fine.height, scale);
  const int length = frame.width_px * bytes;
  const int bands = std::min(fine.height, pool.threads() == 1 ? 1 : pool.threads() * 4);
  const std::size_t band_size = static_cast<std::size_t>(length);
  if (column_sums_.size() < band_size * static_cast<std::size_t>(bands)) {
    column_sums_.resize(band_size * static_cast<std::size_t>(bands));
  }
  const float to_level = 1.0f / static_cast<float>(scale * scale);
  const float to_grey = to_level / static_cast<float>(colours);

  pool.for_ranges(bands, 1, [&](int first_band, int last_band) {
    for (int band = first_band; band < last_band; ++band) {
      std::uint16_t* sums = column_sums_.data() + band_size * static_cast<std::size_t>(band);
      for (int y = fine.height * band / bands; y < fine.height * (band + 1) / bands; ++y) {
        std::fill(sums, sums + length, std::uint16_t{0});
        const std::uint8_t* source =
            frame.data + static_cast<std::ptrdiff_t>(y) * scale * frame.row_stride_bytes;
        for (int k = 0; k < scale; ++k) add_row(source + k * frame.row_stride_bytes, length, sums);
        float* brightest = fine.row(y);
        float* mean = fine_grey_.row(y);
        for (int x = 0; x < fine.width; ++x) {
          const std::uint16_t* block = sums + x * scale * bytes;
          int high = 0, total = 0;
          for (int c = 0; c < colours; ++c) {
            int sum = 0;
            for (int k = 0; k < scale; ++k) sum += block[k * bytes + c];
            high = std::max(high, sum);
            total += sum;
          }
          brightest[x] = static_cast<float>(high) * to_level;
          mean[x] = static_cast<float>(total) * to_grey;
        }
      }
    }
  });

  // Frames whose fine image is small already are not halved.
  const int factor = std::max(fine.width, fine.height) > kFineSidePx / 2 ? 2 : 1;
  coarse.resize(fine.width / factor, fine.height / factor, scale * factor);
  grey.resize(coarse.width, coarse.height, coarse.scale_px);
  const float share = 1.0f / static_cast<float>(factor * factor);
  pool.for_ranges(coarse.height, 64, [&](int begin, int end) {
    for (int y = begin; y < end; ++y) {
      const float* a = fine.row(y * factor);
      const float* b = fine_grey_.row(y * factor);
      for (int x = 0; x < coarse.width; ++x) {
        float sum_a = 0, sum_b = 0;
        for (int j = 0; j < factor; ++j) {
          for (int i = 0; i < factor; ++i) {
            sum_a += a[j * fine.width + x * factor + i];
            sum_b += b[j * fine.width + x * factor + i];
          }
        }
        coarse.row(y)[x] = sum_a * share;
        grey.row(y)[x] = sum_b * share;
      }
    }
  });
}

}  // namespace efiqa
