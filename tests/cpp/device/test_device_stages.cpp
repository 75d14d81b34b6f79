// The stages on the GPU against those on the CPU, their graphs, their buffers and their failures.
#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "device_fixtures.h"

using efiqa::FrameView;
using efiqa::Memory;
using efiqa::PixelFormat;
using efiqa::Report;
using efiqa::Runtime;
using efiqa_double::calls;
using efiqa_test::DeviceCopy;
using efiqa_test::error_of;
using efiqa_test::FormatFrame;
using efiqa_test::open_device_runtime;
using efiqa_test::open_host_runtime;
using efiqa_test::reset_doubles;
using efiqa_test::small_scene;

namespace {

// Both sides share their arithmetic, and here the compiler, too: what differs is the order in which
// sums of doubles are taken.
constexpr double kProbabilityTolerance = 1e-6;
constexpr double kPixelTolerance = 1e-3;

constexpr PixelFormat kFormats[] = {PixelFormat::kRgb8,  PixelFormat::kBgr8, PixelFormat::kGray8,
                                    PixelFormat::kRgba8, PixelFormat::kNv12, PixelFormat::kYuyv};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void check_same_number(float device, float host) {
  CHECK(std::isnan(device) == std::isnan(host));
  if (!std::isnan(host)) CHECK_NEAR(device, host, kProbabilityTolerance);
}

void check_alike(const efiqa::Diagnosis& device, const efiqa::Diagnosis& host) {
  for (std::size_t i = 0; i < host.strengths.size(); ++i) {
    check_same_number(device.strengths[i], host.strengths[i]);
  }
  CHECK(device.main_reason == host.main_reason);
  CHECK(device.remedy == host.remedy);
  CHECK_NEAR(device.remedy_clock_hour, host.remedy_clock_hour, 1e-4);  // hours
}

void check_alike(const Report& device, const Report& host) {
  CHECK(device.verdict == host.verdict);
  CHECK(device.reason == host.reason);
  check_same_number(device.score, host.score);
  check_same_number(device.not_a_fundus, host.not_a_fundus);
  check_alike(device.diagnosis, host.diagnosis);
  CHECK(device.fov.shape == host.fov.shape);
  CHECK_NEAR(device.fov.center_x_px, host.fov.center_x_px, kPixelTolerance);
  CHECK_NEAR(device.fov.center_y_px, host.fov.center_y_px, kPixelTolerance);
  CHECK_NEAR(device.fov.radius_px, host.fov.radius_px, kPixelTolerance);
  CHECK_NEAR(device.fov.top_px, host.fov.top_px, kPixelTolerance);
  CHECK_NEAR(device.fov.bottom_px, host.fov.bottom_px, kPixelTolerance);
  CHECK_EQ(device.crop.x_px, host.crop.x_px);
  CHECK_EQ(device.crop.y_px, host.crop.y_px);
  CHECK_EQ(device.crop.side_px, host.crop.side_px);
  CHECK_EQ(device.frame_width_px, host.frame_width_px);
  CHECK_EQ(device.frame_height_px, host.frame_height_px);
  CHECK_EQ(device.grid_width, host.grid_width);
  CHECK_EQ(device.grid_height, host.grid_height);
  CHECK_EQ(device.map.size(), host.map.size());
  CHECK_EQ(device.weights.size(), host.weights.size());
  CHECK_EQ(device.landmarks.size(), host.landmarks.size());
  CHECK_EQ(device.regions.size(), host.regions.size());
  if (device.map.size() != host.map.size() || device.regions.size() != host.regions.size()) return;
  for (std::size_t i = 0; i < host.map.size(); ++i) {
    check_same_number(device.map[i], host.map[i]);
    CHECK_NEAR(device.weights[i], host.weights[i], kProbabilityTolerance);
  }
  for (std::size_t i = 0; i < host.landmarks.size(); ++i) {
    check_same_number(device.landmarks[i], host.landmarks[i]);
  }
  for (std::size_t i = 0; i < host.regions.size(); ++i) {
    const efiqa::Region &a = device.regions[i], &b = host.regions[i];
    CHECK_NEAR(a.x_px, b.x_px, kPixelTolerance);
    CHECK_NEAR(a.y_px, b.y_px, kPixelTolerance);
    CHECK_NEAR(a.width_px, b.width_px, kPixelTolerance);
    CHECK_NEAR(a.area_share, b.area_share, kProbabilityTolerance);
    CHECK_NEAR(a.mean_probability, b.mean_probability, kProbabilityTolerance);
    CHECK_NEAR(a.clock_hour, b.clock_hour, 1e-4);  // hours; of sums over cells
    check_alike(a.diagnosis, b.diagnosis);
  }
}

std::vector<std::uint8_t> host_overlay(Runtime& host, const FrameView& frame,
                                       const Report& report) {
  std::vector<std::uint8_t> out(3u * frame.width_px * frame.height_px);
  host.render_overlay(frame, report, {}, out.data(), std::ptrdiff_t{3} * frame.width_px);
  return out;
}

int largest_difference(const std::vector<std::uint8_t>& a, const std::vector<std::uint8_t>& b) {
  int largest = a.size() == b.size() ? 0 : 256;
  for (std::size_t i = 0; largest < 256 && i < a.size(); ++i) {
    largest = std::max(largest, std::abs(a[i] - b[i]));
  }
  return largest;
}

}  // namespace

