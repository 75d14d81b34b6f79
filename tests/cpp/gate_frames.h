// What the gate's test and its fuzz target take for a good frame: a sharp, centred eye.
#pragma once

#include "gate.h"

namespace efiqa_test {

inline efiqa::GateObservation good_frame() {
  efiqa::GateObservation o;
  o.assessed = true;
  o.verdict = efiqa::Verdict::kGood;
  o.score = 0.9f;
  o.fov.shape = efiqa::FovShape::kCircle;
  o.fov.center_x_px = 320;
  o.fov.center_y_px = 240;
  o.fov.radius_px = 200;
  o.frame_width_px = 640;
  o.frame_height_px = 480;
  o.measures = {0.4f, 0.3f, 0.0f, 0.6f, 0.06f, 0.1f};
  return o;
}

}  // namespace efiqa_test
