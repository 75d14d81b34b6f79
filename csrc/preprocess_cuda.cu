// Crop, antialiased resize, colour, blank outside and normalise in one kernel: one block per tile
// of the output. The vertical pass reads the frame once from far memory, as neighbouring rows of a
// tile find it in the cache, and leaves its sums in shared memory; the horizontal pass takes them
// from there. Sums are added in the CPU's order and without fused multiply-add, so that the result
// is the CPU's to the bit.
#include "cuda_launch.h"
#include "kernel_frame.h"
#include "preprocess_cuda.h"
#include "quad.h"
#include "resize_taps.h"

namespace efiqa {
namespace {

constexpr int kThreads = 192;  // 24 quads x 8 rows: a tile at a scale of 2.8
constexpr int kMaxTileWidthBits = 5, kMaxTileHeightBits = 3;  // of 32 x 8 pixels of the output
constexpr int kTileFloats = 4096;  // vertical sums of one chunk of source columns, three a pixel
constexpr int kTapFloats = 1024;   // weights of a tile's columns, and of its rows
constexpr int kMinBlocks = 256;    // fewer leave parts of a large GPU idle
constexpr int kQuadFloats = 3 * kQuadPx;
constexpr int kUnroll = 4;  // rows whose loads are under way at once; the order of the sums

struct PreprocessWork {
  FrameView geometry;
  const FrameView* frame = nullptr;
  const DeviceField* field = nullptr;
  float* out = nullptr;  // (3, height, width)
  int width = 0, height = 0;
  ResizeFilter filter = ResizeFilter::kTriangle;
  bool blank_outside = false;
  YuvScale yuv;
  ChannelScale channels[3];
  int tile_width_bits = 0, tile_height_bits = 0;
};

struct Tile {
  int x = 0, y = 0, width_bits = 0, height_bits = 0;

