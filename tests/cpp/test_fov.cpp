#include <algorithm>
#include <cstring>
#include <random>
#include <sstream>
#include <string>

#include "allocations.h"
#include "check.h"
#include "fov.h"
#include "synthetic.h"

using efiqa::FieldOfView;
using efiqa::FovFinder;
using efiqa::FovShape;
using efiqa::FrameView;
using efiqa::PixelFormat;
using efiqa::SquareCrop;
using efiqa::ThreadPool;
using efiqa_test::draw;
using efiqa_test::Drawing;
using efiqa_test::fill_box;
using efiqa_test::flat;
using efiqa_test::overlap;
using efiqa_test::page_of_text;
using efiqa_test::random_scene;
using efiqa_test::Scene;

namespace {

// A rim one pixel off on a 640 px frame costs 1 % of the union; the bar is half of that.
constexpr double kMinOverlap = 0.995;
// Cuts, shadows and rims that bleed into the border leave the edge open to two pixels.
constexpr double kMinHardOverlap = 0.98;
// Areas are sums of doubles that end as one float.
constexpr double kAreaTolerance = 1e-4;

FieldOfView find(const FrameView& frame, int threads = 1) {
  ThreadPool pool(threads);
  return FovFinder(pool).find(frame);
}

}  // namespace

TEST(fov_full_circle_is_found) {
  const Scene scene;
  const FieldOfView fov = find(draw(scene).view);
  CHECK(fov.shape == FovShape::kCircle);
  CHECK(overlap(scene, fov) >= kMinOverlap);
  CHECK_NEAR(fov.cut_fraction, 0, 1e-3);
  CHECK_NEAR(fov.radius_px, scene.radius, 1);
}

TEST(fov_circle_cut_by_the_frame_keeps_its_true_radius) {
  Scene scene;
  scene.radius = 290;
  scene.y = 250;
  const FieldOfView fov = find(draw(scene).view);
  CHECK(overlap(scene, fov) >= kMinOverlap);
  CHECK_NEAR(fov.radius_px, scene.radius, 3);
  CHECK_EQ(fov.top_px, 0.0f);
  CHECK_EQ(fov.bottom_px, 480.0f);
  CHECK(fov.cut_fraction > 0.05f);
}

TEST(fov_square_crop_with_dark_corners_only_is_a_circle) {
  Scene scene;
  scene.width = scene.height = 400;
  scene.x = 196;
  scene.y = 205;
  scene.radius = 250;
  const FieldOfView fov = find(draw(scene).view);
  CHECK(fov.shape == FovShape::kCircle);
  CHECK(overlap(scene, fov) >= kMinOverlap);
}

TEST(fov_flat_cuts_inside_the_border_end_the_box) {
  Scene scene;
  scene.top = 90;
  scene.bottom = 400;
  scene.left = 140;
  scene.right = 500;
  const FieldOfView fov = find(draw(scene).view);
  CHECK(overlap(scene, fov) >= kMinHardOverlap);
  CHECK_NEAR(fov.top_px, scene.top, 3);
  CHECK_NEAR(fov.bottom_px, scene.bottom, 3);
  CHECK_NEAR(fov.left_px, scene.left, 3);
  CHECK_NEAR(fov.right_px, scene.right, 3);
  CHECK_NEAR(fov.radius_px, scene.radius, 3);
}

TEST(fov_lower_half_missing_keeps_the_upper_one) {
  Scene scene;
  scene.bottom = 230;
  const FieldOfView fov = find(draw(scene).view);
  CHECK_NEAR(fov.bottom_px, 230, 3);
  CHECK_NEAR(fov.radius_px, scene.radius, 6);
}

TEST(fov_stamp_and_notch_outside_the_circle_are_ignored) {
  const Scene scene;
  Drawing d = draw(scene);
  fill_box(d, 10, 10, 100, 34, 40, 230, 60);    // stamp in a corner
  fill_box(d, 450, 80, 476, 112, 120, 60, 30);  // notch that touches the rim
  const FieldOfView fov = find(d.view);
  CHECK(overlap(scene, fov) >= kMinOverlap);
}

