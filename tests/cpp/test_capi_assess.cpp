// The C door: frames, reports, regions, overlays.
#include <cstddef>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "capi_fixtures.h"
#include "check.h"

using efiqa_test::c_frame;
using efiqa_test::CBench;
using efiqa_test::contains;
using efiqa_test::DiscFrame;
using efiqa_test::says_unknown;

TEST(capi_assess_fills_the_report) {
  CBench bench;
  for (int i = 0; i < 16; ++i) bench.engine->logits[i] = 3;  // the upper two rows are bad
  const DiscFrame disc(640, 480);
  CHECK_EQ(bench.answer(c_frame(disc)), std::string("ok: "));
  const efiqa_report& report = bench.report;
  CHECK_EQ(report.status, int{EFIQA_STATUS_OK});
  CHECK_EQ(report.fov_shape, int{EFIQA_SHAPE_CIRCLE});
  CHECK_NEAR(report.fov_center_x_px, 320, 2);
  CHECK_NEAR(report.fov_center_y_px, 240, 2);
  CHECK_NEAR(report.fov_radius_px, 216, 3);
  CHECK(report.fov_right_px > report.fov_left_px && report.fov_bottom_px > report.fov_top_px);
  CHECK(report.fov_visible_area_px > 0);
  CHECK_NEAR(report.fov_cut_fraction, 0, 0.05);
  CHECK_EQ(report.frame_width_px, 640);
  CHECK_EQ(report.frame_height_px, 480);
  CHECK_NEAR(report.crop_side_px, 432, 6);
  CHECK_EQ(report.grid_width, 8);
  CHECK_EQ(report.grid_height, 8);
  CHECK_EQ(report.region_count, 1);
  CHECK(report.score > 0 && report.score < 1);
  CHECK(report.total_ms >= report.fov_ms && report.fov_ms > 0);
  CHECK_NEAR(report.map[8 + 3], 1 / (1 + std::exp(-3.0)), 1e-6);
  CHECK_NEAR(report.weights[3 * 8 + 3], 1, 1e-6);
  CHECK_EQ(std::string(report.model_id), std::string("tiny-v1"));
  CHECK_EQ(std::string(report.contract_sha256), efiqa_test::tiny_contract().sha256);
}

TEST(capi_assess_answers_every_verdict_with_its_reason) {
  CBench bench;
  const DiscFrame disc(640, 480), black(640, 480, false);
  const auto verdict_at = [&](float logit) {
    for (float& value : bench.engine->logits) value = logit;
    bench.assess(c_frame(disc));
    return bench.report.verdict;
  };
  CHECK_EQ(verdict_at(-4), int{EFIQA_VERDICT_GOOD});
  CHECK_EQ(bench.report.reason, int{EFIQA_REASON_NONE});
  CHECK_EQ(verdict_at(-1), int{EFIQA_VERDICT_USABLE});
  CHECK_EQ(verdict_at(2), int{EFIQA_VERDICT_REJECT});
  CHECK_EQ(bench.report.reason, int{EFIQA_REASON_LOW_ANATOMY_VISIBLE});
  CHECK_EQ(bench.answer(c_frame(black)), std::string("ok: "));
  CHECK_EQ(bench.report.verdict, int{EFIQA_VERDICT_UNKNOWN});
  CHECK_EQ(bench.report.reason, int{EFIQA_REASON_NO_FIELD_OF_VIEW});
  CHECK(std::isnan(bench.report.score));
}

