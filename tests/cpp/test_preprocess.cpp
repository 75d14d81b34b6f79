#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "allocations.h"
#include "check.h"
#include "preprocess.h"

using efiqa::FieldOfView;
using efiqa::FovShape;
using efiqa::FrameView;
using efiqa::PixelFormat;
using efiqa::Preprocessor;
using efiqa::PreprocessSpec;
using efiqa::ResizeFilter;
using efiqa::SquareCrop;
using efiqa::ThreadPool;

namespace {

// Sums of up to a few hundred float products of levels up to 255.
constexpr double kLevelTolerance = 2e-3;

struct Picture {
  std::vector<std::uint8_t> pixels;
  FrameView view;
};

Picture random_picture(int width, int height, PixelFormat format, unsigned seed, int padding = 0) {
  Picture p;
  const int row = width * efiqa::bytes_per_pixel(format) + padding;
  p.pixels.resize(static_cast<std::size_t>(row) * height);
  std::mt19937 random(seed);
  for (std::uint8_t& byte : p.pixels) byte = static_cast<std::uint8_t>(random());
  p.view = {p.pixels.data(), width, height, row, format};
  return p;
}

double kernel(ResizeFilter filter, double x) {
  if (filter == ResizeFilter::kBox) return x > -0.5 && x <= 0.5 ? 1 : 0;
  return std::max(0.0, 1 - std::abs(x));
}

// Level of one output pixel: the kernel over the crop, black outside the frame, in doubles.
double reference(const FrameView& f, const SquareCrop& crop, ResizeFilter filter, int width,
                 int height, int ox, int oy, int channel) {
  const int offset = f.format == PixelFormat::kBgr8    ? 2 - channel
                     : f.format == PixelFormat::kGray8 ? 0
                                                       : channel;
  const double sx = static_cast<double>(crop.side_px) / width;
  const double sy = static_cast<double>(crop.side_px) / height;
  const double fx = std::max(1.0, sx), fy = std::max(1.0, sy);
  const double half = filter == ResizeFilter::kBox ? 0.5 : 1.0;
  const double cx = (ox + 0.5) * sx, cy = (oy + 0.5) * sy;
  double sum = 0, total = 0;
  for (int y = std::max(0, static_cast<int>(cy - half * fy + 0.5));
       y < std::min(crop.side_px, static_cast<int>(cy + half * fy + 0.5)); ++y) {
    for (int x = std::max(0, static_cast<int>(cx - half * fx + 0.5));
         x < std::min(crop.side_px, static_cast<int>(cx + half * fx + 0.5)); ++x) {
      const double w = kernel(filter, (x + 0.5 - cx) / fx) * kernel(filter, (y + 0.5 - cy) / fy);
      const int px = crop.x_px + x, py = crop.y_px + y;
      total += w;
      if (px < 0 || py < 0 || px >= f.width_px || py >= f.height_px) continue;
      sum += w * f.data[py * f.row_stride_bytes + px * efiqa::bytes_per_pixel(f.format) + offset];
    }
  }
  return sum / total;
}

PreprocessSpec plain_spec(int width, int height, ResizeFilter filter) {
  PreprocessSpec spec;
  spec.width_px = width;
  spec.height_px = height;
  spec.filter = filter;
  spec.blank_outside = false;
  return spec;
}

std::vector<float> run(const PreprocessSpec& spec, const FrameView& frame, const SquareCrop& crop,
                       const FieldOfView& fov = {}, int threads = 1) {
  ThreadPool pool(threads);
  std::vector<float> out(static_cast<std::size_t>(spec.width_px) * spec.height_px * 3);
  Preprocessor(spec, pool).run(frame, crop, fov, out.data());
  return out;
}

}  // namespace

TEST(preprocess_random_geometry_matches_the_plain_double_sum) {
  std::mt19937 random(3);
  const auto between = [&](int low, int high) {
    return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
  };
  for (int i = 0; i < efiqa_test::rounds(60); ++i) {
    const Picture picture =
        random_picture(between(64, 200), between(64, 200), static_cast<PixelFormat>(i % 4),
                       static_cast<unsigned>(random()), between(0, 9));
    const SquareCrop crop{between(-60, 150), between(-60, 150), between(1, 260)};
    const ResizeFilter filter = i % 2 ? ResizeFilter::kBox : ResizeFilter::kTriangle;
    const int width = between(1, 90), height = between(1, 90);
    const PreprocessSpec spec = plain_spec(width, height, filter);
    const std::vector<float> out = run(spec, picture.view, crop, {}, 1 + i % 3);
    for (int n = 0; n < 40; ++n) {
      const int x = between(0, width - 1), y = between(0, height - 1), c = between(0, 2);
      const double expected = reference(picture.view, crop, filter, width, height, x, y, c);
      CHECK_NEAR(out[(c * height + y) * width + x] * 255, expected, kLevelTolerance);
    }
  }
}

