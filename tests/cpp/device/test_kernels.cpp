// The kernels for preprocessing, postprocessing and overlay against the CPU's stages. This file
// knows nothing of CUDA's double: tests/gpu builds it for a device as well.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "cuda_util.h"
#include "fixtures.h"
#include "postprocess.h"
#include "postprocess_cuda.h"
#include "preprocess.h"
#include "preprocess_cuda.h"

using efiqa::check_cuda;
using efiqa::Contract;
using efiqa::DeviceBuffer;
using efiqa::DeviceField;
using efiqa::DevicePostprocessor;
using efiqa::FieldOfView;
using efiqa::FovShape;
using efiqa::FrameView;
using efiqa::OperatingPoint;
using efiqa::OverlayOptions;
using efiqa::PixelFormat;
using efiqa::PreprocessSpec;
using efiqa::Report;
using efiqa::ResizeFilter;
using efiqa::SquareCrop;
using efiqa::ThreadPool;
using efiqa_test::error_of;

namespace {

// The network's input: the kernel adds and multiplies what the CPU does, in the same order, both
// without fused multiply-add, and whole numbers carry the rest, so not one bit may differ. (1e-5
// would do: it is a 400th of a grey level at a std of 1.)
// Probabilities: exp() in double is good to an ulp or two on either side, then rounded to float.
constexpr double kProbabilityTolerance = 2e-7;
constexpr double kScoreTolerance = 1e-6;
// Of the rim's cells: asin() likewise.
constexpr double kWeightTolerance = 2e-7;
// Regions hold sums of such values, in pixels and shares.
constexpr double kRegionTolerance = 1e-5;

constexpr PixelFormat kFormats[] = {PixelFormat::kRgb8,  PixelFormat::kBgr8, PixelFormat::kGray8,
                                    PixelFormat::kRgba8, PixelFormat::kNv12, PixelFormat::kYuyv};
const OperatingPoint kOperatingPoint{"test", 0.6f, 0.4f, {1, 0.5f, 0.25f}, 3};

class Random {
 public:
  explicit Random(unsigned seed) : generator_(seed) {}
  int between(int low, int high) {
    return low + static_cast<int>(generator_() % static_cast<unsigned>(high - low + 1));
  }
  float normal(float mean, float deviation) {
    return std::normal_distribution<float>(mean, deviation)(generator_);
  }
  std::uint8_t byte() { return static_cast<std::uint8_t>(generator_()); }

 private:
  std::mt19937 generator_;
};

// Noise, in which no two pixels agree by chance, in host memory and in device memory. Its rows are
// `padding` bytes further apart than they need to be, and begin `offset` bytes into the memory.
class NoiseFrame {
 public:
  NoiseFrame(PixelFormat format, int width, int height, int padding, int offset, Random& random)
      : device_view_(1) {
    const int stride = width * efiqa::bytes_per_pixel(format) + padding;
    const int rows = format == PixelFormat::kNv12 ? height + height / 2 : height;
    // Not one byte more than there is: what reads past the end is noticed.
    bytes_.resize(static_cast<std::size_t>(offset) + static_cast<std::size_t>(stride) * (rows - 1) +
                  static_cast<std::size_t>(stride - padding));
    for (std::uint8_t& byte : bytes_) byte = random.byte();
    view = {bytes_.data() + offset, width, height, stride, format};
    if (format == PixelFormat::kNv12) {
      view.uv_data = view.data + static_cast<std::ptrdiff_t>(stride) * height;
      view.uv_stride_bytes = stride;
    }
    view.matrix = random.between(0, 1) != 0 ? efiqa::YuvMatrix::kBt709 : efiqa::YuvMatrix::kBt601;
    view.range = random.between(0, 1) != 0 ? efiqa::YuvRange::kFull : efiqa::YuvRange::kLimited;
    efiqa::validate_frame(view);
    device_bytes_.reserve(bytes_.size());
    check_cuda(
        cudaMemcpy(device_bytes_.data(), bytes_.data(), bytes_.size(), cudaMemcpyHostToDevice),
        "the frame's copy");
    FrameView there = view;
    there.data = device_bytes_.data() + offset;
    if (view.uv_data != nullptr) there.uv_data = there.data + (view.uv_data - view.data);
    check_cuda(cudaMemcpy(device_view_.data(), &there, sizeof(there), cudaMemcpyHostToDevice),
               "the view's copy");
  }
  NoiseFrame(const NoiseFrame&) = delete;
  NoiseFrame& operator=(const NoiseFrame&) = delete;

