#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>

#include "colormap.h"
#include "frame_rows.h"
#include "pixel_ops.h"
#include "postprocess.h"
#include "status.h"

namespace efiqa {
namespace {

constexpr int kMaxCells = kMaxGridCells * kMaxGridCells;
constexpr int kChunkPx = 1024;        // pixels blended at a time: the buffers stay in the L1 cache
constexpr int kRowGrain = 16;         // rows per task: some 20,000 pixels, tens of microseconds
constexpr int kOpaque = 256;          // opacity 1 in fixed point
constexpr int kCellScale = 255 << 8;  // probability 1 as a cell's fixed-point value
constexpr int kIndexBits = 16;        // fraction bits of a colour index along a row
constexpr int kTripleLanes = 4;       // a pixel's three 16-bit values are stored as one 64-bit word

// What blending needs for each of the 256 steps of probability:
// out = (frame * keep + add) >> 8, with add = color * opacity and the rounding already in it.
struct BlendTable {
  std::uint16_t keep[kColormapEntries][kTripleLanes];
  std::uint16_t add[kColormapEntries][kTripleLanes];
};

void make_blend_table(const OverlayOptions& options, BlendTable& table) {
  const auto& colors = colormap_table(options.colormap);
  for (int i = 0; i < kColormapEntries; ++i) {
    const float opacity = options.max_alpha * static_cast<float>(i) / 255.0f;
    const int alpha = static_cast<int>(std::lround(kOpaque * opacity));
    const int color[kTripleLanes] = {colors[i].red, colors[i].green, colors[i].blue, 0};
    for (int c = 0; c < kTripleLanes; ++c) {
      table.keep[i][c] = static_cast<std::uint16_t>(kOpaque - alpha);
      table.add[i][c] = static_cast<std::uint16_t>(color[c] * alpha + kOpaque / 2);
    }
  }
}

// The map in fixed point, without holes. About 50 KB, on the stack of the calling thread.
struct Grid {
  int width = 0, height = 0;
  std::uint16_t cells[kMaxCells];