TEST(preprocess_crop_far_outside_the_frame_is_black) {
  const Picture picture = random_picture(80, 70, PixelFormat::kRgb8, 1);
  for (const SquareCrop crop :
       {SquareCrop{500, 0, 50}, SquareCrop{-200, -200, 100}, SquareCrop{0, 30000, 64}}) {
    for (const float value : run(plain_spec(16, 16, ResizeFilter::kTriangle), picture.view, crop)) {
      CHECK_EQ(value, 0.0f);
    }
  }
}

TEST(preprocess_whole_frame_at_its_own_size_is_unchanged) {
  const Picture picture = random_picture(96, 96, PixelFormat::kRgb8, 2);
  for (const ResizeFilter filter : {ResizeFilter::kBox, ResizeFilter::kTriangle}) {
    ThreadPool pool(1);
    Preprocessor preprocessor(plain_spec(96, 96, filter), pool);
    std::vector<std::uint8_t> out(96 * 96 * 3);
    preprocessor.run_u8(picture.view, {0, 0, 96}, {}, out.data());
    CHECK(out == picture.pixels);
  }
}

TEST(preprocess_normalisation_is_level_over_255_minus_mean_over_std) {
  const Picture picture = random_picture(64, 64, PixelFormat::kRgb8, 4);
  PreprocessSpec spec = plain_spec(64, 64, ResizeFilter::kBox);
  const float mean[3] = {0.485f, 0.456f, 0.406f}, deviation[3] = {0.229f, 0.224f, 0.225f};
  std::copy(mean, mean + 3, spec.mean);
  std::copy(deviation, deviation + 3, spec.std);
  const std::vector<float> out = run(spec, picture.view, {0, 0, 64});
  for (int i = 0; i < 64 * 64; ++i) {
    for (int c = 0; c < 3; ++c) {
      const double level = picture.pixels[static_cast<std::size_t>(i) * 3 + c];
      CHECK_NEAR(out[c * 64 * 64 + i], (level / 255 - mean[c]) / deviation[c], 1e-6);
    }
  }
}

TEST(preprocess_bgr_grey_and_rgba_give_what_rgb_gives) {
  const Picture rgb = random_picture(120, 90, PixelFormat::kRgb8, 6);
  std::vector<std::uint8_t> bgr, rgba, grey, grey_rgb;
  for (std::size_t i = 0; i < rgb.pixels.size(); i += 3) {
    const std::uint8_t *p = rgb.pixels.data() + i, alpha = static_cast<std::uint8_t>(i);
    bgr.insert(bgr.end(), {p[2], p[1], p[0]});
    rgba.insert(rgba.end(), {p[0], p[1], p[2], alpha});
    grey.push_back(p[1]);
    grey_rgb.insert(grey_rgb.end(), {p[1], p[1], p[1]});
  }
  const PreprocessSpec spec = plain_spec(50, 40, ResizeFilter::kTriangle);
  const SquareCrop crop{-5, 3, 110};
  const std::vector<float> expected = run(spec, rgb.view, crop);
  CHECK(run(spec, {bgr.data(), 120, 90, 360, PixelFormat::kBgr8}, crop) == expected);
  CHECK(run(spec, {rgba.data(), 120, 90, 480, PixelFormat::kRgba8}, crop) == expected);
  CHECK(run(spec, {grey.data(), 120, 90, 120, PixelFormat::kGray8}, crop) ==
        run(spec, {grey_rgb.data(), 120, 90, 360, PixelFormat::kRgb8}, crop));
}

TEST(preprocess_thread_counts_agree_bit_for_bit) {
  const Picture picture = random_picture(500, 400, PixelFormat::kRgb8, 7);
  const PreprocessSpec spec = plain_spec(160, 161, ResizeFilter::kTriangle);
  const std::vector<float> expected = run(spec, picture.view, {20, -10, 420});
  for (const int threads : {2, 3, 7}) {
    CHECK(run(spec, picture.view, {20, -10, 420}, {}, threads) == expected);
  }
}

