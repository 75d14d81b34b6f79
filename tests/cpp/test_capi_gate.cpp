// The C door of the live capture gate.
#include <cmath>
#include <cstring>
#include <string>

#include "allocations.h"
#include "capi_fixtures.h"
#include "check.h"

using efiqa_test::answer_of;
using efiqa_test::c_frame;
using efiqa_test::CBench;
using efiqa_test::DiscFrame;

namespace {

// A gate whose limits a drawn disc keeps, and a clock.
struct Preview {
  Preview() : disc(640, 480), frame(c_frame(disc)) {
    EFIQA_INIT(params);
    EFIQA_INIT(decision);
    EFIQA_INIT(report);
    efiqa_gate_params_init(&params);
    params.min_sharpness = params.min_contrast = 0;
    params.max_lid = params.max_saturated = 1;
    efiqa_gate_open(bench.runtime, &params, &gate, nullptr, 0);
  }
  ~Preview() { efiqa_gate_close(&gate); }
  Preview(const Preview&) = delete;
  Preview& operator=(const Preview&) = delete;

  std::int32_t update(const efiqa_frame& shown) {
    now_ms += 50;
    return efiqa_gate_update(gate, bench.runtime, &shown, now_ms, &report, &decision, message,
                             sizeof(message));
  }
  int frames_until(std::int32_t state) {
    for (int i = 1; i <= 100; ++i) {
      if (update(frame) == EFIQA_STATUS_OK && decision.state == state) return i;
    }
    return -1;
  }
  std::string open_answer() {
    efiqa_gate* opened = nullptr;
    char text[256];
    const std::int32_t status =
        efiqa_gate_open(bench.runtime, &params, &opened, text, sizeof(text));
    efiqa_gate_close(&opened);
    return answer_of(status, text);
  }

  CBench bench;
  DiscFrame disc;
  efiqa_frame frame;
  efiqa_gate_params params;
  efiqa_gate* gate = nullptr;
  efiqa_decision decision;
  efiqa_report report;
  std::int64_t now_ms = 1000;
  char message[256] = "";
};

bool acts_on_nothing(const efiqa_decision& d) {
  return d.status != EFIQA_STATUS_OK && d.state != EFIQA_GATE_READY &&
         d.state != EFIQA_GATE_CAPTURED && d.keep_slot == -1 &&
         d.guidance != EFIQA_GUIDANCE_TAKE_PICTURE && d.guidance != EFIQA_GUIDANCE_DONE;
}

}  // namespace

TEST(capi_gate_steady_eye_is_captured_with_its_report) {
  Preview preview;
  int last_kept = -1;
  for (int i = 0; i < 100 && preview.decision.state != EFIQA_GATE_CAPTURED; ++i) {
    CHECK(preview.update(preview.frame) == EFIQA_STATUS_OK);
    if (preview.decision.keep_slot >= 0) last_kept = preview.decision.keep_slot;
  }
  CHECK(preview.decision.state == EFIQA_GATE_CAPTURED);
  CHECK(preview.decision.best_slot == last_kept);
  CHECK(preview.decision.best_timestamp_ms > 1000);
  CHECK(preview.decision.progress == 1.0f);
  CHECK(preview.decision.level > 0.1f);
  CHECK(preview.report.verdict == EFIQA_VERDICT_GOOD);
  CHECK(preview.report.map != nullptr);
  efiqa_region region;
  EFIQA_INIT(region);  // the runtime knows the frame as after assess
  CHECK(efiqa_region_read(preview.bench.runtime, 0, &region) == EFIQA_STATUS_INVALID_ARGUMENT);
}

TEST(capi_gate_failures_are_never_ready_and_lose_the_run_in_time) {
  Preview preview;
  CHECK(preview.frames_until(EFIQA_GATE_READY) > 0);
  preview.bench.engine->on_run = [] {
    throw efiqa::Error(efiqa::StatusCode::kEngineFailure, "the plug was pulled");
  };
  for (int i = 0; i < 12; ++i) {
    CHECK(preview.update(preview.frame) == EFIQA_STATUS_ENGINE_FAILURE);
    CHECK(acts_on_nothing(preview.decision));
    CHECK(efiqa_test::says_unknown(preview.report));
  }
  CHECK_EQ(std::string(preview.message), std::string("the plug was pulled"));
  preview.bench.engine->on_run = nullptr;
  CHECK(preview.frames_until(EFIQA_GATE_READY) >= 11);  // 500 ms, from the beginning
}

TEST(capi_gate_failures_after_capture_do_not_read_as_captured) {
  Preview preview;
  CHECK(preview.frames_until(EFIQA_GATE_CAPTURED) > 0);
  efiqa_frame wrong = preview.frame;
  wrong.data = nullptr;
  CHECK(preview.update(wrong) == EFIQA_STATUS_INVALID_FRAME);
  CHECK(acts_on_nothing(preview.decision));
  CHECK(preview.update(preview.frame) == EFIQA_STATUS_OK);
  CHECK(preview.decision.state == EFIQA_GATE_CAPTURED);
  CHECK(efiqa_gate_reset(preview.gate) == EFIQA_STATUS_OK);
  CHECK(preview.update(preview.frame) == EFIQA_STATUS_OK);
  CHECK(preview.decision.state == EFIQA_GATE_SEARCHING);
  CHECK(preview.decision.frame_index == 0);
}

