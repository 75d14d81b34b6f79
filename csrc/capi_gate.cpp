// C door of the live capture gate. See efiqa/efiqa.h.
#include <limits>
#include <string>
#include <type_traits>

#include "capi_runtime.h"
#include "capi_support.h"
#include "gate.h"
#include "status.h"

struct efiqa_gate {
  efiqa::CaptureGate core;

  explicit efiqa_gate(const efiqa::GateParams& params) : core(params) {}
};

namespace efiqa {
namespace {

static_assert(EFIQA_GATE_NO_EYE == static_cast<int>(GateState::kNoEye));
static_assert(EFIQA_GATE_SEARCHING == static_cast<int>(GateState::kSearching));
static_assert(EFIQA_GATE_HOLD_STILL == static_cast<int>(GateState::kHoldStill));
static_assert(EFIQA_GATE_READY == static_cast<int>(GateState::kReady));
static_assert(EFIQA_GATE_CAPTURED == static_cast<int>(GateState::kCaptured));
static_assert(EFIQA_GATE_SLOTS == kGateSlots);
static_assert(EFIQA_GUIDANCE_NONE == static_cast<int>(Guidance::kNone));
static_assert(EFIQA_GUIDANCE_NO_EYE == static_cast<int>(Guidance::kNoEye));
static_assert(EFIQA_GUIDANCE_CENTRE_EYE == static_cast<int>(Guidance::kCentreEye));
static_assert(EFIQA_GUIDANCE_MOVE_CLOSER == static_cast<int>(Guidance::kMoveCloser));
static_assert(EFIQA_GUIDANCE_MOVE_BACK == static_cast<int>(Guidance::kMoveBack));
static_assert(EFIQA_GUIDANCE_TOO_DARK == static_cast<int>(Guidance::kTooDark));
static_assert(EFIQA_GUIDANCE_TOO_BRIGHT == static_cast<int>(Guidance::kTooBright));
static_assert(EFIQA_GUIDANCE_OUT_OF_FOCUS == static_cast<int>(Guidance::kOutOfFocus));
static_assert(EFIQA_GUIDANCE_HAZE == static_cast<int>(Guidance::kHaze));
static_assert(EFIQA_GUIDANCE_EYELID == static_cast<int>(Guidance::kEyelid));
static_assert(EFIQA_GUIDANCE_LOW_QUALITY == static_cast<int>(Guidance::kLowQuality));
static_assert(EFIQA_GUIDANCE_KEEP_OPEN == static_cast<int>(Guidance::kKeepOpen));
static_assert(EFIQA_GUIDANCE_HOLD_STILL == static_cast<int>(Guidance::kHoldStill));
static_assert(EFIQA_GUIDANCE_TAKE_PICTURE == static_cast<int>(Guidance::kTakePicture));
static_assert(EFIQA_GUIDANCE_DONE == static_cast<int>(Guidance::kDone));
static_assert(EFIQA_GUIDANCE_NOT_ASSESSED == static_cast<int>(Guidance::kNotAssessed));

[[noreturn]] void refuse(const std::string& message) {
  throw Error(StatusCode::kInvalidArgument, message);
}

CaptureGate& core_of(efiqa_gate* gate) {
  if (gate == nullptr) refuse("gate is null, expected what efiqa_gate_open gave");
  return gate->core;
}

// Copies each field between the core's parameters and the C struct, in the direction of `copy`.
template <typename Core, typename Given, typename Copy>
void for_each_param(Core& core, Given& given, Copy&& copy) {
  copy(core.min_stable_ms, given.min_stable_ms);
  copy(core.burst_ms, given.burst_ms);
  copy(core.min_good_frames, given.min_good_frames);
  copy(core.max_gap_ms, given.max_gap_ms);
  copy(core.blink_ms, given.blink_ms);
  copy(core.max_blinks, given.max_blinks);
  copy(core.guidance_ms, given.guidance_ms);
  copy(core.hysteresis, given.hysteresis);
  copy(core.max_speed, given.max_speed);
  copy(core.max_offset, given.max_offset);
  copy(core.min_field, given.min_field);
  copy(core.max_field, given.max_field);
  copy(core.min_level, given.min_level);
  copy(core.max_green, given.max_green);
  copy(core.max_saturated, given.max_saturated);
  copy(core.min_sharpness, given.min_sharpness);
  copy(core.min_contrast, given.min_contrast);
  copy(core.max_lid, given.max_lid);
}

efiqa_gate_params default_params() {
  efiqa_gate_params out{};  // min_score stays 0
  const GateParams defaults;
  for_each_param(defaults, out, [](const auto& from, auto& to) {
    to = static_cast<std::decay_t<decltype(to)>>(from);
  });
  return out;
}

GateParams core_params(const efiqa_gate_params& given, const efiqa_runtime* runtime) {
  GateParams params;
  for_each_param(params, given, [](auto& to, const auto& from) { to = from; });
  params.min_score = given.min_score;
  if (given.min_score == 0) {
    if (runtime == nullptr) {
      refuse(
          "params.min_score is 0 and runtime is null; name a score, or a runtime whose limit of "
          "`good` counts");
    }
    params.min_score = runtime->core->operating_point().good_min_score;
  }
  return params;
}

// What is in the decision whatever happens.
efiqa_decision empty_decision() {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  efiqa_decision out{};
  out.speed = out.best_score = nan;
  out.level = out.green = out.saturated_share = nan;
  out.sharpness = out.contrast = out.lid_share = nan;
  out.keep_slot = out.best_slot = -1;
  out.frame_index = out.best_frame_index = -1;
  return out;
}

void fill_decision(const GateDecision& decision, efiqa_decision& out) {
  out.state = static_cast<std::int32_t>(decision.state);
  out.guidance = static_cast<std::int32_t>(decision.guidance);
  out.clock_hour = decision.clock_hour;
  out.progress = decision.progress;
  out.speed = decision.speed;
  out.keep_slot = decision.keep_slot;
  out.best_slot = decision.best_slot;
  out.best_score = decision.best_score;
  out.frame_index = decision.frame_index;
  out.best_frame_index = decision.best_frame_index;
  out.best_timestamp_ms = decision.best_timestamp_ms;
}

void fill_measures(const FrameMeasures& measures, efiqa_decision& out) {
  out.level = measures.level;
  out.green = measures.green;
  out.saturated_share = measures.saturated_share;
  out.sharpness = measures.sharpness;
  out.contrast = measures.contrast;
  out.lid_share = measures.lid_share;
}

// A frame that failed is a drop: the gate may go on from there, the caller must not act on it.
void withhold(efiqa_decision& out) {
  if (out.state == EFIQA_GATE_READY || out.state == EFIQA_GATE_CAPTURED) {
    out.state = EFIQA_GATE_SEARCHING;
  }
  out.progress = 0;
  out.keep_slot = -1;
  if (out.guidance == EFIQA_GUIDANCE_TAKE_PICTURE || out.guidance == EFIQA_GUIDANCE_DONE) {
    out.guidance = EFIQA_GUIDANCE_NOT_ASSESSED;
  }
}

}  // namespace
}  // namespace efiqa