  const FrameView* on_device() const { return device_view_.data(); }

  FrameView view;

 private:
  std::vector<std::uint8_t> bytes_;
  DeviceBuffer<std::uint8_t> device_bytes_;
  DeviceBuffer<FrameView> device_view_;
};

// A circle somewhere in the frame, cut on some sides.
DeviceField random_field(int width, int height, Random& random) {
  FieldOfView fov;
  fov.shape = FovShape::kCircle;
  const int shorter = std::min(width, height);
  fov.radius_px = static_cast<float>(random.between(shorter / 6, shorter)) + 0.3f;
  fov.center_x_px = static_cast<float>(random.between(width / 3, width * 2 / 3)) + 0.7f;
  fov.center_y_px = static_cast<float>(random.between(height / 3, height * 2 / 3)) + 0.1f;
  fov.left_px = std::max(0.0f, fov.center_x_px - fov.radius_px);
  fov.right_px = std::min(static_cast<float>(width), fov.center_x_px + fov.radius_px);
  fov.top_px = std::max(0.0f, fov.center_y_px - fov.radius_px * 0.8f);
  fov.bottom_px = std::min(static_cast<float>(height), fov.center_y_px + fov.radius_px);
  return {fov, efiqa::square_crop(fov)};
}

template <typename Value>
class OnDevice {
 public:
  explicit OnDevice(const Value& value) : buffer_(1) {
    check_cuda(cudaMemcpy(buffer_.data(), &value, sizeof(value), cudaMemcpyHostToDevice),
               "a value's copy");
  }
  Value* get() const { return buffer_.data(); }