TEST(capi_assess_says_why_and_what_helps) {
  CBench bench(1, 0, efiqa_test::full_contract());
  const DiscFrame disc(640, 480);
  std::vector<float>& logits = bench.engine->logits;
  logits.assign(7 * 64, -6.0f);
  for (int i = 0; i < 16; ++i) logits[i] = 6;                    // the upper two rows are bad,
  for (int i = 0; i < 16; ++i) logits[(1 + 4) * 64 + i] = 2.0f;  // occluded
  CHECK_EQ(bench.answer(c_frame(disc)), std::string("ok: "));
  CHECK_EQ(bench.report.main_reason, int{EFIQA_REASON_OCCLUSION});
  CHECK_EQ(bench.report.verdict, int{EFIQA_VERDICT_USABLE});
  CHECK_EQ(bench.report.remedy, int{EFIQA_REMEDY_OPEN_LID});
  CHECK_EQ(bench.report.remedy_clock_hour, 0.0f);
  CHECK_NEAR(bench.report.not_a_fundus, 1 / (1 + std::exp(6.0)), 1e-6);
  const float* strengths = bench.report.reason_strengths;
  CHECK_NEAR(strengths[EFIQA_REASON_HAZE - EFIQA_REASON_UNDER_EXPOSED], 1 / (1 + std::exp(6.0)),
             1e-6);
  CHECK(strengths[EFIQA_REASON_OCCLUSION - EFIQA_REASON_UNDER_EXPOSED] > 0.15f);
  CHECK_NEAR(strengths[EFIQA_REASON_FIELD_CUT - EFIQA_REASON_UNDER_EXPOSED], 0, 0.01);
  efiqa_region region;
  EFIQA_INIT(region);
  CHECK_EQ(efiqa_region_read(bench.runtime, 0, &region), int{EFIQA_STATUS_OK});
  CHECK_EQ(region.main_reason, int{EFIQA_REASON_OCCLUSION});
  CHECK_EQ(region.remedy, int{EFIQA_REMEDY_OPEN_LID});
  CHECK_NEAR(region.reason_strengths[EFIQA_REASON_OCCLUSION - EFIQA_REASON_UNDER_EXPOSED],
             1 / (1 + std::exp(-2.0)), 1e-6);

  for (int i = 0; i < 64; ++i) logits[6 * 64 + i] = 1;
  CHECK_EQ(bench.answer(c_frame(disc)), std::string("ok: "));
  CHECK_EQ(bench.report.verdict, int{EFIQA_VERDICT_UNKNOWN});
  CHECK_EQ(bench.report.reason, int{EFIQA_REASON_NOT_A_FUNDUS});
  CHECK_EQ(bench.report.remedy, int{EFIQA_REMEDY_FIND_RETINA});
  CHECK_EQ(bench.report.region_count, 0);
  CHECK(std::isnan(bench.report.score));
  CHECK_NEAR(bench.report.not_a_fundus, 1 / (1 + std::exp(-1.0)), 1e-6);
}

TEST(capi_assess_says_where_the_landmarks_are_if_the_model_does) {
  efiqa::Contract contract = efiqa_test::full_contract();
  const DiscFrame disc(640, 480), black(640, 480, false);
  for (int count = 0; count <= 2; ++count) {
    contract.landmark_count = count;
    CBench bench(1, 0, contract);
    bench.engine->logits.assign((7 + count) * 64, -6.0f);
    for (int i = 0; i < count; ++i) bench.engine->logits[(7 + i) * 64 + 3 * 8 + 4 + i] = 2;
    CHECK_EQ(bench.answer(c_frame(disc)), std::string("ok: "));
    const float* found[] = {bench.report.macula, bench.report.optic_disc};
    CHECK(bench.report.map != nullptr);
    for (int i = 0; i < 2; ++i) {
      CHECK_EQ(found[i] != nullptr, i < count);
      if (i >= count) continue;
      CHECK_NEAR(found[i][3 * 8 + 4 + i], 1 / (1 + std::exp(-2.0)), 1e-6);
      CHECK_NEAR(found[i][3 * 8 + 3], 1 / (1 + std::exp(6.0)), 1e-6);
      CHECK(std::isnan(found[i][0]));  // outside the field
    }
    CHECK_EQ(bench.answer(c_frame(black)), std::string("ok: "));
    CHECK(count < 1 || std::isnan(bench.report.macula[3 * 8 + 4]));
    CHECK(count < 2 || std::isnan(bench.report.optic_disc[3 * 8 + 4]));
  }
}

TEST(capi_assess_leaves_alone_what_an_earlier_header_does_not_know) {
  efiqa::Contract contract = efiqa_test::full_contract();
  contract.landmark_count = 2;
  CBench bench(1, 0, contract);
  bench.engine->logits.assign(9 * 64, -6.0f);
  const DiscFrame disc(640, 480);
  const efiqa_frame frame = c_frame(disc);
  efiqa_report earlier;
  EFIQA_INIT(earlier);
  earlier.struct_size = offsetof(efiqa_report, macula);
  CHECK_EQ(efiqa_runtime_assess(bench.runtime, &frame, &earlier, nullptr, 0), int{EFIQA_STATUS_OK});
  CHECK(earlier.map != nullptr && earlier.macula == nullptr && earlier.optic_disc == nullptr);
}