TEST(fov_underexposed_field_of_a_few_levels_is_found) {
  Scene scene;
  scene.field = 12;
  scene.border = 2;
  scene.noise = 1;
  const FieldOfView fov = find(draw(scene).view);
  CHECK(fov.shape == FovShape::kCircle);
  CHECK(overlap(scene, fov) >= kMinHardOverlap);
}

TEST(fov_hazy_border_is_still_a_border) {
  Scene scene;
  scene.border = 60;
  scene.field = 160;
  const FieldOfView fov = find(draw(scene).view);
  CHECK(overlap(scene, fov) >= kMinOverlap);
}

TEST(fov_crescent_shadow_at_the_rim_keeps_the_true_circle) {
  const Scene scene;
  Drawing d = draw(scene);
  for (int y = 0; y < scene.height; ++y) {
    for (int x = 0; x < scene.width; ++x) {
      // An iris that covers the left: black at the rim, gone 60 px farther in.
      const double depth = scene.radius - std::hypot(x + 0.5 - scene.x - 50, y + 0.5 - scene.y);
      const double light = std::clamp(depth / 60, 0.0, 1.0);
      std::uint8_t* p = d.pixels.data() + (static_cast<std::size_t>(y) * scene.width + x) * 3;
      if (x < scene.x) {
        for (int c = 0; c < 3; ++c) p[c] = static_cast<std::uint8_t>(p[c] * light);
      }
    }
  }
  const FieldOfView fov = find(d.view);
  CHECK(overlap(scene, fov) >= kMinHardOverlap);
}

TEST(fov_retina_that_fills_the_frame_is_a_rectangle) {
  Scene scene;
  scene.radius = 700;
  const FieldOfView fov = find(draw(scene).view);
  CHECK(fov.shape == FovShape::kRectangle);
  CHECK_NEAR(fov.radius_px, 400, 1e-3);  // half the diagonal of 640 x 480
  CHECK_NEAR(fov.visible_area_px, 640 * 480, 1);
  CHECK_EQ(fov.cut_fraction, 0.0f);
  CHECK_EQ(fov.right_px, 640.0f);
  CHECK_EQ(fov.bottom_px, 480.0f);
}

TEST(fov_retina_in_a_letterbox_is_a_rectangle_of_its_size) {
  Scene scene;
  scene.radius = 900;
  scene.top = 60;
  scene.bottom = 420;
  const FieldOfView fov = find(draw(scene).view);
  CHECK(fov.shape == FovShape::kRectangle);
  CHECK_NEAR(fov.top_px, 60, 2);  // one pixel of the small image
  CHECK_NEAR(fov.bottom_px, 420, 2);
  CHECK_EQ(fov.left_px, 0.0f);
  CHECK_EQ(fov.right_px, 640.0f);
}

TEST(fov_blank_frames_have_none) {
  for (const int level : {0, 7, 128, 255}) {
    for (const int side : {64, 333, 1000}) {
      const FieldOfView fov = find(flat(side, side, level).view);
      CHECK(fov.shape == FovShape::kNone);
      CHECK_EQ(fov.visible_area_px, 0.0f);
      CHECK_EQ(efiqa::square_crop(fov).side_px, 0);
    }
  }
}

TEST(fov_page_of_text_has_none) { CHECK(find(page_of_text().view).shape == FovShape::kNone); }

TEST(fov_noise_of_any_kind_does_not_throw) {
  std::mt19937 random(5);
  for (int i = 0; i < efiqa_test::rounds(20); ++i) {
    const int width = 64 + static_cast<int>(random() % 300),
              height = 64 + static_cast<int>(random() % 300);
    Drawing d = flat(width, height, 0);
    const auto high = 1 + random() % 255;
    for (std::uint8_t& p : d.pixels) p = static_cast<std::uint8_t>(random() % (high + 1));
    const FieldOfView fov = find(d.view, 2);
    CHECK(fov.left_px >= 0 && fov.top_px >= 0);
    CHECK(fov.right_px <= static_cast<float>(width) && fov.bottom_px <= static_cast<float>(height));
  }
}

TEST(fov_random_geometry_overlaps_what_was_drawn) {
  std::mt19937 random(11);
  for (int i = 0; i < efiqa_test::rounds(60); ++i) {
    const Scene s = random_scene(random, i);
    const double iou = overlap(s, find(draw(s).view));
    if (!(iou >= kMinHardOverlap)) {
      std::ostringstream what;
      what << "case " << i << ": " << s.width << " x " << s.height << ", circle " << s.x << " "
           << s.y << " " << s.radius << ", overlap " << iou;
      efiqa_test::fail(__FILE__, __LINE__, what.str());
    }
  }
}

