// Crop and antialiased resize on the CPU. The vertical pass comes first: it runs along contiguous
// rows; the horizontal pass then touches only as many rows as the output has.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "frame_rows.h"
#include "pixel_ops.h"
#include "preprocess.h"
#include "resize_taps.h"
#include "status.h"

namespace efiqa {
namespace {

constexpr int kMaxOutputPx = kMaxSidePx;    // keeps row arithmetic within int
constexpr int kMaxCropPx = 4 * kMaxSidePx;  // room for any crop around a frame, far from overflow
// One pixel is read as four floats, whatever its number of channels.
constexpr int kLanes = 4;

// The weighted source pixels of every output pixel along one axis.
struct Taps {
  std::vector<int> first, count;  // frame pixels
  std::vector<float> weights;     // `stride` per output pixel
  int stride = 0;
  ResizeAxis made_for;

  void prepare(const ResizeAxis& axis) {
    if (axis.start == made_for.start && axis.side == made_for.side &&
        axis.frame_side == made_for.frame_side) {
      return;  // filter and size of the output never change
    }
    const std::size_t size = static_cast<std::size_t>(axis.out_side);
    stride = max_taps(axis);
    first.resize(size);
    count.resize(size);
    weights.resize(size * static_cast<std::size_t>(stride));
    float* out = weights.data();
    for (int i = 0; i < axis.out_side; ++i, out += stride) {
      const TapRange range = tap_range(axis, i);
      first[static_cast<std::size_t>(i)] = range.first;
      count[static_cast<std::size_t>(i)] = range.count;
      for (int k = 0; k < range.count; ++k) out[k] = tap_weight(axis, i, range, k);
    }
    made_for = axis;
  }
};

// sums[i] = (accumulate ? sums[i] : 0) + the weighted sum of up to four rows.
EFIQA_CLONES void add_rows4(const std::uint8_t* __restrict row0,
                            const std::uint8_t* __restrict row1,
                            const std::uint8_t* __restrict row2,
                            const std::uint8_t* __restrict row3, const float* __restrict weight,
                            int length, bool accumulate, float* __restrict sums) {
  const float w0 = weight[0], w1 = weight[1], w2 = weight[2], w3 = weight[3];
  if (accumulate) {
    for (int i = 0; i < length; ++i) {
      sums[i] += (w0 * static_cast<float>(row0[i]) + w1 * static_cast<float>(row1[i])) +
                 (w2 * static_cast<float>(row2[i]) + w3 * static_cast<float>(row3[i]));
    }
  } else {
    for (int i = 0; i < length; ++i) {
      sums[i] = (w0 * static_cast<float>(row0[i]) + w1 * static_cast<float>(row1[i])) +
                (w2 * static_cast<float>(row2[i]) + w3 * static_cast<float>(row3[i]));
    }
  }
}

// Weighted sum of `count` rows of `length` bytes, of which row_at(k) is the k-th.
template <typename RowAt>
void sum_rows(RowAt&& row_at, const float* weights, int count, int length, float* sums) {
  if (count == 0) std::fill(sums, sums + length, 0.0f);
  for (int k = 0; k < count; k += 4) {
    // Rows past the last one repeat it with weight 0.
    const std::uint8_t* rows[4];
    float weight[4];
    for (int j = 0; j < 4; ++j) {
      rows[j] = row_at(std::min(k + j, count - 1));
      weight[j] = k + j < count ? weights[k + j] : 0.0f;
    }
    add_rows4(rows[0], rows[1], rows[2], rows[3], weight, length, k > 0, sums);
  }
}

// Rows of a Y'CbCr frame as RGB8, from column first_x to last_x: each is converted once, as output
// rows one after another need the same ones again.
class RgbRows {
 public:
  void start(int first_x, int last_x, int capacity) {
    first_x_ = first_x;
    count_ = last_x - first_x;
    capacity_ = capacity;
    next_ = 0;
    const std::size_t size = static_cast<std::size_t>(capacity) * row_bytes();
    if (pixels_.size() < size) pixels_.resize(size);
  }
  // Makes rows [first, first + count) ready; `first` never falls, count <= capacity.
  void prepare(const FrameView& frame, int first, int count) {
    for (int y = std::max(next_, first); y < first + count; ++y) {
      unpack_rgb(frame, first_x_, y, count_, place(y));
    }
    next_ = std::max(next_, first + count);
  }
  const std::uint8_t* row(int y) { return place(y); }

 private:
  std::size_t row_bytes() const { return static_cast<std::size_t>(count_) * 3; }
  std::uint8_t* place(int y) {
    return pixels_.data() + static_cast<std::size_t>(y % capacity_) * row_bytes();
  }