  EFIQA_HOST_DEVICE int pixels() const { return 1 << (width_bits + height_bits); }
  EFIQA_HOST_DEVICE int column(int pixel) const { return pixel & ((1 << width_bits) - 1); }
  EFIQA_HOST_DEVICE int row(int pixel) const { return pixel >> width_bits; }
};

// What a block keeps in shared memory.
struct alignas(16) TileMemory {
  float sums[kTileFloats];
  float levels[3 << (kMaxTileWidthBits + kMaxTileHeightBits)];
  float column_weights[kTapFloats], row_weights[kTapFloats];
  TapRange columns[1 << kMaxTileWidthBits], rows[1 << kMaxTileHeightBits];
};

struct alignas(16) FourFloats {
  float values[4];
};

// The sums over a tile row's source rows of the twelve values of the quad at x.
template <PixelFormat kFormat>
EFIQA_HOST_DEVICE void sum_quad(const FrameView& frame, const YuvScale& yuv, int x,
                                const TapRange& rows, const float* weights, FourFloats (&sums)[3]) {
  for (FourFloats& four : sums) four = {{0, 0, 0, 0}};
  for (int k = 0; k < rows.count; k += kUnroll) {
    Quad quads[kUnroll];
    float weight[kUnroll];
    for (int j = 0; j < kUnroll; ++j) {
      // Past the last row: weight 0, which adds exactly nothing.
      const bool there = k + j < rows.count;
      weight[j] = there ? weights[k + j] : 0.0f;
      if (there) quads[j] = load_quad<kFormat>(frame, yuv, x, rows.first + k + j);
    }
    for (int i = 0; i < kQuadFloats; ++i) {
      const auto term = [&](int j) { return weight[j] * byte_value(quads[j].words[i / 4], i % 4); };
      sums[i / 4].values[i % 4] += (term(0) + term(1)) + (term(2) + term(3));
    }
  }
}

template <PixelFormat kFormat>
__global__ void __launch_bounds__(kThreads, is_yuv(kFormat) ? 4 : 5)
    preprocess_kernel(const PreprocessWork work) {
  const FieldOfView& fov = work.field->fov;  // read again at the end: registers are dear
  if (!fov.found()) return;
  const SquareCrop& crop = work.field->crop;
  const FrameView frame = frame_at(work.geometry, work.frame);
  const Tile tile{block_x() << work.tile_width_bits, block_y() << work.tile_height_bits,
                  work.tile_width_bits, work.tile_height_bits};
  const int tile_width = min_of(1 << tile.width_bits, work.width - tile.x);
  const int tile_height = min_of(1 << tile.height_bits, work.height - tile.y);
  const ResizeAxis across{work.filter, crop.x_px, crop.side_px, frame.width_px, work.width};
  const ResizeAxis down{work.filter, crop.y_px, crop.side_px, frame.height_px, work.height};
  const int column_taps = max_taps(across), row_taps = max_taps(down);
  __shared__ TileMemory memory;
  const KernelBlock block;

  block.for_each(tile_width + tile_height, [&](int i) {
    if (i < tile_width) {
      memory.columns[i] = tap_range(across, tile.x + i);
    } else {
      memory.rows[i - tile_width] = tap_range(down, tile.y + i - tile_width);
    }
  });
  const int column_weights = tile_width * column_taps;
  block.for_each(column_weights + tile_height * row_taps, [&](int i) {
    const bool is_column = i < column_weights;
    const int n = is_column ? i : i - column_weights;
    const int taps = is_column ? column_taps : row_taps;
    const int pixel = n / taps, k = n % taps;
    const TapRange& range = is_column ? memory.columns[pixel] : memory.rows[pixel];
    if (k >= range.count) return;
    (is_column ? memory.column_weights : memory.row_weights)[n] =
        tap_weight(is_column ? across : down, (is_column ? tile.x : tile.y) + pixel, range, k);
  });

  // Source columns in chunks that fit; nearly always it is one.
  const int pitch = kTileFloats >> tile.height_bits;
  const int chunk_px = pitch / kQuadFloats * kQuadPx;
  const TapRange& last_column = memory.columns[tile_width - 1];
  const int source_end = last_column.first + last_column.count;
  const float step_x = static_cast<float>(crop.side_px) / static_cast<float>(work.width);
  const float step_y = static_cast<float>(crop.side_px) / static_cast<float>(work.height);
  const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(work.width) * work.height;
  const int source_begin = memory.columns[0].first / kQuadPx * kQuadPx;
  for (int begin = source_begin, end; begin == source_begin || begin < source_end; begin = end) {
    end = begin + chunk_px;
    const int quads = (max_of(min_of(end, source_end) - begin, 0) + kQuadPx - 1) / kQuadPx;
    block.for_each(quads * tile_height, [&](int i) {
      const int row = i / quads, quad = i % quads;
      FourFloats sums[3];
      sum_quad<kFormat>(frame, work.yuv, begin + quad * kQuadPx, memory.rows[row],
                        memory.row_weights + row * row_taps, sums);
      FourFloats* place =
          reinterpret_cast<FourFloats*>(memory.sums + row * pitch + quad * kQuadFloats);
      for (int n = 0; n < 3; ++n) place[n] = sums[n];
    });
    block.for_each(tile.pixels(), [&](int i) {
      const int column = tile.column(i), row = tile.row(i);
      if (column >= tile_width || row >= tile_height) return;
      const TapRange& range = memory.columns[column];
      float* levels = memory.levels + 3 * i;
      float level[3] = {0, 0, 0};
      if (begin != source_begin) {
        for (int c = 0; c < 3; ++c) level[c] = levels[c];
      }
      const float* weights = memory.column_weights + column * column_taps;
      const float* sums = memory.sums + row * pitch;
      const int last = min_of(range.first + range.count, end);
      for (int x = max_of(range.first, begin); x < last; ++x) {
        const float weight = weights[x - range.first];
        for (int c = 0; c < 3; ++c) level[c] += weight * sums[3 * (x - begin) + c];
      }
      if (end < source_end) {
        for (int c = 0; c < 3; ++c) levels[c] = level[c];
        return;
      }
      const int x = tile.x + column, y = tile.y + row;
      const bool blank =
          work.blank_outside && !fov.contains(output_center_px(crop.x_px, x, step_x),
                                              output_center_px(crop.y_px, y, step_y));
      float* out = work.out + static_cast<std::ptrdiff_t>(y) * work.width + x;
      for (int c = 0; c < 3; ++c) {
        out[c * plane] = normalise(blank ? 0.0f : level[c], work.channels[c]);
      }
    });
  }
}

// Tiles as large as the weights fit for any crop of the frame, but small enough to be many.
void choose_tiles(PreprocessWork& work) {
  const int side = max_of(work.geometry.width_px, work.geometry.height_px);
  const auto largest = [&](int bits, int out_side) {
    const int taps = max_taps({work.filter, 0, side, side, out_side});
    while (bits > 0 && taps << bits > kTapFloats) --bits;
    return bits;
  };
  const auto tiles = [](int pixels, int bits) { return (pixels + (1 << bits) - 1) >> bits; };
  int& width_bits = work.tile_width_bits;
  int& height_bits = work.tile_height_bits;
  width_bits = largest(kMaxTileWidthBits, work.width);
  height_bits = largest(kMaxTileHeightBits, work.height);
  const auto too_few = [&] {
    return tiles(work.width, width_bits) * tiles(work.height, height_bits) < kMinBlocks;
  };
  while (height_bits > 0 && too_few()) --height_bits;
  while (width_bits > 3 && too_few()) --width_bits;
}

}  // namespace

void launch_preprocess(const FrameView& geometry, const FrameView* frame, const DeviceField* field,
                       const PreprocessSpec& spec, float* out, Stream stream) {
  PreprocessWork work;
  work.geometry = geometry;
  work.frame = frame;
  work.field = field;
  work.out = out;
  work.width = spec.width_px;
  work.height = spec.height_px;
  work.filter = spec.filter;
  work.blank_outside = spec.blank_outside;
  work.yuv = yuv_scale(geometry.matrix, geometry.range);
  for (int c = 0; c < 3; ++c) work.channels[c] = channel_scale(spec.mean[c], spec.std[c]);
  choose_tiles(work);
  const LaunchSize blocks{
      (work.width + (1 << work.tile_width_bits) - 1) >> work.tile_width_bits,
      (work.height + (1 << work.tile_height_bits) - 1) >> work.tile_height_bits};
  for_format(geometry.format, [&](auto format) {
    launch_blocks(preprocess_kernel<decltype(format)::value>, "preprocess_kernel", blocks, kThreads,
                  stream, work);
  });
}

}  // namespace efiqa
