// The handle behind efiqa_runtime, for the C door, what is built on it, and the tests.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "efiqa/efiqa.h"
#include "runtime.h"

struct efiqa_runtime {
  efiqa_runtime(std::unique_ptr<efiqa::Runtime> opened, int deadline_ms);

  const std::unique_ptr<efiqa::Runtime> core;
  const int deadline_ms;
  const std::string engine;               // its description
  const efiqa::Report* report = nullptr;  // the core's, of the last frame; null when that failed
  std::atomic<bool> busy{false};          // a thread is inside; guards report
};

namespace efiqa {

// For as long as it lives, other threads are turned away from the runtime (Error(kWrongThread)).
class Entry {
 public:
  explicit Entry(efiqa_runtime* runtime);
  ~Entry();
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

 private:
  efiqa_runtime* runtime_;
};

// Throws Error(kInvalidArgument) or Error(kInvalidFrame).
FrameView frame_view(const efiqa_frame* given);

// What is in the report whatever happens; `runtime` may be null.
efiqa_report empty_report(const efiqa_runtime* runtime);
void fill_report(const Report& report, efiqa_report& out);

}  // namespace efiqa
