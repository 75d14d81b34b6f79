#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>

#include "colormap.h"
#include "frame_rows.h"
#include "overlay_ops.h"
#include "pixel_ops.h"
#include "postprocess.h"
#include "status.h"

namespace efiqa {
namespace {

constexpr int kChunkPx = 1024;   // pixels blended at a time: the buffers stay in the L1 cache
constexpr int kRowGrain = 16;    // rows per task: some 20,000 pixels, tens of microseconds
constexpr int kTripleLanes = 4;  // a pixel's three 16-bit values are stored as one 64-bit word

// blend_entry() of each of the 256 steps of probability, a lane per channel.
struct BlendTable {
  std::uint16_t keep[kColormapEntries][kTripleLanes];
  std::uint16_t add[kColormapEntries][kTripleLanes];
};

void make_blend_table(const OverlayOptions& options, BlendTable& table) {
  const auto& colors = colormap_table(options.colormap);
  for (int i = 0; i < kColormapEntries; ++i) {
    const BlendEntry entry = blend_entry(colors[i], i, options.max_alpha);
    const std::uint16_t add[kTripleLanes] = {entry.red, entry.green, entry.blue, 0};
    for (int c = 0; c < kTripleLanes; ++c) {
      table.keep[i][c] = entry.keep;
      table.add[i][c] = add[c];
    }
  }
}

// The values at the cells' centres. About 100 KB with what making them needs, on the stack of the
// calling thread.
struct Grid {
  int width = 0, height = 0;
  std::uint16_t cells[kMaxCells];
};

bool fill_from(const Report& report, Grid& grid) {
  std::uint16_t means[kMaxCells];
  std::uint8_t known[2 * kMaxCells];
  int scratch[kBlockThreads];
  grid.width = report.grid_width;
  grid.height = report.grid_height;
  return center_values(SerialBlock(), grid.width, grid.height, report.map.data(),
                       report.weights.data(), grid.cells, means, known, scratch);
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
  int x = begin;
  for (int cell = cell_before(crop, grid.width, begin); x < end; ++cell) {
    const bool last = cell == grid.width - 1;
    const int stop = last ? end : std::min(end, first_pixel_at(crop, grid.width, cell + 1));
    if (stop <= x) continue;  // cells narrower than a pixel
    const Segment segment = segment_of(crop, grid.width, cell, line[std::max(cell, 0)],
                                       line[std::min(cell + 1, grid.width - 1)]);
    ramp(segment.start + (x - segment.first_px) * segment.step, segment.step, stop - x,
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

}  // namespace

void check_overlay(const FrameView& frame, const Report& report, const OverlayOptions& options,
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

void render_overlay(const FrameView& frame, const Report& report, const OverlayOptions& options,
                    ThreadPool& pool, std::uint8_t* out, std::ptrdiff_t out_stride_bytes) {
  check_overlay(frame, report, options, out, out_stride_bytes);
  BlendTable table;
  make_blend_table(options, table);
  Grid grid;
  const bool has_map = report.fov.found() && fill_from(report, grid);

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
      const GridRows rows = grid_rows(report.crop, grid.height, y);
      for (int x = 0; x < grid.width; ++x) line[x] = line_value(grid.cells, grid.width, rows, x);
      interpolate_row(grid, report.crop, line, span.begin, span.end, indices);
      blend_pixels(table, frame, y, span.begin, indices, count,
                   target + std::ptrdiff_t{3} * span.begin);
    }
  });
}

}  // namespace efiqa