TEST(preprocess_blank_outside_is_black_exactly_where_the_centre_is_not_visible) {
  std::vector<std::uint8_t> white(200 * 200 * 3, 255);
  const FrameView frame{white.data(), 200, 200, 600, PixelFormat::kRgb8};
  FieldOfView fov;
  fov.shape = FovShape::kCircle;
  fov.center_x_px = 103;
  fov.center_y_px = 95;
  fov.radius_px = 90;
  fov.left_px = 13;
  fov.right_px = 180;
  fov.top_px = 20;
  fov.bottom_px = 185;
  PreprocessSpec spec = plain_spec(64, 64, ResizeFilter::kTriangle);
  spec.blank_outside = true;
  const SquareCrop crop = efiqa::square_crop(fov);
  const std::vector<float> out = run(spec, frame, crop, fov);
  const float step = static_cast<float>(crop.side_px) / 64;
  int blank = 0;
  for (int y = 0; y < 64; ++y) {
    for (int x = 0; x < 64; ++x) {
      const bool visible =
          fov.contains(static_cast<float>(crop.x_px) + (static_cast<float>(x) + 0.5f) * step,
                       static_cast<float>(crop.y_px) + (static_cast<float>(y) + 0.5f) * step);
      blank += !visible;
      for (int c = 0; c < 3; ++c) CHECK_NEAR(out[(c * 64 + y) * 64 + x], visible ? 1 : 0, 1e-5);
    }
  }
  CHECK(blank > 500);
  fov.shape = FovShape::kNone;
  for (const float value : run(spec, frame, crop, fov)) CHECK_NEAR(value, 1, 1e-5);
}

TEST(preprocess_second_frame_of_the_same_geometry_allocates_nothing) {
  const Picture picture = random_picture(300, 200, PixelFormat::kRgb8, 8);
  ThreadPool pool(2);
  Preprocessor preprocessor(plain_spec(96, 96, ResizeFilter::kTriangle), pool);
  std::vector<float> out(96 * 96 * 3);
  preprocessor.run(picture.view, {10, 10, 200}, {}, out.data());
  const efiqa_test::AllocationCount count;
  preprocessor.run(picture.view, {10, 10, 200}, {}, out.data());
  preprocessor.run(picture.view, {-4, 13, 180}, {}, out.data());  // smaller: fits what there is
  CHECK_EQ(count.since_start(), 0L);
}

TEST(preprocess_changed_geometry_is_not_answered_from_the_old_tables) {
  const Picture picture = random_picture(300, 300, PixelFormat::kRgb8, 9);
  const Picture wide = random_picture(310, 64, PixelFormat::kRgb8, 10);
  const PreprocessSpec spec = plain_spec(32, 32, ResizeFilter::kTriangle);
  ThreadPool pool(1);
  Preprocessor kept(spec, pool);
  std::vector<float> out(32 * 32 * 3);
  for (const SquareCrop crop : {SquareCrop{0, 0, 300}, SquareCrop{5, 0, 300}, SquareCrop{5, 9, 300},
                                SquareCrop{5, 9, 201}}) {
    for (const FrameView& frame : {picture.view, wide.view}) {
      kept.run(frame, crop, {}, out.data());
      CHECK(out == run(spec, frame, crop));
    }
  }
}

TEST(preprocess_faults_of_spec_and_crop_are_named) {
  ThreadPool pool(1);
  const ResizeFilter filter = ResizeFilter::kBox;
  CHECK_THROWS_WITH(Preprocessor(plain_spec(0, 8, filter), pool),
                    "preprocess.width_px is 0, expected 1 to 8192");
  CHECK_THROWS_WITH(Preprocessor(plain_spec(8, 9000, filter), pool),
                    "preprocess.height_px is 9000, expected 1 to 8192");
  PreprocessSpec spec = plain_spec(8, 8, filter);
  spec.std[1] = 0;
  CHECK_THROWS_WITH(Preprocessor(spec, pool), "std of channel 1");
  spec = plain_spec(8, 8, filter);
  spec.mean[2] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH(Preprocessor(spec, pool), "mean and preprocess.std of channel 2 are nan");
  const Picture picture = random_picture(64, 64, PixelFormat::kRgb8, 1);
  std::vector<float> out(3 * 8 * 8);
  Preprocessor good(plain_spec(8, 8, filter), pool);
  CHECK_THROWS_WITH(good.run(picture.view, {0, 0, 0}, {}, out.data()),
                    "crop.side_px is 0, expected 1 to 32768");
  CHECK_THROWS_WITH(good.run(picture.view, {-99999, 0, 8}, {}, out.data()),
                    "crop.x_px is -99999, expected -32768 to 32768");
}