TEST(capi_gate_time_that_does_not_move_on_is_refused) {
  Preview preview;
  CHECK(preview.frames_until(EFIQA_GATE_READY) > 0);
  preview.now_ms -= 50;
  CHECK(preview.update(preview.frame) == EFIQA_STATUS_INVALID_ARGUMENT);
  CHECK(acts_on_nothing(preview.decision));
  CHECK(std::string(preview.message).find("timestamp_ms is ") == 0);
}

TEST(capi_gate_null_and_unset_structs_are_refused_by_name) {
  Preview preview;
  char text[256];
  const auto update = [&](efiqa_gate* gate, efiqa_runtime* runtime, const efiqa_frame* frame,
                          efiqa_decision* decision) {
    const std::int32_t status = efiqa_gate_update(gate, runtime, frame, preview.now_ms += 50,
                                                  nullptr, decision, text, sizeof(text));
    return answer_of(status, text);
  };
  efiqa_runtime* runtime = preview.bench.runtime;
  CHECK(efiqa_test::contains(update(nullptr, runtime, &preview.frame, &preview.decision),
                             "invalid_argument: gate is null"));
  CHECK(efiqa_test::contains(update(preview.gate, nullptr, &preview.frame, &preview.decision),
                             "invalid_argument: runtime is null"));
  CHECK(efiqa_test::contains(update(preview.gate, runtime, nullptr, &preview.decision),
                             "frame is null"));
  CHECK(efiqa_test::contains(update(preview.gate, runtime, &preview.frame, nullptr),
                             "invalid_argument: decision is null"));
  efiqa_decision unset;
  std::memset(&unset, 0, sizeof(unset));
  CHECK(efiqa_test::contains(update(preview.gate, runtime, &preview.frame, &unset),
                             "invalid_argument: decision.struct_size is 0"));
  CHECK(efiqa_gate_reset(nullptr) == EFIQA_STATUS_INVALID_ARGUMENT);
  CHECK(efiqa_gate_params_init(nullptr) == EFIQA_STATUS_INVALID_ARGUMENT);
  CHECK(efiqa_gate_open(runtime, nullptr, nullptr, nullptr, 0) == EFIQA_STATUS_INVALID_ARGUMENT);
  CHECK(efiqa_gate_close(nullptr) == EFIQA_STATUS_OK);
  CHECK(efiqa_gate_close(&preview.gate) == EFIQA_STATUS_OK);
  CHECK(efiqa_gate_close(&preview.gate) == EFIQA_STATUS_OK);
}

TEST(capi_gate_parameters_are_checked_and_zeroed_ones_refused) {
  Preview preview;
  preview.params.blink_ms = 2001;
  CHECK_EQ(preview.open_answer(),
           std::string("invalid_argument: gate.blink_ms is 2001, expected 0 to 2000"));
  EFIQA_INIT(preview.params);
  CHECK(efiqa_test::contains(preview.open_answer(), "gate.min_stable_ms is 0"));
  efiqa_gate* gate = nullptr;
  char text[256];
  CHECK(efiqa_gate_open(nullptr, nullptr, &gate, text, sizeof(text)) ==
        EFIQA_STATUS_INVALID_ARGUMENT);
  CHECK(efiqa_test::contains(text, "params.min_score is 0 and runtime is null"));
  CHECK(efiqa_gate_open(preview.bench.runtime, nullptr, &gate, text, sizeof(text)) ==
        EFIQA_STATUS_OK);
  CHECK(efiqa_gate_close(&gate) == EFIQA_STATUS_OK);
}

TEST(capi_gate_previews_allocate_nothing_after_the_first) {
  Preview preview;
  CHECK(preview.update(preview.frame) == EFIQA_STATUS_OK);
  const efiqa_test::AllocationCount count;
  CHECK(preview.frames_until(EFIQA_GATE_CAPTURED) > 0);
  CHECK(count.since_start() == 0);
}

TEST(capi_gate_names_and_texts_are_static_and_never_null) {
  CHECK_EQ(std::string(efiqa_gate_state_name(EFIQA_GATE_HOLD_STILL)), std::string("hold_still"));
  CHECK_EQ(std::string(efiqa_gate_state_name(-1)), std::string("unrecognised"));
  CHECK_EQ(std::string(efiqa_guidance_name(EFIQA_GUIDANCE_HAZE)), std::string("haze"));
  CHECK_EQ(std::string(efiqa_guidance_text(EFIQA_GUIDANCE_CENTRE_EYE, 9)),
           std::string("Centre the eye: it lies towards 9 o'clock."));
  CHECK_EQ(std::string(efiqa_guidance_text(99, 0)), std::string());
}