TEST(device_report_is_the_hosts_for_every_format_and_memory) {
  reset_doubles();
  const auto device = open_device_runtime(2), host = open_host_runtime();
  for (const PixelFormat format : kFormats) {
    for (const int extra_bytes : {0, 3}) {
      const FormatFrame frame(small_scene(), format, extra_bytes);
      const Report expected = host->assess(frame.view);
      CHECK(expected.fov.found());
      CHECK(!expected.regions.empty());
      CHECK(expected.score > 0.1f);
      CHECK(expected.score < 0.9f);

      check_alike(device->assess(frame.view), expected);  // pageable
      efiqa::PinnedBuffer<std::uint8_t> pinned(frame.bytes().size());
      std::memcpy(pinned.data(), frame.bytes().data(), frame.bytes().size());
      const long packed = calls("cudaMemcpyAsync");
      check_alike(device->assess(frame.at(pinned.data(), Memory::kHost)), expected);
      CHECK_EQ(calls("cudaMemcpyAsync"), packed);  // the CPU did not touch it
      check_alike(device->assess(DeviceCopy(frame).view), expected);
    }
  }
}

TEST(device_report_of_every_channel_is_the_hosts) {
  reset_doubles();
  efiqa::Contract contract = efiqa_test::plan_contract(efiqa_test::full_contract());
  for (const float min_probability : {0.5f, 0.001f}) {
    contract.not_a_fundus_min_probability = min_probability;
    const auto device = open_device_runtime(1, contract), host = open_host_runtime(contract);
    const FormatFrame frame(small_scene(), PixelFormat::kRgb8);
    const Report expected = host->assess(frame.view);
    CHECK(expected.not_a_fundus > 0.001f && expected.not_a_fundus < 0.5f);
    CHECK_EQ(expected.regions.empty(), min_probability < 0.5f);
    if (min_probability == 0.5f) {
      CHECK(expected.diagnosis.main_reason != efiqa::Reason::kNone);
      CHECK(expected.regions[0].diagnosis.main_reason != efiqa::Reason::kNone);
    }
    check_alike(device->assess(frame.view), expected);
    check_alike(device->assess(DeviceCopy(frame).view), expected);
  }
}

TEST(device_report_is_the_hosts_for_every_size_matrix_and_range) {
  reset_doubles();
  const auto device = open_device_runtime(), host = open_host_runtime();
  const int sizes[][2] = {{64, 64}, {640, 480}, {130, 514}, {322, 66}};
  for (const auto& size : sizes) {
    const FormatFrame rgb(small_scene(size[0], size[1]), PixelFormat::kRgb8);
    check_alike(device->assess(rgb.view), host->assess(rgb.view));
  }
  const FormatFrame nv12(small_scene(), PixelFormat::kNv12);
  for (const efiqa::YuvMatrix matrix : {efiqa::YuvMatrix::kBt601, efiqa::YuvMatrix::kBt709}) {
    for (const efiqa::YuvRange range : {efiqa::YuvRange::kLimited, efiqa::YuvRange::kFull}) {
      FrameView view = nv12.view;
      view.matrix = matrix;
      view.range = range;
      check_alike(device->assess(view), host->assess(view));
    }
  }
}

