// One block per tile of a few rows: the colour table and the straight lines of the map's
// interpolation go into shared memory, then each thread blends four pixels at a time, and the
// finished rows are written in pieces of 16 bytes where the output is aligned.
#include <climits>

#include "colormap.h"
#include "cuda_launch.h"
#include "kernel_frame.h"
#include "overlay_cuda.h"
#include "overlay_ops.h"
#include "quad.h"

namespace efiqa {
namespace {

constexpr int kFillThreads = 512;
constexpr int kThreads = 256;
constexpr int kTileRows = 4;
constexpr int kMaxTilePx = 512;  // of a row
constexpr int kTileStepPx = 16;  // tiles begin at multiples: 48 bytes of RGB8, whole 16-byte pieces
constexpr int kPieceBytes = 16;
constexpr int kQuadWords = 3;

struct FillMemory {
  std::uint8_t known[2 * kMaxCells];
  int scratch[kBlockThreads];
};

__global__ void __launch_bounds__(kFillThreads)
    fill_grid_kernel(const float* map, const float* weights, const OverlayGrid grid) {
  __shared__ FillMemory memory;
  const KernelBlock block;
  const bool filled = center_values(block, grid.width, grid.height, map, weights, grid.cells,
                                    grid.means, memory.known, memory.scratch);
  block.once([&] { *grid.filled = filled ? 1 : 0; });
}

struct OverlayWork {
  FrameView geometry;
  const FrameView* frame = nullptr;
  const DeviceField* field = nullptr;
  OverlayGrid grid;
  const Rgb8* colors = nullptr;
  float max_alpha = 0;
  std::uint8_t* out = nullptr;
  std::ptrdiff_t out_stride_bytes = 0;
  YuvScale yuv;
  int tile_px = 0;
};

// BlendEntry in two words, so that red and blue are blended by one multiplication.
struct PackedEntry {
  std::uint32_t keep_green;  // keep, and green << 16
  std::uint32_t red_blue;    // red, and blue << 16
};

// (start + x * step) >> kIndexBits, modulo 2^32, is the colour index of pixel x.
struct PackedSegment {
  std::uint32_t start, step;
};

struct alignas(kPieceBytes) OverlayMemory {
  std::uint32_t pixels[kTileRows][kMaxTilePx / kQuadPx * kQuadWords];
  PackedEntry entries[kColormapEntries];
  PackedSegment segments[kTileRows][kMaxGridCells + 1];
  int ends[kMaxGridCells + 1];                // first pixel of the next segment
  std::uint8_t firsts[kMaxTilePx / kQuadPx];  // segment of each quad's first pixel
};

struct alignas(kPieceBytes) Piece {
  std::uint32_t words[kPieceBytes / 4];
};

EFIQA_HOST_DEVICE PackedEntry pack(const BlendEntry& entry) {
  return {entry.keep | static_cast<std::uint32_t>(entry.green) << 16,
          entry.red | static_cast<std::uint32_t>(entry.blue) << 16};
}

// `red_blue`: red, and blue << 16. Returns red, green << 8, blue << 16.
EFIQA_HOST_DEVICE std::uint32_t blend_pixel(std::uint32_t red_blue, std::uint32_t green,
                                            const PackedEntry& entry) {
  const std::uint32_t keep = entry.keep_green & 0xFFFFu;
  const std::uint32_t both = red_blue * keep + entry.red_blue;
  const std::uint32_t one = green * keep + (entry.keep_green >> 16);
  return (both >> 8 & 0x00FF00FFu) | (one & 0xFF00u);
}

// The four pixels of a quad, each as red, green << 8, blue << 16.
struct QuadColors {
  std::uint32_t rgb[kQuadPx];
};

EFIQA_HOST_DEVICE QuadColors split(const Quad& quad) {
  const std::uint32_t* w = quad.words;
  return {{w[0] & 0xFFFFFFu, pick_bytes(w[0], w[1], 0x7543) & 0xFFFFFFu,
           pick_bytes(w[1], w[2], 0x7432) & 0xFFFFFFu, w[2] >> 8}};
}

EFIQA_HOST_DEVICE Quad join(const QuadColors& colors) {
  const std::uint32_t* c = colors.rgb;
  return {{c[0] | c[1] << 24, c[1] >> 8 | c[2] << 16, c[2] >> 16 | c[3] << 8}};
}

// Bytes [begin, begin + kPieceBytes) of a finished row, less what lies past its end.
EFIQA_HOST_DEVICE void store_piece(const std::uint32_t* row, int begin, int row_bytes,
                                   std::uint8_t* out) {
  const std::uint32_t* words = row + begin / 4;
  std::uint8_t* target = out + begin;
  const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(target);
  if (row_bytes - begin >= kPieceBytes && address % 4 == 0) {
    if (address % kPieceBytes == 0) {
      *reinterpret_cast<Piece*>(target) = *reinterpret_cast<const Piece*>(words);
      return;
    }
    for (int i = 0; i < kPieceBytes / 4; ++i) {
      reinterpret_cast<std::uint32_t*>(target)[i] = words[i];
    }
    return;
  }
  for (int i = 0; i < min_of(kPieceBytes, row_bytes - begin); ++i) {
    target[i] = static_cast<std::uint8_t>(words[i / 4] >> i % 4 * 8);
  }
}

template <PixelFormat kFormat>
__global__ void __launch_bounds__(kThreads) overlay_kernel(const OverlayWork work) {
  const FrameView frame = frame_at(work.geometry, work.frame);
  const FieldOfView& fov = work.field->fov;
  const SquareCrop& crop = work.field->crop;
  const bool has_map = fov.found() && *work.grid.filled != 0;
  const int left = block_x() * work.tile_px, top = block_y() * kTileRows;
  const int width = min_of(work.tile_px, frame.width_px - left);
  const int rows = min_of(kTileRows, frame.height_px - top);
  const int quads = (width + kQuadPx - 1) / kQuadPx;
  const int grid_width = work.grid.width;
  __shared__ OverlayMemory memory;
  const KernelBlock block;

  if (has_map) {
    const int first_cell = cell_before(crop, grid_width, left);
    const int segments = cell_before(crop, grid_width, left + width - 1) - first_cell + 1;
    block.for_each(kColormapEntries + quads + segments * rows, [&](int i) {
      if (i < kColormapEntries) {
        memory.entries[i] = pack(blend_entry(work.colors[i], i, work.max_alpha));
        return;
      }
      i -= kColormapEntries;
      if (i < quads) {
        memory.firsts[i] = static_cast<std::uint8_t>(
            cell_before(crop, grid_width, left + i * kQuadPx) - first_cell);
        return;
      }
      i -= quads;
      const int row = i / segments, n = i % segments, cell = first_cell + n;
      const GridRows between = grid_rows(crop, work.grid.height, top + row);
      const Segment segment = segment_of(
          crop, grid_width, cell, line_value(work.grid.cells, grid_width, between, max_of(cell, 0)),
          line_value(work.grid.cells, grid_width, between, min_of(cell + 1, grid_width - 1)));
      const std::uint32_t step = static_cast<std::uint32_t>(segment.step);
      memory.segments[row][n] = {static_cast<std::uint32_t>(segment.start) -
                                     static_cast<std::uint32_t>(segment.first_px) * step,
                                 step};
      if (row == 0) {
        memory.ends[n] = n + 1 < segments ? first_pixel_at(crop, grid_width, cell + 1) : INT_MAX;
      }
    });
  }
  block.for_each(quads * rows, [&](int i) {
    const int row = i / quads, n = i % quads, x = left + n * kQuadPx;
    Quad quad = load_quad<kFormat>(frame, work.yuv, x, top + row);
    if (has_map) {
      QuadColors colors = split(quad);
      int segment = memory.firsts[n];
      for (int j = 0; j < kQuadPx; ++j) {
        const float at_x = static_cast<float>(x + j) + 0.5f;
        if (!fov.contains(at_x, static_cast<float>(top + row) + 0.5f)) continue;
        while (x + j >= memory.ends[segment]) ++segment;
        const PackedSegment line = memory.segments[row][segment];
        const std::uint32_t index = line.start + static_cast<std::uint32_t>(x + j) * line.step;
        colors.rgb[j] = blend_pixel(colors.rgb[j] & 0xFF00FFu, colors.rgb[j] >> 8 & 0xFFu,
                                    memory.entries[index >> kIndexBits & 0xFFu]);
      }
      quad = join(colors);
    }
    for (int w = 0; w < kQuadWords; ++w) memory.pixels[row][n * kQuadWords + w] = quad.words[w];
  });
  const int pieces = (3 * width + kPieceBytes - 1) / kPieceBytes;
  block.for_each(pieces * rows, [&](int i) {
    const int row = i / pieces;
    std::uint8_t* out = work.out + static_cast<std::ptrdiff_t>(top + row) * work.out_stride_bytes +
                        std::ptrdiff_t{3} * left;
    store_piece(memory.pixels[row], i % pieces * kPieceBytes, 3 * width, out);
  });
}

}  // namespace

void launch_fill_grid(const float* map, const float* weights, const OverlayGrid& grid,
                      Stream stream) {
  launch_blocks(fill_grid_kernel, "fill_grid_kernel", {1, 1}, kFillThreads, stream, map, weights,
                grid);
}

void launch_overlay(const FrameView& geometry, const FrameView* frame, const DeviceField* field,
                    const OverlayGrid& grid, const Rgb8* colors, float max_alpha, std::uint8_t* out,
                    std::ptrdiff_t out_stride_bytes, Stream stream) {
  OverlayWork work;
  work.geometry = geometry;
  work.frame = frame;
  work.field = field;
  work.grid = grid;
  work.colors = colors;
  work.max_alpha = max_alpha;
  work.out = out;
  work.out_stride_bytes = out_stride_bytes;
  work.yuv = yuv_scale(geometry.matrix, geometry.range);
  // Tiles of equal width, so that the last one of a row has as much to do as the others.
  const int tiles = (geometry.width_px + kMaxTilePx - 1) / kMaxTilePx;
  const int steps = (geometry.width_px + kTileStepPx - 1) / kTileStepPx;
  work.tile_px = (steps + tiles - 1) / tiles * kTileStepPx;
  const LaunchSize blocks{(geometry.width_px + work.tile_px - 1) / work.tile_px,
                          (geometry.height_px + kTileRows - 1) / kTileRows};
  for_format(geometry.format, [&](auto format) {
    launch_blocks(overlay_kernel<decltype(format)::value>, "overlay_kernel", blocks, kThreads,
                  stream, work);
  });
}

}  // namespace efiqa
