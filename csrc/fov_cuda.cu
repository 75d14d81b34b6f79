// The search of fov_search.h on the GPU, in three launches: the small images; all that the search
// may ask for, side by side, one block each; the choice among it and what follows from that.
#include "cuda_launch.h"
#include "cuda_util.h"
#include "fov_cuda.h"
#include "fov_search.h"

namespace efiqa {
namespace {

// Blocks of search_kernel: each threshold on each plane, the box, and parts of the samples.
constexpr int kPlanes = 2;  // coarse, fine
constexpr int kRimBlocks = kPlanes * kThresholds;
constexpr int kBoxBlock = kRimBlocks;
constexpr int kSampleParts = 4;
constexpr int kSearchBlocks = kRimBlocks + 1 + kSampleParts;
constexpr int kSearchThreads = 512;

struct FrameShape {
  FrameView frame;  // without addresses
  PlaneSizes sizes;
};

// All that the kernels share. One piece, as it is made once.
struct SearchState {
  std::uint16_t fine[kFineSidePx * kFineSidePx + kPlanePadding];
  std::uint16_t coarse[kCoarseSidePx * kCoarseSidePx + kPlanePadding];
  RimDirections directions;
  Levels levels;
  RimCandidate candidates[kRimBlocks];
  Box box;
  int samples[kSampleParts][kChannels * kLevels];
  SearchBuffers buffers[kRimBlocks + 1];  // of search_kernel's blocks; the first one's again later
};

EFIQA_HOST_DEVICE FrameView view_of(const FrameShape& shape, const FrameView* frame) {
  FrameView view = shape.frame;
  view.data = frame->data;
  view.uv_data = frame->uv_data;
  return view;
}

EFIQA_HOST_DEVICE SearchInput input_of(const FrameShape& shape, const SearchState& state) {
  const PlaneSizes& s = shape.sizes;
  return {Plane{s.fine_width, s.fine_height, s.scale, state.fine},
          Plane{s.coarse_width, s.coarse_height, s.scale * s.factor, state.coarse},
          static_cast<float>(shape.frame.width_px), static_cast<float>(shape.frame.height_px),
          &state.directions};
}

struct ColourSums {
  int sums[kChannels] = {0, 0, 0};

  EFIQA_HOST_DEVICE int brightest() const { return max_of(max_of(sums[0], sums[1]), sums[2]); }
};

// The sums of a square of `side` pixels of kBytes bytes each, of which the first three count.
template <int kBytes>
EFIQA_HOST_DEVICE int brightest_of_bytes(const std::uint8_t* corner, std::ptrdiff_t stride,
                                         int side) {
  constexpr int kUsed = kBytes < kChannels ? kBytes : kChannels;
  ColourSums colours;
  for (int y = 0; y < side; ++y) {
    const std::uint8_t* row = corner + y * stride;
    for (int x = 0; x < side; ++x) {
      for (int c = 0; c < kUsed; ++c) colours.sums[c] += row[x * kBytes + c];
    }
  }
  return colours.brightest();
}

// The same where all rows begin at whole words and `side` is a multiple of 4: four pixels are
// kBytes words.
template <int kBytes>
EFIQA_HOST_DEVICE int brightest_of_words(const std::uint8_t* corner, std::ptrdiff_t stride,
                                         int side) {
  ColourSums colours;
  for (int y = 0; y < side; ++y) {
    const std::uint8_t* row = corner + y * stride;
    for (int x = 0; x < side; x += 4) {
      std::uint32_t words[kBytes];
      for (int w = 0; w < kBytes; ++w) {
        words[w] = *reinterpret_cast<const std::uint32_t*>(row + x * kBytes + w * 4);
      }
      for (int b = 0; b < 4 * kBytes; ++b) {
        if (b % kBytes < kChannels) {
          colours.sums[b % kBytes] += static_cast<int>(words[b / 4] >> (b % 4 * 8) & 255u);
        }
      }
    }
  }
  return colours.brightest();
}

template <int kBytes>
EFIQA_HOST_DEVICE int brightest_sum(const FrameView& frame, int x, int y, int side) {
  const std::uint8_t* corner =
      frame.data + y * frame.row_stride_bytes + static_cast<std::ptrdiff_t>(x) * kBytes;
  const bool whole_words = side % 4 == 0 && frame.row_stride_bytes % 4 == 0 &&
                           reinterpret_cast<std::uintptr_t>(corner) % 4 == 0;
  return whole_words ? brightest_of_words<kBytes>(corner, frame.row_stride_bytes, side)
                     : brightest_of_bytes<kBytes>(corner, frame.row_stride_bytes, side);
}

// The sum over the square of `side` pixels from (x, y) on of its brightest channel.
EFIQA_HOST_DEVICE int brightest_sum(const FrameView& frame, const YuvScale& scale, int x, int y,
                                    int side) {
  if (is_yuv(frame.format)) {
    ColourSums colours;
    for (int v = y; v < y + side; ++v) {
      for (int u = x; u < x + side; ++u) {
        const Rgb8 colour = pixel_at(frame, scale, u, v);
        colours.sums[0] += colour.red;
        colours.sums[1] += colour.green;
        colours.sums[2] += colour.blue;
      }
    }
    return colours.brightest();
  }
  const int bytes = bytes_per_pixel(frame.format);
  if (bytes == 1) return brightest_sum<1>(frame, x, y, side);
  return bytes == 3 ? brightest_sum<3>(frame, x, y, side) : brightest_sum<4>(frame, x, y, side);
}

// Both planes; one thread per coarse pixel and the fine ones below it.
__global__ void planes_kernel(FrameShape shape, const FrameView* frame, SearchState* state) {
  const PlaneSizes& s = shape.sizes;
  const FrameView view = view_of(shape, frame);
  const YuvScale scale = yuv_scale(view.matrix, view.range);
  const float to_value = units_per_sum(s.scale);
  const int tile_x = thread_x(), tile_y = thread_y();
  const auto make_fine = [&](int i, int j) {
    const int x = tile_x * s.factor + i, y = tile_y * s.factor + j;
    if (x >= s.fine_width || y >= s.fine_height) return std::uint16_t{0};
    const int sum = brightest_sum(view, scale, x * s.scale, y * s.scale, s.scale);
    return state->fine[y * s.fine_width + x] = average_value(sum, to_value);
  };
  std::uint16_t value = make_fine(0, 0);
  if (s.factor == 2) {
    const std::uint16_t right = make_fine(1, 0), below = make_fine(0, 1), last = make_fine(1, 1);
    value = halved_value(value, right, below, last);
  }
  if (tile_x < s.coarse_width && tile_y < s.coarse_height) {
    state->coarse[tile_y * s.coarse_width + tile_x] = value;
  }
}

__global__ void __launch_bounds__(kSearchThreads, 1)
    search_kernel(FrameShape shape, const FrameView* frame, SearchState* state) {
  __shared__ union {
    SearchScratch search;
    SampleScratch samples;
  } scratch;
  const KernelBlock block;
  const int role = block_x();
  if (role > kBoxBlock) {
    const int part = role - kBoxBlock - 1;
    count_samples(block, view_of(shape, frame), part, kSampleParts, &scratch.samples,
                  state->samples[part]);
    return;
  }
  const SearchInput input = input_of(shape, *state);
  const Levels levels = estimate_levels(block, input.coarse, &scratch.search.levels);
  SearchBuffers* buffers = &state->buffers[role];
  if (role == kBoxBlock) {
    const Box box = find_box(block, input, levels, buffers, &scratch.search);
    block.once([&] {
      state->box = box;
      state->levels = levels;
    });
    return;
  }
  Plane plane = input.fine;
  if (role < kThresholds) plane = input.coarse;
  const RimCandidate candidate =
      try_threshold(block, input, plane, levels, role % kThresholds, buffers, &scratch.search);
  block.once([&] { state->candidates[role] = candidate; });
}

// What search_kernel has made, as finish_search asks for it.
struct ReadyStages {
  const KernelBlock& block;
  const SearchInput& input;
  const SearchState& state;