TEST(device_frame_without_field_of_view_is_unknown_whatever_the_engine_says) {
  reset_doubles();
  const auto device = open_device_runtime();
  const FormatFrame frame(small_scene(), PixelFormat::kRgb8);
  CHECK(device->assess(frame.view).fov.found());
  const efiqa_test::DiscFrame black(320, 240, false);
  efiqa_double::tensorrt().network = [](const float*, float* logits) {
    for (std::size_t i = 0; i < efiqa_test::kCells; ++i) logits[i] = i % 2 == 0 ? -9 : NAN;
  };
  const Report& report = device->assess(black.view);
  CHECK(report.verdict == efiqa::Verdict::kUnknown);
  CHECK(report.reason == efiqa::Reason::kNoFieldOfView);
  CHECK(std::isnan(report.score));
  CHECK(report.regions.empty());
  for (const float p : report.map) CHECK(std::isnan(p));
}

TEST(device_answer_that_is_not_finite_is_an_error_and_the_runtime_stays_usable) {
  reset_doubles();
  const auto device = open_device_runtime(), host = open_host_runtime();
  const FormatFrame frame(small_scene(), PixelFormat::kRgb8);
  efiqa_double::tensorrt().network = [](const float*, float* logits) {
    for (std::size_t i = 0; i < efiqa_test::kCells; ++i) logits[i] = NAN;
  };
  Report report;
  report.verdict = efiqa::Verdict::kGood;
  const std::string message = error_of([&] { device->assess_into(frame.view, report); });
  CHECK(contains(message, "engine_failure: the engine answered "));
  CHECK(report.verdict == efiqa::Verdict::kUnknown);
  CHECK(std::isnan(report.score));
  efiqa_double::tensorrt().network = efiqa_test::block_means;
  check_alike(device->assess(frame.view), host->assess(frame.view));
}

TEST(device_graph_is_recorded_once_for_each_geometry) {
  reset_doubles();
  const auto device = open_device_runtime(), host = open_host_runtime();
  CHECK_EQ(calls("cudaStreamBeginCapture"), 1);  // of the engine alone, to see whether it can be
  CHECK_EQ(device->engine_description(),
           std::string("TensorRT 10.3.0 on Double (8.7), CUDA graph"));
  const FormatFrame first(small_scene(), PixelFormat::kRgb8);
  efiqa_test::Scene moved_scene = small_scene();
  moved_scene.x -= 20;
  const FormatFrame second(moved_scene, PixelFormat::kRgb8);
  const DeviceCopy first_copy(first), second_copy(second);
  const Report expected_first = host->assess(first.view);
  const Report expected_second = host->assess(second.view);
  CHECK(expected_first.crop.x_px != expected_second.crop.x_px);

  // Frames of one geometry at other addresses.
  check_alike(device->assess(first_copy.view), expected_first);
  const long mallocs = calls("cudaMalloc"), pinned = calls("cudaMallocHost");
  for (int i = 0; i < 3; ++i) {
    check_alike(device->assess(second_copy.view), expected_second);
    check_alike(device->assess(first_copy.view), expected_first);
  }
  CHECK_EQ(calls("cudaStreamBeginCapture"), 2);
  CHECK_EQ(calls("cudaGraphLaunch"), 7);
  CHECK_EQ(calls("cudaMalloc"), mallocs);
  CHECK_EQ(calls("cudaMallocHost"), pinned);
  CHECK_EQ(device->assess(first_copy.view).timings.engine_ms, 0.0f);
  CHECK(device->assess(first_copy.view).timings.total_ms > 0);

  // Each difference in geometry is a graph of its own.
  FrameView other = first_copy.view;
  other.height_px -= 2;
  device->assess(other);
  CHECK_EQ(calls("cudaStreamBeginCapture"), 3);
  other = first_copy.view;
  other.format = PixelFormat::kBgr8;
  device->assess(other);
  CHECK_EQ(calls("cudaStreamBeginCapture"), 4);
  other = first_copy.view;
  other.matrix = efiqa::YuvMatrix::kBt709;
  device->assess(other);
  CHECK_EQ(calls("cudaStreamBeginCapture"), 5);
  check_alike(device->assess(first_copy.view), expected_first);  // still kept
  CHECK_EQ(calls("cudaStreamBeginCapture"), 5);
  other = first_copy.view;
  other.range = efiqa::YuvRange::kFull;
  device->assess(other);  // the fifth geometry: takes the place of the one not used for longest
  CHECK_EQ(calls("cudaStreamBeginCapture"), 6);
  check_alike(device->assess(first_copy.view), expected_first);
  CHECK_EQ(calls("cudaStreamBeginCapture"), 6);
  other = first_copy.view;
  other.height_px -= 2;
  device->assess(other);
  CHECK_EQ(calls("cudaStreamBeginCapture"), 7);
  CHECK_EQ(efiqa_double::state().graph_execs, 4);
}