 private:
  DeviceBuffer<Value> buffer_;
};

template <typename Value>
std::vector<Value> from_device(const Value* data, std::size_t count) {
  std::vector<Value> values(count);
  check_cuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  check_cuda(cudaMemcpy(values.data(), data, count * sizeof(Value), cudaMemcpyDeviceToHost),
             "the result's copy");
  return values;
}

PreprocessSpec random_spec(Random& random, int low, int high) {
  PreprocessSpec spec;
  spec.width_px = random.between(low, high);
  spec.height_px = random.between(low, high);
  spec.filter = random.between(0, 2) == 0 ? ResizeFilter::kBox : ResizeFilter::kTriangle;
  spec.blank_outside = random.between(0, 3) != 0;
  for (int c = 0; c < 3; ++c) {
    spec.mean[c] = 0.45f + 0.02f * static_cast<float>(c);
    spec.std[c] = 0.229f - 0.01f * static_cast<float>(c);
  }
  return spec;
}

std::vector<float> preprocess_on_device(const NoiseFrame& frame, const DeviceField& field,
                                        const PreprocessSpec& spec) {
  const std::size_t count = 3u * static_cast<std::size_t>(spec.width_px * spec.height_px);
  const DeviceBuffer<float> out(count);
  const OnDevice<DeviceField> device_field(field);
  efiqa::launch_preprocess(frame.view, frame.on_device(), device_field.get(), spec, out.data(),
                           nullptr);
  return from_device(out.data(), count);
}

void check_preprocess(const NoiseFrame& frame, const DeviceField& field,
                      const PreprocessSpec& spec) {
  const std::vector<float> device = preprocess_on_device(frame, field, spec);
  std::vector<float> host(device.size());
  ThreadPool pool(1);
  efiqa::Preprocessor(spec, pool).run(frame.view, field.crop, field.fov, host.data());
  std::size_t different = 0, where = 0;
  for (std::size_t i = 0; i < host.size(); ++i) {
    if (std::memcmp(&host[i], &device[i], sizeof(float)) == 0) continue;
    if (different++ == 0) where = i;
  }
  if (different == 0) return;
  efiqa_test::fail(__FILE__, __LINE__,
                   std::to_string(different) + " of " + std::to_string(host.size()) +
                       " values differ, first " + std::to_string(where) + ": " +
                       std::to_string(device[where]) + ", expected " + std::to_string(host[where]) +
                       "; format " + std::to_string(static_cast<int>(frame.view.format)) + ", " +
                       std::to_string(frame.view.width_px) + " x " +
                       std::to_string(frame.view.height_px) + ", crop side " +
                       std::to_string(field.crop.side_px) + " to " + std::to_string(spec.width_px) +
                       " x " + std::to_string(spec.height_px));
}

Contract grid_contract(int width, int height) {
  Contract contract = efiqa_test::tiny_contract();
  contract.grid_width = width;
  contract.grid_height = height;
  contract.calibration_scale = 1.3f;
  contract.calibration_offset = -0.2f;
  contract.region_threshold = 0.6f;
  return contract;
}

constexpr int kChannelLists = 6;

// The same with one of the lists of channels.
Contract channel_contract(int width, int height, int list) {
  Contract contract = grid_contract(width, height);
  list %= kChannelLists;
  contract.landmark_count = std::max(list - 3, 0);
  contract.has_reasons = contract.landmark_count > 0 || list % 2 == 1;
  contract.has_not_a_fundus = contract.landmark_count > 0 || list / 2 == 1;
  return contract;
}

std::vector<float> random_logits(const Contract& contract, float mean, Random& random) {
  std::vector<float> logits(static_cast<std::size_t>(contract.channel_count() *
                                                     contract.grid_width * contract.grid_height));
  for (float& logit : logits) logit = random.normal(mean, 2);
  return logits;
}

// The device's postprocessing, kept for an overlay of its result.
class Graded {
 public:
  Graded(const Contract& contract, const std::vector<float>& logits, const DeviceField& field)
      : field_(field), logits_(logits.size()), post_(contract) {
    check_cuda(cudaMemcpy(logits_.data(), logits.data(), logits.size() * sizeof(float),
                          cudaMemcpyHostToDevice),
               "the logits' copy");
    post_.enqueue(logits_.data(), field_.get(), nullptr);
    check_cuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  }
  Report report() const {
    Report report;
    post_.read(kOperatingPoint, report);
    return report;
  }
  DevicePostprocessor& post() { return post_; }
  const DeviceField* field() const { return field_.get(); }

 private:
  OnDevice<DeviceField> field_;
  DeviceBuffer<float> logits_;
  DevicePostprocessor post_;
};

Report grade_on_host(const Contract& contract, const std::vector<float>& logits,
                     const DeviceField& field) {
  Report report;
  report.fov = field.fov;
  report.crop = field.crop;
  efiqa::Postprocessor(contract).run(logits.data(), kOperatingPoint, report);
  return report;
}

void check_values(const std::vector<float>& actual, const std::vector<float>& expected,
                  double tolerance, const char* name) {
  CHECK_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < std::min(actual.size(), expected.size()); ++i) {
    if (std::isnan(actual[i]) && std::isnan(expected[i])) continue;
    if (std::abs(actual[i] - expected[i]) <= tolerance) continue;
    efiqa_test::fail(__FILE__, __LINE__,
                     std::string(name) + " of cell " + std::to_string(i) + " is " +
                         std::to_string(actual[i]) + ", expected " + std::to_string(expected[i]));
    return;
  }
}

void check_diagnosis(const efiqa::Diagnosis& actual, const efiqa::Diagnosis& expected) {
  check_values({actual.strengths.begin(), actual.strengths.end()},
               {expected.strengths.begin(), expected.strengths.end()}, kScoreTolerance, "strength");
  CHECK_EQ(static_cast<int>(actual.main_reason), static_cast<int>(expected.main_reason));
  CHECK_EQ(static_cast<int>(actual.remedy), static_cast<int>(expected.remedy));
  CHECK_NEAR(actual.remedy_clock_hour, expected.remedy_clock_hour, 12 * kRegionTolerance);
}

