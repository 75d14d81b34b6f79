// Frames through the C door, with a fake engine: a frame is assessed, or refused and unknown; never
// a byte outside the buffers that it names is read.
//
// The input: a header of kHeaderBytes that sets the frame's fields and how large its buffers are,
// then 16 logits, then the pixels, which are repeated as often as is needed.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "capi_runtime.h"
#include "efiqa/efiqa.h"
#include "fixtures.h"
#include "fuzz_check.h"

namespace {

constexpr std::size_t kLogits = 16;
constexpr int kUsualSidePx = 80;  // from 60 px on: most frames are small, so that many are tried
constexpr std::size_t kMaxBufferBytes = 1 << 20;

// Takes values off the front of the input; zeros after its end.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  template <typename Value>
  Value take() {
    Value value{};
    const std::size_t count = std::min(sizeof(value), size_);
    if (count > 0) std::memcpy(&value, data_, count);
    data_ += count;
    size_ -= count;
    return value;
  }

  // A buffer of exactly `size` bytes, so that the sanitizer sees any read beyond it.
  std::unique_ptr<std::uint8_t[]> fill(std::size_t size) const {
    std::unique_ptr<std::uint8_t[]> buffer(new std::uint8_t[size]);
    if (size_ == 0) std::memset(buffer.get(), 0, size);
    for (std::size_t i = 0; size_ > 0 && i < size; i += size_) {
      std::memcpy(&buffer[i], data_, std::min(size_, size - i));
    }
    return buffer;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

struct Bench {
  Bench() {
    const efiqa::Contract contract = efiqa_test::tiny_contract();
    auto owned = std::make_unique<efiqa_test::FakeEngine>(contract);
    engine = owned.get();
    efiqa::RuntimeOptions options;
    options.threads = 1;
    runtime =
        new efiqa_runtime(std::make_unique<efiqa::Runtime>(contract, std::move(owned), options), 0);
  }

  efiqa_test::FakeEngine* engine = nullptr;
  efiqa_runtime* runtime = nullptr;  // of the process
};

void check_report(efiqa_runtime* runtime, const efiqa_report& report) {
  if (report.status != EFIQA_STATUS_OK) {
    FUZZ_CHECK(report.verdict == EFIQA_VERDICT_UNKNOWN && std::isnan(report.score));
    FUZZ_CHECK(report.map == nullptr && report.region_count == 0);
    return;
  }
  const bool known = report.verdict != EFIQA_VERDICT_UNKNOWN;
  FUZZ_CHECK(known == (report.score >= 0 && report.score <= 1));
  FUZZ_CHECK(known || std::isnan(report.score));
  for (int i = 0; i < report.grid_width * report.grid_height; ++i) {
    FUZZ_CHECK(report.weights[i] >= 0 && report.weights[i] <= 1);
    FUZZ_CHECK(report.weights[i] > 0 ? report.map[i] >= 0 && report.map[i] <= 1
                                     : std::isnan(report.map[i]));
  }
  for (int i = 0; i < report.region_count; ++i) {
    efiqa_region region;
    EFIQA_INIT(region);
    FUZZ_CHECK(efiqa_region_read(runtime, i, &region) == EFIQA_STATUS_OK);
    FUZZ_CHECK(region.x_px >= 0 && region.y_px >= 0 && region.width_px >= 0);
    FUZZ_CHECK(region.x_px + region.width_px <= static_cast<float>(report.frame_width_px));
    FUZZ_CHECK(region.y_px + region.height_px <= static_cast<float>(report.frame_height_px));
    FUZZ_CHECK(region.clock_hour >= 0 && region.clock_hour <= 12);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Bench bench;
  Input input(data, size);
  efiqa_frame frame;
  EFIQA_INIT(frame);
  const std::uint8_t kind = input.take<std::uint8_t>();
  frame.format = static_cast<std::int8_t>(input.take<std::uint8_t>()) % 7;
  frame.width_px = input.take<std::int16_t>();
  frame.height_px = input.take<std::int16_t>();
  if ((kind & 1) == 0) {
    frame.width_px = 60 + (frame.width_px & 0x7FFF) % kUsualSidePx;
    frame.height_px = 60 + (frame.height_px & 0x7FFF) % kUsualSidePx;
  }
  const int pixel_bytes = efiqa::bytes_per_pixel(static_cast<efiqa::PixelFormat>(frame.format));
  frame.row_stride_bytes = std::ptrdiff_t{pixel_bytes} * frame.width_px + input.take<std::int8_t>();
  frame.uv_stride_bytes = std::ptrdiff_t{frame.width_px} + input.take<std::int8_t>();
  if ((kind & 2) != 0) frame.row_stride_bytes = input.take<std::ptrdiff_t>();
  frame.matrix = input.take<std::uint8_t>() % 3;
  frame.range = frame.matrix == 2 ? 0 : input.take<std::uint8_t>() % 3;
  frame.memory = (kind & 4) != 0 ? input.take<std::int8_t>() : 0;
  const std::int32_t missing = (kind & 8) != 0 ? input.take<std::uint8_t>() : 0;
  for (float& logit : bench.engine->logits) logit = -4;
  for (std::size_t i = 0; i < kLogits; ++i) {
    bench.engine->logits[4 * i + i % 4] = input.take<float>();
  }
  const auto bytes_for = [&](std::ptrdiff_t stride, std::ptrdiff_t row, int rows) {
    if (stride <= 0 || rows <= 0) return std::size_t{16};
    const double wanted = static_cast<double>(stride) * (rows - 1) + static_cast<double>(row);
    return static_cast<std::size_t>(std::clamp(wanted - missing, 0.0, double{kMaxBufferBytes}));
  };
  frame.data_size_bytes = bytes_for(frame.row_stride_bytes,
                                    std::ptrdiff_t{pixel_bytes} * frame.width_px, frame.height_px);
  frame.uv_size_bytes = bytes_for(frame.uv_stride_bytes, frame.width_px, frame.height_px / 2);
  const auto pixels = input.fill(frame.data_size_bytes), colours = input.fill(frame.uv_size_bytes);
  frame.data = pixels.get();
  frame.uv_data = (kind & 16) != 0 ? nullptr : colours.get();

  efiqa_report report;
  EFIQA_INIT(report);
  char message[64];
  efiqa_runtime_assess(bench.runtime, &frame, &report, message, sizeof(message));
  check_report(bench.runtime, report);

  const std::size_t row_bytes = 3u * static_cast<std::size_t>(std::max(frame.width_px, 0));
  const std::size_t out_bytes = std::min(row_bytes * std::max(frame.height_px, 0), kMaxBufferBytes);
  const std::unique_ptr<std::uint8_t[]> out(new std::uint8_t[out_bytes]);
  const std::int32_t drawn =
      efiqa_overlay_render(bench.runtime, &frame, nullptr, out.get(), out_bytes,
                           static_cast<std::ptrdiff_t>(row_bytes), message, sizeof(message));
  FUZZ_CHECK(drawn != EFIQA_STATUS_OK || report.status == EFIQA_STATUS_OK);
  return 0;
}