TEST(capi_assess_refuses_each_bad_frame_by_name_and_stays_usable) {
  CBench bench;
  const DiscFrame disc(640, 480);
  const efiqa_frame good = c_frame(disc);
  const auto refusal = [&](const auto& change) {
    efiqa_frame frame = good;
    change(frame);
    CHECK_EQ(bench.assess(good), int{EFIQA_STATUS_OK});
    const std::string answer = bench.answer(frame);
    CHECK(says_unknown(bench.report));
    return answer;
  };
  CHECK(contains(refusal([](efiqa_frame& f) { f.data = nullptr; }),
                 "invalid_frame: frame.data is null"));
  CHECK(contains(refusal([](efiqa_frame& f) { f.format = 17; }),
                 "invalid_frame: frame.format is 17, expected "));
  CHECK(contains(refusal([](efiqa_frame& f) { f.width_px = 0; }),
                 "invalid_frame: frame.width_px is 0, expected 64 to 8192"));
  CHECK(contains(refusal([](efiqa_frame& f) { f.height_px = -480; }),
                 "invalid_frame: frame.height_px is -480, expected 64 to 8192"));
  CHECK(contains(refusal([](efiqa_frame& f) { f.width_px = 0x7FFFFFFF; }),
                 "invalid_frame: frame.width_px is 2147483647"));
  CHECK(contains(refusal([](efiqa_frame& f) { f.row_stride_bytes = 1919; }),
                 "invalid_frame: frame.row_stride_bytes is 1919, expected at least 1920"));
  CHECK(contains(refusal([](efiqa_frame& f) { f.row_stride_bytes = -1920; }),
                 "invalid_frame: frame.row_stride_bytes is -1920"));
  CHECK_EQ(refusal([](efiqa_frame& f) { --f.data_size_bytes; }),
           std::string("invalid_frame: frame.data_size_bytes is 921599, too small for 480 rows of "
                       "1920 bytes, 1920 apart"));
  CHECK(contains(refusal([](efiqa_frame& f) { f.data_size_bytes = 0; }),
                 "invalid_frame: frame.data_size_bytes is 0, too small"));
  CHECK(contains(refusal([](efiqa_frame& f) {
                   f.row_stride_bytes = std::numeric_limits<std::ptrdiff_t>::max();
                 }),
                 "invalid_frame: frame.data_size_bytes is 921600, too small"));
  CHECK(contains(refusal([](efiqa_frame& f) { f.memory = EFIQA_MEMORY_DEVICE; }),
                 "invalid_frame: frame.memory is device, and this Runtime's engine (fake) "));
  CHECK(contains(refusal([](efiqa_frame& f) { f.memory = 9; }),
                 "invalid_frame: frame.memory is 9, expected 0 (host) or 1 (device)"));
  CHECK(contains(refusal([](efiqa_frame& f) { f.reserved = 3; }),
                 "invalid_frame: frame.reserved is 3, expected 0"));
  CHECK(contains(refusal([](efiqa_frame& f) { f.struct_size = 8; }),
                 "invalid_argument: frame.struct_size is 8, expected at least "));
  CHECK_EQ(bench.assess(good), int{EFIQA_STATUS_OK});
}