TEST(device_buffers_grow_with_the_largest_frame_alone) {
  reset_doubles();
  const auto device = open_device_runtime(), host = open_host_runtime();
  const FormatFrame small(small_scene(), PixelFormat::kRgb8),
      large(small_scene(640, 480), PixelFormat::kRgba8);
  device->assess(small.view);
  device->assess(large.view);
  const long mallocs = calls("cudaMalloc"), pinned = calls("cudaMallocHost");
  const long alive = efiqa_double::alive();
  for (int i = 0; i < 3; ++i) {
    check_alike(device->assess(small.view), host->assess(small.view));
    check_alike(device->assess(large.view), host->assess(large.view));
  }
  CHECK_EQ(calls("cudaMalloc"), mallocs);
  CHECK_EQ(calls("cudaMallocHost"), pinned);
  CHECK_EQ(efiqa_double::alive(), alive);
}

TEST(device_frame_is_synchronised_once) {
  reset_doubles();
  const auto device = open_device_runtime();
  const FormatFrame frame(small_scene(), PixelFormat::kRgb8);
  device->assess(frame.view);
  const long before = calls("cudaStreamSynchronize");
  device->assess(frame.view);
  CHECK_EQ(calls("cudaStreamSynchronize"), before + 1);
  CHECK_EQ(calls("cudaDeviceSynchronize"), 0);
}

TEST(device_work_that_is_done_late_gives_the_same_answers) {
  reset_doubles();
  efiqa_double::defer_work(true);
  const auto device = open_device_runtime(), host = open_host_runtime();
  for (const PixelFormat format : kFormats) {
    const FormatFrame frame(small_scene(), format, 1);
    const Report expected = host->assess(frame.view);
    const std::vector<std::uint8_t> overlay = host_overlay(*host, frame.view, expected);
    for (int i = 0; i < 2; ++i) {
      const Report report = device->assess(frame.view);
      check_alike(report, expected);
      std::vector<std::uint8_t> out(overlay.size());
      device->render_overlay(frame.view, report, {}, out.data(), 3 * 320);
      CHECK(largest_difference(out, overlay) <= 1);
    }
  }
}

TEST(device_frame_waits_for_its_producer_on_the_gpu) {
  reset_doubles();
  const auto device = open_device_runtime(), host = open_host_runtime();
  const FormatFrame frame(small_scene(), PixelFormat::kRgb8);
  const Report expected = host->assess(frame.view);
  efiqa::DeviceBuffer<std::uint8_t> pixels(frame.bytes().size());
  efiqa::PinnedBuffer<std::uint8_t> camera(frame.bytes().size());
  std::memcpy(camera.data(), frame.bytes().data(), frame.bytes().size());
  efiqa_double::defer_work(true);
  const efiqa::StreamHandle producer;
  for (const efiqa::Stream stream : {producer.get(), efiqa::Stream{nullptr}}) {
    cudaMemsetAsync(pixels.data(), 0, pixels.count(), stream);
    cudaStreamSynchronize(stream);
    cudaMemcpyAsync(pixels.data(), camera.data(), pixels.count(), cudaMemcpyHostToDevice, stream);
    FrameView view = frame.at(pixels.data(), Memory::kDevice);
    view.stream = stream;
    check_alike(device->assess(view), expected);
  }
}