void check_report(const Report& actual, const Report& expected) {
  CHECK_EQ(static_cast<int>(actual.verdict), static_cast<int>(expected.verdict));
  CHECK_EQ(static_cast<int>(actual.reason), static_cast<int>(expected.reason));
  CHECK(std::isnan(actual.score) == std::isnan(expected.score));
  if (!std::isnan(expected.score)) CHECK_NEAR(actual.score, expected.score, kScoreTolerance);
  check_values({actual.not_a_fundus}, {expected.not_a_fundus}, kScoreTolerance, "not_a_fundus");
  check_diagnosis(actual.diagnosis, expected.diagnosis);
  CHECK_EQ(actual.grid_width, expected.grid_width);
  CHECK_EQ(actual.grid_height, expected.grid_height);
  CHECK_EQ(actual.crop.side_px, expected.crop.side_px);
  check_values(actual.map, expected.map, kProbabilityTolerance, "map");
  check_values(actual.weights, expected.weights, kWeightTolerance, "weights");
  check_values(actual.landmarks, expected.landmarks, kProbabilityTolerance, "landmarks");
  CHECK_EQ(actual.regions.size(), expected.regions.size());
  for (std::size_t i = 0; i < std::min(actual.regions.size(), expected.regions.size()); ++i) {
    const efiqa::Region& a = actual.regions[i];
    const efiqa::Region& e = expected.regions[i];
    const float pairs[][2] = {{a.x_px, e.x_px},
                              {a.y_px, e.y_px},
                              {a.width_px, e.width_px},
                              {a.height_px, e.height_px},
                              {a.area_share, e.area_share},
                              {a.mean_probability, e.mean_probability},
                              {a.clock_hour, e.clock_hour},
                              {a.center_distance, e.center_distance}};
    for (const auto& pair : pairs) {
      CHECK_NEAR(pair[0], pair[1], kRegionTolerance * std::max(1.0f, std::abs(pair[1])));
    }
    check_diagnosis(a.diagnosis, e.diagnosis);
  }
}

}  // namespace

TEST(kernels_preprocess_of_random_frames_is_the_cpus_to_the_bit) {
  Random random(5);
  for (int i = 0; i < efiqa_test::rounds(72); ++i) {
    const PixelFormat format = kFormats[i % 6];
    const int width = random.between(32, 350) * 2, height = random.between(32, 350) * 2;
    const NoiseFrame frame(format, width, height, random.between(0, 9), random.between(0, 5),
                           random);
    check_preprocess(frame, random_field(width, height, random), random_spec(random, 32, 400));
  }
}

TEST(kernels_preprocess_of_odd_sides_is_the_cpus_to_the_bit) {
  Random random(6);
  for (int i = 0; i < 16; ++i) {
    const int width = random.between(32, 200) * 2 + 1, height = random.between(32, 200) * 2 + 1;
    const NoiseFrame frame(kFormats[i % 4], width, height, random.between(0, 3),
                           random.between(0, 3), random);
    check_preprocess(frame, random_field(width, height, random), random_spec(random, 32, 300));
  }
}

TEST(kernels_preprocess_of_a_crop_beyond_the_frame_is_the_cpus_to_the_bit) {
  Random random(7);
  for (int i = 0; i < efiqa_test::rounds(24); ++i) {
    const int width = random.between(64, 300), height = random.between(64, 300);
    const NoiseFrame frame(kFormats[i % 4], width, height, 1, 0, random);
    DeviceField field = random_field(width, height, random);
    // Up to wholly outside.
    field.crop = {random.between(-400, 400), random.between(-400, 400),
                  random.between(1, std::max(width, height))};
    check_preprocess(frame, field, random_spec(random, 32, 200));
  }
}