TEST(fov_threads_formats_and_strides_agree) {
  const Drawing rgb = draw(Scene());
  const FieldOfView expected = find(rgb.view);
  const auto same = [&](const FieldOfView& fov) {
    return std::memcmp(&fov, &expected, sizeof fov) == 0;
  };
  for (const int threads : {2, 3, 5}) CHECK(same(find(rgb.view, threads)));
  const int width = rgb.view.width_px, height = rgb.view.height_px;
  const std::size_t stride = static_cast<std::size_t>(width) * 4 + 13;
  std::vector<std::uint8_t> bgr(stride * height, 77), rgba(stride * height, 255);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const std::uint8_t* p = rgb.pixels.data() + (static_cast<std::size_t>(y) * width + x) * 3;
      for (int c = 0; c < 3; ++c) {
        bgr[y * stride + x * 3 + c] = p[2 - c];
        rgba[y * stride + x * 4 + c] = p[c];
      }
    }
  }
  const std::ptrdiff_t step = static_cast<std::ptrdiff_t>(stride);
  CHECK(same(find({bgr.data(), width, height, step, PixelFormat::kBgr8})));
  CHECK(same(find({rgba.data(), width, height, step, PixelFormat::kRgba8})));
}

TEST(fov_grey_frame_is_found_like_a_coloured_one) {
  const Scene scene;
  const Drawing rgb = draw(scene);
  std::vector<std::uint8_t> grey;
  for (std::size_t i = 0; i < rgb.pixels.size(); i += 3) grey.push_back(rgb.pixels[i]);
  const FieldOfView fov =
      find({grey.data(), scene.width, scene.height, scene.width, PixelFormat::kGray8});
  CHECK(overlap(scene, fov) >= kMinOverlap);
}

TEST(fov_second_frame_of_the_same_size_allocates_nothing) {
  const Drawing d = draw(Scene());
  ThreadPool pool(2);
  FovFinder finder(pool);
  finder.find(d.view);
  const efiqa_test::AllocationCount count;
  finder.find(d.view);
  CHECK_EQ(count.since_start(), 0L);
}

TEST(fov_largest_and_smallest_frames_are_read) {
  Scene small;
  small.width = small.height = 64;
  small.x = small.y = 32;
  small.radius = 28;
  CHECK(overlap(small, find(draw(small).view)) >= 0.97);  // half a pixel of 28
  // The flattest frames there are: their small images are two pixels across.
  for (const bool tall : {false, true}) {
    Scene narrow;
    narrow.width = tall ? 64 : 8192;
    narrow.height = tall ? 8192 : 64;
    narrow.x = narrow.width / 2.0;
    narrow.y = narrow.height / 2.0;
    const FieldOfView fov = find(draw(narrow).view);
    CHECK(fov.right_px <= static_cast<float>(narrow.width));
    CHECK(fov.bottom_px <= static_cast<float>(narrow.height));
  }
}

TEST(fov_square_crop_surrounds_the_visible_box) {
  FieldOfView fov;
  fov.shape = FovShape::kCircle;
  fov.left_px = 100.4f;
  fov.right_px = 500.0f;
  fov.top_px = 20;
  fov.bottom_px = 320;
  const SquareCrop crop = efiqa::square_crop(fov);
  CHECK_EQ(crop.side_px, 400);
  CHECK_EQ(crop.x_px, 100);
  CHECK_EQ(crop.y_px, -30);
}

TEST(fov_grid_weights_sum_to_the_visible_area) {
  for (const Scene& scene : {Scene(), [] {
                               Scene s;
                               s.top = 100;
                               s.radius = 260;
                               return s;
                             }()}) {
    const FieldOfView fov = find(draw(scene).view);
    const SquareCrop crop = efiqa::square_crop(fov);
    std::vector<float> weights(12 * 7);
    efiqa::grid_weights(fov, crop, 12, 7, weights.data());
    double sum = 0;
    for (const float w : weights) {
      CHECK(w >= 0 && w <= 1);
      sum += w;
    }
    const double cell = static_cast<double>(crop.side_px) * crop.side_px / (12 * 7);
    // The crop is rounded to whole pixels: it may lose half a pixel along the box's longer sides.
    CHECK_NEAR(sum * cell / fov.visible_area_px, 1, 2.0 / crop.side_px);
  }
}