  std::uint16_t at(int x, int y) const { return cells[y * width + x]; }
};

// Cells outside the field of view take the mean of their neighbours that have a value, ring by
// ring, so that interpolation near the rim sees nothing but the map. False: no cell has a value.
bool fill_grid(const Report& report, Grid& grid) {
  constexpr std::uint8_t kEmpty = 0, kFilled = 1, kNew = 2;
  std::uint8_t state[kMaxCells];
  grid.width = report.grid_width;
  grid.height = report.grid_height;
  const int count = grid.width * grid.height;
  int filled = 0;
  for (int i = 0; i < count; ++i) {
    const float p = report.map[i];
    const bool valid = report.weights[i] > 0 && p >= 0 && p <= 1;  // false for NaN
    state[i] = valid ? kFilled : kEmpty;
    grid.cells[i] = valid ? static_cast<std::uint16_t>(std::lround(p * kCellScale)) : 0;
    filled += valid;
  }
  if (filled == 0) return false;
  while (filled < count) {
    for (int y = 0; y < grid.height; ++y) {
      for (int x = 0; x < grid.width; ++x) {
        const int cell = y * grid.width + x;
        if (state[cell] != kEmpty) continue;
        int sum = 0, neighbours = 0;
        for (int ny = std::max(y - 1, 0); ny <= std::min(y + 1, grid.height - 1); ++ny) {
          for (int nx = std::max(x - 1, 0); nx <= std::min(x + 1, grid.width - 1); ++nx) {
            if (state[ny * grid.width + nx] != kFilled) continue;
            sum += grid.at(nx, ny);
            ++neighbours;
          }
        }
        if (neighbours == 0) continue;
        grid.cells[cell] = static_cast<std::uint16_t>(sum / neighbours);
        state[cell] = kNew;
        ++filled;
      }
    }
    for (int i = 0; i < count; ++i) state[i] = state[i] == kEmpty ? kEmpty : kFilled;
  }
  return true;
}

// First pixel whose centre is at or right of (below) the centre of `cell`.
int first_pixel_at(int cell, int origin_px, int side_px, int cells) {
  return static_cast<int>(std::ceil((cell + 0.5) * side_px / cells + origin_px - 0.5));
}

// One row of the grid, interpolated between its neighbours above and below; index << kIndexBits.
void interpolate_line(const Grid& grid, const SquareCrop& crop, int y_px, std::int32_t* line) {
  const double position = (y_px + 0.5 - crop.y_px) * grid.height / crop.side_px - 0.5;
  const double clamped = std::clamp(position, 0.0, grid.height - 1.0);
  const int above = static_cast<int>(clamped);
  const int below = std::min(above + 1, grid.height - 1);
  const std::int64_t fraction = std::lround((clamped - above) * 65536);
  for (int x = 0; x < grid.width; ++x) {
    line[x] = static_cast<std::int32_t>(
        (grid.at(x, above) * (65536 - fraction) + grid.at(x, below) * fraction) >> 8);
  }
}

EFIQA_CLONES
void ramp(std::int32_t start, std::int32_t step, int count, std::uint8_t* out) {
  for (int i = 0; i < count; ++i) {
    out[i] = static_cast<std::uint8_t>((start + i * step) >> kIndexBits);
  }
}

// indices[x - begin] = colour index of pixel x of the row, begin <= x < end. Between two cell
// centres the index is a straight line, so no pixel has to look anything up.
void interpolate_row(const Grid& grid, const SquareCrop& crop, const std::int32_t* line, int begin,
                     int end, std::uint8_t* indices) {
  constexpr std::int32_t kHalf = 1 << (kIndexBits - 1);
  const double cells_per_px = static_cast<double>(grid.width) / crop.side_px;
  int x = begin;
  for (int cell = -1; cell < grid.width && x < end; ++cell) {
    const bool last = cell == grid.width - 1;
    const int stop =
        last ? end : std::min(end, first_pixel_at(cell + 1, crop.x_px, crop.side_px, grid.width));
    if (stop <= x) continue;
    const std::int32_t from = line[std::max(cell, 0)];
    const double slope = cell < 0 || last ? 0.0 : (line[cell + 1] - from) * cells_per_px;
    const double offset_px = x + 0.5 - crop.x_px - (cell + 0.5) / cells_per_px;
    const std::int32_t start = from + static_cast<std::int32_t>(std::lround(slope * offset_px));
    ramp(start + kHalf, static_cast<std::int32_t>(std::lround(slope)), stop - x,
         indices + (x - begin));
    x = stop;
  }
}

EFIQA_CLONES
void blend(const std::uint8_t* rgb, const std::uint16_t* keep, const std::uint16_t* add, int count,
           std::uint8_t* out) {
  for (int i = 0; i < count; ++i) {
    out[i] = static_cast<std::uint8_t>(static_cast<std::uint16_t>(rgb[i] * keep[i] + add[i]) >> 8);
  }
}

// Pixels x, x + 1, ... of row y.
void blend_pixels(const BlendTable& table, const FrameView& frame, int y, int x,
                  const std::uint8_t* indices, int count, std::uint8_t* out) {
  std::uint8_t rgb[3 * kChunkPx];
  // One pixel's words overlap the next one's, hence the spare lanes at the end.
  std::uint16_t keep[3 * kChunkPx + kTripleLanes], add[3 * kChunkPx + kTripleLanes];
  for (int begin = 0; begin < count; begin += kChunkPx) {
    const int n = std::min(kChunkPx, count - begin);
    for (int i = 0; i < n; ++i) {
      const int index = indices[begin + i];
      std::memcpy(keep + 3 * i, table.keep[index], sizeof(table.keep[index]));
      std::memcpy(add + 3 * i, table.add[index], sizeof(table.add[index]));
    }
    const std::uint8_t* pixels = rgb;
    if (frame.format == PixelFormat::kRgb8) {
      pixels = frame.data + y * frame.row_stride_bytes + std::ptrdiff_t{3} * (x + begin);
    } else {
      unpack_rgb(frame, x + begin, y, n, rgb);
    }
    blend(pixels, keep, add, 3 * n, out + 3 * begin);
  }
}

struct Span {
  int begin = 0, end = 0;
};

// The pixels of row y whose centres are visible: exactly those that FieldOfView::contains says.
Span visible_span(const FieldOfView& fov, int y_px, int width_px) {
  const float y = static_cast<float>(y_px) + 0.5f;
  const auto visible = [&](int x) { return fov.contains(static_cast<float>(x) + 0.5f, y); };
  const double dy = static_cast<double>(y) - fov.center_y_px;
  const double half =
      std::sqrt(std::max(0.0, static_cast<double>(fov.radius_px) * fov.radius_px - dy * dy));
  const auto to_pixel = [&](double x) {
    return static_cast<int>(std::clamp(std::floor(x), 0.0, static_cast<double>(width_px)));
  };
  // One pixel too far on either side, then back to the first that is visible.
  Span span{to_pixel(std::max<double>(fov.left_px, fov.center_x_px - half) - 1),
            to_pixel(std::min<double>(fov.right_px, fov.center_x_px + half) + 2)};
  while (span.begin < span.end && !visible(span.begin)) ++span.begin;
  while (span.begin < span.end && !visible(span.end - 1)) --span.end;
  return span;
}

void check_arguments(const FrameView& frame, const Report& report, const OverlayOptions& options,
                     const std::uint8_t* out, std::ptrdiff_t out_stride_bytes) {
  const auto refuse = [](const std::string& message) {
    throw Error(StatusCode::kInvalidArgument, message);
  };
  validate_frame(frame);
  if (frame.width_px != report.frame_width_px || frame.height_px != report.frame_height_px) {
    refuse("the report is of a frame of " + std::to_string(report.frame_width_px) + " x " +
           std::to_string(report.frame_height_px) + " pixels, this frame has " +
           std::to_string(frame.width_px) + " x " + std::to_string(frame.height_px) +
           "; pass the frame that was assessed");
  }
  if (!(options.max_alpha >= 0 && options.max_alpha <= 1)) {
    refuse("max_alpha is " + std::to_string(options.max_alpha) + ", expected 0 to 1");
  }
  if (out == nullptr) refuse("out is null, expected a buffer for the overlay");
  if (out_stride_bytes < std::ptrdiff_t{3} * frame.width_px) {
    refuse("out_stride_bytes is " + std::to_string(out_stride_bytes) + ", expected at least " +
           std::to_string(3 * frame.width_px));
  }
  if (!report.fov.found()) return;
  const int width = report.grid_width, height = report.grid_height;
  const bool sizes_fit = width >= 1 && width <= kMaxGridCells && height >= 1 &&
                         height <= kMaxGridCells && report.crop.side_px >= 1;
  const std::size_t cells = sizes_fit ? static_cast<std::size_t>(width) * height : 0;
  if (!sizes_fit || report.map.size() != cells || report.weights.size() != cells) {
    refuse("the report has no complete map; pass a report that assess filled");
  }
}

}  // namespace

void render_overlay(const FrameView& frame, const Report& report, const OverlayOptions& options,
                    ThreadPool& pool, std::uint8_t* out, std::ptrdiff_t out_stride_bytes) {
  check_arguments(frame, report, options, out, out_stride_bytes);
  BlendTable table;
  make_blend_table(options, table);
  Grid grid;
  const bool has_map = report.fov.found() && fill_grid(report, grid);

  pool.for_ranges(frame.height_px, kRowGrain, [&](int first_row, int end_row) {
    std::int32_t line[kMaxGridCells];
    std::uint8_t indices[kMaxSidePx];
    for (int y = first_row; y < end_row; ++y) {
      std::uint8_t* target = out + y * out_stride_bytes;
      const Span span = has_map ? visible_span(report.fov, y, frame.width_px) : Span();
      const int count = span.end - span.begin;
      unpack_rgb(frame, 0, y, span.begin, target);
      unpack_rgb(frame, span.end, y, frame.width_px - span.end,
                 target + std::ptrdiff_t{3} * span.end);
      if (count == 0) continue;
      interpolate_line(grid, report.crop, y, line);
      interpolate_row(grid, report.crop, line, span.begin, span.end, indices);
      blend_pixels(table, frame, y, span.begin, indices, count,
                   target + std::ptrdiff_t{3} * span.begin);
    }
  });
}

}  // namespace efiqa