TEST(kernels_preprocess_of_extreme_scales_is_the_cpus_to_the_bit) {
  struct Case {
    PixelFormat format;
    int width, height, out_width, out_height;
  };
  Random random(8);
  for (const Case& c :
       {Case{PixelFormat::kRgb8, 1920, 1080, 384, 384},
        Case{PixelFormat::kNv12, 4096, 2048, 224, 224},
        Case{PixelFormat::kGray8, 8192, 64, 32, 2048},
        Case{PixelFormat::kGray8, 64, 8192, 2048, 32}, Case{PixelFormat::kYuyv, 8192, 66, 32, 32},
        Case{PixelFormat::kBgr8, 64, 64, 1024, 1000},
        Case{PixelFormat::kRgba8, 2600, 2000, 336, 336}}) {
    const NoiseFrame frame(c.format, c.width, c.height, 0, 0, random);
    DeviceField field = random_field(c.width, c.height, random);
    field.crop = {c.width / 2 - std::max(c.width, c.height) / 2,
                  c.height / 2 - std::max(c.width, c.height) / 2, std::max(c.width, c.height)};
    PreprocessSpec spec = random_spec(random, 32, 32);
    spec.width_px = c.out_width;
    spec.height_px = c.out_height;
    for (const ResizeFilter filter : {ResizeFilter::kBox, ResizeFilter::kTriangle}) {
      spec.filter = filter;
      check_preprocess(frame, field, spec);
    }
  }
}

TEST(kernels_preprocess_without_field_of_view_leaves_the_input_alone) {
  Random random(9);
  const NoiseFrame frame(PixelFormat::kRgb8, 100, 80, 0, 0, random);
  const PreprocessSpec spec = random_spec(random, 64, 64);
  const std::vector<float> before(3 * 64 * 64, 42.0f);
  const DeviceBuffer<float> out(before.size());
  check_cuda(
      cudaMemcpy(out.data(), before.data(), before.size() * sizeof(float), cudaMemcpyHostToDevice),
      "the input's copy");
  const OnDevice<DeviceField> nothing{DeviceField()};
  efiqa::launch_preprocess(frame.view, frame.on_device(), nothing.get(), spec, out.data(), nullptr);
  CHECK(from_device(out.data(), before.size()) == before);
}

TEST(kernels_grade_as_the_cpu_does) {
  Random random(10);
  const int sides[][2] = {{1, 1},   {1, 40},  {7, 3},   {14, 14},
                          {24, 24}, {37, 37}, {64, 20}, {128, 128}};
  for (const auto& side : sides) {
    for (int i = 0; i < 8; ++i) {
      const Contract contract = channel_contract(side[0], side[1], i);
      const DeviceField field =
          random_field(random.between(64, 2000), random.between(64, 2000), random);
      // From few bad cells, in many groups, to one group of nearly all.
      const std::vector<float> logits =
          random_logits(contract, static_cast<float>(i) - 3.5f, random);
      check_report(Graded(contract, logits, field).report(),
                   grade_on_host(contract, logits, field));
    }
  }
}

TEST(kernels_grade_regions_of_any_shape_as_the_cpu_does) {
  // Spirals, combs and checkerboards: groups whose parts meet late.
  const int side = 31;
  const Contract contract = grid_contract(side, side);
  Random random(11);
  const DeviceField field = random_field(900, 900, random);
  std::vector<std::vector<float>> pictures(4, std::vector<float>(side * side, -6.0f));
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      const int ring = std::min({x, y, side - 1 - x, side - 1 - y});
      if (ring % 2 == 0 && !(y == ring + 1 && x == ring)) pictures[0][y * side + x] = 6;
      if (x % 2 == 0 || y == side - 1) pictures[1][y * side + x] = 6;
      if ((x + y) % 2 == 0) pictures[2][y * side + x] = 6;
      if (x % 3 == 0 && y % 3 == 0) pictures[3][y * side + x] = 6;
    }
  }
  for (const std::vector<float>& logits : pictures) {
    const Report host = grade_on_host(contract, logits, field);
    CHECK(!host.regions.empty());
    check_report(Graded(contract, logits, field).report(), host);
  }
}