TEST(device_frame_that_is_not_on_the_device_is_refused_by_name) {
  reset_doubles();
  const auto device = open_device_runtime();
  const FormatFrame frame(small_scene(), PixelFormat::kRgb8),
      nv12(small_scene(), PixelFormat::kNv12);
  const auto refusal_of = [&](const FrameView& view) {
    return error_of([&] { device->assess(view); });
  };
  const std::string fix =
      ", expected device memory; pass a GPU array that is alive, or say host memory";
  CHECK_EQ(refusal_of(frame.at(frame.view.data, Memory::kDevice)),
           "invalid_frame: frame.data is no memory that CUDA knows: of the host, or freed" + fix);
  efiqa::PinnedBuffer<std::uint8_t> pinned(frame.bytes().size());
  CHECK_EQ(refusal_of(frame.at(pinned.data(), Memory::kDevice)),
           "invalid_frame: frame.data is memory of the host" + fix);
  const DeviceCopy copy(nv12);
  FrameView split = copy.view;
  split.uv_data = nv12.view.uv_data;
  CHECK_EQ(
      refusal_of(split),
      "invalid_frame: frame.uv_data is no memory that CUDA knows: of the host, or freed" + fix);
  FrameView freed;
  {
    const DeviceCopy short_lived(frame);
    freed = short_lived.view;
  }
  CHECK_EQ(refusal_of(freed),
           "invalid_frame: frame.data is no memory that CUDA knows: of the host, or freed" + fix);
  efiqa_double::state().block_device = 1;
  CHECK_EQ(refusal_of(copy.view),
           "invalid_frame: frame.data lies on CUDA device 1, this Runtime runs on device 0; copy "
           "it there, or open a Runtime while that device is current");
  efiqa_double::state().block_device = 0;
  CHECK_EQ(refusal_of(copy.view), "no error");
}

TEST(device_of_the_opening_thread_is_used_and_the_callers_is_kept) {
  reset_doubles();
  efiqa_double::state().device_count = 2;
  const auto device = open_device_runtime();
  const FormatFrame frame(small_scene(), PixelFormat::kRgb8);
  int device_of_the_network = -1;
  efiqa_double::tensorrt().network = [&](const float* input, float* logits) {
    device_of_the_network = efiqa_double::state().current_device;
    efiqa_test::block_means(input, logits);
  };
  efiqa_double::state().current_device = 1;
  device->assess(frame.view);
  CHECK_EQ(device_of_the_network, 0);
  CHECK_EQ(efiqa_double::state().current_device, 1);
}

TEST(device_graph_that_cannot_be_made_gives_way_to_launches_and_the_reason) {
  const FormatFrame frame(small_scene(), PixelFormat::kRgb8);
  reset_doubles();
  const Report expected = open_host_runtime()->assess(frame.view);
  const struct {
    const char* function;
    long call;  // the first one is the engine's, at open
    const char* reason;
  } failures[] = {
      {"cudaStreamBeginCapture", 1,
       "CUDA failed at cudaStreamBeginCapture: operation not permitted when stream is capturing "
       "(900)"},
      {"cudaStreamEndCapture", 1,
       "CUDA failed at cudaStreamEndCapture: operation not permitted when stream is capturing "
       "(900)"},
      {"cudaGraphInstantiate", 1,
       "CUDA failed at cudaGraphInstantiate: operation not permitted when stream is capturing "
       "(900)"},
      {"cudaStreamBeginCapture", 2, "CUDA failed at cudaStreamBeginCapture: "},
      {"cudaStreamEndCapture", 2, "CUDA failed at cudaStreamEndCapture: "},
      {"cudaGraphInstantiate", 2, "CUDA failed at cudaGraphInstantiate: "},
  };
  for (const auto& failure : failures) {
    reset_doubles();
    const long before = efiqa_double::alive();
    {
      efiqa_double::fail(failure.function, failure.call, cudaErrorStreamCaptureUnsupported);
      const auto device = open_device_runtime();
      for (int i = 0; i < 2; ++i) {
        const Report& report = device->assess(frame.view);
        check_alike(report, expected);
        CHECK(report.timings.total_ms > 0);
        CHECK(report.timings.fov_ms > 0);
        CHECK(report.timings.preprocess_ms > 0);
      }
      CHECK_EQ(calls("cudaGraphLaunch"), 0);
      CHECK(contains(
          device->engine_description(),
          std::string("TensorRT 10.3.0 on Double (8.7), no CUDA graph: ") + failure.reason));
    }
    CHECK_EQ(efiqa_double::alive(), before);
  }
}

TEST(device_engine_that_cannot_be_captured_runs_without_a_graph) {
  const FormatFrame frame(small_scene(), PixelFormat::kRgb8);
  reset_doubles();
  const Report expected = open_host_runtime()->assess(frame.view);
  efiqa_double::tensorrt().fail_in_capture = "enqueueV3: not permitted in a capture";
  const auto device = open_device_runtime();
  CHECK(contains(device->engine_description(),
                 "no CUDA graph: TensorRT failed: enqueueV3: not permitted in a capture"));
  check_alike(device->assess(frame.view), expected);
}