TEST(capi_assess_checks_both_planes_of_yuv_frames) {
  CBench bench;
  const std::vector<std::uint8_t> y(640 * 480, 120), uv(640 * 240, 128);
  efiqa_frame frame;
  EFIQA_INIT(frame);
  frame.format = EFIQA_FORMAT_NV12;
  frame.width_px = 640;
  frame.height_px = 480;
  frame.data = y.data();
  frame.data_size_bytes = y.size();
  frame.row_stride_bytes = 640;
  frame.uv_data = uv.data();
  frame.uv_size_bytes = uv.size();
  frame.uv_stride_bytes = 640;
  CHECK_EQ(bench.answer(frame), std::string("ok: "));
  efiqa_frame wrong = frame;
  --wrong.uv_size_bytes;
  CHECK_EQ(bench.answer(wrong),
           std::string("invalid_frame: frame.uv_size_bytes is 153599, too small for 240 rows of "
                       "640 bytes, 640 apart"));
  CHECK(says_unknown(bench.report));
  wrong = frame;
  wrong.uv_data = nullptr;
  CHECK(contains(bench.answer(wrong), "invalid_frame: frame.uv_data is null"));
  wrong = frame;
  wrong.uv_stride_bytes = 639;
  CHECK(contains(bench.answer(wrong), "invalid_frame: frame.uv_stride_bytes is 639"));
  wrong = frame;
  wrong.height_px = 479;
  CHECK(contains(bench.answer(wrong), "invalid_frame: frame.height_px is 479, expected an even"));
  wrong = frame;
  wrong.matrix = 2;
  CHECK(contains(bench.answer(wrong), "invalid_frame: frame.matrix is 2"));
  wrong = frame;
  wrong.range = -1;
  CHECK(contains(bench.answer(wrong), "invalid_frame: frame.range is -1"));

  const std::vector<std::uint8_t> yuyv(2 * 640 * 480, 128);
  frame.format = EFIQA_FORMAT_YUYV;
  frame.data = yuyv.data();
  frame.row_stride_bytes = 1280;
  frame.data_size_bytes = yuyv.size();
  frame.uv_data = nullptr;
  CHECK_EQ(bench.answer(frame), std::string("ok: "));
  frame.data_size_bytes = yuyv.size() - 1;
  CHECK(contains(bench.answer(frame), "invalid_frame: frame.data_size_bytes is 614399"));
}

TEST(capi_assess_takes_padded_rows_and_a_short_last_one) {
  CBench bench;
  const DiscFrame disc(640, 480);
  std::vector<std::uint8_t> padded(2000 * 479 + 1920);
  for (int y = 0; y < 480; ++y) std::memcpy(&padded[2000u * y], disc.view.data + 1920 * y, 1920);
  efiqa_frame frame = c_frame(disc);
  CHECK_EQ(bench.assess(frame), int{EFIQA_STATUS_OK});
  const float center_x_px = bench.report.fov_center_x_px;
  frame.data = padded.data();
  frame.row_stride_bytes = 2000;
  frame.data_size_bytes = padded.size();
  CHECK_EQ(bench.answer(frame), std::string("ok: "));
  CHECK(bench.report.fov_center_x_px == center_x_px);
}

TEST(capi_assess_refuses_null_arguments) {
  CBench bench;
  const DiscFrame disc(640, 480);
  const efiqa_frame frame = c_frame(disc);
  CHECK_EQ(efiqa_runtime_assess(bench.runtime, nullptr, &bench.report, nullptr, 0),
           int{EFIQA_STATUS_INVALID_ARGUMENT});
  CHECK(says_unknown(bench.report));
  bench.assess(frame);
  CHECK_EQ(efiqa_runtime_assess(nullptr, &frame, &bench.report, nullptr, 0),
           int{EFIQA_STATUS_INVALID_ARGUMENT});
  CHECK(says_unknown(bench.report));
  CHECK(bench.report.model_id == nullptr);
  CHECK_EQ(efiqa_runtime_assess(bench.runtime, &frame, nullptr, nullptr, 0),
           int{EFIQA_STATUS_INVALID_ARGUMENT});
  CHECK_EQ(efiqa_runtime_assess(bench.runtime, &frame, &bench.report, nullptr, 0),
           int{EFIQA_STATUS_OK});
}

