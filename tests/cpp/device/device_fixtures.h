// What the tests of the GPU's side share: a plan of the double, its contract, frames in every
// format and memory.
#pragma once

#include <NvInferRuntime.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "contract.h"
#include "cuda_util.h"
#include "engine.h"
#include "fixtures.h"
#include "runtime.h"
#include "synthetic.h"

namespace efiqa_test {

constexpr int kInputSide = 64, kGridSide = 8;
constexpr std::size_t kInputValues = 3 * kInputSide * kInputSide, kCells = kGridSide * kGridSide;

// What tests/golden/tiny.onnx computes: dark blocks of 8 x 8 pixels are bad.
inline void block_means(const float* input, float* logits) {
  constexpr int kBlock = kInputSide / kGridSide;
  for (int cell = 0; cell < kGridSide * kGridSide; ++cell) {
    const int top = cell / kGridSide * kBlock, left = cell % kGridSide * kBlock;
    float sum = 0;
    for (int c = 0; c < 3; ++c) {
      for (int y = top; y < top + kBlock; ++y) {
        for (int x = left; x < left + kBlock; ++x)
          sum += input[(c * kInputSide + y) * kInputSide + x];
      }
    }
    logits[cell] = -2.0f - 1.5f * sum / (kBlock * kBlock);
  }
}

// The same, and six channels more, which follow the colours of each block.
inline void channel_means(const float* input, float* logits) {
  constexpr int kChannels = 7;
  block_means(input, logits);
  for (int c = 1; c < kChannels; ++c) {
    for (std::size_t cell = 0; cell < kCells; ++cell) {
      const float dark = logits[cell] + 0.1f * static_cast<float>(cell % 8);
      logits[static_cast<std::size_t>(c) * kCells + cell] =
          c == kChannels - 1 ? -3 + 0.2f * dark : 0.4f * static_cast<float>(c) * dark - 1;
    }
  }
}

// Forgets what earlier tests told the doubles.
inline void reset_doubles() {
  efiqa_double::reset();
  efiqa_double::TensorRt& trt = efiqa_double::tensorrt();
  trt.version = 100300;
  trt.network = block_means;
  trt.failing.clear();
  trt.fail_in_capture.clear();
  trt.warnings.clear();
  trt.runs = 0;
}

inline std::vector<efiqa_double::PlanTensor> tiny_tensors() {
  return {{"image", true, {1, 3, kInputSide, kInputSide}},
          {"logits", false, {1, 1, kGridSide, kGridSide}}};
}

inline std::string tiny_plan() { return efiqa_double::plan_text(tiny_tensors()); }

inline efiqa::Contract plan_contract(efiqa::Contract contract = tiny_contract()) {
  contract.format = efiqa::ModelFormat::kTensorRtPlan;
  contract.model_file = "tiny.plan";
  contract.parity_passed = true;
  contract.plan.version = "10.3.0.26";
  contract.plan.compute_capabilities.resize(1);
  contract.plan.compute_capabilities[0].major = 8;
  contract.plan.compute_capabilities[0].minor = 7;
  return contract;
}

// The network is block_means, and for a contract with every channel channel_means.
inline std::unique_ptr<efiqa::Runtime> open_device_runtime(
    int threads = 1, const efiqa::Contract& contract = plan_contract()) {
  std::vector<efiqa_double::PlanTensor> tensors = tiny_tensors();
  tensors[1].shape[1] = contract.channel_count();
  if (contract.has_reasons) efiqa_double::tensorrt().network = channel_means;
  efiqa::RuntimeOptions options;
  options.threads = threads;
  return std::make_unique<efiqa::Runtime>(
      contract,
      efiqa::open_engine(efiqa_double::plan_text(tensors), contract, efiqa::Backend::kAuto,
                         threads),
      options);
}

// The same network on the CPU.
inline std::unique_ptr<efiqa::Runtime> open_host_runtime(
    const efiqa::Contract& contract = plan_contract()) {
  auto engine = std::make_unique<FakeEngine>(contract);
  FakeEngine* fake = engine.get();
  const auto network = contract.has_reasons ? channel_means : block_means;
  fake->on_run = [fake, network] { network(fake->input().data, fake->logits.data()); };
  efiqa::RuntimeOptions options;
  options.threads = 1;
  return std::make_unique<efiqa::Runtime>(contract, std::move(engine), options);
}

// A drawn retina in any format, with rows further apart than they need to be.
class FormatFrame {
 public:
  FormatFrame(const Scene& scene, efiqa::PixelFormat format, int extra_bytes = 0) {
    const Drawing drawing = draw(scene);
    const int width = scene.width, height = scene.height;
    const std::ptrdiff_t stride =
        std::ptrdiff_t{width} * efiqa::bytes_per_pixel(format) + extra_bytes;
    const bool two_planes = format == efiqa::PixelFormat::kNv12;
    const std::size_t rows = static_cast<std::size_t>(two_planes ? height + height / 2 : height);
    bytes_.assign(static_cast<std::size_t>(stride) * rows, 0x5A);
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        const std::uint8_t* rgb = &drawing.pixels[3 * (static_cast<std::size_t>(y) * width + x)];
        put(format, &bytes_[static_cast<std::size_t>(y * stride)], x, rgb);
        if (two_planes && x % 2 == 0 && y % 2 == 0) {
          std::uint8_t* uv = &bytes_[static_cast<std::size_t>((height + y / 2) * stride + x)];
          chroma(rgb, uv);
        }
      }
    }
    view.data = bytes_.data();
    view.width_px = width;
    view.height_px = height;
    view.row_stride_bytes = stride;
    view.format = format;
    if (two_planes) {
      view.uv_data = bytes_.data() + stride * height;
      view.uv_stride_bytes = stride;
    }
  }
  FormatFrame(const FormatFrame&) = delete;
  FormatFrame& operator=(const FormatFrame&) = delete;

  const std::vector<std::uint8_t>& bytes() const { return bytes_; }
  // The same frame, whose bytes lie at `data`.
  efiqa::FrameView at(const std::uint8_t* data, efiqa::Memory memory) const {
    efiqa::FrameView moved = view;
    moved.data = data;
    if (view.uv_data != nullptr) moved.uv_data = data + (view.uv_data - view.data);
    moved.memory = memory;
    return moved;
  }

  efiqa::FrameView view;

 private:
  static std::uint8_t luma(const std::uint8_t* rgb) {
    return static_cast<std::uint8_t>(16 + (66 * rgb[0] + 129 * rgb[1] + 25 * rgb[2]) / 256);
  }
  static void chroma(const std::uint8_t* rgb, std::uint8_t* uv) {
    uv[0] = static_cast<std::uint8_t>(128 + (112 * rgb[2] - 38 * rgb[0] - 74 * rgb[1]) / 256);
    uv[1] = static_cast<std::uint8_t>(128 + (112 * rgb[0] - 94 * rgb[1] - 18 * rgb[2]) / 256);
  }
  static void put(efiqa::PixelFormat format, std::uint8_t* row, int x, const std::uint8_t* rgb) {
    switch (format) {
      case efiqa::PixelFormat::kRgb8:
        std::memcpy(row + 3 * x, rgb, 3);
        return;
      case efiqa::PixelFormat::kBgr8:
        for (int c = 0; c < 3; ++c) row[3 * x + c] = rgb[2 - c];
        return;
      case efiqa::PixelFormat::kGray8:
        row[x] = rgb[0];
        return;
      case efiqa::PixelFormat::kRgba8:
        std::memcpy(row + 4 * x, rgb, 3);
        return;
      case efiqa::PixelFormat::kNv12:
        row[x] = luma(rgb);
        return;
      case efiqa::PixelFormat::kYuyv:
        row[2 * x] = luma(rgb);
        std::uint8_t uv[2];
        chroma(rgb, uv);
        row[2 * x + 1] = uv[x % 2];
        return;
    }
  }

  std::vector<std::uint8_t> bytes_;
};

// A copy of a frame in device memory.
class DeviceCopy {
 public:
  explicit DeviceCopy(const FormatFrame& frame) : bytes_(frame.bytes().size()) {
    efiqa::check_cuda(cudaMemcpy(bytes_.data(), frame.bytes().data(), frame.bytes().size(),
                                 cudaMemcpyHostToDevice),
                      "the test's copy");
    view = frame.at(bytes_.data(), efiqa::Memory::kDevice);
  }

  efiqa::FrameView view;

 private:
  efiqa::DeviceBuffer<std::uint8_t> bytes_;
};

// A frame with a dim, cut field of view in it, so that some cells are bad and regions come out.
inline Scene small_scene(int width = 320, int height = 240) {
  Scene scene;
  scene.width = width;
  scene.height = height;
  scene.x = 0.52 * width;
  scene.y = 0.49 * height;
  scene.radius = 0.46 * height;
  scene.top = 0.1 * height;
  scene.field = 120;
  scene.rim_shade = 0.6;
  return scene;
}

}  // namespace efiqa_test
