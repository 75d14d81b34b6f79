#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "check.h"
#include "colormap.h"
#include "fixtures.h"
#include "postprocess.h"

using efiqa::Colormap;
using efiqa::FrameView;
using efiqa::OverlayOptions;
using efiqa::PixelFormat;
using efiqa::Report;
using efiqa_test::error_of;

namespace {

constexpr int kWidth = 200, kHeight = 160;
// Fixed point and rounding: opacity has 256 steps, so a channel is off by half of 255 / 256 at
// most, and by another half for rounding; on a slope the colour index is off by one entry at most.
constexpr int kFlatTolerance = 1;

struct Picture {
  explicit Picture(PixelFormat format) : bytes_per_pixel(efiqa::bytes_per_pixel(format)) {
    stride = kWidth * bytes_per_pixel + 5;  // rows are not contiguous
    bytes.resize(static_cast<std::size_t>(stride) * kHeight);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 37 / 5);
    view = {bytes.data(), kWidth, kHeight, stride, format};
  }

  // The colour of a pixel by the plainest route.
  void rgb(int x, int y, int out[3]) const {
    const std::uint8_t* pixel = bytes.data() + y * stride + x * bytes_per_pixel;
    const bool gray = view.format == PixelFormat::kGray8;
    const bool bgr = view.format == PixelFormat::kBgr8;
    for (int c = 0; c < 3; ++c) out[c] = pixel[gray ? 0 : bgr ? 2 - c : c];
  }

  int bytes_per_pixel;
  std::ptrdiff_t stride;
  std::vector<std::uint8_t> bytes;
  FrameView view;
};

// A circle of radius 70 in the frame's middle, cut flat at the top; every visible cell has `p`.
Report flat_report(float p, int grid = 8) {
  Report report;
  report.fov.shape = efiqa::FovShape::kCircle;
  report.fov.center_x_px = 100.3f;
  report.fov.center_y_px = 80.6f;
  report.fov.radius_px = 70;
  report.fov.left_px = 30.3f;
  report.fov.top_px = 30;
  report.fov.right_px = 170.3f;
  report.fov.bottom_px = 150.6f;
  report.crop = efiqa::square_crop(report.fov);
  report.frame_width_px = kWidth;
  report.frame_height_px = kHeight;
  report.grid_width = report.grid_height = grid;
  report.weights.assign(static_cast<std::size_t>(grid * grid), 0.0f);
  report.map.assign(static_cast<std::size_t>(grid * grid), std::nanf(""));
  efiqa::grid_weights(report.fov, report.crop, grid, grid, report.weights.data());
  for (std::size_t i = 0; i < report.map.size(); ++i) {
    if (report.weights[i] > 0) report.map[i] = p;
  }
  return report;
}

std::vector<std::uint8_t> overlay(const FrameView& frame, const Report& report,
                                  const OverlayOptions& options, int threads = 1) {
  efiqa::ThreadPool pool(threads);
  std::vector<std::uint8_t> out(3u * kWidth * kHeight, 99);
  efiqa::render_overlay(frame, report, options, pool, out.data(), 3 * kWidth);
  return out;
}

// Where on a slope of five cells the value lies that is drawn at `place`, in cells from the first
// one's centre: at the ends an eighth beyond the outermost centres, so that cells keep their means.
double drawn_place(double place) {
  if (place <= 0) return -0.125;
  if (place >= 4) return 4.125;
  if (place < 1) return -0.125 + 1.125 * place;
  if (place > 3) return 4.125 - 1.125 * (4 - place);
  return place;
}

bool visible(const Report& report, int x, int y) {
  return report.fov.contains(static_cast<float>(x) + 0.5f, static_cast<float>(y) + 0.5f);
}

}  // namespace

TEST(overlay_of_a_flat_map_blends_the_field_and_copies_the_rest) {
  for (const PixelFormat format :
       {PixelFormat::kRgb8, PixelFormat::kBgr8, PixelFormat::kGray8, PixelFormat::kRgba8}) {
    const Picture picture(format);
    for (const float p : {0.0f, 0.4f, 1.0f}) {
      const Report report = flat_report(p);
      const OverlayOptions options{Colormap::kInferno, 0.7f};
      const auto out = overlay(picture.view, report, options, 2);
      const int index = static_cast<int>(std::lround(p * 255));
      const efiqa::Rgb8 color = efiqa::colormap_table(options.colormap)[index];
      const int colors[3] = {color.red, color.green, color.blue};
      int worst_inside = 0, worst_outside = 0, inside = 0;
      for (int y = 0; y < kHeight; ++y) {
        for (int x = 0; x < kWidth; ++x) {
          int rgb[3];
          picture.rgb(x, y, rgb);
          const bool blended = visible(report, x, y);
          inside += blended;
          for (int c = 0; c < 3; ++c) {
            const double alpha = blended ? double{options.max_alpha} * index / 255.0 : 0.0;
            const double expected = rgb[c] * (1 - alpha) + colors[c] * alpha;
            const int difference = static_cast<int>(
                std::ceil(std::abs(out[3u * (y * kWidth + x) + c] - expected) - 1e-9));
            (blended ? worst_inside : worst_outside) =
                std::max(blended ? worst_inside : worst_outside, difference);
          }
        }
      }
      CHECK(inside > 10000);
      CHECK(worst_outside == 0);
      // Half a level of rounding, and alpha rounded to 1/256 of at most 255 levels.
      CHECK(worst_inside <= 2 * kFlatTolerance);
      if (p == 0.0f) CHECK(worst_inside == 0);
    }
  }
}