TEST(capi_assess_writes_only_the_first_struct_size_bytes) {
  CBench bench;
  const DiscFrame disc(640, 480);
  const efiqa_frame frame = c_frame(disc);
  unsigned char bytes[sizeof(efiqa_report) + 64];
  efiqa_report* report = reinterpret_cast<efiqa_report*>(bytes);
  // Too small: refused, and what there is of the report says unknown.
  for (const std::uint32_t size : {0u, 3u, 4u, 12u, 20u, 100u}) {
    std::memset(bytes, 0xAB, sizeof(bytes));
    std::memcpy(bytes, &size, sizeof(size));
    CHECK_EQ(efiqa_runtime_assess(bench.runtime, &frame, report, nullptr, 0),
             int{EFIQA_STATUS_INVALID_ARGUMENT});
    CHECK_EQ(report->struct_size, size);
    if (size >= 20) CHECK(report->verdict == EFIQA_VERDICT_UNKNOWN && std::isnan(report->score));
    for (std::size_t i = std::max<std::size_t>(size, 4); i < sizeof(bytes); ++i) {
      if (bytes[i] != 0xAB) efiqa_test::fail(__FILE__, __LINE__, "touched " + std::to_string(i));
    }
  }
  // Of a later header: filled as far as this library knows it.
  // Of the first header, which ended with the hash of the contract.
  const std::uint32_t first = offsetof(efiqa_report, main_reason);
  std::memset(bytes, 0xAB, sizeof(bytes));
  std::memcpy(bytes, &first, sizeof(first));
  CHECK_EQ(efiqa_runtime_assess(bench.runtime, &frame, report, nullptr, 0), int{EFIQA_STATUS_OK});
  CHECK_EQ(report->verdict, int{EFIQA_VERDICT_GOOD});
  for (std::size_t i = first; i < sizeof(bytes); ++i) CHECK(bytes[i] == 0xAB);
  const std::uint32_t longer = sizeof(bytes);
  std::memset(bytes, 0xAB, sizeof(bytes));
  std::memcpy(bytes, &longer, sizeof(longer));
  CHECK_EQ(efiqa_runtime_assess(bench.runtime, &frame, report, nullptr, 0), int{EFIQA_STATUS_OK});
  CHECK_EQ(report->verdict, int{EFIQA_VERDICT_GOOD});
  for (std::size_t i = sizeof(efiqa_report); i < sizeof(bytes); ++i) CHECK(bytes[i] == 0xAB);
}

TEST(capi_assess_engine_failures_are_named_and_the_next_frame_is_good) {
  CBench bench;
  const DiscFrame disc(640, 480);
  const efiqa_frame frame = c_frame(disc);
  bench.engine->on_run = [] {
    throw efiqa::Error(efiqa::StatusCode::kEngineFailure, "the plug was pulled");
  };
  CHECK_EQ(bench.answer(frame), std::string("engine_failure: the plug was pulled"));
  CHECK(says_unknown(bench.report));
  bench.engine->on_run = [] { throw std::runtime_error("a vendor's own"); };
  CHECK_EQ(bench.answer(frame), std::string("internal: a vendor's own"));
  CHECK(says_unknown(bench.report));
  bench.engine->on_run = [] { throw 42; };
  CHECK_EQ(bench.answer(frame), std::string("internal: an exception of an unknown type"));
  CHECK(says_unknown(bench.report));
  bench.engine->on_run = nullptr;
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    bench.engine->logits[20] = bad;
    CHECK(contains(bench.answer(frame), "engine_failure: the engine answered "));
    CHECK(says_unknown(bench.report));
  }
  bench.engine->logits[20] = -4;
  CHECK_EQ(bench.answer(frame), std::string("ok: "));
  CHECK_EQ(bench.report.verdict, int{EFIQA_VERDICT_GOOD});
}

TEST(capi_region_read_gives_each_region_and_refuses_other_indices) {
  CBench bench;
  const DiscFrame disc(640, 480);
  bench.engine->logits[3 * 8 + 2] = bench.engine->logits[3 * 8 + 3] = 3;
  bench.engine->logits[5 * 8 + 5] = 4;
  bench.assess(c_frame(disc));
  CHECK_EQ(bench.report.region_count, 2);
  efiqa_region region;
  EFIQA_INIT(region);
  CHECK_EQ(efiqa_region_read(bench.runtime, 0, &region), int{EFIQA_STATUS_OK});
  CHECK_NEAR(region.mean_probability, 1 / (1 + std::exp(-3.0)), 1e-6);
  CHECK(region.width_px > 1.5f * region.height_px);
  CHECK(region.clock_hour > 9 && region.clock_hour < 11);  // left of the centre, a little above
  CHECK(region.x_px > 0 && region.y_px > 0 && region.center_distance > 0);
  const float first_share = region.area_share;
  CHECK_EQ(efiqa_region_read(bench.runtime, 1, &region), int{EFIQA_STATUS_OK});
  CHECK(region.area_share < first_share);
  for (const int index : {-1, 2, 1 << 30}) {
    CHECK_EQ(efiqa_region_read(bench.runtime, index, &region), int{EFIQA_STATUS_INVALID_ARGUMENT});
  }
  CHECK_EQ(efiqa_region_read(bench.runtime, 0, nullptr), int{EFIQA_STATUS_INVALID_ARGUMENT});
  CHECK_EQ(efiqa_region_read(nullptr, 0, &region), int{EFIQA_STATUS_INVALID_ARGUMENT});
  region.struct_size = offsetof(efiqa_region, main_reason);  // of the first header
  region.main_reason = 77;
  CHECK_EQ(efiqa_region_read(bench.runtime, 0, &region), int{EFIQA_STATUS_OK});
  CHECK_EQ(region.main_reason, 77);
  region.struct_size = 4;
  CHECK_EQ(efiqa_region_read(bench.runtime, 0, &region), int{EFIQA_STATUS_INVALID_ARGUMENT});
}

