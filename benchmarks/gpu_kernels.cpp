// Times the kernels on a GPU, after checking what they compute, and prints JSON:
//
//   gpu_kernels [frames per size, default 300]
//
// One measurement is a graph of kBatch launches between two events, over frames that take turns and
// do not fit the L2 cache together, divided by kBatch: a single launch lasts a few microseconds,
// which is about what an event resolves. The floor is the bytes that a kernel must move over the
// bandwidth of a copy from device to device, which is measured in the same run.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "colormap.h"
#include "contract.h"
#include "cuda_util.h"
#include "device_required.h"
#include "fov.h"
#include "fov_cuda.h"
#include "overlay_cuda.h"
#include "postprocess_cuda.h"
#include "preprocess_cuda.h"
#include "synthetic.h"

using efiqa::check_cuda;
using efiqa::DeviceBuffer;
using efiqa::DeviceField;
using efiqa::FrameView;

namespace {

constexpr int kBatch = 20;
constexpr int kWarmUps = 20;
constexpr std::size_t kCopyBytes = std::size_t{256} << 20;  // beyond any cache
constexpr std::size_t kWorkingSetBytes = std::size_t{160}
                                         << 20;  // frames and overlays that take turns

struct Times {
  std::vector<double> us;  // sorted

  double at(double share) const {
    return us[static_cast<std::size_t>(share * static_cast<double>(us.size() - 1) + 0.5)];
  }
};

// `put(i)` puts the i-th of kBatch launches into the stream.
template <typename Put>
Times measure(efiqa::StreamHandle& stream, int runs, Put&& put) {
  efiqa::Graph graph;
  graph.capture(stream.get(), [&] {
    for (int i = 0; i < kBatch; ++i) put(i);
  });
  efiqa::Event begin(efiqa::Event::Timing::kOn), end(efiqa::Event::Timing::kOn);
  Times times;
  for (int run = -kWarmUps; run < runs; ++run) {
    begin.record(stream.get());
    graph.launch(stream.get());
    end.record(stream.get());
    check_cuda(cudaStreamSynchronize(stream.get()), "cudaStreamSynchronize");
    if (run >= 0) times.us.push_back(1000.0 * static_cast<double>(end.ms_since(begin)) / kBatch);
  }
  std::sort(times.us.begin(), times.us.end());
  return times;
}

// Bytes read and written per second by a copy from device to device.
double copy_bandwidth(efiqa::StreamHandle& stream) {
  const DeviceBuffer<std::uint8_t> from(kCopyBytes), to(kCopyBytes);
  check_cuda(cudaMemset(from.data(), 1, kCopyBytes), "cudaMemset");
  const Times times = measure(stream, 30, [&](int) {
    check_cuda(
        cudaMemcpyAsync(to.data(), from.data(), kCopyBytes, cudaMemcpyDeviceToDevice, stream.get()),
        "cudaMemcpyAsync");
  });
  return 2.0 * static_cast<double>(kCopyBytes) / (times.at(0.5) * 1e-6);
}

void print_times(const char* name, const Times& times, double bytes, double bandwidth, bool last) {
  std::printf(
      "      \"%s\": {\"p50_us\": %.3f, \"p95_us\": %.3f, \"p99_us\": %.3f, \"max_us\": %.3f", name,
      times.at(0.5), times.at(0.95), times.at(0.99), times.us.back());
  if (bytes > 0) {
    const double floor_us = bytes / bandwidth * 1e6;
    std::printf(", \"bytes\": %.0f, \"floor_us\": %.3f, \"ratio_to_floor\": %.2f", bytes, floor_us,
                times.at(0.5) / floor_us);
  }
  std::printf("}%s\n", last ? "" : ",");
}

[[noreturn]] void refuse(const std::string& what) {
  throw efiqa::Error(efiqa::StatusCode::kInternal,
                     what + " differs from the CPU's; nothing is timed");
}

// Copies of one frame in device memory, with room for an overlay and an input beside each.
struct Slots {
  Slots(const FrameView& frame, std::size_t input_floats, int count)
      : row_bytes(frame.row_stride_bytes),
        bytes(static_cast<std::size_t>(frame.row_stride_bytes) *
              static_cast<std::size_t>(frame.height_px)),
        pixels(bytes * static_cast<std::size_t>(count)),
        overlays(bytes * static_cast<std::size_t>(count)),
        inputs(input_floats * static_cast<std::size_t>(count)),
        views(static_cast<std::size_t>(count)) {
    std::vector<FrameView> host(static_cast<std::size_t>(count), frame);
    for (std::size_t i = 0; i < host.size(); ++i) {
      host[i].data = pixels.data() + i * bytes;
      check_cuda(cudaMemcpy(pixels.data() + i * bytes, frame.data, bytes, cudaMemcpyHostToDevice),
                 "the frame's copy");
    }
    check_cuda(cudaMemcpy(views.data(), host.data(), host.size() * sizeof(FrameView),
                          cudaMemcpyHostToDevice),
               "the views' copy");
  }

