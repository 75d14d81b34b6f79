#include "fov_image.h"

#include <algorithm>

#include "frame_rows.h"
#include "pixel_ops.h"

namespace efiqa {
namespace {

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
void pick_brightest(const std::uint16_t* sums, int width, int step, int channels, float to_value,
                    std::uint16_t* values) {
  if (channels == 1) {
    for (int x = 0; x < width; ++x) values[x] = average_value(sums[x * step], to_value);
    return;
  }
  for (int x = 0; x < width; ++x) {
    const std::uint16_t* s = sums + x * step;
    values[x] = average_value(std::max(std::max(s[0], s[1]), s[2]), to_value);
  }
}

EFIQA_CLONES void halve_rows(const std::uint16_t* __restrict top,
                             const std::uint16_t* __restrict bottom, int width,
                             std::uint16_t* __restrict out) {
  for (int x = 0; x < width; ++x) {
    out[x] = halved_value(top[2 * x], top[2 * x + 1], bottom[2 * x], bottom[2 * x + 1]);
  }
}

// Room for the plane's values and the padding behind them.
std::uint16_t* make_room(std::vector<std::uint16_t>& values, Plane& plane) {
  const std::size_t size = static_cast<std::size_t>(plane.size()) + kPlanePadding;
  if (values.size() < size) values.resize(size);
  plane.values = values.data();
  return values.data();
}

}  // namespace

void SmallImages::make(const FrameView& frame, ThreadPool& pool) {
  const PlaneSizes sizes = plane_sizes(frame);
  const int scale = sizes.scale;
  const bool yuv = is_yuv(frame.format);
  const int bytes = yuv ? 3 : bytes_per_pixel(frame.format);  // in the rows that are summed
  fine_ = {sizes.fine_width, sizes.fine_height, scale, nullptr};
  coarse_ = {sizes.coarse_width, sizes.coarse_height, scale * sizes.factor, nullptr};
  std::uint16_t* fine = make_room(fine_values_, fine_);
  std::uint16_t* coarse = make_room(coarse_values_, coarse_);
  const int used = fine_.width * scale * bytes;   // bytes of a row that are looked at
  const int summed = used - (scale - 1) * bytes;  // starts of horizontal sums
  const int bands = std::min(fine_.height, pool.threads() == 1 ? 1 : pool.threads() * 4);
  const std::size_t row_size = static_cast<std::size_t>(used);
  if (sums_.size() < 2 * row_size * static_cast<std::size_t>(bands)) {
    sums_.resize(2 * row_size * static_cast<std::size_t>(bands));
  }
  if (yuv && rgb_.size() < 2 * row_size * static_cast<std::size_t>(bands)) {
    rgb_.resize(2 * row_size * static_cast<std::size_t>(bands));
  }
  const float to_value = units_per_sum(scale);

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
      for (int y = fine_.height * band / bands; y < fine_.height * (band + 1) / bands; ++y) {
        int k = 0;
        for (; k + 1 < scale; k += 2) {
          add_rows2(row_of(y * scale + k, 0), row_of(y * scale + k + 1, 1), used, k > 0, down);
        }
        if (k < scale) add_row(row_of(y * scale + k, 0), used, k > 0, down);
        sum_neighbours(down, summed, bytes, scale, across);
        pick_brightest(across, fine_.width, scale * bytes, bytes, to_value, fine + y * fine_.width);
      }
    }
  });
  pool.for_ranges(coarse_.height, 64, [&](int begin, int end) {
    for (int y = begin; y < end; ++y) {
      std::uint16_t* out = coarse + y * coarse_.width;
      if (sizes.factor == 1) {
        std::copy(fine_.row(y), fine_.row(y) + fine_.width, out);
      } else {
        halve_rows(fine_.row(2 * y), fine_.row(2 * y + 1), coarse_.width, out);
      }
    }
  });
}

}  // namespace efiqa
