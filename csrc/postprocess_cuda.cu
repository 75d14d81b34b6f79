// Logits to map, sums and regions in one block; the host makes the report of them (grid_report.h),
// as it does on the CPU.
#include <algorithm>
#include <climits>

#include "colormap.h"
#include "cuda_launch.h"
#include "cuda_util.h"
#include "grid_ops.h"
#include "grid_report.h"
#include "overlay_cuda.h"
#include "postprocess_cuda.h"

namespace efiqa {
namespace {

constexpr int kMaxThreads = 512;  // 128 registers each: double precision needs them
// A circle crosses each line of the grid at most twice, so it cuts fewer cells than this.
constexpr int kMaxRimCells = 1024;
constexpr int kColormaps = 4;

// Goes to the host as it is, with map, weights and landmarks behind it.
struct GridResult {
  DeviceField field;
  int bad_index;  // of the first value of the output that is not finite; INT_MAX: none
  float bad_logit;
  GridSums sums;
  int component_count;
  Component components[kMaxRegions];  // largest first
};

struct GridWork {
  const float* logits = nullptr;
  const float* not_a_fundus = nullptr;  // the channel in `logits`; null: there is none
  const DeviceField* field = nullptr;
  int width = 0, height = 0, channels = 0;
  Calibration calibration;
  float region_threshold = 0;
  GridResult* result = nullptr;
  float* map = nullptr;
  float* weights = nullptr;
  float* strengths = nullptr;              // null: the model has no such channels
  const float* landmark_logits = nullptr;  // the first of `landmark_count` channels in `logits`
  float* landmarks = nullptr;
  int landmark_count = 0;
  ComponentScratch components;
};

struct GridMemory {
  GridSums lanes[kSumLanes];
  int rim_cells[kMaxRimCells];
  int rim_count, bad_index;
};

// Cells that the rim cuts cost a hundred times the others: they are collected first, so that they
// share warps.
template <typename Block>
EFIQA_HOST_DEVICE void weigh_cells(const Block& block, const CropGrid& grid, GridMemory& memory,
                                   float* weights) {
  block.once([&] { memory.rim_count = 0; });
  block.for_each(grid.width * grid.height, [&](int cell) {
    const CellShare share = simple_share(grid, cell);
    weights[cell] = share.weight;
    if (share.rim) memory.rim_cells[atomic_add(&memory.rim_count, 1)] = cell;
  });
  block.for_each(memory.rim_count, [&](int i) {
    const int cell = memory.rim_cells[i];
    weights[cell] = rim_weight(grid, cell);
  });
}

__global__ void __launch_bounds__(kMaxThreads, 1) grid_kernel(const GridWork work) {
  __shared__ GridMemory memory;
  const KernelBlock block;
  GridResult& result = *work.result;
  const int cells = work.width * work.height;
  const CropGrid grid{work.field->fov, work.field->crop, work.width, work.height};
  block.once([&] {
    result.field = *work.field;
    result.bad_index = memory.bad_index = INT_MAX;
    result.component_count = 0;
    result.sums = {};
  });
  block.for_each(cells, [&](int cell) {
    work.map[cell] = NAN;
    work.weights[cell] = 0;
    for (int i = 0; i < work.landmark_count; ++i) work.landmarks[i * cells + cell] = NAN;
  });
  if (!grid.fov.found()) return;
  block.for_each(cells * work.channels, [&](int i) {
    if (!is_finite(work.logits[i])) atomic_min(&memory.bad_index, i);
  });
  if (memory.bad_index != INT_MAX) {
    block.once([&] {
      result.bad_index = memory.bad_index;
      result.bad_logit = work.logits[memory.bad_index];
    });
    return;
  }

  weigh_cells(block, grid, memory, work.weights);
  block.for_each(cells, [&](int cell) {
    if (work.weights[cell] > 0) {
      work.map[cell] = probability_of(work.calibration, work.logits[cell]);
      for (int i = 0; i < work.landmark_count; ++i) {
        work.landmarks[i * cells + cell] =
            probability_of(static_cast<double>(work.landmark_logits[i * cells + cell]));
      }
    }
  });
  const CellValues values{work.map, work.strengths, work.weights, work.landmarks,
                          work.landmark_count};
  if (work.strengths != nullptr) {
    block.for_each(cells * kReasonChannels, [&](int i) {
      if (work.weights[i % cells] > 0) {
        work.strengths[i] = probability_of(static_cast<double>(work.logits[cells + i]));
      }
    });
  }
  const GridSums sums =
      add_up_grid(block, work.width, work.height, values, work.not_a_fundus, memory.lanes);
  find_components(block, work.width, work.height, values, work.region_threshold, work.components);
  const int count = *work.components.root_count;
  block.once([&] {
    result.sums = sums;
    result.component_count = min_of(count, kMaxRegions);
  });
  block.for_each(count, [&](int i) {
    const Component& component = work.components.by_root[work.components.roots[i]];
    int rank = 0;
    for (int j = 0; j < count; ++j) {
      rank += comes_before(work.components.by_root[work.components.roots[j]], component) ? 1 : 0;
    }
    if (rank < kMaxRegions) result.components[rank] = component;
  });
}

}  // namespace

struct DevicePostprocessor::Buffers {
  explicit Buffers(const Contract& of)
      : contract(of),
        cells(static_cast<std::size_t>(of.grid_width) * static_cast<std::size_t>(of.grid_height)),
        landmark_cells(static_cast<std::size_t>(of.landmark_count) * cells),
        result_bytes(sizeof(GridResult) + (2 * cells + landmark_cells) * sizeof(float)),
        result(result_bytes),
        host(result_bytes),
        parent(cells),
        roots(cells),
        counters(2),
        by_root(cells),
        strengths(of.has_reasons ? kReasonChannels * cells : 0),
        grid_cells(cells),
        grid_means(cells),
        colors(kColormaps * kColormapEntries) {
    for (int i = 0; i < kColormaps; ++i) {
      const auto& table = colormap_table(static_cast<Colormap>(i));
      check_cuda(cudaMemcpy(colors.data() + i * kColormapEntries, table.data(),
                            sizeof(Rgb8) * kColormapEntries, cudaMemcpyHostToDevice),
                 "cudaMemcpy of a colour map");
    }
  }