  std::ptrdiff_t row_bytes;
  std::size_t bytes;
  DeviceBuffer<std::uint8_t> pixels, overlays;
  DeviceBuffer<float> inputs;
  DeviceBuffer<FrameView> views;
};

// What launch_overlay needs, of a report's map.
struct OverlayInputs {
  OverlayInputs(const efiqa::Report& report, efiqa::StreamHandle& stream)
      : width(report.grid_width),
        height(report.grid_height),
        cells(report.map.size()),
        filled(1),
        colors(efiqa::kColormapEntries) {
    const std::size_t bytes = report.map.size() * sizeof(float);
    const DeviceBuffer<float> map(report.map.size()), weights(report.map.size());
    const auto& table = efiqa::colormap_table(efiqa::OverlayOptions().colormap);
    check_cuda(cudaMemcpy(map.data(), report.map.data(), bytes, cudaMemcpyHostToDevice), "map");
    check_cuda(cudaMemcpy(weights.data(), report.weights.data(), bytes, cudaMemcpyHostToDevice),
               "weights");
    check_cuda(cudaMemcpy(colors.data(), table.data(), sizeof(table), cudaMemcpyHostToDevice),
               "colours");
    efiqa::launch_fill_grid(map.data(), weights.data(), grid(), stream.get());
    check_cuda(cudaStreamSynchronize(stream.get()), "cudaStreamSynchronize");
  }
  efiqa::OverlayGrid grid() const { return {cells.data(), filled.data(), width, height}; }

  int width, height;
  DeviceBuffer<std::uint16_t> cells;
  DeviceBuffer<std::int32_t> filled;
  DeviceBuffer<efiqa::Rgb8> colors;
};

efiqa::Contract contract_of(int input_px, int patch_px) {
  efiqa::Contract contract;
  contract.preprocess.width_px = contract.preprocess.height_px = input_px;
  contract.grid_width = contract.grid_height = input_px / patch_px;
  for (int c = 0; c < 3; ++c) {
    contract.preprocess.mean[c] = 0.45f;
    contract.preprocess.std[c] = 0.225f;
  }
  return contract;
}

struct Setting {
  int width, height, input_px;
};

void run(const Setting& setting, int runs, double bandwidth, efiqa::StreamHandle& stream,
         bool last) {
  efiqa_test::Scene scene;
  scene.width = setting.width;
  scene.height = setting.height;
  scene.x = 0.5 * setting.width;
  scene.y = 0.5 * setting.height;
  scene.radius = 0.48 * setting.height;
  const efiqa_test::Drawing drawing = efiqa_test::draw(scene);
  const FrameView& frame = drawing.view;
  const efiqa::Contract contract = contract_of(setting.input_px, 16);
  const efiqa::PreprocessSpec& spec = contract.preprocess;
  const std::size_t input_floats = 3u * static_cast<std::size_t>(spec.width_px * spec.height_px);
  const std::size_t slot_bytes = 2 * drawing.pixels.size() + input_floats * sizeof(float);
  const int slots = std::max(2, static_cast<int>(kWorkingSetBytes / slot_bytes));
  const Slots device(frame, input_floats, slots);

  // The CPU's answers.
  efiqa::ThreadPool pool(1);
  efiqa::Report report;
  report.fov = efiqa::FovFinder(pool).find(frame);
  report.crop = efiqa::square_crop(report.fov);
  report.frame_width_px = frame.width_px;
  report.frame_height_px = frame.height_px;
  std::vector<float> input(input_floats), logits(static_cast<std::size_t>(contract.grid_width) *
                                                 static_cast<std::size_t>(contract.grid_height));
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i * 7 % 13) - 6;
  efiqa::Preprocessor(spec, pool).run(frame, report.crop, report.fov, input.data());
  const efiqa::OperatingPoint operating_point{"benchmark", 0.8f, 0.5f};
  efiqa::Report device_report;

  DeviceBuffer<DeviceField> field(1);
  DeviceBuffer<float> device_logits(logits.size());
  check_cuda(cudaMemcpy(device_logits.data(), logits.data(), logits.size() * sizeof(float),
                        cudaMemcpyHostToDevice),
             "the logits' copy");
  efiqa::DeviceFovFinder finder;
  efiqa::DevicePostprocessor post(contract);
  const std::ptrdiff_t out_stride = device.row_bytes;
  const auto put_fov = [&](int i) {
    finder.enqueue(frame, device.views.data() + i % slots, field.data(), stream.get());
  };
  const auto put_preprocess = [&](int i) {
    const std::size_t slot = static_cast<std::size_t>(i % slots);
    efiqa::launch_preprocess(frame, device.views.data() + slot, field.data(), spec,
                             device.inputs.data() + slot * input_floats, stream.get());
  };
  const auto put_post = [&](int) {
    post.enqueue(device_logits.data(), field.data(), stream.get());
  };
  const auto put_overlay = [&](int i) {
    const std::size_t slot = static_cast<std::size_t>(i % slots);
    post.enqueue_overlay(frame, device.views.data() + slot, field.data(), {},
                         device.overlays.data() + slot * device.bytes, out_stride, stream.get());
  };

