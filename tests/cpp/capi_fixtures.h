// The C door with a fake engine behind it, and C frames of drawn discs.
#pragma once

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "capi_runtime.h"
#include "efiqa/efiqa.h"
#include "fixtures.h"

namespace efiqa_test {

// "name: message" of a status, as error_of says it for C++.
inline std::string answer_of(std::int32_t status, const char* message) {
  return std::string(efiqa_status_name(status)) + ": " + message;
}

inline efiqa_frame c_frame(const DiscFrame& disc) {
  efiqa_frame frame;
  EFIQA_INIT(frame);
  frame.format = EFIQA_FORMAT_RGB8;
  frame.width_px = disc.view.width_px;
  frame.height_px = disc.view.height_px;
  frame.data = disc.view.data;
  frame.row_stride_bytes = disc.view.row_stride_bytes;
  frame.data_size_bytes = static_cast<std::size_t>(frame.row_stride_bytes) * frame.height_px;
  return frame;
}

// What must hold after every call that failed.
inline bool says_unknown(const efiqa_report& report) {
  return report.status != EFIQA_STATUS_OK && report.verdict == EFIQA_VERDICT_UNKNOWN &&
         std::isnan(report.score) && report.region_count == 0 && report.map == nullptr &&
         report.weights == nullptr && report.macula == nullptr && report.optic_disc == nullptr &&
         report.main_reason == EFIQA_REASON_NONE && std::isnan(report.not_a_fundus) &&
         std::all_of(std::begin(report.reason_strengths), std::end(report.reason_strengths),
                     [](float strength) { return std::isnan(strength); });
}

// A runtime with a fake engine, which the test keeps a hand on.
struct CBench {
  explicit CBench(int threads = 1, int deadline_ms = 0,
                  const efiqa::Contract& contract = tiny_contract()) {
    auto owned = std::make_unique<FakeEngine>(contract);
    engine = owned.get();
    efiqa::RuntimeOptions options;
    options.threads = threads;
    options.deadline_ms = deadline_ms;
    runtime = new efiqa_runtime(
        std::make_unique<efiqa::Runtime>(contract, std::move(owned), options), deadline_ms);
    EFIQA_INIT(report);
  }
  ~CBench() { efiqa_runtime_close(&runtime); }
  CBench(const CBench&) = delete;
  CBench& operator=(const CBench&) = delete;

  // Status; text and report are kept.
  std::int32_t assess(const efiqa_frame& frame) {
    return efiqa_runtime_assess(runtime, &frame, &report, message, sizeof(message));
  }
  std::string answer(const efiqa_frame& frame) { return answer_of(assess(frame), message); }

  FakeEngine* engine = nullptr;
  efiqa_runtime* runtime = nullptr;
  efiqa_report report;
  char message[512] = "";
};

}  // namespace efiqa_test