TEST(fov_grid_weights_match_counted_points) {
  FieldOfView fov;
  fov.shape = FovShape::kCircle;
  fov.center_x_px = 103.3f;
  fov.center_y_px = 88.8f;
  fov.radius_px = 90;
  fov.left_px = 20;
  fov.right_px = 190;
  fov.top_px = 30.5f;
  fov.bottom_px = 170;
  const SquareCrop crop{10, 5, 190};
  float weights[30];
  efiqa::grid_weights(fov, crop, 6, 5, weights);
  for (int j = 0; j < 5; ++j) {
    for (int i = 0; i < 6; ++i) {
      int inside = 0;
      constexpr int kSide = 200;  // points along a cell's side
      for (int v = 0; v < kSide; ++v) {
        for (int u = 0; u < kSide; ++u) {
          const double x = crop.x_px + (i + (u + 0.5) / kSide) * crop.side_px / 6;
          const double y = crop.y_px + (j + (v + 0.5) / kSide) * crop.side_px / 5;
          inside += fov.contains(static_cast<float>(x), static_cast<float>(y));
        }
      }
      // An edge across the cell miscounts at most about one row of points.
      CHECK_NEAR(weights[j * 6 + i], static_cast<double>(inside) / (kSide * kSide), 1.5 / kSide);
    }
  }
}

TEST(fov_areas_of_whole_circle_and_cut_fraction_agree) {
  Scene scene;
  scene.top = 240;  // half of the disc
  const FieldOfView fov = find(draw(scene).view);
  const double circle = 3.14159265358979 * fov.radius_px * fov.radius_px;
  CHECK_NEAR(fov.cut_fraction, 1 - fov.visible_area_px / circle, kAreaTolerance);
  CHECK_NEAR(fov.cut_fraction, 0.5, 0.03);
}

TEST(fov_noise_of_small_grain_is_none) {
  std::mt19937 random(5);
  for (const int grain : {1, 2, 3}) {
    for (const bool round : {false, true}) {
      Drawing d = flat(600, 480, 0);
      for (int y = 0; y < 480; y += grain) {
        for (int x = 0; x < 600; x += grain) {
          if (round && (x - 300) * (x - 300) + (y - 240) * (y - 240) > 220 * 220) continue;
          const auto level = [&] { return static_cast<int>(random() & 255u); };
          fill_box(d, x, y, std::min(x + grain, 600), std::min(y + grain, 480), level(), level(),
                   level());
        }
      }
      CHECK(!find(d.view).found());
    }
  }
}

TEST(fov_noise_of_a_sensor_in_the_dark_is_none) {
  std::mt19937 random(6);
  std::normal_distribution<double> level(12, 6);
  for (const bool round : {false, true}) {
    Drawing d = flat(768, 768, 0);
    for (int y = 0; y < 768; ++y) {
      for (int x = 0; x < 768; ++x) {
        if (round && (x - 384) * (x - 384) + (y - 384) * (y - 384) > 350 * 350) continue;
        const auto value = [&] { return std::clamp(static_cast<int>(level(random)), 0, 255); };
        fill_box(d, x, y, x + 1, y + 1, value(), value(), value());
      }
    }
    CHECK(!find(d.view).found());
  }
}

TEST(fov_grid_weights_of_cells_outside_are_exactly_zero) {
  FieldOfView fov;
  fov.shape = FovShape::kCircle;
  fov.center_x_px = 160.49974f;
  fov.center_y_px = 120.4973f;
  fov.radius_px = 107.98672f;
  fov.left_px = 52.51301f;
  fov.top_px = 12.510576f;
  fov.right_px = 268.48645f;
  fov.bottom_px = 228.48402f;
  float weights[64];
  efiqa::grid_weights(fov, SquareCrop{52, 12, 216}, 8, 8, weights);
  for (const int corner : {0, 7, 56, 63}) CHECK(weights[corner] == 0.0f);
}