  __device__ RimCandidate candidate(const Plane& plane, int i) const {
    const bool coarse = plane.values == input.coarse.values;
    return state.candidates[(coarse ? 0 : kThresholds) + i];
  }
  __device__ Box box() const { return state.box; }
  __device__ void samples(int* counts) const {
    block.for_each(kChannels * kLevels, [&](int i) {
      int sum = 0;
      for (int part = 0; part < kSampleParts; ++part) sum += state.samples[part][i];
      counts[i] = sum;
    });
  }
};

__global__ void __launch_bounds__(kSearchThreads, 1)
    finish_kernel(FrameShape shape, SearchState* state, DeviceField* field) {
  __shared__ FinishScratch scratch;
  const KernelBlock block;
  const SearchInput input = input_of(shape, *state);
  ReadyStages stages{block, input, *state};
  const FieldOfView fov =
      finish_search(block, input, state->levels, stages, &state->buffers[0], &scratch);
  block.once([&] { *field = DeviceField{fov, square_crop(fov)}; });
}

}  // namespace

struct DeviceFovFinder::Buffers {
  DeviceBuffer<SearchState> state{1};
};

DeviceFovFinder::DeviceFovFinder() : buffers_(std::make_unique<Buffers>()) {
  const RimDirections directions = make_rim_directions();
  check_cuda(cudaMemcpy(&buffers_->state.data()->directions, &directions, sizeof(directions),
                        cudaMemcpyHostToDevice),
             "cudaMemcpy of the rim's directions");
}
DeviceFovFinder::~DeviceFovFinder() = default;

void DeviceFovFinder::enqueue(const FrameView& geometry, const FrameView* frame, DeviceField* field,
                              Stream stream) {
  const FrameShape shape{geometry, plane_sizes(geometry)};
  const PlaneSizes& s = shape.sizes;
  SearchState* state = buffers_->state.data();
  const LaunchSize tiles{(s.fine_width + s.factor - 1) / s.factor,
                         (s.fine_height + s.factor - 1) / s.factor};
  launch_threads(planes_kernel, "planes_kernel", tiles, {32, 4}, stream, shape, frame, state);
  launch_blocks(search_kernel, "search_kernel", {kSearchBlocks, 1}, kSearchThreads, stream, shape,
                frame, state);
  launch_blocks(finish_kernel, "finish_kernel", {1, 1}, kSearchThreads, stream, shape, state,
                field);
}

}  // namespace efiqa
