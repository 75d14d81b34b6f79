// What is wrong with a frame, and the words for it.
#include <algorithm>
#include <cmath>
#include <cstddef>

#include "gate.h"

namespace efiqa {
namespace {

constexpr float kPi = 3.14159265f;
// Where the score is low and no limit is broken, the measure that comes within this share of its
// limit is named: the network sees a defect before the measure is far enough off to refuse alone.
constexpr float kExplanationMargin = 0.2f;
constexpr float kCentred = 0.02f;  // radii; a direction means nothing below

bool at_least(float value, float limit, float slack) { return value >= limit * (1 - slack); }
bool at_most(float value, float limit, float slack) { return value <= limit * (1 + slack); }

// From the frame's middle to the field's centre, in radii; y points down.
struct Offset {
  float x, y;
};

Offset offset_of(const GateObservation& o) {
  return {(o.fov.center_x_px - 0.5f * static_cast<float>(o.frame_width_px)) / o.fov.radius_px,
          (o.fov.center_y_px - 0.5f * static_cast<float>(o.frame_height_px)) / o.fov.radius_px};
}

Guidance geometry_problem(const GateParams& p, const GateObservation& o, float slack) {
  const float shorter = static_cast<float>(std::min(o.frame_width_px, o.frame_height_px));
  const float field = 2 * o.fov.radius_px / shorter;
  const Offset offset = offset_of(o);
  const float distance = std::hypot(offset.x, offset.y);
  // Written so that a field that is not a number is a problem.
  if (!at_least(field, p.min_field, slack)) return Guidance::kMoveCloser;
  if (o.fov.shape == FovShape::kCircle && !at_most(field, p.max_field, slack)) {
    return Guidance::kMoveBack;
  }
  if (!at_most(distance, p.max_offset, slack)) return Guidance::kCentreEye;
  return Guidance::kNone;
}

// Light before focus and focus before haze: each makes the later measures worse.
Guidance measures_problem(const GateParams& p, const FrameMeasures& m, float slack) {
  if (!at_least(m.level, p.min_level, slack)) return Guidance::kTooDark;
  if (!at_most(m.green, p.max_green, slack)) return Guidance::kTooBright;
  if (!at_most(m.saturated_share, p.max_saturated, slack)) return Guidance::kTooBright;
  if (!at_most(m.lid_share, p.max_lid, slack)) return Guidance::kEyelid;
  if (!at_least(m.sharpness, p.min_sharpness, slack)) return Guidance::kOutOfFocus;
  if (!at_least(m.contrast, p.min_contrast, slack)) {
    // Light near saturation is pale, too.
    return at_most(m.green, p.max_green, -kExplanationMargin) ? Guidance::kHaze
                                                              : Guidance::kTooBright;
  }
  return Guidance::kNone;
}

bool score_counts(const GateParams& p, const GateObservation& o, float slack) {
  const bool visible = o.verdict == Verdict::kUsable || o.verdict == Verdict::kGood;
  return visible && at_least(o.score, p.min_score, slack) && o.score <= 1;
}

constexpr int kHours = 12;
constexpr const char* kCentreTexts[kHours] = {
    "Centre the eye: it lies towards 12 o'clock.", "Centre the eye: it lies towards 1 o'clock.",
    "Centre the eye: it lies towards 2 o'clock.",  "Centre the eye: it lies towards 3 o'clock.",
    "Centre the eye: it lies towards 4 o'clock.",  "Centre the eye: it lies towards 5 o'clock.",
    "Centre the eye: it lies towards 6 o'clock.",  "Centre the eye: it lies towards 7 o'clock.",
    "Centre the eye: it lies towards 8 o'clock.",  "Centre the eye: it lies towards 9 o'clock.",
    "Centre the eye: it lies towards 10 o'clock.", "Centre the eye: it lies towards 11 o'clock."};

struct Words {
  Guidance guidance;
  const char *name, *text;
};

constexpr Words kWords[] = {
    {Guidance::kNone, "", ""},
    {Guidance::kNoEye, "no_eye", "No eye in view: bring the camera before the pupil."},
    {Guidance::kCentreEye, "centre_eye", "Centre the eye."},
    {Guidance::kMoveCloser, "move_closer", "Move closer."},
    {Guidance::kMoveBack, "move_back", "Move back."},
    {Guidance::kTooDark, "too_dark", "Too dark: more light, or centre the pupil."},
    {Guidance::kTooBright, "too_bright", "Too bright: less light."},
    {Guidance::kOutOfFocus, "out_of_focus", "Out of focus: refocus."},
    {Guidance::kHaze, "haze", "Hazy: clean the lens, check the distance; the eye may be cloudy."},
    {Guidance::kEyelid, "eyelid", "Eyelid or lashes in the way: open the eye wider."},
    {Guidance::kLowQuality, "low_quality", "Not clear enough: adjust position and focus."},
    {Guidance::kKeepOpen, "keep_open", "Keep the eye open."},
    {Guidance::kHoldStill, "hold_still", "Hold still."},
    {Guidance::kTakePicture, "take_picture", "Take the picture."},
    {Guidance::kDone, "done", "Done."},
    {Guidance::kNotAssessed, "not_assessed", "This frame could not be assessed."},
};

const Words* words_of(Guidance guidance) {
  for (const Words& words : kWords) {
    if (words.guidance == guidance) return &words;
  }
  return nullptr;
}

}  // namespace

Guidance find_problem(const GateParams& params, const GateObservation& o, float slack) {
  if (!o.assessed) return Guidance::kNotAssessed;
  if (!o.fov.found()) return Guidance::kNoEye;
  const Guidance geometry = geometry_problem(params, o, slack);
  if (geometry != Guidance::kNone) return geometry;
  const Guidance seen = measures_problem(params, o.measures, slack);
  if (seen != Guidance::kNone) return seen;
  if (score_counts(params, o, slack)) return Guidance::kNone;
  const Guidance likely = measures_problem(params, o.measures, -kExplanationMargin);
  return likely == Guidance::kNone ? Guidance::kLowQuality : likely;
}

float offset_clock_hour(const GateObservation& observation) {
  const Offset offset = offset_of(observation);
  if (!std::isfinite(offset.x) || !std::isfinite(offset.y)) return 0;
  if (std::hypot(offset.x, offset.y) < kCentred) return 0;
  const float hour = std::atan2(offset.x, -offset.y) * (kHours / (2 * kPi));  // -6 to 6
  return hour > 0 ? hour : hour + kHours;
}

const char* gate_state_name(GateState state) noexcept {
  switch (state) {
    case GateState::kNoEye:
      return "no_eye";
    case GateState::kSearching:
      return "searching";
    case GateState::kHoldStill:
      return "hold_still";
    case GateState::kReady:
      return "ready";
    case GateState::kCaptured:
      return "captured";
  }
  return "unrecognised";
}

const char* guidance_name(Guidance guidance) noexcept {
  const Words* words = words_of(guidance);
  return words == nullptr ? "unrecognised" : words->name;
}

const char* guidance_text(Guidance guidance, float clock_hour) noexcept {
  const Words* words = words_of(guidance);
  if (words == nullptr) return "";
  // False for NaN: any number may come in through the C door.
  if (guidance != Guidance::kCentreEye || !(clock_hour > 0 && clock_hour <= kHours)) {
    return words->text;
  }
  return kCentreTexts[std::lround(clock_hour) % kHours];
}

}  // namespace efiqa
