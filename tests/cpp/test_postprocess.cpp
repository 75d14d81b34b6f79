#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "fixtures.h"
#include "grid_ops.h"
#include "grid_reports.h"
#include "postprocess.h"

using efiqa::Contract;
using efiqa::Reason;
using efiqa::Report;
using efiqa::Verdict;
using efiqa_test::circle_report;
using efiqa_test::error_of;
using efiqa_test::full_report;

namespace {

constexpr float kGoodLogit = -20, kBadLogit = 20;  // probabilities of 2e-9 from 0 and 1

struct Case {
  Contract contract = efiqa_test::tiny_contract();  // 8 x 8 cells
  std::vector<float> logits = std::vector<float>(64, kGoodLogit);

  void run(Report& report) {
    efiqa::Postprocessor(contract).run(logits.data(), contract.operating_point(""), report);
  }
};

}  // namespace

TEST(postprocess_score_is_one_minus_the_mean_probability) {
  Case c;
  Report report = full_report();
  for (int i = 0; i < 16; ++i) c.logits[i] = kBadLogit;
  c.run(report);
  CHECK_NEAR(report.score, 0.75, 1e-6);
  CHECK(report.verdict == Verdict::kUsable);
  CHECK(report.reason == Reason::kNone);
  CHECK(report.map.size() == 64);
  CHECK_NEAR(report.map[0], 1.0, 1e-6);
  CHECK_NEAR(report.map[63], 0.0, 1e-6);
  CHECK_NEAR(report.weights[27], 1.0, 1e-6);
}

TEST(postprocess_zones_are_rings_around_the_middle) {
  // 10 x 10: cell centres lie 0.1, 0.3, .. 0.9 halves of the side from the middle.
  const auto zone = [](int x, int y) { return efiqa::zone_of(10, 10, y * 10 + x); };
  CHECK(zone(4, 4) == 0);
  CHECK(zone(5, 6) == 0);  // hypot(0.1, 0.3)
  CHECK(zone(6, 6) == 1);  // hypot(0.3, 0.3) = 0.42
  CHECK(zone(8, 6) == 1);  // hypot(0.7, 0.3) = 0.76
  CHECK(zone(8, 7) == 2);  // hypot(0.7, 0.5) = 0.86
  CHECK(zone(0, 9) == 2);
  // In halves of each side: an oblong grid has oval zones.
  CHECK(efiqa::zone_of(20, 10, 4 * 20 + 13) == 0);  // (0.35, 0.1)
  CHECK(efiqa::zone_of(20, 10, 4 * 20 + 14) == 1);  // (0.45, 0.1)
  // Exactly on the boundary is inside: 0.4 of a grid of 5 is the next cell's centre.
  CHECK(efiqa::zone_of(5, 5, 2 * 5 + 3) == 0);
  CHECK(efiqa::zone_of(5, 5, 2 * 5 + 4) == 1);
  // The largest grid does not overflow.
  CHECK(efiqa::zone_of(128, 128, 0) == 2);
  CHECK(efiqa::zone_of(128, 128, 128 * 64 + 64) == 0);
}

TEST(postprocess_score_counts_zones_as_the_operating_point_says) {
  Case c;
  Report report = full_report();
  int cells[efiqa::kZones] = {};
  for (int i = 0; i < 64; ++i) ++cells[efiqa::zone_of(8, 8, i)];
  CHECK(cells[0] > 0 && cells[1] > 0 && cells[2] > 0);
  for (int bad = 0; bad < efiqa::kZones; ++bad) {
    for (int i = 0; i < 64; ++i) {
      c.logits[i] = efiqa::zone_of(8, 8, i) == bad ? kBadLogit : kGoodLogit;
    }
    c.run(report);
    CHECK_NEAR(report.score, 1 - cells[bad] / 64.0, 1e-6);
    efiqa::OperatingPoint point = c.contract.operating_point("");
    const float weights[] = {1, 0.5f, 0.25f};
    double counted = 0;
    for (int zone = 0; zone < efiqa::kZones; ++zone) {
      point.zone_weights[zone] = weights[zone];
      counted += static_cast<double>(weights[zone]) * cells[zone];
    }
    efiqa::Postprocessor(c.contract).run(c.logits.data(), point, report);
    CHECK_NEAR(report.score, 1 - static_cast<double>(weights[bad]) * cells[bad] / counted, 1e-6);
    CHECK_NEAR(report.regions[0].area_share, cells[bad] / 64.0, 1e-6);  // areas are areas
  }
}

