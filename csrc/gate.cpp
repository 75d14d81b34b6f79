#include "gate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>

#include "status.h"

namespace efiqa {
namespace {

constexpr float kMostBeforeCapture = 0.99f;  // progress 1 is kept for `captured`

// later - earlier, of any two times in their order; what does not fit is as good as for ever.
std::int64_t elapsed_ms(std::int64_t earlier, std::int64_t later) {
  const std::uint64_t difference =
      static_cast<std::uint64_t>(later) - static_cast<std::uint64_t>(earlier);
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  return difference > static_cast<std::uint64_t>(kMost) ? kMost
                                                        : static_cast<std::int64_t>(difference);
}

}  // namespace

void validate_gate_params(const GateParams& params) {
  for_each_gate_param(params, [](const char* name, auto value, double least, double greatest) {
    const double given = static_cast<double>(value);
    if (given >= least && given <= greatest) return;  // false for NaN
    std::ostringstream message;
    message << "gate." << name << " is " << value << ", expected " << least << " to " << greatest;
    throw Error(StatusCode::kInvalidArgument, message.str());
  });
  if (params.min_field < params.max_field) return;
  std::ostringstream message;
  message << "gate.min_field is " << params.min_field << ", expected less than gate.max_field, "
          << params.max_field;
  throw Error(StatusCode::kInvalidArgument, message.str());
}

GateObservation gate_observation(const Report& report, const FrameMeasures& measures) {
  GateObservation observation;
  observation.assessed = true;
  observation.verdict = report.verdict;
  observation.score = report.score;
  // What is no fundus is no eye to be centred or focused.
  if (report.reason != Reason::kNotAFundus) observation.fov = report.fov;
  observation.frame_width_px = report.frame_width_px;
  observation.frame_height_px = report.frame_height_px;
  observation.measures = measures;
  return observation;
}

CaptureGate::Turn::Turn(CaptureGate& gate) : gate_(gate) {
  if (gate.busy_.exchange(true, std::memory_order_acquire)) {
    throw Error(StatusCode::kWrongThread,
                "another thread is inside this gate; open one gate per thread");
  }
}

CaptureGate::Turn::~Turn() { gate_.busy_.store(false, std::memory_order_release); }

CaptureGate::CaptureGate(const GateParams& params) : params_(params) {
  validate_gate_params(params_);
}

void CaptureGate::reset() {
  decision_ = GateDecision();
  run_ = Run();
  last_grade_ = Grade::kBad;
  started_ = false;
  field_seen_ = false;
  eye_seen_ = false;
}

void CaptureGate::lose_run() {
  run_ = Run();
  last_grade_ = Grade::kBad;
}

void CaptureGate::check_timestamp(std::int64_t timestamp_ms) {
  if (!started_ || timestamp_ms > last_ms_) return;
  if (decision_.state != GateState::kCaptured) {
    lose_run();
    const std::int64_t frame_index = decision_.frame_index;
    decision_ = GateDecision();  // what stands there must not read as ready
    decision_.frame_index = frame_index;
    decision_.state = eye_seen_ ? GateState::kSearching : GateState::kNoEye;
  }
  throw Error(StatusCode::kInvalidArgument,
              "timestamp_ms is " + std::to_string(timestamp_ms) + ", expected more than " +
                  std::to_string(last_ms_) +
                  ", the last frame's; reset the gate when another clock begins");
}

// In radii a second; NaN where there is nothing recent to compare with.
float CaptureGate::speed_since_last_field(const FieldOfView& fov, std::int64_t timestamp_ms) const {
  if (!field_seen_ || !fov.found()) return std::numeric_limits<float>::quiet_NaN();
  const std::int64_t elapsed = elapsed_ms(last_field_ms_, timestamp_ms);
  if (elapsed > std::max(params_.blink_ms, params_.max_gap_ms)) {
    return std::numeric_limits<float>::quiet_NaN();
  }
  const float moved = std::hypot(fov.center_x_px - last_field_.center_x_px,
                                 fov.center_y_px - last_field_.center_y_px);
  const float grown = std::abs(fov.radius_px - last_field_.radius_px);
  return (moved + grown) / fov.radius_px * 1000.0f / static_cast<float>(elapsed);
}

void CaptureGate::count_good(float score, std::int64_t timestamp_ms) {
  const std::int64_t since_last_good = elapsed_ms(run_.last_good_ms, timestamp_ms);
  const bool follows = run_.active && last_grade_ == Grade::kGood;
  if (run_.active && !follows && since_last_good > params_.blink_ms) lose_run();
  if (!run_.active) {
    run_.active = true;
  } else if (follows) {
    run_.good_ms += since_last_good;
    if (run_.pending.slot >= 0) run_.best = run_.pending;
  }
  run_.pending = Kept();
  if (follows && (run_.best.slot < 0 || score > run_.best.score)) {
    run_.pending = {run_.best.slot == 0 ? 1 : 0, decision_.frame_index, timestamp_ms, score};
    decision_.keep_slot = run_.pending.slot;
  }
  ++run_.good_frames;
  run_.last_good_ms = timestamp_ms;
}

void CaptureGate::count_not_good(Grade grade, bool moved, std::int64_t timestamp_ms) {
  run_.pending = Kept();  // its neighbour is not good: it may be the first of a blink
  if (!run_.active) return;
  if (grade == Grade::kBad && last_grade_ != Grade::kBad) ++run_.drops;
  if (moved || run_.drops > params_.max_blinks ||
      elapsed_ms(run_.last_good_ms, timestamp_ms) > params_.blink_ms) {
    lose_run();
  }
}

bool CaptureGate::stable() const {
  return run_.active && run_.good_ms >= params_.min_stable_ms &&
         run_.good_frames >= params_.min_good_frames;
}

Guidance CaptureGate::advice(const GateObservation& observation, Grade grade,
                             GateState state) const {
  if (state == GateState::kCaptured) return Guidance::kDone;
  if (state == GateState::kReady) return Guidance::kTakePicture;
  const Guidance problem = find_problem(params_, observation, 0);
  if (!run_.active) return problem == Guidance::kNone ? Guidance::kHoldStill : problem;
  if (grade != Grade::kBad) return Guidance::kHoldStill;
  const bool closed =
      problem == Guidance::kNoEye || problem == Guidance::kTooDark || problem == Guidance::kEyelid;
  return closed ? Guidance::kKeepOpen : problem;
}

void CaptureGate::decide(const GateObservation& observation, Grade grade,
                         std::int64_t timestamp_ms) {
  const std::int64_t wanted_ms = params_.min_stable_ms + params_.burst_ms;
  GateState state = GateState::kSearching;
  if (stable() && grade == Grade::kGood && run_.good_ms >= wanted_ms && run_.best.slot >= 0) {
    state = GateState::kCaptured;
  } else if (stable() && grade != Grade::kBad) {
    state = GateState::kReady;
  } else if (run_.active) {
    state = GateState::kHoldStill;
  } else if (!eye_seen_ || elapsed_ms(eye_seen_ms_, timestamp_ms) > params_.blink_ms) {
    state = GateState::kNoEye;
  }
  const Guidance guidance = advice(observation, grade, state);
  if (decision_.guidance == Guidance::kNone || state != decision_.state ||
      elapsed_ms(guidance_since_ms_, timestamp_ms) >= params_.guidance_ms) {
    if (guidance != decision_.guidance) guidance_since_ms_ = timestamp_ms;
    decision_.guidance = guidance;
  }
  if (decision_.guidance != Guidance::kCentreEye) {
    decision_.clock_hour = 0;
  } else if (observation.fov.found()) {
    decision_.clock_hour = offset_clock_hour(observation);
  }
  decision_.state = state;
  if (state == GateState::kCaptured) decision_.keep_slot = -1;
  const float time_share = static_cast<float>(run_.good_ms) / static_cast<float>(wanted_ms);
  const float frame_share =
      static_cast<float>(run_.good_frames) / static_cast<float>(params_.min_good_frames);
  decision_.progress = state == GateState::kCaptured
                           ? 1.0f
                           : std::min({time_share, frame_share, kMostBeforeCapture});
  decision_.best_slot = run_.best.slot;
  decision_.best_frame_index = run_.best.frame_index;
  decision_.best_timestamp_ms = run_.best.timestamp_ms;
  decision_.best_score =
      run_.best.slot < 0 ? std::numeric_limits<float>::quiet_NaN() : run_.best.score;
}

const GateDecision& CaptureGate::update(const GateObservation& observation,
                                        std::int64_t timestamp_ms) {
  check_timestamp(timestamp_ms);
  const bool paused = started_ && elapsed_ms(last_ms_, timestamp_ms) > params_.max_gap_ms;
  started_ = true;
  last_ms_ = timestamp_ms;
  ++decision_.frame_index;
  decision_.keep_slot = -1;
  if (decision_.state == GateState::kCaptured) return decision_;
  if (paused) {
    lose_run();
    field_seen_ = false;
  }

  Grade grade = Grade::kBad;
  bool moved = false;
  decision_.speed = std::numeric_limits<float>::quiet_NaN();
  if (observation.assessed && observation.fov.found()) {
    eye_seen_ = true;
    eye_seen_ms_ = timestamp_ms;
  }
  // A frame that is bad in itself, as in a blink, has a field that says nothing about motion.
  if (find_problem(params_, observation, params_.hysteresis) == Guidance::kNone) {
    const float speed = speed_since_last_field(observation.fov, timestamp_ms);
    decision_.speed = speed;
    moved = speed > params_.max_speed * (1 + params_.hysteresis);
    const bool good = speed <= params_.max_speed &&  // false for NaN: a first frame is not stable
                      find_problem(params_, observation, 0) == Guidance::kNone;
    grade = moved ? Grade::kBad : good ? Grade::kGood : Grade::kNear;
    field_seen_ = true;
    last_field_ = observation.fov;
    last_field_ms_ = timestamp_ms;
  }
  if (grade == Grade::kGood) {
    count_good(observation.score, timestamp_ms);
  } else {
    count_not_good(grade, moved, timestamp_ms);
  }
  last_grade_ = grade;
  decide(observation, grade, timestamp_ms);
  return decision_;
}

}  // namespace efiqa