  static float* grid_of(std::byte* bytes) {
    return reinterpret_cast<float*>(bytes + sizeof(GridResult));
  }
  float* map() const { return grid_of(result.data()); }
  float* weights() const { return map() + cells; }
  float* landmarks() const { return map() + 2 * cells; }
  OverlayGrid overlay_grid() const {
    return {grid_cells.data(), grid_means.data(), counters.data() + 1, contract.grid_width,
            contract.grid_height};
  }

  const Contract& contract;
  std::size_t cells, landmark_cells, result_bytes;
  DeviceBuffer<std::byte> result;  // GridResult, map, weights, landmarks
  PinnedBuffer<std::byte> host;    // its copy
  DeviceBuffer<std::int32_t> parent, roots, counters;
  DeviceBuffer<Component> by_root;
  DeviceBuffer<float> strengths;                       // empty: the model has no such channels
  DeviceBuffer<std::uint16_t> grid_cells, grid_means;  // of the overlay
  DeviceBuffer<Rgb8> colors;
};

DevicePostprocessor::DevicePostprocessor(const Contract& contract)
    : buffers_(std::make_unique<Buffers>(contract)) {}

DevicePostprocessor::~DevicePostprocessor() = default;

void DevicePostprocessor::enqueue(const float* logits, const DeviceField* field, Stream stream) {
  constexpr int kWarp = 32;
  const Buffers& b = *buffers_;
  GridWork work;
  work.logits = logits;
  work.channels = b.contract.channel_count();
  if (b.contract.has_not_a_fundus) {
    work.not_a_fundus =
        logits + static_cast<std::size_t>(b.contract.not_a_fundus_channel()) * b.cells;
  }
  if (b.contract.landmark_count > 0) {
    work.landmark_logits =
        logits + static_cast<std::size_t>(b.contract.first_landmark_channel()) * b.cells;
    work.landmarks = b.landmarks();
    work.landmark_count = b.contract.landmark_count;
  }
  work.field = field;
  work.width = b.contract.grid_width;
  work.height = b.contract.grid_height;
  work.calibration = {static_cast<double>(b.contract.calibration_scale),
                      static_cast<double>(b.contract.calibration_offset)};
  work.region_threshold = b.contract.region_threshold;
  work.result = reinterpret_cast<GridResult*>(b.result.data());
  work.map = b.map();
  work.weights = b.weights();
  if (b.contract.has_reasons) work.strengths = b.strengths.data();
  work.components = {b.parent.data(), b.by_root.data(), b.roots.data(), b.counters.data()};
  const int warps = (static_cast<int>(b.cells) + kWarp - 1) / kWarp;
  launch_blocks(grid_kernel, "grid_kernel", {1, 1}, std::min(warps * kWarp, kMaxThreads), stream,
                work);
  check_cuda(cudaMemcpyAsync(b.host.data(), b.result.data(), b.result_bytes, cudaMemcpyDeviceToHost,
                             stream),
             "cudaMemcpyAsync of the result");
}

void DevicePostprocessor::read(const OperatingPoint& operating_point, Report& report) const {
  const Buffers& b = *buffers_;
  const GridResult& result = *reinterpret_cast<const GridResult*>(b.host.data());
  report.fov = result.field.fov;
  report.crop = result.field.crop;
  clear_report(b.contract, report);
  if (!report.fov.found()) return;
  if (result.bad_index != INT_MAX) refuse_logit(b.contract, result.bad_logit, result.bad_index);
  const float* grid = Buffers::grid_of(b.host.data());
  std::copy(grid, grid + b.cells, report.map.begin());
  std::copy(grid + b.cells, grid + 2 * b.cells, report.weights.begin());
  std::copy_n(grid + 2 * b.cells, b.landmark_cells, report.landmarks.begin());
  grade(b.contract, result.sums, result.components, result.component_count, operating_point,
        report);
}

void DevicePostprocessor::enqueue_overlay(const FrameView& geometry, const FrameView* frame,
                                          const DeviceField* field, const OverlayOptions& options,
                                          std::uint8_t* out, std::ptrdiff_t out_stride_bytes,
                                          Stream stream) {
  const Buffers& b = *buffers_;
  const OverlayGrid grid = b.overlay_grid();
  const Rgb8* colors = b.colors.data() + static_cast<int>(options.colormap) * kColormapEntries;
  launch_fill_grid(b.map(), b.weights(), grid, stream);
  launch_overlay(geometry, frame, field, grid, colors, options.max_alpha, out, out_stride_bytes,
                 stream);
}

}  // namespace efiqa