  std::vector<std::uint8_t> pixels_;
  int first_x_ = 0, count_ = 0, capacity_ = 0, next_ = 0;
};

// levels[c * width + x] for the three colours of one output row.
EFIQA_CLONES void resample_row(const float* __restrict sums, const int* __restrict first,
                               const int* __restrict count, const float* __restrict weights,
                               int stride, int bytes_per_px, int width, ChannelOrder order,
                               float* __restrict levels) {
  for (int x = 0; x < width; ++x) {
    const float* source = sums + static_cast<std::ptrdiff_t>(first[x]) * bytes_per_px;
    const float* weight = weights + static_cast<std::ptrdiff_t>(x) * stride;
    float lane[kLanes] = {0, 0, 0, 0};
    for (int k = 0; k < count[x]; ++k, source += bytes_per_px) {
      for (int j = 0; j < kLanes; ++j) lane[j] += weight[k] * source[j];
    }
    levels[x] = lane[order.red];
    levels[width + x] = lane[order.green];
    levels[2 * width + x] = lane[order.blue];
  }
}

EFIQA_CLONES void normalise_row(const float* __restrict levels, int width, ChannelScale scale,
                                float* __restrict out) {
  for (int x = 0; x < width; ++x) out[x] = normalise(levels[x], scale);
}

// First and one past the last output column whose centre is visible in the row at `y_px`.
void visible_columns(const FieldOfView& fov, const SquareCrop& crop, int width, float y_px,
                     int* begin, int* end) {
  const float step = static_cast<float>(crop.side_px) / static_cast<float>(width);
  const auto inside = [&](int x) {
    return fov.contains(output_center_px(crop.x_px, x, step), y_px);
  };
  // The visible part is convex: a row of it is one interval.
  *begin = 0;
  while (*begin < width && !inside(*begin)) ++*begin;
  *end = width;
  while (*end > *begin && !inside(*end - 1)) --*end;
}

void check_range(const char* field, int value, int low, int high) {
  if (value < low || value > high) {
    throw Error(StatusCode::kInvalidArgument, std::string(field) + " is " + std::to_string(value) +
                                                  ", expected " + std::to_string(low) + " to " +
                                                  std::to_string(high));
  }
}

void check_crop(const SquareCrop& crop) {
  check_range("crop.side_px", crop.side_px, 1, kMaxCropPx);
  check_range("crop.x_px", crop.x_px, -kMaxCropPx, kMaxCropPx);
  check_range("crop.y_px", crop.y_px, -kMaxCropPx, kMaxCropPx);
}

}  // namespace

struct Preprocessor::Scratch {
  Taps columns, rows;
  int bands = 0;              // rows of the output are shared out in this many bands
  std::vector<float> sums;    // per band: one row of vertical sums
  std::vector<float> levels;  // per band: one output row, three colours
  std::vector<RgbRows> rgb;   // per band, of Y'CbCr frames
};

Preprocessor::Preprocessor(const PreprocessSpec& spec, ThreadPool& pool)
    : spec_(spec), pool_(pool), scratch_(std::make_unique<Scratch>()) {
  check_range("preprocess.width_px", spec.width_px, 1, kMaxOutputPx);
  check_range("preprocess.height_px", spec.height_px, 1, kMaxOutputPx);
  for (int c = 0; c < 3; ++c) {
    if (!(spec.std[c] > 0.0f) || !std::isfinite(spec.std[c]) || !std::isfinite(spec.mean[c])) {
      throw Error(StatusCode::kInvalidArgument,
                  "preprocess.mean and preprocess.std of channel " + std::to_string(c) + " are " +
                      std::to_string(spec.mean[c]) + " and " + std::to_string(spec.std[c]) +
                      ", expected finite numbers and std above 0");
    }
  }
  scratch_->bands = std::min(spec.height_px, pool.threads() == 1 ? 1 : pool.threads() * 4);
  scratch_->levels.resize(static_cast<std::size_t>(scratch_->bands) * 3 *
                          static_cast<std::size_t>(spec.width_px));
}

Preprocessor::~Preprocessor() = default;

const PreprocessSpec& Preprocessor::spec() const noexcept { return spec_; }

template <typename EmitRow>
void Preprocessor::resample(const FrameView& frame, const SquareCrop& crop, const FieldOfView& fov,
                            EmitRow&& emit_row) {
  check_crop(crop);
  Scratch& s = *scratch_;
  s.columns.prepare({spec_.filter, crop.x_px, crop.side_px, frame.width_px, spec_.width_px});
  s.rows.prepare({spec_.filter, crop.y_px, crop.side_px, frame.height_px, spec_.height_px});
  const bool yuv = is_yuv(frame.format);
  const int bytes_per_px = yuv ? 3 : bytes_per_pixel(frame.format);  // in the rows that are summed
  const ChannelOrder order = channel_order(frame.format);
  // Only the crop's columns are summed; reading kLanes floats may run past the last one.
  const int first_x = std::clamp(crop.x_px, 0, frame.width_px);
  const int last_x = std::clamp(crop.x_px + crop.side_px, first_x, frame.width_px);
  const int length = (last_x - first_x) * bytes_per_px;
  const std::size_t band_floats = static_cast<std::size_t>(frame.width_px * bytes_per_px + kLanes);
  if (s.sums.size() < band_floats * static_cast<std::size_t>(s.bands)) {
    s.sums.resize(band_floats * static_cast<std::size_t>(s.bands));
  }
  if (yuv && s.rgb.empty()) s.rgb.resize(static_cast<std::size_t>(s.bands));
  const bool blank = spec_.blank_outside && fov.found();
  const int width = spec_.width_px, height = spec_.height_px;
  const float row_step = static_cast<float>(crop.side_px) / static_cast<float>(height);

  pool_.for_ranges(s.bands, 1, [&](int first_band, int last_band) {
    for (int band = first_band; band < last_band; ++band) {
      float* sums = s.sums.data() + band_floats * static_cast<std::size_t>(band);
      float* levels =
          s.levels.data() + static_cast<std::size_t>(3 * width) * static_cast<std::size_t>(band);
      RgbRows* rgb = yuv ? &s.rgb[static_cast<std::size_t>(band)] : nullptr;
      if (yuv) rgb->start(first_x, last_x, s.rows.stride);
      for (int y = height * band / s.bands; y < height * (band + 1) / s.bands; ++y) {
        const std::size_t i = static_cast<std::size_t>(y);
        const int first_y = s.rows.first[i], count = s.rows.count[i];
        const float* weights = s.rows.weights.data() + i * static_cast<std::size_t>(s.rows.stride);
        float* out = sums + first_x * bytes_per_px;
        if (yuv) {
          rgb->prepare(frame, first_y, count);
          sum_rows([&](int k) { return rgb->row(first_y + k); }, weights, count, length, out);
        } else {
          const std::uint8_t* source =
              frame.data + static_cast<std::ptrdiff_t>(first_y) * frame.row_stride_bytes +
              static_cast<std::ptrdiff_t>(first_x) * bytes_per_px;
          sum_rows([&](int k) { return source + k * frame.row_stride_bytes; }, weights, count,
                   length, out);
        }
        resample_row(sums, s.columns.first.data(), s.columns.count.data(), s.columns.weights.data(),
                     s.columns.stride, bytes_per_px, width, order, levels);
        if (blank) {
          int begin = 0, end = 0;
          visible_columns(fov, crop, width, output_center_px(crop.y_px, y, row_step), &begin, &end);
          for (int c = 0; c < 3; ++c) {
            std::fill(levels + c * width, levels + c * width + begin, 0.0f);
            std::fill(levels + c * width + end, levels + (c + 1) * width, 0.0f);
          }
        }
        emit_row(y, levels);
      }
    }
  });
}

void Preprocessor::run(const FrameView& frame, const SquareCrop& crop, const FieldOfView& fov,
                       float* out) {
  const std::size_t width = static_cast<std::size_t>(spec_.width_px);
  const std::size_t plane = width * static_cast<std::size_t>(spec_.height_px);
  resample(frame, crop, fov, [&](int y, const float* levels) {
    for (std::size_t c = 0; c < 3; ++c) {
      normalise_row(levels + c * width, spec_.width_px, channel_scale(spec_.mean[c], spec_.std[c]),
                    out + c * plane + static_cast<std::size_t>(y) * width);
    }
  });
}

void Preprocessor::run_u8(const FrameView& frame, const SquareCrop& crop, const FieldOfView& fov,
                          std::uint8_t* out) {
  const std::size_t width = static_cast<std::size_t>(spec_.width_px);
  resample(frame, crop, fov, [&](int y, const float* levels) {
    std::uint8_t* row = out + static_cast<std::size_t>(y) * width * 3;
    for (std::size_t x = 0; x < width; ++x) {
      for (std::size_t c = 0; c < 3; ++c) row[x * 3 + c] = round_level(levels[c * width + x]);
    }
  });
}

}  // namespace efiqa
