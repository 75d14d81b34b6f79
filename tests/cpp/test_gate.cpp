// The gate's state machine without a model. tests/unit/test_gate.py holds it to its documentation.
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "allocations.h"
#include "check.h"
#include "fixtures.h"
#include "gate.h"
#include "gate_frames.h"

using efiqa::CaptureGate;
using efiqa::GateDecision;
using efiqa::GateObservation;
using efiqa::GateParams;
using efiqa::GateState;
using efiqa::Guidance;
using efiqa::Verdict;
using efiqa_test::error_of;
using efiqa_test::good_frame;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr int kStepMs = 50;

// A good frame with one thing wrong, of which the gate must not think well.
GateObservation bad_frame(unsigned kind) {
  GateObservation o = good_frame();
  switch (kind % 10) {
    case 0:
      return GateObservation();
    case 1:
      o.score = kNan;
      break;
    case 2:
      o.verdict = Verdict::kReject;
      break;
    case 3:
      o.verdict = Verdict::kUnknown;
      break;
    case 4:
      o.verdict = static_cast<Verdict>(77);
      break;
    case 5:
      o.fov = efiqa::FieldOfView();
      break;
    case 6:
      o.measures.sharpness = kNan;
      break;
    case 7:
      o.measures.level = 0.01f;
      break;
    case 8:
      o.fov.radius_px = std::numeric_limits<float>::infinity();
      break;
    default:
      o.measures = efiqa::FrameMeasures();
  }
  return o;
}

// Frames of one kind until the state is reached; how many it took, or -1.
int frames_until(CaptureGate& gate, GateState state, std::int64_t& now_ms) {
  for (int i = 1; i <= 200; ++i) {
    if (gate.update(good_frame(), now_ms += kStepMs).state == state) return i;
  }
  return -1;
}

}  // namespace

TEST(gate_steady_eye_is_ready_and_then_captured) {
  CaptureGate gate{GateParams()};
  std::int64_t now = 0;
  CHECK_EQ(frames_until(gate, GateState::kReady, now), 12);    // one to compare with, one to begin
  CHECK_EQ(frames_until(gate, GateState::kCaptured, now), 6);  // 300 ms later
  CHECK(gate.decision().best_slot >= 0);
  CHECK(gate.decision().progress == 1.0f);
  CHECK(gate.decision().guidance == Guidance::kDone);
}

TEST(gate_random_streams_are_captured_only_after_good_time) {
  std::mt19937 engine(7);
  const auto random = [&] { return static_cast<unsigned>(engine()); };
  int captures = 0;
  for (int stream = 0; stream < 400; ++stream) {
    CaptureGate gate{GateParams()};
    std::int64_t now = 0;
    std::int64_t good_ms = 0, good_frames = 0;  // in all: no run can hold more
    bool last_good = false;
    const unsigned bad_one_in = 2 + random() % 60;
    for (int i = 0; i < 100; ++i) {
      const int step = 20 + static_cast<int>(random() % 60);
      now += step;
      const bool good = random() % bad_one_in != 0;
      const GateDecision& d = gate.update(good ? good_frame() : bad_frame(random()), now);
      good_frames += good;
      good_ms += good && last_good ? step : 0;
      last_good = good;
      if (d.state == GateState::kReady) CHECK(good);
      if (d.state != GateState::kCaptured) continue;
      ++captures;
      CHECK(good);
      CHECK(good_ms >= gate.params().min_stable_ms + gate.params().burst_ms);
      CHECK(good_frames >= gate.params().min_good_frames);
      break;
    }
  }
  CHECK(captures > 50);  // else the test would show nothing
}

TEST(gate_bad_frames_alone_reach_nothing) {
  for (unsigned kind = 0; kind < 10; ++kind) {
    CaptureGate gate{GateParams()};
    for (int i = 0; i < 100; ++i) {
      const GateDecision& d = gate.update(bad_frame(kind), i * kStepMs);
      CHECK(d.state == GateState::kNoEye || d.state == GateState::kSearching);
      CHECK(d.progress == 0.0f);
      CHECK(d.keep_slot == -1);
    }
  }
}

// Found by tests/fuzz/fuzz_gate.cpp: the hour was NaN.
TEST(gate_field_that_is_nowhere_has_no_clock_hour) {
  for (const float x : {kNan, std::numeric_limits<float>::infinity()}) {
    GateObservation frame = good_frame();
    frame.fov.center_x_px = x;
    frame.fov.center_y_px = std::numeric_limits<float>::infinity();
    CaptureGate gate{GateParams()};
    CHECK(gate.update(frame, 0).guidance == Guidance::kCentreEye);
    CHECK(gate.decision().clock_hour == 0.0f);
  }
}

TEST(gate_updates_allocate_nothing) {
  CaptureGate gate{GateParams()};
  const efiqa_test::AllocationCount count;
  for (int i = 0; i < 300; ++i) {
    gate.update(i % 40 == 39 ? bad_frame(static_cast<unsigned>(i)) : good_frame(), i * kStepMs);
    if (gate.decision().state == GateState::kCaptured) gate.reset();
  }
  CHECK(count.since_start() == 0);
}

