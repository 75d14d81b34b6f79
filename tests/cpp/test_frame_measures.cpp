#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "allocations.h"
#include "check.h"
#include "frame_measures.h"

using efiqa::FieldOfView;
using efiqa::FrameMeasures;
using efiqa::FrameMeter;
using efiqa::PreprocessSpec;
using efiqa::SquareCrop;

namespace {

// A drawn network input of one grey pattern, with the field of view that fills it.
struct Input {
  explicit Input(int side, int crop_side = 0) : side_px(side) {
    spec.width_px = spec.height_px = side;
    for (int c = 0; c < 3; ++c) {
      spec.mean[c] = 0.5f;
      spec.std[c] = 0.25f;
    }
    crop = {10, 20, crop_side == 0 ? side : crop_side};
    fov.shape = efiqa::FovShape::kCircle;
    fov.radius_px = 0.5f * static_cast<float>(crop.side_px);
    fov.center_x_px = static_cast<float>(crop.x_px) + fov.radius_px;
    fov.center_y_px = static_cast<float>(crop.y_px) + fov.radius_px;
    fov.left_px = static_cast<float>(crop.x_px);
    fov.top_px = static_cast<float>(crop.y_px);
    fov.right_px = fov.left_px + static_cast<float>(crop.side_px);
    fov.bottom_px = fov.top_px + static_cast<float>(crop.side_px);
    values.resize(3u * static_cast<std::size_t>(side) * side);
  }

  template <typename Level>
  FrameMeasures measure(Level&& level) {  // level(x, y) is 0..1
    std::size_t i = 0;
    for (int c = 0; c < 3; ++c) {
      for (int y = 0; y < side_px; ++y) {
        for (int x = 0; x < side_px; ++x) {
          values[i++] = (level(x, y) - spec.mean[c]) / spec.std[c];
        }
      }
    }
    return FrameMeter(spec).measure(values.data(), crop, fov, 4000);
  }

  int side_px;
  PreprocessSpec spec;
  SquareCrop crop;
  FieldOfView fov;
  std::vector<float> values;
};

// Stripes of this period in pixels around a grey level.
auto stripes(double period, float level, float amplitude) {
  return [=](int x, int y) {
    return level + amplitude * static_cast<float>(std::sin((x + 0.6 * y) * 6.2832 / period));
  };
}

}  // namespace

TEST(measures_flat_field_has_its_level_and_no_detail) {
  Input input(384);
  const FrameMeasures m = input.measure([](int, int) { return 0.3f; });
  CHECK_NEAR(m.level, 0.3, 1e-5);
  CHECK_NEAR(m.green, 0.3, 1e-5);
  CHECK(m.saturated_share == 0.0f);
  CHECK_NEAR(m.contrast, 0, 1e-5);
  CHECK_NEAR(m.lid_share, 0, 1e-5);
}

TEST(measures_of_black_and_white_are_numbers) {
  Input input(384);
  const FrameMeasures black = input.measure([](int, int) { return 0.0f; });
  CHECK(black.complete());
  CHECK_NEAR(black.level, 0, 1e-6);
  const FrameMeasures white = input.measure([](int, int) { return 1.0f; });
  CHECK(white.complete());
  CHECK_NEAR(white.saturated_share, 1, 1e-6);
}

TEST(measures_saturated_share_is_that_of_the_pixels) {
  Input input(384);
  const FrameMeasures m = input.measure([](int x, int) { return x < 192 ? 1.0f : 0.4f; });
  CHECK_NEAR(m.saturated_share, 0.5, 0.01);
}

TEST(measures_fine_detail_is_sharper_than_coarse_detail_at_any_exposure) {
  Input input(384);
  const float fine = input.measure(stripes(5, 0.5f, 0.1f)).sharpness;
  const float coarse = input.measure(stripes(48, 0.5f, 0.1f)).sharpness;
  CHECK(fine > 0.8f);
  CHECK_NEAR(coarse, 0.25, 0.05);  // smooth at this scale: differences grow with the distance
  CHECK_NEAR(input.measure(stripes(5, 0.1f, 0.02f)).sharpness, fine, 1e-3);
}