TEST(overlay_of_a_slope_is_bilinear_and_keeps_the_means_of_cells) {
  const Picture picture(PixelFormat::kRgb8);
  Report report = flat_report(0, 5);
  report.fov.radius_px = 1000;  // all of the box is visible
  for (std::size_t i = 0; i < report.map.size(); ++i) {
    report.weights[i] = 1;
    report.map[i] = 0.1f + 0.15f * static_cast<float>(i % 5) + 0.03f * static_cast<float>(i / 5);
  }
  const OverlayOptions options{Colormap::kRed, 1.0f};  // red's opacity is the index itself
  const auto out = overlay(picture.view, report, options);
  double worst = 0;
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      if (!visible(report, x, y)) continue;
      const double u = (x + 0.5 - report.crop.x_px) * 5 / report.crop.side_px - 0.5;
      const double v = (y + 0.5 - report.crop.y_px) * 5 / report.crop.side_px - 0.5;
      const double p = 0.1 + 0.15 * drawn_place(u) + 0.03 * drawn_place(v);
      int rgb[3];
      picture.rgb(x, y, rgb);
      worst = std::max(worst, std::abs(out[3u * (y * kWidth + x) + 1] - rgb[1] * (1 - p)));
    }
  }
  // Index rounded to 1/255, opacity to 1/256, the result to 1: half a level of each at most.
  CHECK(worst <= 1.6);
}

TEST(overlay_of_a_single_bad_cell_keeps_its_mean) {
  const Picture picture(PixelFormat::kRgb8);
  constexpr int kGrid = 5, kCell = 2 * kGrid + 2;
  Report report = flat_report(0.2f, kGrid);
  report.fov.radius_px = 1000;
  report.weights.assign(report.weights.size(), 1.0f);
  report.map.assign(report.map.size(), 0.2f);
  report.map[kCell] = 0.6f;
  const std::vector<std::uint8_t> black(3u * kWidth * kHeight, 0);
  const FrameView frame{black.data(), kWidth, kHeight, std::ptrdiff_t{3} * kWidth,
                        PixelFormat::kRgb8};
  const auto out = overlay(frame, report, {Colormap::kRed, 1.0f});
  double sum = 0, peak = 0;
  int pixels = 0;
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      const double across = (x + 0.5 - report.crop.x_px) * kGrid / report.crop.side_px;
      const double down = (y + 0.5 - report.crop.y_px) * kGrid / report.crop.side_px;
      if (std::floor(across) != 2 || std::floor(down) != 2) continue;
      const double p = out[3u * (y * kWidth + x)] / 255.0;
      sum += p;
      peak = std::max(peak, p);
      ++pixels;
    }
  }
  // Bilinear of the means themselves: 0.425 and 0.6. One step towards means that are kept: the
  // neighbours' values fall by 0.0375 and 0.00625, the cell's own rises by 0.175.
  CHECK(std::abs(sum / pixels - 0.505) < 0.01);
  CHECK(std::abs(peak - 0.775) < 0.03);  // no pixel lies right on the centre
}

TEST(overlay_cells_without_weight_do_not_bleed_into_the_field) {
  const Picture picture(PixelFormat::kRgb8);
  const OverlayOptions options{Colormap::kTurbo, 0.8f};
  const auto reference = overlay(picture.view, flat_report(0.5f), options);
  Report report = flat_report(0.5f);
  for (std::size_t i = 0; i < report.map.size(); ++i) {
    if (!(report.weights[i] > 0)) report.map[i] = 1.0f;  // a value where there must be none
  }
  CHECK(overlay(picture.view, report, options) == reference);
}

TEST(overlay_with_one_and_with_three_threads_is_the_same) {
  const Picture picture(PixelFormat::kBgr8);
  Report report = flat_report(0.5f);
  for (std::size_t i = 0; i < report.map.size(); ++i) {
    if (report.weights[i] > 0) report.map[i] = static_cast<float>(i * 29 % 64) / 63.0f;
  }
  CHECK(overlay(picture.view, report, {}, 1) == overlay(picture.view, report, {}, 3));
}