TEST(postprocess_verdict_follows_the_limits_which_belong_to_the_better_side) {
  Case c;
  Report report = full_report();
  c.run(report);
  CHECK(report.verdict == Verdict::kGood);
  efiqa::OperatingPoint point;
  efiqa::Postprocessor postprocessor(c.contract);
  point.good_min_score = point.usable_min_score = report.score;
  postprocessor.run(c.logits.data(), point, report);
  CHECK(report.verdict == Verdict::kGood);
  for (float& logit : c.logits) logit = 0;  // a score of exactly one half
  point.good_min_score = std::nextafter(0.5f, 1.0f);
  point.usable_min_score = 0.5f;
  postprocessor.run(c.logits.data(), point, report);
  CHECK(report.verdict == Verdict::kUsable);
  CHECK(report.reason == Reason::kNone);
  point.usable_min_score = point.good_min_score;
  postprocessor.run(c.logits.data(), point, report);
  CHECK(report.verdict == Verdict::kReject);
  CHECK(report.reason == Reason::kLowAnatomyVisible);
}

TEST(postprocess_calibration_scales_and_shifts_the_logit) {
  Case c;
  c.contract.calibration_scale = 2;
  c.contract.calibration_offset = -1;
  c.logits.assign(64, 0.75f);
  Report report = full_report();
  c.run(report);
  CHECK_NEAR(report.map[5], 1 / (1 + std::exp(-0.5)), 1e-6);
}

TEST(postprocess_extreme_logits_give_probabilities_of_0_and_1) {
  Case c;
  Report report = full_report();
  c.logits.assign(64, std::numeric_limits<float>::max());
  c.run(report);
  CHECK(report.map[0] == 1.0f);
  CHECK(report.score == 0.0f);
  CHECK(report.verdict == Verdict::kReject);
  c.logits.assign(64, std::numeric_limits<float>::lowest());
  c.run(report);
  CHECK(report.map[0] == 0.0f);
  CHECK(report.score == 1.0f);
}

TEST(postprocess_cells_outside_the_field_count_nothing_and_are_nan) {
  Case c;
  Report report = circle_report();
  // Corners of the crop lie outside the circle; what the network says there must not matter.
  for (int corner : {0, 7, 56, 63}) c.logits[corner] = kBadLogit;
  c.run(report);
  for (int corner : {0, 7, 56, 63}) {
    CHECK(report.weights[corner] == 0.0f);
    CHECK(std::isnan(report.map[corner]));
  }
  CHECK_NEAR(report.score, 1.0, 1e-6);
  CHECK(report.regions.empty());
}

TEST(postprocess_without_a_field_of_view_is_unknown) {
  Case c;
  Report report = full_report();
  c.run(report);  // leaves a good answer behind
  report.fov = efiqa::FieldOfView();
  c.logits.assign(64, std::numeric_limits<float>::quiet_NaN());  // must not even be looked at
  c.run(report);
  CHECK(report.verdict == Verdict::kUnknown);
  CHECK(report.reason == Reason::kNoFieldOfView);
  CHECK(std::isnan(report.score));
  CHECK(report.regions.empty());
  CHECK(report.map.size() == 64);
  CHECK(report.weights.size() == 64);
  for (int i = 0; i < 64; ++i) CHECK(std::isnan(report.map[i]));
  for (int i = 0; i < 64; ++i) CHECK(report.weights[i] == 0.0f);
}