TEST(kernels_grade_of_a_logit_that_is_not_finite_is_the_cpus_error) {
  const Contract contract = grid_contract(12, 9);
  Random random(12);
  const DeviceField field = random_field(300, 200, random);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    std::vector<float> logits = random_logits(contract, 0, random);
    logits[2 * 12 + 5] = bad;
    logits[8 * 12 + 11] = bad;
    const Graded device(contract, logits, field);
    const std::string message = error_of([&] { device.report(); });
    CHECK_EQ(message, error_of([&] { grade_on_host(contract, logits, field); }));
    CHECK(message.find("(row 2, column 5)") != std::string::npos);
  }
}

TEST(kernels_grade_of_a_channel_that_is_not_finite_is_the_cpus_error) {
  const Contract contract = channel_contract(12, 9, 3);
  Random random(17);
  const DeviceField field = random_field(300, 200, random);
  for (int channel = 0; channel < contract.channel_count(); ++channel) {
    std::vector<float> logits = random_logits(contract, 0, random);
    logits[static_cast<std::size_t>(channel * 108 + 4 * 12 + 7)] =
        std::numeric_limits<float>::quiet_NaN();
    logits[static_cast<std::size_t>(channel * 108 + 8 * 12)] =
        std::numeric_limits<float>::infinity();
    const Graded device(contract, logits, field);
    const std::string message = error_of([&] { device.report(); });
    CHECK_EQ(message, error_of([&] { grade_on_host(contract, logits, field); }));
    CHECK(message.find(std::string(contract.channel_name(channel)) +
                       " in grid cell (row 4, column 7)") != std::string::npos);
  }
}

TEST(kernels_grade_without_field_of_view_is_unknown_whatever_the_logits) {
  const Contract contract = grid_contract(8, 8);
  const std::vector<float> logits(64, std::numeric_limits<float>::quiet_NaN());
  const Report report = Graded(contract, logits, DeviceField()).report();
  CHECK(report.verdict == efiqa::Verdict::kUnknown);
  CHECK(report.reason == efiqa::Reason::kNoFieldOfView);
  check_report(report, grade_on_host(contract, logits, DeviceField()));
}

namespace {

void check_overlay_of(const NoiseFrame& frame, const Contract& contract, const DeviceField& field,
                      const OverlayOptions& options, int out_padding, int out_offset,
                      Random& random) {
  const int width = frame.view.width_px, height = frame.view.height_px;
  Graded graded(contract, random_logits(contract, 0, random), field);
  // Of the device's own map: from there on it is whole numbers, and the bytes are the CPU's.
  Report report = graded.report();
  report.frame_width_px = width;
  report.frame_height_px = height;
  const std::ptrdiff_t stride = std::ptrdiff_t{3} * width + out_padding;
  const std::size_t bytes = static_cast<std::size_t>(stride) * static_cast<std::size_t>(height);
  std::vector<std::uint8_t> host(bytes + static_cast<std::size_t>(out_offset), 0xEE);
  const DeviceBuffer<std::uint8_t> out(host.size());
  check_cuda(cudaMemcpy(out.data(), host.data(), host.size(), cudaMemcpyHostToDevice),
             "the overlay's background");
  graded.post().enqueue_overlay(frame.view, frame.on_device(), graded.field(), options,
                                out.data() + out_offset, stride, nullptr);
  ThreadPool pool(1);
  efiqa::render_overlay(frame.view, report, options, pool, host.data() + out_offset, stride);
  const std::vector<std::uint8_t> device = from_device(out.data(), host.size());
  const auto first = std::mismatch(host.begin(), host.end(), device.begin()).first;
  if (first == host.end()) return;
  const std::ptrdiff_t at = first - host.begin();
  efiqa_test::fail(
      __FILE__, __LINE__,
      "byte " + std::to_string(at) + " is " + std::to_string(device[static_cast<std::size_t>(at)]) +
          ", expected " + std::to_string(*first) + "; format " +
          std::to_string(static_cast<int>(frame.view.format)) + ", " + std::to_string(width) +
          " x " + std::to_string(height) + ", grid " + std::to_string(contract.grid_width) + " x " +
          std::to_string(contract.grid_height) + ", crop side " +
          std::to_string(field.crop.side_px));
}

}  // namespace