TEST(device_overlay_is_the_hosts_for_every_memory) {
  reset_doubles();
  const auto device = open_device_runtime(2), host = open_host_runtime();
  for (const PixelFormat format : kFormats) {
    const FormatFrame frame(small_scene(), format, 2);
    const DeviceCopy copy(frame);
    const Report expected = host->assess(frame.view);
    const std::vector<std::uint8_t> overlay = host_overlay(*host, frame.view, expected);
    const Report report = device->assess(frame.view);
    for (const FrameView& view : {frame.view, copy.view}) {
      const std::ptrdiff_t stride = 3 * 320 + 5;
      std::vector<std::uint8_t> out(static_cast<std::size_t>(stride) * 240, 77);
      device->render_overlay(view, report, {}, out.data(), stride);
      std::vector<std::uint8_t> rows;
      for (int y = 0; y < 240; ++y) {
        const auto begin = out.begin() + y * stride;
        rows.insert(rows.end(), begin, begin + 3 * 320);
        for (int i = 3 * 320; i < stride; ++i) CHECK(begin[i] == 77);
      }
      CHECK(largest_difference(rows, overlay) <= 1);

      efiqa::DeviceBuffer<std::uint8_t> device_out(overlay.size());
      device->render_overlay(view, report, {}, device_out.data(), 3 * 320, Memory::kDevice);
      cudaMemcpy(rows.data(), device_out.data(), rows.size(), cudaMemcpyDeviceToHost);
      CHECK(largest_difference(rows, overlay) <= 1);
    }
  }
}

TEST(device_overlay_of_an_older_report_is_the_cpus_or_refused) {
  reset_doubles();
  const auto device = open_device_runtime(), host = open_host_runtime();
  const FormatFrame frame(small_scene(), PixelFormat::kRgb8);
  efiqa_test::Scene other_scene = small_scene();
  other_scene.x -= 25;
  const FormatFrame other(other_scene, PixelFormat::kRgb8);
  const DeviceCopy copy(frame);
  std::vector<std::uint8_t> out(3u * 320 * 240);
  const Report older = device->assess(frame.view);
  device->assess(other.view);
  const auto refusal_of = [&](const FrameView& view, std::uint8_t* target, Memory memory) {
    return error_of([&] { device->render_overlay(view, older, {}, target, 3 * 320, memory); });
  };
  const std::string refusal =
      "invalid_argument: the report is not of the last frame that this Runtime assessed, and the "
      "GPU keeps the last one only; assess the frame again, or pass frame and out in host memory";
  efiqa::DeviceBuffer<std::uint8_t> device_out(out.size());
  CHECK_EQ(refusal_of(copy.view, out.data(), Memory::kHost), refusal);
  CHECK_EQ(refusal_of(frame.view, device_out.data(), Memory::kDevice), refusal);
  const long launches = calls("launch");
  CHECK_EQ(refusal_of(frame.view, out.data(), Memory::kHost), "no error");
  CHECK_EQ(calls("launch"), launches);
  CHECK(largest_difference(out, host_overlay(*host, frame.view, older)) == 0);

  // A frame that failed leaves no result to draw.
  const Report last = device->assess(frame.view);
  efiqa_double::fail("cudaGraphLaunch", 1, cudaErrorLaunchFailure);
  CHECK(contains(error_of([&] { device->assess(frame.view); }), "CUDA failed at cudaGraphLaunch"));
  CHECK_EQ(error_of([&] { device->render_overlay(copy.view, last, {}, out.data(), 3 * 320); }),
           refusal);
}

TEST(device_overlay_arguments_are_checked) {
  reset_doubles();
  const auto device = open_device_runtime();
  const FormatFrame frame(small_scene(), PixelFormat::kRgb8);
  const Report report = device->assess(frame.view);
  std::vector<std::uint8_t> out(3u * 320 * 240);
  CHECK_EQ(error_of([&] { device->render_overlay(frame.view, report, {}, out.data(), 3); }),
           "invalid_argument: out_stride_bytes is 3, expected at least 960");
  CHECK_EQ(error_of([&] { device->render_overlay(frame.view, report, {}, nullptr, 960); }),
           "invalid_argument: out is null, expected a buffer for the overlay");
  CHECK_EQ(error_of([&] {
             device->render_overlay(frame.view, report, {}, out.data(), 960, Memory::kDevice);
           }),
           "invalid_argument: out is no memory that CUDA knows: of the host, or freed, expected "
           "device memory; pass a GPU array that is alive, or say host memory");
}