TEST(capi_overlay_draws_into_the_callers_buffer_and_checks_it) {
  CBench bench;
  for (float& value : bench.engine->logits) value = 6;
  const DiscFrame disc(640, 480);
  const efiqa_frame frame = c_frame(disc);
  constexpr std::size_t kBytes = 3u * 640 * 480;
  std::vector<std::uint8_t> out(kBytes + 1, 0xAB);
  char message[256];
  const auto render = [&](const efiqa_overlay* overlay, std::uint8_t* target, std::size_t size,
                          std::ptrdiff_t stride) {
    const std::int32_t status = efiqa_overlay_render(bench.runtime, &frame, overlay, target, size,
                                                     stride, message, sizeof(message));
    return efiqa_test::answer_of(status, message);
  };
  CHECK(contains(render(nullptr, out.data(), kBytes, 1920), "there is no report to draw"));
  bench.assess(frame);
  CHECK_EQ(render(nullptr, out.data(), kBytes, 1920), std::string("ok: "));
  CHECK(out[kBytes] == 0xAB);
  const std::size_t center = 3u * (240 * 640 + 320);
  CHECK(std::memcmp(&out[center], frame.data + center, 3) != 0);
  CHECK(std::memcmp(&out[0], frame.data, 3) == 0);  // outside the field of view

  efiqa_overlay overlay;
  EFIQA_INIT(overlay);
  std::vector<std::uint8_t> defaults(kBytes);
  CHECK_EQ(render(&overlay, defaults.data(), kBytes, 1920), std::string("ok: "));
  CHECK(std::memcmp(defaults.data(), out.data(), kBytes) == 0);
  overlay.colormap = EFIQA_COLORMAP_RED;
  overlay.max_alpha = 1;
  CHECK_EQ(render(&overlay, out.data(), kBytes, 1920), std::string("ok: "));
  CHECK(out[center] > 250 && out[center + 1] < 5);

  CHECK(contains(render(nullptr, nullptr, kBytes, 1920), "invalid_argument: out is null"));
  CHECK(contains(render(nullptr, out.data(), kBytes - 1, 1920),
                 "invalid_argument: out_size_bytes is 921599, too small for 480 rows of 1920"));
  CHECK(contains(render(nullptr, out.data(), kBytes, 1919),
                 "invalid_argument: out_stride_bytes is 1919, expected at least 1920"));
  CHECK(contains(render(nullptr, out.data(), kBytes, -1920), "out_stride_bytes is -1920"));
  overlay.max_alpha = 2;
  CHECK(contains(render(&overlay, out.data(), kBytes, 1920), "invalid_argument: max_alpha is 2"));
  overlay.max_alpha = 0.5f;
  overlay.colormap = 99;
  CHECK(contains(render(&overlay, out.data(), kBytes, 1920), "colormap is 99, expected one of: "));
  overlay.struct_size = 0;
  CHECK(contains(render(&overlay, out.data(), kBytes, 1920), "overlay.struct_size is 0"));
  const DiscFrame other(320, 240);
  const efiqa_frame other_frame = c_frame(other);
  CHECK_EQ(efiqa_overlay_render(bench.runtime, &other_frame, nullptr, out.data(), kBytes, 1920,
                                message, sizeof(message)),
           int{EFIQA_STATUS_INVALID_ARGUMENT});
  CHECK(contains(message, "the report is of a frame of 640 x 480 pixels"));
  CHECK_EQ(efiqa_overlay_render(nullptr, &frame, nullptr, out.data(), kBytes, 1920, nullptr, 0),
           int{EFIQA_STATUS_INVALID_ARGUMENT});
}
