// The ranges of the gate's parameters.
#include <cmath>
#include <sstream>
#include <string>

#include "gate.h"
#include "status.h"

namespace efiqa {
namespace {

template <typename Value>
void check(const char* name, Value value, double low, double high) {
  // The comparison is false for NaN.
  if (static_cast<double>(value) >= low && static_cast<double>(value) <= high) return;
  std::ostringstream message;
  message << "gate." << name << " is " << value << ", expected " << low << " to " << high;
  throw Error(StatusCode::kInvalidArgument, message.str());
}

}  // namespace

void validate_gate_params(const GateParams& p) {
  check("min_score", p.min_score, 0.01, 1);
  check("min_stable_ms", p.min_stable_ms, 100, 60000);
  check("burst_ms", p.burst_ms, 0, 60000);
  check("min_good_frames", p.min_good_frames, 3, 10000);
  check("max_gap_ms", p.max_gap_ms, 10, 10000);
  check("blink_ms", p.blink_ms, 0, 2000);
  check("max_blinks", p.max_blinks, 0, 100);
  check("hysteresis", p.hysteresis, 0, 0.5);
  check("guidance_ms", p.guidance_ms, 0, 5000);
  check("max_speed", p.max_speed, 0.01, 100);
  check("max_offset", p.max_offset, 0.01, 10);
  check("min_field", p.min_field, 0, 2);
  check("max_field", p.max_field, 0.1, 10);
  check("min_level", p.min_level, 0, 1);
  check("max_green", p.max_green, 0, 1);
  check("max_saturated", p.max_saturated, 0, 1);
  check("min_sharpness", p.min_sharpness, 0, 1);
  check("min_contrast", p.min_contrast, 0, 1);
  check("max_lid", p.max_lid, 0, 1);
  if (p.min_field >= p.max_field) {
    std::ostringstream message;
    message << "gate.min_field is " << p.min_field
            << ", expected less than gate.max_field, which is " << p.max_field;
    throw Error(StatusCode::kInvalidArgument, message.str());
  }
}

}  // namespace efiqa
