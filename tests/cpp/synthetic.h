// Drawn fundus photographs: a shaded disc with vessels and straight cuts on a dark border.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "fov.h"
#include "frame.h"

namespace efiqa_test {

struct Scene {
  int width = 640, height = 480;
  double x = 320, y = 240, radius = 200;                // of the disc
  double left = 0, top = 0, right = 1e9, bottom = 1e9;  // straight cuts
  double field = 140, border = 6;                       // grey levels of red
  double rim_shade = 0.3;  // how much darker the field is at its rim, 0..1
  double noise = 2;        // standard deviation, grey levels
  double softness = 1;     // width of the rim, pixels
  unsigned seed = 1;
};

struct Drawing {
  std::vector<std::uint8_t> pixels;  // RGB8
  efiqa::FrameView view;
};

inline bool visible(const Scene& s, double x, double y) {
  return x >= s.left && x < s.right && y >= s.top && y < s.bottom &&
         std::hypot(x - s.x, y - s.y) <= s.radius;
}

// Level of red at a pixel centre, without noise.
inline double level(const Scene& s, double x, double y) {
  const double depth = std::min(
      {s.radius - std::hypot(x - s.x, y - s.y), x - s.left, s.right - x, y - s.top, s.bottom - y});
  const double inside = std::clamp(depth / s.softness + 0.5, 0.0, 1.0);
  const double distance = std::hypot(x - s.x, y - s.y) / s.radius;
  double field = s.field * (1 - s.rim_shade * distance * distance);
  // Two arcades of vessels and a bright disc.
  const double u = (x - s.x) / s.radius, v = (y - s.y) / s.radius;
  for (const double side : {-1.0, 1.0}) {
    if (std::abs(v - side * (0.75 - 0.6 * (u - 0.3) * (u - 0.3))) < 0.012) field *= 0.7;
  }
  if (std::hypot(u - 0.4, v) < 0.12) field *= 1.4;
  return s.border + (field - s.border) * inside;
}

inline Drawing draw(const Scene& s) {
  Drawing d;
  d.pixels.resize(static_cast<std::size_t>(s.width) * static_cast<std::size_t>(s.height) * 3);
  std::mt19937 random(s.seed);
  std::normal_distribution<double> noise(0, s.noise);
  const double share[3] = {1.0, 0.5, 0.25};  // of red, green, blue: an orange retina
  std::size_t i = 0;
  for (int y = 0; y < s.height; ++y) {
    for (int x = 0; x < s.width; ++x) {
      const double red = level(s, x + 0.5, y + 0.5);
      for (const double c : share) {
        d.pixels[i++] = static_cast<std::uint8_t>(std::clamp(red * c + noise(random), 0.0, 255.0));
      }
    }
  }
  d.view = {d.pixels.data(), s.width, s.height, static_cast<std::ptrdiff_t>(s.width) * 3,
            efiqa::PixelFormat::kRgb8};
  return d;
}

inline void fill_box(Drawing& d, int x0, int y0, int x1, int y1, int red, int green, int blue) {
  for (int y = y0; y < y1; ++y) {
    for (int x = x0; x < x1; ++x) {
      std::uint8_t* p = d.pixels.data() + (static_cast<std::size_t>(y) * d.view.width_px + x) * 3;
      p[0] = static_cast<std::uint8_t>(red);
      p[1] = static_cast<std::uint8_t>(green);
      p[2] = static_cast<std::uint8_t>(blue);
    }
  }
}

inline Drawing flat(int width, int height, int level) {
  Drawing d;
  d.pixels.assign(static_cast<std::size_t>(width) * height * 3, static_cast<std::uint8_t>(level));
  d.view = {d.pixels.data(), width, height, static_cast<std::ptrdiff_t>(width) * 3,
            efiqa::PixelFormat::kRgb8};
  return d;
}

// Lines of dark blocks on white paper.
inline Drawing page_of_text() {
  Drawing d = flat(600, 800, 244);
  for (int y = 60; y < 740; y += 16) {
    for (int x = 50; x < 550; x += 7) {
      if ((x * 31 + y * 17) % 5 != 0) fill_box(d, x, y, x + 4, y + 8, 30, 30, 30);
    }
  }
  return d;
}

// Circles of any size and place that a camera may see, every third with cuts above and below, every
// fourth with one at the left.
inline Scene random_scene(std::mt19937& random, int i) {
  const auto uniform = [&](double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random);
  };
  Scene s;
  s.seed = static_cast<unsigned>(random());
  s.width = static_cast<int>(uniform(200, 900));
  s.height = static_cast<int>(uniform(200, 900));
  const double side = std::min(s.width, s.height);
  s.radius = uniform(0.3, 0.65) * side;
  s.x = s.width * 0.5 + uniform(-0.1, 0.1) * side;
  s.y = s.height * 0.5 + uniform(-0.1, 0.1) * side;
  s.border = uniform(0, 12);
  s.field = s.border * 3 + uniform(25, 200);
  s.rim_shade = uniform(0, 0.5);
  s.softness = uniform(0.5, 0.02 * s.radius);
  if (i % 3 == 0) s.top = s.y - uniform(0.6, 0.9) * s.radius;
  if (i % 3 == 0) s.bottom = s.y + uniform(0.6, 0.9) * s.radius;
  if (i % 4 == 0) s.left = s.x - uniform(0.6, 0.9) * s.radius;
  return s;
}

// Intersection over union of what was drawn and what was found, over the frame's pixels.
inline double overlap(const Scene& s, const efiqa::FieldOfView& fov) {
  long both = 0, either = 0;
  for (int y = 0; y < s.height; ++y) {
    for (int x = 0; x < s.width; ++x) {
      const bool drawn = visible(s, x + 0.5, y + 0.5);
      const bool found =
          fov.found() && fov.contains(static_cast<float>(x) + 0.5f, static_cast<float>(y) + 0.5f);
      both += drawn && found;
      either += drawn || found;
    }
  }
  return either == 0 ? 0 : static_cast<double>(both) / static_cast<double>(either);
}

}  // namespace efiqa_test
