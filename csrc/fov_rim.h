// What the image says about a circle as the rim of the field of view.
#pragma once

#include <array>
#include <vector>

#include "circle_fit.h"
#include "fov.h"
#include "fov_image.h"

namespace efiqa {

struct Levels {
  float border = 0;  // grey level of the darkest corner
  float noise = 0;   // standard deviation there
  float field = 0;   // grey level of the bright parts of the frame

  float contrast() const { return field - border; }
};

Levels estimate_levels(const Plane& plane, std::vector<float>& buffer);

// Of frame pixels.
struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;
};

constexpr int kRimAngles = 256;

struct RimSupport {
  int in_frame = 0;    // angles, out of kRimAngles, at which the frame shows both sides of the rim
  int steps = 0;       // of them: bright inside and dark outside
  int violations = 0;  // of them: bright on both sides
  float inner = 0;     // lower quartile of the level inside, at the steps
  float outer = 0;     // median of the level outside, at the steps

  int score() const { return steps - violations; }
};

// Buffers grow only.
class Rim {
 public:
  Rim();

  RimSupport support(const Plane& plane, const Circle& circle, const Levels& levels);

  // Moves the circle onto the steepest part of the rim, seen along rays from its centre as far as
  // they stay in `box`.
  void refine(const Plane& plane, const Levels& levels, const Box& box, Circle* circle);

 private:
  struct Direction {
    double x, y;
  };
  std::array<Direction, kRimAngles> directions_;
  std::vector<Point> points_;
  std::vector<float> inner_, outer_;
};

// Moves the sides of `box` inwards to straight cuts: lines of the circle, from its edge on, that
// are dark up to a sudden end. Gradual ends are shadows and leave the box alone.
void find_cuts(const Plane& plane, const Circle& circle, float threshold, Box* box);

}  // namespace efiqa
