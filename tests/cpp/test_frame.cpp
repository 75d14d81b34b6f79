#include <cstdint>

#include "check.h"
#include "frame.h"
#include "grid_ops.h"
#include "pixel_ops.h"
#include "status.h"

using efiqa::FrameView;
using efiqa::PixelFormat;
using efiqa::validate_frame;

namespace {

const std::uint8_t kByte = 0;

FrameView good() { return {&kByte, 100, 80, 300, PixelFormat::kRgb8}; }

FrameView good_nv12() {
  FrameView frame{&kByte, 100, 80, 100, PixelFormat::kNv12};
  frame.uv_data = &kByte;
  frame.uv_stride_bytes = 100;
  return frame;
}

}  // namespace

TEST(frame_of_each_format_with_a_tight_stride_is_accepted) {
  validate_frame(good());
  validate_frame({&kByte, 64, 64, 64, PixelFormat::kGray8});
  validate_frame({&kByte, 8192, 8192, 8192 * 4, PixelFormat::kRgba8});
  validate_frame({&kByte, 100, 80, 1000, PixelFormat::kBgr8});
}

TEST(frame_faults_name_the_field_its_value_and_the_rule) {
  FrameView frame = good();
  frame.data = nullptr;
  CHECK_THROWS_WITH(validate_frame(frame), "frame.data is null");
  frame = good();
  frame.width_px = 63;
  CHECK_THROWS_WITH(validate_frame(frame), "frame.width_px is 63, expected 64 to 8192");
  frame = good();
  frame.height_px = 8193;
  CHECK_THROWS_WITH(validate_frame(frame), "frame.height_px is 8193, expected 64 to 8192");
  frame = good();
  frame.height_px = -1;
  CHECK_THROWS_WITH(validate_frame(frame), "frame.height_px is -1, expected 64 to 8192");
  frame = good();
  frame.row_stride_bytes = 299;
  CHECK_THROWS_WITH(validate_frame(frame),
                    "frame.row_stride_bytes is 299, expected at least 300 for 100 RGB8 pixels");
  frame = good();
  frame.row_stride_bytes = -300;
  CHECK_THROWS_WITH(validate_frame(frame), "frame.row_stride_bytes is -300, expected at least 300");
  frame = good();
  frame.format = static_cast<PixelFormat>(7);
  CHECK_THROWS_WITH(
      validate_frame(frame),
      "frame.format is 7, expected 0 (RGB8), 1 (BGR8), 2 (GRAY8), 3 (RGBA8), 4 (NV12) or "
      "5 (YUYV)");
}

TEST(frame_in_yuv_with_tight_strides_is_accepted) {
  validate_frame(good_nv12());
  validate_frame({&kByte, 64, 65, 128, PixelFormat::kYuyv});
}

TEST(frame_faults_of_yuv_name_the_field_its_value_and_the_rule) {
  FrameView frame = good_nv12();
  frame.width_px = 99;
  CHECK_THROWS_WITH(validate_frame(frame),
                    "frame.width_px is 99, expected an even number: NV12 has one sample of colour "
                    "for two pixels");
  frame = good_nv12();
  frame.height_px = 79;
  CHECK_THROWS_WITH(validate_frame(frame), "frame.height_px is 79, expected an even number");
  frame = good_nv12();
  frame.uv_data = nullptr;
  CHECK_THROWS_WITH(validate_frame(frame), "frame.uv_data is null");
  frame = good_nv12();
  frame.uv_stride_bytes = 99;
  CHECK_THROWS_WITH(validate_frame(frame),
                    "frame.uv_stride_bytes is 99, expected at least 100 for 50 pairs of U and V");
  frame = good_nv12();
  frame.matrix = static_cast<efiqa::YuvMatrix>(2);
  CHECK_THROWS_WITH(validate_frame(frame), "frame.matrix is 2, expected 0 (BT.601) or 1 (BT.709)");
  frame = good_nv12();
  frame.range = static_cast<efiqa::YuvRange>(-1);
  CHECK_THROWS_WITH(validate_frame(frame), "frame.range is -1, expected 0 (limited) or 1 (full)");
  CHECK_THROWS_WITH(validate_frame({&kByte, 65, 64, 130, PixelFormat::kYuyv}),
                    "frame.width_px is 65, expected an even number: YUYV");
  CHECK_THROWS_WITH(validate_frame({&kByte, 64, 64, 127, PixelFormat::kYuyv}),
                    "frame.row_stride_bytes is 127, expected at least 128 for 64 YUYV pixels");
}

TEST(frame_error_carries_its_code) {
  try {
    validate_frame(FrameView{});
    CHECK(false);
  } catch (const efiqa::Error& error) {
    CHECK(error.code() == efiqa::StatusCode::kInvalidFrame);
    CHECK_EQ(std::string(efiqa::status_name(error.code())), std::string("invalid_frame"));
  }
}

TEST(status_names_are_stable) {
  const char* names[] = {"ok",
                         "invalid_argument",
                         "invalid_frame",
                         "file_unreadable",
                         "model_invalid",
                         "contract_invalid",
                         "backend_unavailable",
                         "engine_failure",
                         "wrong_thread",
                         "internal"};
  for (int i = 0; i < 10; ++i) {
    CHECK_EQ(std::string(efiqa::status_name(static_cast<efiqa::StatusCode>(i))),
             std::string(names[i]));
  }
  CHECK_EQ(std::string(efiqa::status_name(static_cast<efiqa::StatusCode>(99))),
           std::string("unrecognised"));
}

TEST(pixel_ops_levels_round_to_nearest_and_clamp) {
  CHECK_EQ(int{efiqa::round_level(-3.0f)}, 0);
  CHECK_EQ(int{efiqa::round_level(0.49f)}, 0);
  CHECK_EQ(int{efiqa::round_level(0.5f)}, 1);
  CHECK_EQ(int{efiqa::round_level(254.6f)}, 255);
  CHECK_EQ(int{efiqa::round_level(300.0f)}, 255);
}

TEST(grid_ops_sigmoid_stays_finite_at_both_ends) {
  CHECK_NEAR(efiqa::sigmoid(0.0), 0.5, 1e-15);
  CHECK_NEAR(efiqa::sigmoid(200.0), 1, 1e-15);
  CHECK_NEAR(efiqa::sigmoid(-200.0), 0, 1e-15);
}