TEST(gate_failing_assessment_is_a_drop_and_its_error_is_thrown_on) {
  CaptureGate gate{GateParams()};
  std::int64_t now = 0;
  CHECK(frames_until(gate, GateState::kReady, now) > 0);
  const auto fail = [](efiqa::FrameMeasures*) -> const efiqa::Report& {
    throw efiqa::Error(efiqa::StatusCode::kEngineFailure, "the plug was pulled");
  };
  CHECK_EQ(error_of([&] { efiqa::update_gate(gate, now += kStepMs, fail); }),
           std::string("engine_failure: the plug was pulled"));
  CHECK(gate.decision().state == GateState::kHoldStill);
  for (int i = 0; i < 9; ++i) {
    error_of([&] { efiqa::update_gate(gate, now += kStepMs, fail); });
  }
  CHECK(gate.decision().state == GateState::kNoEye);
  CHECK(gate.decision().progress == 0.0f);
}

TEST(gate_time_running_backwards_is_refused_before_the_frame_is_assessed) {
  CaptureGate gate{GateParams()};
  gate.update(good_frame(), 100);
  bool assessed = false;
  const efiqa::Report report;
  CHECK_EQ(error_of([&] {
             efiqa::update_gate(gate, 100, [&](efiqa::FrameMeasures*) -> const efiqa::Report& {
               assessed = true;
               return report;
             });
           }),
           std::string("invalid_argument: timestamp_ms is 100, expected more than 100, the last "
                       "frame's; reset the gate when another clock begins"));
  CHECK(!assessed);
}

TEST(gate_second_thread_inside_is_refused) {
  CaptureGate gate{GateParams()};
  const CaptureGate::Turn turn(gate);
  std::string message;
  std::thread([&] { message = error_of([&] { const CaptureGate::Turn second(gate); }); }).join();
  CHECK_EQ(
      message,
      std::string("wrong_thread: another thread is inside this gate; open one gate per thread"));
}

TEST(gate_every_code_has_a_name_and_a_sentence) {
  for (int code = 0; code <= 15; ++code) {
    const Guidance guidance = static_cast<Guidance>(code);
    CHECK_EQ(std::string(efiqa::guidance_name(guidance)).empty(), guidance == Guidance::kNone);
    CHECK_EQ(std::string(efiqa::guidance_text(guidance, 0)).empty(), guidance == Guidance::kNone);
  }
  for (const int code : {-1, 16, 1 << 30}) {
    CHECK_EQ(std::string(efiqa::guidance_name(static_cast<Guidance>(code))),
             std::string("unrecognised"));
    CHECK_EQ(std::string(efiqa::guidance_text(static_cast<Guidance>(code), 3)), std::string());
    CHECK_EQ(std::string(efiqa::gate_state_name(static_cast<GateState>(code))),
             std::string("unrecognised"));
  }
  for (const float hour : {kNan, -3.0f, 0.0f, 12.5f, 1e30f}) {
    CHECK_EQ(std::string(efiqa::guidance_text(Guidance::kCentreEye, hour)),
             std::string("Centre the eye."));
  }
  CHECK_EQ(std::string(efiqa::guidance_text(Guidance::kCentreEye, 12.0f)),
           std::string("Centre the eye: it lies towards 12 o'clock."));
  CHECK_EQ(std::string(efiqa::guidance_text(Guidance::kCentreEye, 0.3f)),
           std::string("Centre the eye: it lies towards 12 o'clock."));
}

TEST(gate_parameters_outside_their_ranges_are_refused_by_name) {
  GateParams params;
  params.max_blinks = -1;
  CHECK_EQ(error_of([&] { CaptureGate gate(params); }),
           std::string("invalid_argument: gate.max_blinks is -1, expected 0 to 100"));
  params = GateParams();
  params.max_lid = kNan;
  CHECK_EQ(error_of([&] { CaptureGate gate(params); }),
           std::string("invalid_argument: gate.max_lid is nan, expected 0 to 1"));
}

TEST(gate_takes_a_picture_that_shows_no_fundus_for_no_eye) {
  efiqa::Report report;
  report.fov = good_frame().fov;
  report.frame_width_px = 640;
  report.frame_height_px = 480;
  report.score = kNan;
  report.verdict = Verdict::kUnknown;
  report.reason = efiqa::Reason::kNotAFundus;
  CaptureGate gate{GateParams()};
  for (int i = 0; i < 40; ++i) {
    gate.update(efiqa::gate_observation(report, good_frame().measures), i * kStepMs);
  }
  CHECK(gate.decision().state == GateState::kNoEye);
  CHECK(gate.decision().guidance == Guidance::kNoEye);
  report.reason = efiqa::Reason::kLowAnatomyVisible;
  report.verdict = Verdict::kReject;
  for (int i = 40; i < 80; ++i) {
    gate.update(efiqa::gate_observation(report, good_frame().measures), i * kStepMs);
  }
  CHECK(gate.decision().state == GateState::kSearching);
}