TEST(kernels_overlay_of_random_frames_is_the_cpus_to_the_byte) {
  Random random(13);
  for (int i = 0; i < efiqa_test::rounds(48); ++i) {
    const PixelFormat format = kFormats[i % 6];
    const bool yuv = efiqa::is_yuv(format);
    const int width = random.between(32, 450) * 2 + (yuv ? 0 : random.between(0, 1));
    const int height = random.between(32, 300) * 2 + (yuv ? 0 : random.between(0, 1));
    const NoiseFrame frame(format, width, height, random.between(0, 9), random.between(0, 5),
                           random);
    // Every second output is aligned for the widest stores.
    const bool aligned = i / 6 % 2 == 0;
    const int padding = aligned ? 16 - 3 * width % 16 : random.between(0, 9);
    const OverlayOptions options{static_cast<efiqa::Colormap>(i % 4),
                                 i % 5 == 0 ? 1.0f : 0.15f * static_cast<float>(i % 5)};
    check_overlay_of(frame, grid_contract(random.between(1, 40), random.between(1, 40)),
                     random_field(width, height, random), options, padding,
                     aligned ? 0 : random.between(0, 5), random);
  }
}

TEST(kernels_overlay_of_extreme_sizes_is_the_cpus_to_the_byte) {
  Random random(14);
  const int sizes[][2] = {{1920, 1080}, {8192, 64}, {64, 4096}, {512, 66}, {514, 64}, {64, 64}};
  for (const auto& size : sizes) {
    const NoiseFrame frame(PixelFormat::kRgb8, size[0], size[1], 0, 0, random);
    // 128 cells: narrower than a pixel where the field is small.
    check_overlay_of(frame, grid_contract(128, 128), random_field(size[0], size[1], random), {}, 0,
                     0, random);
    check_overlay_of(frame, grid_contract(1, 1), random_field(size[0], size[1], random), {}, 0, 0,
                     random);
  }
}

TEST(kernels_overlay_without_field_of_view_is_the_frame) {
  Random random(15);
  for (const PixelFormat format : kFormats) {
    const NoiseFrame frame(format, 130, 70, 2, 1, random);
    check_overlay_of(frame, grid_contract(8, 8), DeviceField(), {}, 1, 0, random);
  }
}

TEST(kernels_in_a_graph_follow_a_frame_that_moves) {
  Random random(16);
  const NoiseFrame first(PixelFormat::kRgb8, 200, 160, 0, 0, random);
  const NoiseFrame second(PixelFormat::kRgb8, 200, 160, 0, 0, random);
  const DeviceField field = random_field(200, 160, random);
  const OnDevice<DeviceField> device_field(field);
  const PreprocessSpec spec = random_spec(random, 64, 64);
  const DeviceBuffer<float> out(3 * 64 * 64);
  const DeviceBuffer<FrameView> view(1);
  const efiqa::StreamHandle stream;
  efiqa::Graph graph;
  graph.capture(stream.get(), [&] {
    efiqa::launch_preprocess(first.view, view.data(), device_field.get(), spec, out.data(),
                             stream.get());
  });
  for (const NoiseFrame* frame : {&first, &second, &first}) {
    check_cuda(cudaMemcpyAsync(view.data(), frame->on_device(), sizeof(FrameView),
                               cudaMemcpyDeviceToDevice, stream.get()),
               "the view's move");
    graph.launch(stream.get());
    check_cuda(cudaStreamSynchronize(stream.get()), "cudaStreamSynchronize");
    CHECK(from_device(out.data(), 3 * 64 * 64) == preprocess_on_device(*frame, field, spec));
  }
}