TEST(measures_contrast_is_relative_to_the_level) {
  Input input(384);
  const float contrast = input.measure(stripes(30, 0.4f, 0.1f)).contrast;
  CHECK_NEAR(input.measure(stripes(30, 0.2f, 0.05f)).contrast, contrast, 1e-4);
  CHECK_NEAR(input.measure(stripes(30, 0.4f, 0.02f)).contrast, 0.2 * contrast, 1e-3);
}

TEST(measures_lid_is_seen_above_and_below_and_not_at_the_sides) {
  Input input(384);
  const auto dark_where = [&](bool (*dark)(int, int)) {
    return input.measure([&](int x, int y) { return dark(x, y) ? 0.02f : 0.5f; }).lid_share;
  };
  CHECK(dark_where([](int, int y) { return y < 110; }) > 0.8f);
  CHECK(dark_where([](int, int y) { return y > 274; }) > 0.8f);
  CHECK_NEAR(dark_where([](int x, int) { return x < 110; }), 0, 1e-5);
}

TEST(measures_field_cut_on_one_side_is_a_lid_unless_the_frame_ends_there) {
  Input input(384);
  input.fov.top_px += 0.5f * input.fov.radius_px;
  const auto grey = [](int, int) { return 0.5f; };
  CHECK_NEAR(input.measure(grey).lid_share, 0.5, 1e-3);
  input.fov.bottom_px -= 0.5f * input.fov.radius_px;  // on both: the camera's own shape
  CHECK_NEAR(input.measure(grey).lid_share, 0, 1e-3);
  Input at_border(384);
  at_border.fov.center_y_px = 0.3f * at_border.fov.radius_px;
  at_border.fov.top_px = 0;
  CHECK_NEAR(at_border.measure(grey).lid_share, 0, 1e-3);
}

TEST(measures_enlarged_crop_is_not_taken_for_defocused) {
  // Detail of 3 frame pixels, of a crop that was enlarged two-fold.
  Input small(384, 192);
  Input large(384, 384);
  const float enlarged = small.measure(stripes(10, 0.5f, 0.1f)).sharpness;
  CHECK_NEAR(enlarged, large.measure(stripes(5, 0.5f, 0.1f)).sharpness, 0.2 * enlarged);
}

TEST(measures_outside_of_the_field_count_for_nothing) {
  Input input(384);
  std::mt19937 random(3);
  std::uniform_real_distribution<float> noise(0, 1);
  const FrameMeasures m = input.measure(
      [&](int x, int y) { return std::hypot(x - 191.5, y - 191.5) > 185 ? noise(random) : 0.4f; });
  CHECK_NEAR(m.level, 0.4, 1e-5);
  CHECK_NEAR(m.contrast, 0, 1e-5);
}

TEST(measures_without_a_field_are_not_numbers) {
  Input input(64);
  input.fov = FieldOfView();
  CHECK(!input.measure([](int, int) { return 0.5f; }).complete());
  Input outside(64);  // a field that the input does not show
  outside.fov.center_x_px += 1e6f;
  outside.fov.left_px += 1e6f;
  outside.fov.right_px += 1e6f;
  const FrameMeasures m = outside.measure([](int, int) { return 0.5f; });
  CHECK(std::isnan(m.level));
  CHECK(std::isnan(m.sharpness));
}

TEST(measures_of_every_input_size_are_numbers) {
  for (const int side : {64, 96, 130, 224, 385, 512, 1024}) {
    Input input(side);
    CHECK(input.measure(stripes(7, 0.5f, 0.1f)).complete());
  }
}

TEST(measures_allocate_nothing) {
  Input input(384);
  input.measure(stripes(7, 0.5f, 0.1f));
  FrameMeter meter(input.spec);
  const efiqa_test::AllocationCount count;
  meter.measure(input.values.data(), input.crop, input.fov, 4000);
  CHECK(count.since_start() == 0);
}