  // Verified once through.
  put_fov(0);
  put_preprocess(0);
  put_post(0);
  put_overlay(0);
  check_cuda(cudaStreamSynchronize(stream.get()), "cudaStreamSynchronize");
  post.read(operating_point, device_report);
  if (std::memcmp(&device_report.fov, &report.fov, sizeof(report.fov)) != 0) refuse("the field");
  std::vector<float> device_input(input_floats);
  check_cuda(cudaMemcpy(device_input.data(), device.inputs.data(), input_floats * sizeof(float),
                        cudaMemcpyDeviceToHost),
             "the input's copy");
  if (device_input != input) refuse("the network's input");
  efiqa::Postprocessor(contract).run(logits.data(), operating_point, report);
  if (std::abs(report.score - device_report.score) > 1e-6f) refuse("the score");
  device_report.frame_width_px = frame.width_px;
  device_report.frame_height_px = frame.height_px;
  std::vector<std::uint8_t> overlay(device.bytes), device_overlay(device.bytes);
  efiqa::render_overlay(frame, device_report, {}, pool, overlay.data(), out_stride);
  check_cuda(cudaMemcpy(device_overlay.data(), device.overlays.data(), device.bytes,
                        cudaMemcpyDeviceToHost),
             "the overlay's copy");
  if (device_overlay != overlay) refuse("the overlay");

  // What must be moved: the part of the crop that lies in the frame, and the input; the frame
  // twice.
  const int left = std::max(report.crop.x_px, 0), top = std::max(report.crop.y_px, 0);
  const int right = std::min(report.crop.x_px + report.crop.side_px, frame.width_px);
  const int bottom = std::min(report.crop.y_px + report.crop.side_px, frame.height_px);
  const double input_bytes = static_cast<double>(input_floats * sizeof(float));
  const double preprocess_bytes = 3.0 * (right - left) * (bottom - top) + input_bytes;
  const double overlay_bytes = 6.0 * frame.width_px * frame.height_px;
  const double frame_bytes = 3.0 * frame.width_px * frame.height_px;

  std::printf(
      "    {\"width_px\": %d, \"height_px\": %d, \"format\": \"rgb\", \"input_px\": %d, "
      "\"grid\": %d, \"crop_side_px\": %d, \"frames_in_turn\": %d, \"kernels\": {\n",
      frame.width_px, frame.height_px, spec.width_px, contract.grid_width, report.crop.side_px,
      slots);
  print_times("field_of_view", measure(stream, runs, put_fov), frame_bytes, bandwidth, false);
  print_times("preprocess", measure(stream, runs, put_preprocess), preprocess_bytes, bandwidth,
              false);
  print_times("postprocess", measure(stream, runs, put_post), 0, bandwidth, false);
  print_times("fill_grid_and_overlay", measure(stream, runs, put_overlay), overlay_bytes, bandwidth,
              false);
  const OverlayInputs inputs(device_report, stream);
  print_times("overlay",
              measure(stream, runs,
                      [&](int i) {
                        const std::size_t slot = static_cast<std::size_t>(i % slots);
                        efiqa::launch_overlay(
                            frame, device.views.data() + slot, field.data(), inputs.grid(),
                            inputs.colors.data(), efiqa::OverlayOptions().max_alpha,
                            device.overlays.data() + slot * device.bytes, out_stride, stream.get());
                      }),
              overlay_bytes, bandwidth, false);
  print_times("all_but_engine_and_overlay",
              measure(stream, runs,
                      [&](int i) {
                        put_fov(i);
                        put_preprocess(i);
                        put_post(i);
                      }),
              0, bandwidth, true);
  std::printf("    }}%s\n", last ? "" : ",");
}

int benchmark(int runs) {
  efiqa::StreamHandle stream;
  cudaDeviceProp properties{};
  int driver = 0, runtime = 0;
  check_cuda(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  check_cuda(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  check_cuda(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  const double bandwidth = copy_bandwidth(stream);
  std::printf(
      "{\n  \"device\": \"%s\", \"compute_capability\": \"%d.%d\", \"multiprocessors\": %d,\n"
      "  \"driver\": %d, \"cuda_runtime\": %d, \"copy_gb_per_s\": %.1f, \"runs\": %d, "
      "\"launches_per_run\": %d,\n  \"sizes\": [\n",
      properties.name, properties.major, properties.minor, properties.multiProcessorCount, driver,
      runtime, bandwidth * 1e-9, runs, kBatch);
  const Setting settings[] = {
      {1280, 720, 224}, {1920, 1080, 224}, {1920, 1080, 384}, {2592, 1944, 384}, {4096, 3072, 512}};
  const std::size_t count = sizeof(settings) / sizeof(settings[0]);
  for (std::size_t i = 0; i < count; ++i) run(settings[i], runs, bandwidth, stream, i + 1 == count);
  std::printf("  ]\n}\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (const int code = efiqa_test::without_device(); code != 0) return code;
  const int runs = argc > 1 ? std::atoi(argv[1]) : 300;
  if (runs < 1 || argc > 2) {
    std::fprintf(stderr, "usage: gpu_kernels [RUNS from 1]\n");
    return 2;
  }
  try {
    return benchmark(runs);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gpu_kernels: %s\n", error.what());
    return 1;
  }
}
