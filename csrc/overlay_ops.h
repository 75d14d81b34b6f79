// Arithmetic of the overlay, for CPU and GPU: the map in fixed point, interpolated in whole numbers
// and colours blended likewise, so that both give the same bytes. The map's values are means over
// cells; between the cells' centres the overlay is bilinear, of values there that keep these means.
#pragma once

#include <cmath>
#include <cstdint>

#include "block.h"
#include "contract.h"
#include "fov.h"
#include "pixel_ops.h"
#include "small_math.h"

namespace efiqa {

constexpr int kMaxCells = kMaxGridCells * kMaxGridCells;
constexpr int kCellScale = 255 << 8;  // probability 1 as a cell's fixed-point value
constexpr int kIndexBits = 16;        // fraction bits of a colour index along a row
constexpr int kIndexHalf = 1 << (kIndexBits - 1);
constexpr int kOpaque = 256;  // opacity 1 in fixed point

// What blending needs for one step of probability: (level * keep + add) >> 8 for each channel, with
// the colour's share and the rounding in `add`. At most 65,535 before the shift.
struct BlendEntry {
  std::uint16_t keep, red, green, blue;
};

EFIQA_HOST_DEVICE inline BlendEntry blend_entry(Rgb8 color, int index, float max_alpha) {
  const float opacity = max_alpha * static_cast<float>(index) / 255.0f;
  const int alpha = static_cast<int>(std::lround(kOpaque * opacity));
  const auto add = [alpha](int level) {
    return static_cast<std::uint16_t>(level * alpha + kOpaque / 2);
  };
  return {static_cast<std::uint16_t>(kOpaque - alpha), add(color.red), add(color.green),
          add(color.blue)};
}

// The map in fixed point, the `means` of its cells, without holes: cells outside the field of view
// take the mean of their neighbours that have a value, ring by ring, so that interpolation near the
// rim sees nothing but the map. False: no cell has a value. `known`: two bytes per cell; `scratch`:
// kBlockThreads values.
template <typename Block>
EFIQA_HOST_DEVICE bool fill_grid(const Block& block, int width, int height, const float* map,
                                 const float* weights, std::uint16_t* means, std::uint8_t* known,
                                 int* scratch) {
  const int count = width * height;
  std::uint8_t* known_next = known + count;  // so that no cell is read while it is written
  block.for_each(count, [&](int i) {
    const float p = map[i];
    const bool valid = weights[i] > 0 && p >= 0 && p <= 1;  // false for NaN
    known[i] = known_next[i] = valid ? 1 : 0;
    means[i] = valid ? static_cast<std::uint16_t>(std::lround(p * kCellScale)) : 0;
  });
  const auto count_unknown = [&] {
    return block.reduce(
        count, 0, [&](int i) { return 1 - known[i]; }, [](int a, int b) { return a + b; }, scratch);
  };
  int unknown = count_unknown();
  if (unknown == count) return false;
  for (; unknown > 0; unknown = count_unknown()) {
    block.for_each(count, [&](int cell) {
      if (known[cell] != 0) return;
      const int x = cell % width, y = cell / width;
      int sum = 0, neighbours = 0;
      for (int ny = max_of(y - 1, 0); ny <= min_of(y + 1, height - 1); ++ny) {
        for (int nx = max_of(x - 1, 0); nx <= min_of(x + 1, width - 1); ++nx) {
          if (known[ny * width + nx] == 0) continue;
          sum += means[ny * width + nx];
          ++neighbours;
        }
      }
      if (neighbours == 0) return;
      means[cell] = static_cast<std::uint16_t>(sum / neighbours);
      known_next[cell] = 1;
    });
    block.for_each(count, [&](int i) { known[i] = known_next[i]; });
  }
  return true;
}

// The value at the centre of a cell: its mean, and what a bilinear interpolation of the means would
// lack of it (one step of van Cittert's deconvolution). A defect of a cell or two would be drawn
// too small and too faint without. A bilinear interpolation's mean over a cell is 6/8 of the cell's
// own value and 1/8 of each neighbour's, along both axes; behind the last centre it is constant.
EFIQA_HOST_DEVICE inline std::uint16_t center_value(const std::uint16_t* means, int width,
                                                    int height, int cell) {
  const int x = cell % width, y = cell / width;
  const int left = max_of(x - 1, 0), right = min_of(x + 1, width - 1);
  const auto along_row = [&](int row) {
    const std::uint16_t* of_row = means + row * width;
    return of_row[left] + 6 * of_row[x] + of_row[right];
  };
  const int interpolated = along_row(max_of(y - 1, 0)) + 6 * along_row(y) +
                           along_row(min_of(y + 1, height - 1));  // 64 times its mean
  const int value = (2 * 64 * means[cell] - interpolated) / 64;
  return static_cast<std::uint16_t>(clamp_to(value, 0, kCellScale));
}

// The values at the centres of the map's cells in fixed point, `cells` of it. False: no cell of the
// map has a value. `means`: as many; `known` and `scratch`: as fill_grid() takes them.
template <typename Block>
EFIQA_HOST_DEVICE bool center_values(const Block& block, int width, int height, const float* map,
                                     const float* weights, std::uint16_t* cells,
                                     std::uint16_t* means, std::uint8_t* known, int* scratch) {
  if (!fill_grid(block, width, height, map, weights, means, known, scratch)) return false;
  block.for_each(width * height, [&](int i) { cells[i] = center_value(means, width, height, i); });
  return true;
}

// numerator / denominator, rounded to the nearest, halves away from 0. The numerators here are
// below 2^33 and the denominators below 2^17: the quotient in double is exact to far less than its
// distance from any half.
EFIQA_HOST_DEVICE inline std::int32_t rounded_ratio(std::int64_t numerator, int denominator) {
  return static_cast<std::int32_t>(
      std::lround(static_cast<double>(numerator) / static_cast<double>(denominator)));
}

// The grid rows that pixel row y lies between.
struct GridRows {
  int above, below;
  int fraction;  // of `below`, 0..65536
};

EFIQA_HOST_DEVICE inline GridRows grid_rows(const SquareCrop& crop, int grid_height, int y_px) {
  // Position of the pixel's centre from the centre of the first grid row, in 1 / (2 side) rows.
  const int unit = 2 * crop.side_px;
  const int position = clamp_to((2 * (y_px - crop.y_px) + 1) * grid_height - crop.side_px, 0,
                                (grid_height - 1) * unit);
  const int above = position / unit;
  return {above, min_of(above + 1, grid_height - 1),
          rounded_ratio(static_cast<std::int64_t>(position % unit) * 65536, unit)};
}

// Column `x` of the grid between two of its rows; a colour index with kIndexBits of fraction.
EFIQA_HOST_DEVICE inline std::int32_t line_value(const std::uint16_t* cells, int grid_width,
                                                 const GridRows& rows, int x) {
  const std::int64_t above = cells[rows.above * grid_width + x];
  const std::int64_t below = cells[rows.below * grid_width + x];
  return static_cast<std::int32_t>((above * (65536 - rows.fraction) + below * rows.fraction) >> 8);
}

// First pixel whose centre is at or right of the centre of grid column `cell`.
EFIQA_HOST_DEVICE inline int first_pixel_at(const SquareCrop& crop, int grid_width, int cell) {
  const int position = (2 * cell + 1) * crop.side_px - grid_width, unit = 2 * grid_width;
  return crop.x_px + (position > 0 ? (position - 1) / unit + 1 : position / unit);
}

// The grid column whose centre is the last one at or left of that of pixel x; -1: none.
EFIQA_HOST_DEVICE inline int cell_before(const SquareCrop& crop, int grid_width, int x_px) {
  const int position = (2 * (x_px - crop.x_px) + 1) * grid_width - crop.side_px;
  return position < 0 ? -1 : min_of(position / (2 * crop.side_px), grid_width - 1);
}

// The pixels of a row from the centre of grid column `cell` to that of the next one: their colour
// index is a straight line, (start + (x - first_px) * step) >> kIndexBits. Before the first centre
// (cell -1) and behind the last one it is constant.
struct Segment {
  int first_px;
  std::int32_t start, step;  // `start` has the rounding in it
};

EFIQA_HOST_DEVICE inline Segment segment_of(const SquareCrop& crop, int grid_width, int cell,
                                            std::int32_t from, std::int32_t to) {
  if (cell < 0 || cell == grid_width - 1) return {0, from + kIndexHalf, 0};
  const int first_px = first_pixel_at(crop, grid_width, cell);
  const std::int64_t rise = to - from;
  const int offset = (2 * (first_px - crop.x_px) + 1) * grid_width - (2 * cell + 1) * crop.side_px;
  return {first_px, from + kIndexHalf + rounded_ratio(rise * offset, 2 * crop.side_px),
          rounded_ratio(rise * grid_width, crop.side_px)};
}

}  // namespace efiqa