TEST(postprocess_with_no_visible_cell_is_unknown) {
  Case c;
  Report report = circle_report();
  report.crop = {4000, 4000, 100};  // beside the field
  c.run(report);
  CHECK(report.verdict == Verdict::kUnknown);
  CHECK(report.reason == Reason::kNoFieldOfView);
  CHECK(std::isnan(report.score));
}

TEST(postprocess_logit_that_is_not_finite_is_an_engine_failure) {
  for (const float wrong :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (int cell : {0, 13, 63}) {  // 0 and 63 lie outside the field, and count all the same
      Case c;
      Report report = circle_report();
      c.run(report);
      c.logits[cell] = wrong;
      const std::string message = error_of([&] { c.run(report); });
      CHECK(message.rfind("engine_failure: the engine answered ", 0) == 0);
      CHECK(efiqa_test::contains(message, " for anatomy_not_visible in grid cell "));
      CHECK(message.find("(row " + std::to_string(cell / 8) + ", column " +
                         std::to_string(cell % 8) + ")") != std::string::npos);
      CHECK(report.verdict == Verdict::kUnknown);
      CHECK(std::isnan(report.score));
    }
  }
}

TEST(postprocess_region_has_box_share_probability_and_place) {
  Case c;
  Report report = full_report(800);  // cells of 100 px
  for (int cell : {1 * 8 + 6, 1 * 8 + 7, 2 * 8 + 6, 2 * 8 + 7}) c.logits[cell] = kBadLogit;
  c.run(report);
  CHECK(report.regions.size() == 1);
  const efiqa::Region& region = report.regions[0];
  CHECK_NEAR(region.x_px, 600, 1e-3);
  CHECK_NEAR(region.y_px, 100, 1e-3);
  CHECK_NEAR(region.width_px, 200, 1e-3);
  CHECK_NEAR(region.height_px, 200, 1e-3);
  CHECK_NEAR(region.area_share, 4.0 / 64, 1e-6);
  CHECK_NEAR(region.mean_probability, 1.0, 1e-6);
  // The centroid is 300 px right of and 200 px above the centre.
  CHECK_NEAR(region.clock_hour, std::atan2(300.0, 200.0) * 6 / std::acos(-1.0), 1e-4);
  CHECK_NEAR(region.center_distance, std::hypot(300.0, 200.0) / report.fov.radius_px, 1e-5);
}

TEST(postprocess_clock_hour_is_12_at_the_top_and_runs_clockwise) {
  struct {
    int cells[2];
    double hour;
  } const cases[] = {
      {{3, 4}, 12.0}, {{3 * 8 + 7, 4 * 8 + 7}, 3.0}, {{59, 60}, 6.0}, {{3 * 8, 4 * 8}, 9.0}};
  for (const auto& expected : cases) {
    Case c;
    Report report = full_report();
    for (int cell : expected.cells) c.logits[cell] = kBadLogit;
    c.run(report);
    CHECK(report.regions.size() == 1);
    CHECK_NEAR(report.regions[0].clock_hour, expected.hour, 1e-4);
  }
  Case c;  // everything is bad: the centroid is the centre, which has no direction
  Report report = full_report();
  c.logits.assign(64, kBadLogit);
  c.run(report);
  CHECK(report.regions.size() == 1);
  CHECK(report.regions[0].clock_hour == 0.0f);
  CHECK_NEAR(report.regions[0].center_distance, 0.0, 1e-5);
}

TEST(postprocess_regions_join_diagonally_and_come_largest_first) {
  Case c;
  Report report = full_report();
  c.logits[0] = c.logits[9] = c.logits[18] = kBadLogit;         // a diagonal
  c.logits[7] = kBadLogit;                                      // alone
  for (int x = 0; x < 5; ++x) c.logits[6 * 8 + x] = kBadLogit;  // a bar
  c.run(report);
  CHECK(report.regions.size() == 3);
  CHECK_NEAR(report.regions[0].area_share, 5.0 / 64, 1e-6);
  CHECK_NEAR(report.regions[1].area_share, 3.0 / 64, 1e-6);
  CHECK_NEAR(report.regions[2].area_share, 1.0 / 64, 1e-6);
}

