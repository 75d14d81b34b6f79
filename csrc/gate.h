// Live capture gate: successive previews in, a state and a piece of advice out.
//
// A pure state machine. It reads no clock, draws nothing at random and allocates nothing after
// construction: the same observations at the same times give the same decisions.
//
//   no_eye -> searching -> hold_still -> ready -> captured
//
// A frame is `good` when every limit of GateParams holds. A *run* begins with a good frame. It
// counts the time between good frames that follow one another, and is lost when a frame moves, when
// nothing was good for blink_ms, after more than max_blinks drops, when the stream pauses, or when
// time runs backwards. Nothing else leads to `captured` than a run of min_stable_ms + burst_ms.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

#include "fov.h"
#include "frame_measures.h"
#include "report.h"

namespace efiqa {

enum class GateState : std::int32_t {
  kNoEye = 0,      // no field of view for longer than a blink
  kSearching = 1,  // something is to be changed before a run can begin
  kHoldStill = 2,  // a run is under way
  kReady = 3,      // stable for min_stable_ms: a photograph may be taken now
  kCaptured = 4,   // the best frame of the run is known; stays until reset
};

enum class Guidance : std::int32_t {
  kNone = 0,
  kNoEye = 1,
  kCentreEye = 2,  // with the clock hour at which the eye lies
  kMoveCloser = 3,
  kMoveBack = 4,
  kTooDark = 5,
  kTooBright = 6,
  kOutOfFocus = 7,
  kHaze = 8,
  kEyelid = 9,
  kLowQuality = 10,  // the score is too low, and no measure says why
  kKeepOpen = 11,    // a drop within a run
  kHoldStill = 12,
  kTakePicture = 13,
  kDone = 14,
  kNotAssessed = 15,  // the frame was refused, or the engine failed
};

// Every limit; the ranges are for_each_gate_param's. Shares of the radius are of the field's own.
struct GateParams {
  float min_score = 0.7f;  // 0.01..1; a verdict below `usable` never counts, whatever the score
  // The run.
  std::int64_t min_stable_ms = 500;  // 100..60000, of good time before `ready`
  std::int64_t burst_ms = 300;       // 0..60000, of good time after that before `captured`
  int min_good_frames = 5;           // 3..10000, before `ready`
  std::int64_t max_gap_ms = 300;     // 10..10000; a longer pause of the stream loses the run
  std::int64_t blink_ms = 400;       // 0..2000; the run waits so long for the next good frame
  int max_blinks = 1;                // 0..100 drops in one run
  // Once a frame was good, the next ones may break limits by this share without being a drop. They
  // do not count as good.
  float hysteresis = 0.15f;        // 0..0.5
  std::int64_t guidance_ms = 400;  // 0..5000; advice stands so long before it may change
  // Geometry.
  float max_speed = 0.5f;    // 0.01..100 radii a second, of centre and radius between previews
  float max_offset = 0.35f;  // 0.01..10 radii between the field's centre and the frame's
  float min_field = 0.5f;    // 0..2, diameter over the frame's shorter side
  float max_field = 1.6f;    // 0.1..10, above min_field; of circles only
  // Measures of the frame, see FrameMeasures. 0 switches a least value off, 1 a greatest.
  float min_level = 0.13f;      // 0..1
  float max_green = 0.80f;      // 0..1
  float max_saturated = 0.10f;  // 0..1
  float min_sharpness = 0.36f;  // 0..1
  float min_contrast = 0.025f;  // 0..1
  float max_lid = 0.40f;        // 0..1
};

// Calls visit(name, field, least, greatest) for each field, in the order above.
template <typename Params, typename Visit>
void for_each_gate_param(Params& p, Visit&& visit) {
  visit("min_score", p.min_score, 0.01, 1.0);
  visit("min_stable_ms", p.min_stable_ms, 100.0, 60000.0);
  visit("burst_ms", p.burst_ms, 0.0, 60000.0);
  visit("min_good_frames", p.min_good_frames, 3.0, 10000.0);
  visit("max_gap_ms", p.max_gap_ms, 10.0, 10000.0);
  visit("blink_ms", p.blink_ms, 0.0, 2000.0);
  visit("max_blinks", p.max_blinks, 0.0, 100.0);
  visit("hysteresis", p.hysteresis, 0.0, 0.5);
  visit("guidance_ms", p.guidance_ms, 0.0, 5000.0);
  visit("max_speed", p.max_speed, 0.01, 100.0);
  visit("max_offset", p.max_offset, 0.01, 10.0);
  visit("min_field", p.min_field, 0.0, 2.0);
  visit("max_field", p.max_field, 0.1, 10.0);
  visit("min_level", p.min_level, 0.0, 1.0);
  visit("max_green", p.max_green, 0.0, 1.0);
  visit("max_saturated", p.max_saturated, 0.0, 1.0);
  visit("min_sharpness", p.min_sharpness, 0.0, 1.0);
  visit("min_contrast", p.min_contrast, 0.0, 1.0);
  visit("max_lid", p.max_lid, 0.0, 1.0);
}

// Throws Error(kInvalidArgument) that names the field, its value and its range.
void validate_gate_params(const GateParams& params);

// What the gate sees of one frame. The default is a frame that could not be assessed.
struct GateObservation {
  bool assessed = false;
  Verdict verdict = Verdict::kUnknown;
  float score = std::numeric_limits<float>::quiet_NaN();
  FieldOfView fov;
  int frame_width_px = 0, frame_height_px = 0;
  FrameMeasures measures;
};

// Of a picture that shows no fundus, without its field of view.
GateObservation gate_observation(const Report& report, const FrameMeasures& measures);

// Frames that the caller keeps for the gate: the best one, and one that may become it.
constexpr int kGateSlots = 2;

struct GateDecision {
  GateState state = GateState::kNoEye;
  Guidance guidance = Guidance::kNone;
  float clock_hour = 0;           // of kCentreEye: (0, 12], 12 = up, 3 = right in the frame; else 0
  float progress = 0;             // 0..1; 1 exactly when captured
  float speed = 0;                // radii a second; NaN without an earlier field to compare with
  std::int64_t frame_index = -1;  // of this frame, counted from 0 since construction or reset
  // The caller copies this frame's pixels into buffer `keep_slot`, 0 or 1, before the next update;
  // -1: it need not.
  int keep_slot = -1;
  // The best frame of the run so far: both its neighbours were good. -1 and NaN: none yet.
  int best_slot = -1;
  std::int64_t best_frame_index = -1;
  std::int64_t best_timestamp_ms = 0;
  float best_score = std::numeric_limits<float>::quiet_NaN();
};

class CaptureGate {
 public:
  // For as long as it lives, other threads are turned away from the gate (Error(kWrongThread)). The
  // doors take one around everything they do with a gate.
  class Turn {
   public:
    explicit Turn(CaptureGate& gate);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    CaptureGate& gate_;
  };