using namespace efiqa;

int32_t efiqa_gate_params_init(efiqa_gate_params* params) {
  return guarded(nullptr, 0, [&] {
    check_struct(params, "params", "efiqa_gate_params");
    write_struct(default_params(), params);
  });
}

int32_t efiqa_gate_open(const efiqa_runtime* runtime, const efiqa_gate_params* params,
                        efiqa_gate** gate, char* message, size_t message_size) {
  return guarded(message, message_size, [&] {
    if (gate == nullptr) refuse("gate is null, expected where to put the handle");
    *gate = nullptr;
    efiqa_gate_params given = default_params();
    if (params != nullptr) given = read_struct(params, "params", "efiqa_gate_params");
    *gate = new efiqa_gate(core_params(given, runtime));
  });
}

int32_t efiqa_gate_close(efiqa_gate** gate) {
  return guarded(nullptr, 0, [&] {
    if (gate == nullptr || *gate == nullptr) return;
    {
      const CaptureGate::Turn turn((*gate)->core);
    }  // refuses while another thread is in there
    delete *gate;
    *gate = nullptr;
  });
}

int32_t efiqa_gate_update(efiqa_gate* gate, efiqa_runtime* runtime, const efiqa_frame* frame,
                          int64_t timestamp_ms, efiqa_report* report, efiqa_decision* decision,
                          char* message, size_t message_size) {
  efiqa_report report_out = empty_report(runtime);
  efiqa_decision out = empty_decision();
  out.status = guarded(message, message_size, [&] {
    check_struct(decision, "decision", "efiqa_decision");
    if (report != nullptr) check_struct(report, "report", "efiqa_report");
    CaptureGate& core = core_of(gate);
    const CaptureGate::Turn turn(core);
    const Entry inside(runtime);
    runtime->report = nullptr;
    try {
      const Report* answer = nullptr;
      update_gate(core, timestamp_ms, [&](FrameMeasures* measures) -> const Report& {
        answer = &runtime->core->assess(frame_view(frame), measures);
        fill_measures(*measures, out);
        return *answer;
      });
      fill_report(*answer, report_out);
      runtime->report = answer;
    } catch (...) {
      fill_decision(core.decision(), out);
      withhold(out);
      throw;
    }
    fill_decision(core.decision(), out);
  });
  report_out.status = out.status;
  if (report != nullptr && report->struct_size <= kMaxStructBytes) {
    write_struct(report_out, report);
  }
  if (decision != nullptr && decision->struct_size <= kMaxStructBytes) write_struct(out, decision);
  return out.status;
}

int32_t efiqa_gate_reset(efiqa_gate* gate) {
  return guarded(nullptr, 0, [&] {
    CaptureGate& core = core_of(gate);
    const CaptureGate::Turn turn(core);
    core.reset();
  });
}

const char* efiqa_gate_state_name(int32_t state) {
  return gate_state_name(static_cast<GateState>(state));
}

const char* efiqa_guidance_name(int32_t guidance) {
  return guidance_name(static_cast<Guidance>(guidance));
}

const char* efiqa_guidance_text(int32_t guidance, float clock_hour) {
  return guidance_text(static_cast<Guidance>(guidance), clock_hour);
}
