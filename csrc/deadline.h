// The time by which a frame must be answered, and how to give up when it is not.
#pragma once

#include <algorithm>
#include <chrono>
#include <string>

#include "status.h"

namespace efiqa {

constexpr int kMaxDeadlineMs = 60000;

// Starts with the frame. Without a limit it never passes.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Deadline(int limit_ms)
      : limit_ms_(limit_ms), end_(Clock::now() + std::chrono::milliseconds(limit_ms)) {}

  bool limited() const noexcept { return limit_ms_ > 0; }
  bool passed() const noexcept { return limited() && Clock::now() >= end_; }

  // 0 once it has passed.
  std::chrono::milliseconds left() const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - Clock::now());
    return std::max(left, std::chrono::milliseconds(0));
  }

  void check(const char* stage) const {
    if (passed()) fail(stage);
  }

  // Throws Error(kDeadline) that says where the time was over.
  [[noreturn]] void fail(const char* stage) const {
    throw Error(StatusCode::kDeadline, "the frame took longer than deadline_ms " +
                                           std::to_string(limit_ms_) + " and was given up " +
                                           stage + "; allow more time, or use more threads");
  }

 private:
  int limit_ms_;
  Clock::time_point end_;
};

}  // namespace efiqa