  explicit CaptureGate(const GateParams& params);  // validates

  // timestamp_ms is of the frame's exposure, in the caller's clock, larger than at the call before.
  // Throws Error(kInvalidArgument) where it is not; the run is lost then, and reset() is what lets
  // a new clock begin. Valid until the next call.
  const GateDecision& update(const GateObservation& observation, std::int64_t timestamp_ms);
  // Throws as update does, and loses the run as update does; otherwise changes nothing.
  void check_timestamp(std::int64_t timestamp_ms);

  void reset();  // as after construction

  const GateParams& params() const noexcept { return params_; }
  const GateDecision& decision() const noexcept { return decision_; }

 private:
  enum class Grade { kBad, kNear, kGood };  // near: good but for the hysteresis

  struct Kept {
    int slot = -1;
    std::int64_t frame_index = -1, timestamp_ms = 0;
    float score = 0;
  };
  // One run. The pending frame becomes the best one if the next frame is good, too.
  struct Run {
    bool active = false;
    std::int64_t good_ms = 0, last_good_ms = 0;
    std::int64_t good_frames = 0;
    int drops = 0;
    Kept best, pending;
  };

  float speed_since_last_field(const FieldOfView& fov, std::int64_t timestamp_ms) const;
  void lose_run();
  void count_good(float score, std::int64_t timestamp_ms);
  void count_not_good(Grade grade, bool moved, std::int64_t timestamp_ms);
  bool stable() const;
  void decide(const GateObservation& observation, Grade grade, std::int64_t timestamp_ms);
  Guidance advice(const GateObservation& observation, Grade grade, GateState state) const;

  GateParams params_;
  std::atomic<bool> busy_{false};  // a thread is inside, see Turn
  GateDecision decision_;
  Run run_;
  Grade last_grade_ = Grade::kBad;
  bool started_ = false;  // an update has been seen
  std::int64_t last_ms_ = 0;
  bool eye_seen_ = false;
  std::int64_t eye_seen_ms_ = 0;
  bool field_seen_ = false;  // last_field_, of a frame that was near or good, holds something
  FieldOfView last_field_;
  std::int64_t last_field_ms_ = 0;
  std::int64_t guidance_since_ms_ = 0;
};

// The first limit that the observation breaks, each widened by the share `slack` (negative:
// narrowed); kNone when it breaks none. Motion is not looked at.
Guidance find_problem(const GateParams& params, const GateObservation& observation, float slack);
// Hour at which the eye lies, seen from the frame's middle; 0 where there is no saying.
float offset_clock_hour(const GateObservation& observation);

// Updates the gate with what assess(FrameMeasures*) returns, a Report. Where it throws, the gate is
// updated as for a frame that could not be assessed, and the error is thrown on.
template <typename Assess>
const GateDecision& update_gate(CaptureGate& gate, std::int64_t timestamp_ms, Assess&& assess) {
  gate.check_timestamp(timestamp_ms);
  GateObservation observation;
  try {
    FrameMeasures measures;
    const Report& report = assess(&measures);
    observation = gate_observation(report, measures);
  } catch (...) {
    gate.update(observation, timestamp_ms);
    throw;
  }
  return gate.update(observation, timestamp_ms);
}

const char* gate_state_name(GateState state) noexcept;  // "no_eye" "searching" ...
const char* guidance_name(Guidance guidance) noexcept;  // "centre_eye" "too_dark" ...
// One short English sentence that lives as long as the program; clock_hour as in GateDecision.
const char* guidance_text(Guidance guidance, float clock_hour) noexcept;

}  // namespace efiqa
