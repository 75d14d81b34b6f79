// What several tests need: the committed tiny model, its contract, frames, and a fake engine.
#pragma once

#include <unistd.h>

#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "contract.h"
#include "engine.h"
#include "frame.h"
#include "status.h"

namespace efiqa_test {

inline std::string golden_path(const std::string& name) {
  return std::string(EFIQA_GOLDEN_DIR) + "/" + name;
}

inline std::string read_golden(const std::string& name) {
  std::ifstream stream(golden_path(name), std::ios::binary);
  if (!stream) throw std::runtime_error(golden_path(name) + " cannot be opened");
  return std::string(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
}

inline std::string tiny_contract_text() { return read_golden("tiny.onnx.json"); }

// 8 x 8 cells, operating points screening (good .85, usable .6) and lenient.
inline efiqa::Contract tiny_contract() {
  return efiqa::parse_contract(tiny_contract_text(), "tiny.onnx.json");
}

// `text` with its only occurrence of `from` replaced; throws where a test's text has gone stale.
inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  if (at == std::string::npos || text.find(from, at + 1) != std::string::npos) {
    throw std::runtime_error("expected exactly one \"" + from + "\"");
  }
  return text.replace(at, from.size(), to);
}

// With every channel there may be: limits .25 for regions, .15 for pictures, .5 for not_a_fundus.
inline std::string full_contract_text() {
  std::string text = replaced(tiny_contract_text(), "\"reasons\": null",
                              R"("reasons": {"region_min_strength": 0.25,
                                             "picture_min_strength": 0.15})");
  text = replaced(text, "\"not_a_fundus\": null",
                  R"("not_a_fundus": {"min_probability": 0.5, "max_score": 1})");
  return replaced(text, "\"anatomy_not_visible\"",
                  R"("anatomy_not_visible", "under_exposed", "over_exposed", "defocus", "haze",
                     "occlusion", "not_a_fundus")");
}

inline efiqa::Contract full_contract() {
  return efiqa::parse_contract(full_contract_text(), "full.onnx.json");
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// "code: message" of the efiqa::Error that `action` throws, or what happened instead.
inline std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const efiqa::Error& error) {
    return std::string(efiqa::status_name(error.code())) + ": " + error.what();
  } catch (const std::exception& error) {
    return std::string("another exception: ") + error.what();
  }
  return "no error";
}

// A new folder that goes away with the test.
class Folder {
 public:
  Folder() {
    char name[] = "/tmp/efiqa_test_XXXXXX";
    if (mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~Folder() {
    for (const std::string& name : names_) {
      std::remove((path_ + "/" + name).c_str());
    }
    rmdir(path_.c_str());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string write(const std::string& name, const std::string& bytes) {
    std::ofstream(add(name), std::ios::binary) << bytes;
    return path_ + "/" + name;
  }
  std::string add(const std::string& name) {
    names_.push_back(name);
    return path_ + "/" + name;
  }

 private:
  std::string path_;
  std::vector<std::string> names_;
};

// A safetensors file of two tensors, `header` replaced by the text given.
inline std::string safetensors(const std::string& header, const std::string& data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(header.size() >> 8 * i & 0xFF);
  return bytes + header + data;
}

inline std::string bytes_of(const std::vector<float>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
}

// The golden file of the tiny contract's shapes.
inline std::string golden_file(const std::vector<float>& inputs, const std::vector<float>& logits) {
  const std::string count = std::to_string(inputs.size() / (3 * 64 * 64));
  const std::string middle = std::to_string(4 * inputs.size());
  const std::string end = std::to_string(4 * (inputs.size() + logits.size()));
  return safetensors("{\"inputs\":{\"dtype\":\"F32\",\"shape\":[" + count +
                         ",3,64,64],\"data_offsets\":[0," + middle +
                         "]},\"logits\":{\"dtype\":\"F32\",\"shape\":[" + count +
                         ",1,8,8],\"data_offsets\":[" + middle + "," + end + "]}}",
                     bytes_of(inputs) + bytes_of(logits));
}

// An engine whose answer the test writes.
class FakeEngine : public efiqa::Engine {
 public:
  explicit FakeEngine(const efiqa::Contract& contract)
      : input_height_(contract.preprocess.height_px),
        input_width_(contract.preprocess.width_px),
        channels_(contract.channel_count()),
        grid_height_(contract.grid_height),
        grid_width_(contract.grid_width),
        input_(3u * static_cast<std::size_t>(input_height_) * input_width_),
        logits(static_cast<std::size_t>(channels_) * grid_height_ * grid_width_, -4.0f) {}

  efiqa::TensorView input() override { return {input_.data(), 3, input_height_, input_width_}; }
  efiqa::TensorView output() override {
    return {logits.data(), channels_, grid_height_, grid_width_};
  }
  void run(efiqa::Stream /*stream*/) override {
    ++runs;
    if (on_run) on_run();
  }
  std::string description() const override { return "fake"; }

 private:
  int input_height_, input_width_, channels_, grid_height_, grid_width_;
  std::vector<float> input_;

 public:
  std::vector<float> logits;
  int runs = 0;
  std::function<void()> on_run;
};

// Holds the thread that runs `engine` inside of it, until release().
class HeldRun {
 public:
  explicit HeldRun(FakeEngine& engine) {
    engine.on_run = [this] {
      std::unique_lock<std::mutex> lock(mutex_);
      inside_ = true;
      changed_.notify_all();
      changed_.wait(lock, [this] { return released_; });
    };
  }
  HeldRun(const HeldRun&) = delete;
  HeldRun& operator=(const HeldRun&) = delete;

  void wait_until_inside() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return inside_; });
  }

  void release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    released_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool inside_ = false, released_ = false;
};

// RGB8 pixels with their view. A disc of a retina's colour, unevenly lit, on black.
class DiscFrame {
 public:
  DiscFrame(int width_px, int height_px, bool with_disc = true)
      : bytes_(3u * static_cast<std::size_t>(width_px) * height_px) {
    view.data = bytes_.data();
    view.width_px = width_px;
    view.height_px = height_px;
    view.row_stride_bytes = 3 * width_px;
    view.format = efiqa::PixelFormat::kRgb8;
    if (!with_disc) return;
    const double radius = 0.45 * (width_px < height_px ? width_px : height_px);
    for (int y = 0; y < height_px; ++y) {
      for (int x = 0; x < width_px; ++x) {
        const double dx = x + 0.5 - width_px / 2.0, dy = y + 0.5 - height_px / 2.0;
        if (dx * dx + dy * dy > radius * radius) continue;
        const double light = 0.8 + 0.2 * dx / radius;
        std::uint8_t* pixel = &bytes_[3 * (static_cast<std::size_t>(y) * width_px + x)];
        pixel[0] = static_cast<std::uint8_t>(200 * light);
        pixel[1] = static_cast<std::uint8_t>(110 * light);
        pixel[2] = static_cast<std::uint8_t>(60 * light);
      }
    }
  }
  DiscFrame(const DiscFrame&) = delete;
  DiscFrame& operator=(const DiscFrame&) = delete;

  efiqa::FrameView view;

 private:
  std::vector<std::uint8_t> bytes_;
};

}  // namespace efiqa_test