namespace {

// Opens, assesses from host and from device memory twice, draws.
void use(const FormatFrame& frame, std::unique_ptr<Runtime>& device, std::vector<Report>& reports) {
  device = open_device_runtime();
  const DeviceCopy copy(frame);
  for (int i = 0; i < 2; ++i) {
    reports.push_back(device->assess(frame.view));
    reports.push_back(device->assess(copy.view));
  }
  std::vector<std::uint8_t> out(3u * 320 * 240);
  device->render_overlay(frame.view, reports.back(), {}, out.data(), 3 * 320);
}

}  // namespace

TEST(device_failure_of_any_call_is_a_named_error_that_leaves_nothing_behind) {
  const FormatFrame frame(small_scene(), PixelFormat::kRgb8);
  reset_doubles();
  const Report expected = open_host_runtime()->assess(frame.view);
  const char* const functions[] = {"cudaMalloc",
                                   "cudaMallocHost",
                                   "cudaMemcpyAsync",
                                   "cudaMemsetAsync",
                                   "cudaStreamCreateWithFlags",
                                   "cudaStreamSynchronize",
                                   "cudaEventCreateWithFlags",
                                   "cudaEventRecord",
                                   "cudaStreamWaitEvent",
                                   "cudaStreamBeginCapture",
                                   "cudaStreamEndCapture",
                                   "cudaGraphInstantiate",
                                   "cudaGraphLaunch",
                                   "cudaPointerGetAttributes",
                                   "cudaGetDevice",
                                   "launch"};
  for (const char* function : functions) {
    int failed = 0;
    for (long call = 1; call < 1000; ++call) {
      reset_doubles();
      const long before = efiqa_double::alive();
      {
        std::unique_ptr<Runtime> device;
        std::vector<Report> reports;
        efiqa_double::fail(function, call, cudaErrorMemoryAllocation);
        const std::string message = error_of([&] { use(frame, device, reports); });
        if (calls(function) < call) break;  // there is no such call
        ++failed;
        if (message == "no error") {  // it failed inside a recording: plain launches took over
          CHECK(device &&
                contains(device->engine_description(), "no CUDA graph: CUDA failed at ") &&
                contains(device->engine_description(), "out of memory (2)"));
        } else {
          CHECK(contains(message, "engine_failure: CUDA failed at "));
          CHECK(contains(message, "out of memory (2)"));
        }
        CHECK_EQ(cudaPeekAtLastError(), cudaSuccess);
        for (const Report& report : reports) check_alike(report, expected);
        if (device) check_alike(device->assess(frame.view), expected);  // stays usable
      }
      CHECK_EQ(efiqa_double::alive(), before);
      CHECK_EQ(efiqa_double::tensorrt().alive, 0);
    }
    CHECK(failed > 0);
  }
}

TEST(device_engine_failure_in_plain_launches_is_an_error_with_tensorrts_message) {
  reset_doubles();
  efiqa_double::tensorrt().fail_in_capture = "no";
  const auto device = open_device_runtime();
  const FormatFrame frame(small_scene(), PixelFormat::kRgb8);
  device->assess(frame.view);
  efiqa_double::tensorrt().fail("enqueueV3", "out of luck");
  CHECK_EQ(error_of([&] { device->assess(frame.view); }),
           "engine_failure: TensorRT failed: out of luck");
  efiqa_double::tensorrt().failing.clear();
  CHECK(device->assess(frame.view).verdict != efiqa::Verdict::kUnknown);
}

TEST(device_engine_that_fails_its_first_run_does_not_open) {
  reset_doubles();
  const long before = efiqa_double::alive();
  efiqa_double::tensorrt().fail("enqueueV3", "out of luck");
  CHECK_EQ(error_of([&] { open_device_runtime(); }),
           "engine_failure: TensorRT failed: out of luck");
  CHECK_EQ(efiqa_double::alive(), before);
}