TEST(overlay_of_a_one_cell_and_of_the_finest_grid_is_made) {
  const Picture picture(PixelFormat::kGray8);
  for (const int grid : {1, 2, efiqa::kMaxGridCells}) {
    const auto out = overlay(picture.view, flat_report(1.0f, grid), {Colormap::kRed, 1.0f});
    const std::size_t center = 3u * (80 * kWidth + 100);
    CHECK(out[center] == 255);
    CHECK(out[center + 1] == 0);
    CHECK(out[center + 2] == 0);
  }
}

TEST(overlay_without_field_or_map_is_the_frame) {
  const Picture picture(PixelFormat::kBgr8);
  Report none = flat_report(1.0f);
  none.fov = efiqa::FieldOfView();
  Report empty = flat_report(1.0f);
  empty.weights.assign(64, 0.0f);
  empty.map.assign(64, std::nanf(""));
  for (const Report& report : {none, empty}) {
    const auto out = overlay(picture.view, report, {});
    for (int y = 0; y < kHeight; ++y) {
      for (int x = 0; x < kWidth; ++x) {
        int rgb[3];
        picture.rgb(x, y, rgb);
        for (int c = 0; c < 3; ++c) CHECK(out[3u * (y * kWidth + x) + c] == rgb[c]);
      }
    }
  }
}

TEST(overlay_writes_rows_of_the_given_stride_and_nothing_between) {
  const Picture picture(PixelFormat::kRgb8);
  const std::ptrdiff_t stride = 3 * kWidth + 7;
  std::vector<std::uint8_t> out(static_cast<std::size_t>(stride) * kHeight, 99);
  efiqa::ThreadPool pool(1);
  efiqa::render_overlay(picture.view, flat_report(0.7f), {}, pool, out.data(), stride);
  const auto reference = overlay(picture.view, flat_report(0.7f), {});
  bool same = true, untouched = true;
  for (int y = 0; y < kHeight; ++y) {
    for (int i = 0; i < stride; ++i) {
      const std::uint8_t byte = out[static_cast<std::size_t>(y * stride + i)];
      if (i < 3 * kWidth) {
        same &= byte == reference[static_cast<std::size_t>(y * 3 * kWidth + i)];
      } else {
        untouched &= byte == 99;
      }
    }
  }
  CHECK(same);
  CHECK(untouched);
}

TEST(overlay_arguments_that_break_a_rule_are_refused) {
  const Picture picture(PixelFormat::kRgb8);
  const Report report = flat_report(0.5f);
  Report other_size = report, no_map = report;
  other_size.frame_width_px = 201;
  no_map.map.clear();
  std::vector<std::uint8_t> out(3u * kWidth * kHeight);
  efiqa::ThreadPool pool(1);
  const auto render = [&](const Report& r, OverlayOptions options, std::uint8_t* target,
                          std::ptrdiff_t stride) {
    return error_of([&] { efiqa::render_overlay(picture.view, r, options, pool, target, stride); });
  };
  CHECK_EQ(render(other_size, {}, out.data(), 600),
           std::string("invalid_argument: the report is of a frame of 201 x 160 pixels, this frame "
                       "has 200 x 160; pass the frame that was assessed"));
  CHECK_EQ(render(no_map, {}, out.data(), 600),
           std::string("invalid_argument: the report has no complete map; pass a report that "
                       "assess filled"));
  CHECK_EQ(render(report, {Colormap::kRed, 1.5f}, out.data(), 600),
           std::string("invalid_argument: max_alpha is 1.500000, expected 0 to 1"));
  CHECK(render(report, {Colormap::kRed, std::nanf("")}, out.data(), 600).find("expected 0 to 1") !=
        std::string::npos);
  CHECK_EQ(render(report, {static_cast<Colormap>(7), 0.5f}, out.data(), 600),
           std::string("invalid_argument: colormap is 7, expected one of: turbo, inferno, viridis, "
                       "red"));
  CHECK_EQ(render(report, {}, nullptr, 600),
           std::string("invalid_argument: out is null, expected a buffer for the overlay"));
  CHECK_EQ(render(report, {}, out.data(), 599),
           std::string("invalid_argument: out_stride_bytes is 599, expected at least 600"));
}

TEST(colormap_tables_begin_and_end_where_they_should) {
  const auto& viridis = efiqa::colormap_table(Colormap::kViridis);
  CHECK(viridis[0].red < 75 && viridis[0].blue > 75);         // dark violet
  CHECK(viridis[255].red > 250 && viridis[255].green > 228);  // yellow
  const auto& inferno = efiqa::colormap_table(Colormap::kInferno);
  CHECK(inferno[0].red + inferno[0].green + inferno[0].blue < 15);  // black
  const auto& red = efiqa::colormap_table(Colormap::kRed);
  CHECK(red[0].red == 255 && red[255].green == 0);
}