TEST(postprocess_region_threshold_belongs_to_the_region) {
  Case c;
  c.contract.region_threshold = 0.5f;
  c.logits[20] = 0;       // exactly one half
  c.logits[40] = -1e-3f;  // just below
  Report report = full_report();
  c.run(report);
  CHECK(report.regions.size() == 1);
  CHECK_NEAR(report.regions[0].mean_probability, 0.5, 1e-6);
}

TEST(postprocess_keeps_the_largest_regions_only) {
  Case c;
  c.contract.grid_width = c.contract.grid_height = 16;
  c.logits.assign(256, kGoodLogit);
  for (int y = 0; y < 16; y += 2) {
    for (int x = 0; x < 16; x += 2) c.logits[y * 16 + x] = kBadLogit;  // 64 single cells
  }
  c.logits[15 * 16 + 14] = kBadLogit;  // the one at (14, 14) has two cells
  Report report = full_report();
  c.run(report);
  CHECK(report.regions.size() == static_cast<std::size_t>(efiqa::kMaxRegions));
  CHECK_NEAR(report.regions[0].area_share, 2.0 / 256, 1e-6);
  CHECK(report.regions[1].x_px == 0.0f);  // equal ones in reading order
  CHECK(report.regions[1].y_px == 0.0f);
}

TEST(postprocess_region_box_is_clipped_to_the_visible_box) {
  Case c;
  Report report = circle_report();
  report.fov.top_px = 150;  // cut flat at the top
  report.crop = {100, 50, 800};
  for (int x = 0; x < 8; ++x) c.logits[8 + x] = kBadLogit;  // cells from 150 to 250
  for (int x = 0; x < 8; ++x) c.logits[x] = kBadLogit;      // above the cut: weight 0
  c.run(report);
  CHECK(report.regions.size() == 1);
  CHECK_NEAR(report.regions[0].y_px, 150, 1e-3);
  CHECK_NEAR(report.regions[0].height_px, 100, 1e-3);
}

// The same numbers by the plainest route, on random maps.
TEST(postprocess_regions_of_random_maps_are_those_of_a_flood_fill) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> uniform(-3, 3);
  Case c;
  efiqa::Postprocessor postprocessor(c.contract);
  for (int round = 0; round < 200; ++round) {
    for (float& logit : c.logits) logit = uniform(random);
    Report report = circle_report();
    postprocessor.run(c.logits.data(), c.contract.operating_point(""), report);
    // Labels spread to neighbours until nothing changes.
    std::vector<int> label(64, -1);
    for (int i = 0; i < 64; ++i) {
      if (report.weights[i] > 0 && report.map[i] >= 0.5f) label[i] = i;
    }
    for (bool changed = true; changed;) {
      changed = false;
      for (int i = 0; i < 64; ++i) {
        for (int j = 0; j < 64; ++j) {
          const bool adjacent = std::abs(i % 8 - j % 8) <= 1 && std::abs(i / 8 - j / 8) <= 1;
          if (label[i] < 0 || label[j] < 0 || !adjacent || label[j] >= label[i]) continue;
          label[i] = label[j];
          changed = true;
        }
      }
    }
    double total = 0;
    std::vector<double> area(64, 0);
    for (int i = 0; i < 64; ++i) {
      total += report.weights[i];
      if (label[i] >= 0) area[label[i]] += report.weights[i];
    }
    std::size_t groups = 0;
    double largest = 0;
    for (const double value : area) {
      groups += value > 0;
      largest = std::max(largest, value);
    }
    CHECK(report.regions.size() == groups);
    if (groups > 0) CHECK_NEAR(report.regions[0].area_share, largest / total, 1e-6);
    for (std::size_t i = 1; i < report.regions.size(); ++i) {
      CHECK(report.regions[i].area_share <= report.regions[i - 1].area_share);
    }
  }
}
