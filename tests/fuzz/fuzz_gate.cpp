// The capture gate: whatever is shown to it, `captured` needs the good frames and the good time,
// and every number that it answers with is in its range.
//
// An input is 4 bytes of parameters, then frames: a byte that says what it is, two of the step in
// time, and for a frame of kind 3 the raw bytes of an observation's numbers.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "fuzz_check.h"
#include "gate.h"
#include "gate_frames.h"
#include "status.h"

namespace {

using efiqa::CaptureGate;
using efiqa::GateDecision;
using efiqa::GateObservation;
using efiqa::GateState;
using efiqa::Verdict;
using efiqa_test::good_frame;

class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool empty() const { return size_ == 0; }
  // The next bytes as a Value; zeros beyond the end.
  template <typename Value>
  Value take() {
    Value value{};
    const std::size_t count = std::min(size_, sizeof(Value));
    std::memcpy(&value, data_, count);
    data_ += count;
    size_ -= count;
    return value;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

GateObservation observation(unsigned kind, Bytes& bytes) {
  GateObservation o = good_frame();
  if (kind == 1) {
    o.score = 0.5f + 0.5f * static_cast<float>(bytes.take<std::uint8_t>()) / 255.0f;
  } else if (kind == 2) {
    o.fov.center_x_px += static_cast<float>(bytes.take<std::int8_t>());
  } else if (kind == 3) {
    o.verdict = static_cast<Verdict>(bytes.take<std::int32_t>());
    o.score = bytes.take<float>();
    o.fov.shape = static_cast<efiqa::FovShape>(bytes.take<std::uint8_t>());
    o.fov.center_x_px = bytes.take<float>();
    o.fov.center_y_px = bytes.take<float>();
    o.fov.radius_px = bytes.take<float>();
    o.frame_width_px = bytes.take<std::int32_t>();
    o.frame_height_px = bytes.take<std::int32_t>();
    o.measures = {bytes.take<float>(), bytes.take<float>(), bytes.take<float>(),
                  bytes.take<float>(), bytes.take<float>(), bytes.take<float>()};
  } else if (kind == 4) {
    o = GateObservation();
  }
  return o;
}

// What no frame of a run may lack, whatever else it has.
bool may_be_good(const GateObservation& o, float min_score) {
  return o.assessed && o.fov.found() &&
         (o.verdict == Verdict::kGood || o.verdict == Verdict::kUsable) && o.score >= min_score &&
         o.score <= 1 && o.measures.complete();
}

void check_ranges(const GateDecision& d) {
  FUZZ_CHECK(d.state >= GateState::kNoEye && d.state <= GateState::kCaptured);
  FUZZ_CHECK(efiqa::guidance_text(d.guidance, d.clock_hour)[0] != '\0');
  FUZZ_CHECK(d.clock_hour >= 0 && d.clock_hour <= 12);
  FUZZ_CHECK(d.progress >= 0 && d.progress <= 1);
  FUZZ_CHECK((d.progress == 1) == (d.state == GateState::kCaptured));
  FUZZ_CHECK(d.keep_slot >= -1 && d.keep_slot < efiqa::kGateSlots);
  FUZZ_CHECK(d.best_slot >= -1 && d.best_slot < efiqa::kGateSlots);
  FUZZ_CHECK(d.keep_slot < 0 || d.keep_slot != d.best_slot);
  FUZZ_CHECK((d.best_slot < 0) == std::isnan(d.best_score));
  FUZZ_CHECK(d.state != GateState::kCaptured || d.best_slot >= 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes bytes(data, size);
  efiqa::GateParams params;
  params.max_blinks = bytes.take<std::uint8_t>() % 4;
  params.blink_ms = bytes.take<std::uint8_t>() * 4;
  params.burst_ms = bytes.take<std::uint8_t>() * 2;
  params.min_good_frames = 3 + bytes.take<std::uint8_t>() % 8;
  CaptureGate gate(params);
  std::int64_t now = 0, good_ms = 0, good_frames = 0;
  bool last_good = false, captured = false;
  while (!bytes.empty()) {
    const unsigned kind = bytes.take<std::uint8_t>() % 6;
    const std::int64_t step = bytes.take<std::int16_t>() / 16;
    if (kind == 5 && step == 0) {
      gate.reset();
      good_ms = good_frames = 0;
      last_good = captured = false;
    }
    const GateObservation shown = observation(kind, bytes);
    const bool first = gate.decision().frame_index < 0;
    try {
      const GateDecision d = gate.update(shown, now + step);
      FUZZ_CHECK(first || step > 0);
      now += step;
      check_ranges(d);
      const bool good = may_be_good(shown, params.min_score);
      good_frames += good;
      good_ms += good && last_good ? step : 0;
      last_good = good;
      if (d.state == GateState::kReady) {
        FUZZ_CHECK(good_ms >= params.min_stable_ms && good_frames >= params.min_good_frames);
      }
      if (d.state == GateState::kCaptured && !captured) {
        captured = true;
        FUZZ_CHECK(good && good_frames >= params.min_good_frames);
        FUZZ_CHECK(good_ms >= params.min_stable_ms + params.burst_ms);
      }
      FUZZ_CHECK(!captured || d.state == GateState::kCaptured);
    } catch (const efiqa::Error& error) {
      FUZZ_CHECK(error.code() == efiqa::StatusCode::kInvalidArgument);
      FUZZ_CHECK(!first && step <= 0);
      if (!captured) {
        FUZZ_CHECK(gate.decision().progress == 0);
        good_ms = good_frames = 0;
        last_good = false;
      }
    }
  }
  return 0;
}
