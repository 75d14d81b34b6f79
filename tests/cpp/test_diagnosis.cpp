// Strengths, main reasons and remedies of regions and pictures, the field's cut, and pictures that
// show no fundus.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "diagnosis.h"
#include "fixtures.h"
#include "grid_ops.h"
#include "grid_report.h"
#include "grid_reports.h"
#include "postprocess.h"

using efiqa::Contract;
using efiqa::FieldCut;
using efiqa::FieldOfView;
using efiqa::kMinLandmarkShare;
using efiqa::kSureMacula;
using efiqa::Landmark;
using efiqa::Reason;
using efiqa::Remedy;
using efiqa::Report;
using efiqa::Verdict;
using efiqa_test::circle_report;
using efiqa_test::contains;
using efiqa_test::error_of;
using efiqa_test::full_report;

namespace {

constexpr int kCells = 64;                   // of the tiny contract, 8 x 8
constexpr float kBad = 20, kGood = -20;      // probabilities of 2e-9 from 1 and 0
constexpr double kStrengthTolerance = 1e-6;  // of float
constexpr int kNotAFundusChannel = 6;

float logit_of(double probability) {
  return static_cast<float>(std::log(probability / (1 - probability)));
}

double sigmoid_of(float logit) { return 1 / (1 + std::exp(-static_cast<double>(logit))); }

// A good picture of a fundus without any defect, until the test changes it.
struct Case {
  Contract contract = efiqa_test::full_contract();
  std::vector<float> logits = std::vector<float>(7 * kCells, kGood);

  float& anatomy(int cell) { return logits[cell]; }
  float& reason(Reason reason, int cell) {
    return logits[(1 + efiqa::strength_of_reason(reason)) * kCells + cell];
  }
  // Makes `cell` bad, with a strength.
  void hide(int cell, Reason why, double strength) {
    anatomy(cell) = kBad;
    reason(why, cell) = logit_of(strength);
  }
  void run(Report& report) {
    efiqa::Postprocessor(contract).run(logits.data(), contract.operating_point(""), report);
  }
  Report run() {
    Report report = full_report();
    run(report);
    return report;
  }
};

float strength_of(const efiqa::Diagnosis& diagnosis, Reason reason) {
  return diagnosis.strengths[efiqa::strength_of_reason(reason)];
}

constexpr Reason kChannelReasons[] = {Reason::kUnderExposed, Reason::kOverExposed, Reason::kDefocus,
                                      Reason::kHaze, Reason::kOcclusion};

// A circle between these edges, in radii from its centre.
FieldOfView circle(float left, float top, float right, float bottom) {
  FieldOfView fov;
  fov.shape = efiqa::FovShape::kCircle;
  fov.radius_px = 400;
  fov.center_x_px = 500;
  fov.center_y_px = 450;
  fov.left_px = 500 + 400 * left;
  fov.top_px = 450 + 400 * top;
  fov.right_px = 500 + 400 * right;
  fov.bottom_px = 450 + 400 * bottom;
  return fov;
}

// Share of a circle's area beyond a chord at `distance` radii, by the formula of the segment.
double segment(double distance) {
  return (std::acos(distance) - distance * std::sqrt(1 - distance * distance)) / std::acos(-1.0);
}

}  // namespace

TEST(diagnosis_strengths_of_regions_and_picture_are_the_means_of_the_visible_cells) {
  std::mt19937 random(5);
  std::uniform_real_distribution<float> uniform(-3, 3);
  Case c;
  for (int round = 0; round < 50; ++round) {
    for (float& logit : c.logits) logit = uniform(random);
    for (int i = 0; i < kCells; ++i) {
      c.anatomy(i) = i % 8 < 4 ? kBad : kGood;  // one region, the left half
      c.logits[kNotAFundusChannel * kCells + i] = kGood;
    }
    Report report = circle_report();
    c.run(report);
    CHECK_EQ(report.regions.size(), 1u);
    for (const Reason reason : kChannelReasons) {
      double total = 0, sum = 0, left_total = 0, left_sum = 0;
      for (int i = 0; i < kCells; ++i) {
        const double weight = report.weights[i];
        const double strength = sigmoid_of(c.reason(reason, i));
        total += weight;
        sum += weight * strength;
        left_total += i % 8 < 4 ? weight : 0;
        left_sum += i % 8 < 4 ? weight * strength : 0;
      }
      CHECK_NEAR(strength_of(report.diagnosis, reason), sum / total, kStrengthTolerance);
      CHECK_NEAR(strength_of(report.regions[0].diagnosis, reason), left_sum / left_total,
                 kStrengthTolerance);
    }
    CHECK_EQ(strength_of(report.regions[0].diagnosis, Reason::kFieldCut), 0.0f);
    CHECK_NEAR(strength_of(report.diagnosis, Reason::kFieldCut), 0, kStrengthTolerance);
  }
}

TEST(diagnosis_each_region_has_its_own_reason_and_the_calibration_is_the_anatomys_alone) {
  Case c;
  c.contract.calibration_scale = 3;
  c.contract.calibration_offset = 2;
  c.hide(0, Reason::kDefocus, 0.6);
  c.hide(7, Reason::kHaze, 0.5);
  c.hide(56, Reason::kUnderExposed, 0.4);
  c.hide(63, Reason::kOverExposed, 0.3);
  c.hide(36, Reason::kOcclusion, 0.9);
  const Report report = c.run();
  CHECK_EQ(report.regions.size(), 5u);
  const struct {
    Reason reason;
    double strength;
  } expected[] = {{Reason::kDefocus, 0.6},
                  {Reason::kHaze, 0.5},
                  {Reason::kOcclusion, 0.9},
                  {Reason::kUnderExposed, 0.4},
                  {Reason::kOverExposed, 0.3}};  // equal areas, in reading order
  for (std::size_t i = 0; i < report.regions.size(); ++i) {
    const efiqa::Diagnosis& diagnosis = report.regions[i].diagnosis;
    CHECK(diagnosis.main_reason == expected[i].reason);
    CHECK_NEAR(strength_of(diagnosis, expected[i].reason), expected[i].strength,
               kStrengthTolerance);
  }
}

TEST(diagnosis_of_a_model_without_reasons_knows_the_fields_cut_alone) {
  Case c;
  c.contract = efiqa_test::tiny_contract();
  c.logits.assign(kCells, 0);
  Report report = circle_report();
  report.fov.right_px = 700;  // half a radius from the centre
  c.run(report);
  CHECK(!report.regions.empty());
  for (const Reason reason : kChannelReasons) {
    CHECK(std::isnan(strength_of(report.diagnosis, reason)));
    CHECK(std::isnan(strength_of(report.regions[0].diagnosis, reason)));
  }
  CHECK_NEAR(strength_of(report.diagnosis, Reason::kFieldCut), segment(0.5), kStrengthTolerance);
  CHECK(report.diagnosis.main_reason == Reason::kFieldCut);
  CHECK(report.diagnosis.remedy == Remedy::kRecentre);
  CHECK_NEAR(report.diagnosis.remedy_clock_hour, 3, 1e-5);
  CHECK(report.regions[0].diagnosis.main_reason == Reason::kNone);
  CHECK(report.regions[0].diagnosis.remedy == Remedy::kNone);
  CHECK(std::isnan(report.not_a_fundus));

  report.fov.right_px = 860;  // 4 % of the circle: below the limit of .1
  c.run(report);
  CHECK(strength_of(report.diagnosis, Reason::kFieldCut) > 0.01f);
  CHECK(report.diagnosis.main_reason == Reason::kNone);
  CHECK(report.diagnosis.remedy == Remedy::kNone);
}

TEST(diagnosis_main_reason_is_the_strongest_that_reaches_its_limit) {
  Case c;
  c.hide(27, Reason::kHaze, 0.5);
  c.reason(Reason::kDefocus, 27) = logit_of(0.4);
  CHECK(c.run().regions[0].diagnosis.main_reason == Reason::kHaze);
  c.reason(Reason::kDefocus, 27) = logit_of(0.55);
  CHECK(c.run().regions[0].diagnosis.main_reason == Reason::kDefocus);

  // The limit belongs to the reason; below it there is none.
  const float strength = strength_of(c.run().regions[0].diagnosis, Reason::kDefocus);
  c.contract.region_min_strength = strength;
  CHECK(c.run().regions[0].diagnosis.main_reason == Reason::kDefocus);
  c.contract.region_min_strength = std::nextafter(strength, 1.0f);
  CHECK(c.run().regions[0].diagnosis.main_reason == Reason::kNone);
  CHECK(c.run().regions[0].diagnosis.remedy == Remedy::kNone);

  // Of equal ones the first.
  c.contract.region_min_strength = 0.2f;
  c.reason(Reason::kHaze, 27) = c.reason(Reason::kDefocus, 27);
  CHECK(c.run().regions[0].diagnosis.main_reason == Reason::kDefocus);
}

TEST(diagnosis_of_the_picture_has_its_own_limit) {
  Case c;
  for (int i = 0; i < kCells; ++i) c.reason(Reason::kHaze, i) = logit_of(0.2);
  const float strength = strength_of(c.run().diagnosis, Reason::kHaze);
  CHECK_NEAR(strength, 0.2, kStrengthTolerance);
  c.contract.picture_min_strength = strength;
  CHECK(c.run().diagnosis.main_reason == Reason::kHaze);
  c.contract.picture_min_strength = std::nextafter(strength, 1.0f);
  CHECK(c.run().diagnosis.main_reason == Reason::kNone);
}

TEST(diagnosis_picture_takes_the_place_of_its_largest_region_of_the_same_reason) {
  Case c;
  // The largest region is defocused and below; the occluded ones are smaller.
  for (int i = 48; i < 64; ++i) c.hide(i, Reason::kDefocus, 0.3);
  for (const int row : {2, 3, 4}) c.hide(row * 8 + 7, Reason::kOcclusion, 0.9);  // 3 o'clock
  c.hide(3 * 8, Reason::kOcclusion, 0.9);                                        // 9 o'clock
  for (int i = 0; i < kCells; ++i) c.reason(Reason::kOcclusion, i) = logit_of(0.3);
  for (const int row : {2, 3, 4}) c.reason(Reason::kOcclusion, row * 8 + 7) = logit_of(0.9);
  for (int i = 48; i < 64; ++i) c.reason(Reason::kOcclusion, i) = kGood;
  c.contract.operating_points[0].good_min_score = 0.99f;
  const Report report = c.run();
  CHECK(report.regions.size() >= 2);
  CHECK(report.regions[0].diagnosis.main_reason == Reason::kDefocus);
  CHECK(report.diagnosis.main_reason == Reason::kOcclusion);
  CHECK(report.regions[1].diagnosis.main_reason == Reason::kOcclusion);
  CHECK(report.diagnosis.remedy == Remedy::kRecentre);
  CHECK_NEAR(report.diagnosis.remedy_clock_hour, report.regions[1].clock_hour, 1e-6);
  CHECK_NEAR(report.diagnosis.remedy_clock_hour, 3, 0.5);
}

TEST(diagnosis_of_a_picture_without_a_reason_is_that_of_its_largest_region_with_one) {
  Case c;
  c.contract.picture_min_strength = 0.5f;
  for (int i = 48; i < 64; ++i) c.anatomy(i) = kBad;  // the largest, without a reason
  for (const int cell : {10, 11, 12}) c.hide(cell, Reason::kUnderExposed, 0.9);
  c.hide(16, Reason::kHaze, 0.9);
  Report report = c.run();
  CHECK(report.regions.size() == 3);
  CHECK(report.regions[0].diagnosis.main_reason == Reason::kNone);
  CHECK(report.verdict == Verdict::kUsable);
  CHECK(report.diagnosis.main_reason == Reason::kUnderExposed);
  CHECK(report.diagnosis.remedy == Remedy::kMoreLight);
  c.contract.operating_points[0].good_min_score = c.contract.operating_points[0].usable_min_score;
  report = c.run();
  CHECK(report.verdict == Verdict::kGood);
  CHECK(report.diagnosis.main_reason == Reason::kNone);
}

TEST(diagnosis_reflex_at_the_rim_is_recentred_and_a_bright_picture_dimmed) {
  Case c;
  c.contract.operating_points[0].good_min_score = 0.999f;
  for (int row = 2; row < 5; ++row) c.hide(row * 8, Reason::kOverExposed, 0.9);
  for (int i = 0; i < kCells; ++i) {
    if (c.anatomy(i) != kBad) c.reason(Reason::kOverExposed, i) = logit_of(0.14);
  }
  Report report = c.run();
  CHECK(report.regions[0].diagnosis.remedy == Remedy::kRecentre);
  CHECK(report.diagnosis.main_reason == Reason::kOverExposed);
  CHECK(report.diagnosis.remedy == Remedy::kRecentre);
  CHECK_NEAR(report.diagnosis.remedy_clock_hour, 9, 0.5);
  for (int i = 0; i < kCells; ++i) c.hide(i, Reason::kOverExposed, 0.9);
  report = c.run();
  CHECK(report.diagnosis.remedy == Remedy::kLessLight);
  CHECK_EQ(report.diagnosis.remedy_clock_hour, 0.0f);
}

TEST(diagnosis_of_a_good_picture_names_the_reason_and_no_remedy) {
  Case c;
  for (int i = 0; i < kCells; ++i) c.reason(Reason::kDefocus, i) = logit_of(0.5);
  Report report = c.run();
  CHECK(report.verdict == Verdict::kGood);
  CHECK(report.diagnosis.main_reason == Reason::kDefocus);
  CHECK(report.diagnosis.remedy == Remedy::kNone);
  c.contract.operating_points[0].good_min_score = 1;
  c.contract.operating_points[0].usable_min_score = 1;
  for (int i = 0; i < kCells; ++i) c.anatomy(i) = 0;
  c.run(report);
  CHECK(report.verdict == Verdict::kReject);
  CHECK(report.reason == Reason::kLowAnatomyVisible);
  CHECK(report.diagnosis.remedy == Remedy::kRefocus);
}

TEST(diagnosis_field_cut_is_the_area_beyond_one_edge_less_that_beyond_the_other) {
  struct {
    FieldOfView fov;
    double share, hour;
  } const cases[] = {
      {circle(-1, -1, 1, 1), 0, 0},
      {circle(-1, -1, 0.5f, 1), segment(0.5), 3},
      {circle(-0.5f, -1, 1, 1), segment(0.5), 9},
      {circle(-1, -0.8f, 1, 1), segment(0.8), 12},
      {circle(-1, -1, 1, 0), 0.5, 6},
      {circle(-1, -1, -0.25f, 1), 1 - segment(0.25), 3},  // more than half is gone
      {circle(-1, -0.8f, 1, 0.8f), 0, 0},                 // a camera with a flat top and bottom
      {circle(-1, -0.8f, 1, 0.6f), segment(0.6) - segment(0.8), 6},
      {circle(-1, -0.8f, 0.5f, 0.8f), segment(0.5), 3},
      {circle(-1, -0.5f, 0.5f, 1), segment(0.5), 1.5},  // between the two sides
  };
  for (const auto& expected : cases) {
    const FieldCut cut = efiqa::find_field_cut(expected.fov);
    CHECK_NEAR(cut.share, expected.share, 1e-6);
    if (expected.share == 0) continue;
    CHECK_NEAR(cut.clock_hour, expected.hour, 1e-5);
  }
  CHECK_EQ(efiqa::find_field_cut(circle(-1, -1, 1, 1)).clock_hour, 0.0f);
  // The circle's own edges may lie a rounding error inside or outside of the box.
  const FieldCut none = efiqa::find_field_cut(circle(-1.001f, -0.999f, 1, 1.002f));
  CHECK_NEAR(none.share, 0, 1e-4);
}

TEST(diagnosis_field_cut_of_rectangles_and_of_nothing_is_0) {
  FieldOfView fov = circle(-1, -1, 0.2f, 1);
  fov.shape = efiqa::FovShape::kRectangle;
  CHECK_EQ(efiqa::find_field_cut(fov).share, 0.0f);
  CHECK_EQ(efiqa::find_field_cut(FieldOfView()).share, 0.0f);
  fov.shape = efiqa::FovShape::kCircle;
  fov.radius_px = 0;
  CHECK_EQ(efiqa::find_field_cut(fov).share, 0.0f);
}

TEST(diagnosis_stronger_cut_is_the_main_reason_and_points_to_its_side) {
  Case c;
  for (int i = 0; i < kCells; ++i) c.anatomy(i) = 0;
  for (int i = 0; i < kCells; ++i) c.reason(Reason::kHaze, i) = logit_of(0.18);
  Report report = circle_report();
  report.fov.left_px = 300;
  c.run(report);
  CHECK(report.diagnosis.main_reason == Reason::kFieldCut);
  CHECK(report.diagnosis.remedy == Remedy::kRecentre);
  CHECK_NEAR(report.diagnosis.remedy_clock_hour, 9, 1e-5);
  for (int i = 0; i < kCells; ++i) c.reason(Reason::kHaze, i) = logit_of(0.3);
  c.run(report);
  CHECK(report.diagnosis.main_reason == Reason::kHaze);
  CHECK(report.diagnosis.remedy == Remedy::kDilateOrAccept);
}

TEST(diagnosis_not_a_fundus_is_the_sigmoid_of_the_visible_mean_logit) {
  std::mt19937 random(9);
  std::uniform_real_distribution<float> uniform(-8, 2);
  Case c;
  c.contract.not_a_fundus_min_probability = 0.9f;
  for (int round = 0; round < 20; ++round) {
    double total = 0, sum = 0;
    Report report = circle_report();
    c.run(report);  // for the weights
    for (int i = 0; i < kCells; ++i) {
      float& logit = c.logits[kNotAFundusChannel * kCells + i];
      logit = uniform(random);
      total += report.weights[i];
      sum += static_cast<double>(report.weights[i]) * logit;
    }
    c.run(report);
    CHECK_NEAR(report.not_a_fundus, sigmoid_of(static_cast<float>(sum / total)),
               kStrengthTolerance);
    CHECK(report.verdict == Verdict::kGood);
  }
}

TEST(diagnosis_picture_that_shows_no_fundus_is_unknown_with_its_map) {
  Case c;
  for (int i = 0; i < 20; ++i) c.hide(i, Reason::kDefocus, 0.9);
  Report report = circle_report();
  c.run(report);
  CHECK(!report.regions.empty());
  CHECK(report.diagnosis.main_reason == Reason::kDefocus);
  const float before = report.map[27];

  for (int i = 0; i < kCells; ++i) c.logits[kNotAFundusChannel * kCells + i] = 0.25f;
  c.run(report);
  CHECK(report.verdict == Verdict::kUnknown);
  CHECK(report.reason == Reason::kNotAFundus);
  CHECK(std::isnan(report.score));
  CHECK(report.regions.empty());
  CHECK_NEAR(report.not_a_fundus, sigmoid_of(0.25f), kStrengthTolerance);
  CHECK(report.diagnosis.main_reason == Reason::kNone);
  CHECK(report.diagnosis.remedy == Remedy::kFindRetina);
  for (const float strength : report.diagnosis.strengths) CHECK(std::isnan(strength));
  CHECK_EQ(report.map[27], before);
  CHECK_NEAR(report.weights[27], 1, 1e-6);

  // The limit belongs to the refusal.
  c.contract.not_a_fundus_min_probability = report.not_a_fundus;
  c.run(report);
  CHECK(report.reason == Reason::kNotAFundus);
  c.contract.not_a_fundus_min_probability = std::nextafter(report.not_a_fundus, 1.0f);
  c.run(report);
  CHECK(report.verdict != Verdict::kUnknown);
  CHECK(!report.regions.empty());
  CHECK_NEAR(report.not_a_fundus, sigmoid_of(0.25f), kStrengthTolerance);
}

TEST(diagnosis_picture_whose_map_sees_anatomy_is_not_refused) {
  Case c;
  c.contract.not_a_fundus_max_score = 0.3f;
  const auto refused = [&](double hidden) {
    for (int i = 0; i < kCells; ++i) {
      c.anatomy(i) = logit_of(hidden);
      c.logits[kNotAFundusChannel * kCells + i] = 9;
    }
    Report report = circle_report();
    c.run(report);
    CHECK_NEAR(report.not_a_fundus, sigmoid_of(9), kStrengthTolerance);
    CHECK_EQ(report.verdict == Verdict::kUnknown, report.reason == Reason::kNotAFundus);
    if (report.reason != Reason::kNotAFundus) CHECK_NEAR(report.score, 1 - hidden, 1e-5);
    return report.reason == Reason::kNotAFundus;
  };
  CHECK(!refused(0.1));
  CHECK(!refused(0.69));  // a reject, and yet a retina
  CHECK(refused(0.71));
}

TEST(diagnosis_refusal_looks_at_all_zones_alike) {
  Case c;
  c.contract.not_a_fundus_max_score = 0.3f;
  for (int i = 0; i < kCells; ++i) {
    c.anatomy(i) = logit_of(efiqa::zone_of(8, 8, i) == 0 ? 0.95 : 0.6);
    c.logits[kNotAFundusChannel * kCells + i] = 9;
  }
  Report report = circle_report();
  c.run(report);
  CHECK(report.verdict != Verdict::kUnknown);
  CHECK(report.score > 0.3f);
  const float before = report.score;
  c.contract.operating_points[0].zone_weights[1] = 0.01f;
  c.contract.operating_points[0].zone_weights[2] = 0.01f;
  c.run(report);
  CHECK(report.verdict != Verdict::kUnknown);
  CHECK(report.score < before - 0.1f);
}

void check_bound_by(Landmark which) {
  constexpr int kFirstChannel = 7;
  const int index = static_cast<int>(which), channel = kFirstChannel + index;
  Case c;
  c.contract.landmark_count = index + 1;
  c.logits.resize((channel + 1) * kCells);
  const auto near_at = [&](int cell, double probability) {
    c.logits[channel * kCells + cell] = logit_of(probability);
  };
  for (int i = kFirstChannel * kCells; i < (channel + 1) * kCells; ++i) {
    c.logits[i] = logit_of(0.01);
  }
  const int hidden = 27, seen = 45;
  c.hide(hidden, Reason::kUnderExposed, 0.9);
  near_at(hidden, 0.9);
  const double mean = 1 - 1.0 / kCells;
  CHECK_NEAR(c.run().score, mean, 1e-5);  // any margin is allowed
  float& margin = c.contract.operating_points[0].landmark_margins[index];
  margin = 0.125f;
  const Report report = c.run();
  const auto bound = [&](double at_hidden, double elsewhere) {
    const double rest = (kCells - 2) * 0.01 * 0.01 + elsewhere * elsewhere;
    return 0.125 + rest / (rest + at_hidden * at_hidden);
  };
  CHECK_NEAR(report.score, bound(0.9, 0.01), 1e-5);
  CHECK_NEAR(report.landmark(which)[hidden], 0.9, kStrengthTolerance);
  CHECK_EQ(report.landmarks.size(), (index + 1) * report.map.size());
  CHECK_NEAR(report.regions[0].area_share, 1.0 / kCells, 1e-6);
  near_at(seen, 0.9);  // half of it can be seen
  CHECK_NEAR(c.run().score, bound(0.9, 0.9), 1e-5);
  near_at(hidden, 0.01);  // all of it
  CHECK_NEAR(c.run().score, mean, 1e-5);
  near_at(hidden, 0.9);
  near_at(seen, 0.01);
  margin = 0;
  CHECK_NEAR(c.run().score, bound(0.9, 0.01) - 0.125, 1e-5);
}

TEST(diagnosis_score_is_bounded_by_what_can_be_seen_of_a_landmark) {
  check_bound_by(Landmark::kMacula);
  check_bound_by(Landmark::kOpticDisc);
}

TEST(diagnosis_score_is_bounded_by_the_landmark_that_is_hidden_more) {
  Case c;
  c.contract.landmark_count = 2;
  c.logits.resize(9 * kCells, -20.0f);
  const int macula = 27, disc = 45;
  c.logits[7 * kCells + macula] = c.logits[8 * kCells + disc] = 20;
  c.hide(macula, Reason::kHaze, 0.9);
  float* margins = c.contract.operating_points[0].landmark_margins;
  margins[0] = 0.25f;
  margins[1] = 0.5f;
  CHECK_NEAR(c.run().score, 0.25, 1e-4);
  margins[0] = 1;
  CHECK_NEAR(c.run().score, 1 - 1.0 / kCells, 1e-4);
  c.hide(disc, Reason::kHaze, 0.9);
  CHECK_NEAR(c.run().score, 0.5, 1e-4);
}

TEST(diagnosis_picture_without_a_disc_is_off_centre) {
  Case c;
  c.contract.landmark_count = 2;
  c.logits.resize(9 * kCells, -20.0f);
  c.contract.operating_points[0].landmark_margins[0] = 0;  // a macula may be missing
  CHECK_NEAR(c.run().score, 1, 1e-4);
  c.contract.operating_points[0].landmark_margins[1] = 0.25f;
  Report report = c.run();
  CHECK_NEAR(report.score, 0.25, 1e-4);
  CHECK(report.verdict == Verdict::kReject && report.reason == Reason::kOffCentre);
  CHECK(report.diagnosis.main_reason == Reason::kNone);
  CHECK(report.diagnosis.remedy == Remedy::kRecentre);
  CHECK_EQ(report.diagnosis.remedy_clock_hour, 0.0f);
  c.hide(27, Reason::kHaze, 0.9);  // a small defect is not what it is rejected for
  CHECK(c.run().diagnosis.remedy == Remedy::kRecentre);

  // By halves of the least share of the area, which is a 400th of the cells.
  c.logits[8 * kCells + 45] = logit_of(std::sqrt(kCells / 800.0));
  report = c.run();
  CHECK_NEAR(report.score, 0.75, 1e-4);
  CHECK(report.reason == Reason::kNone);
  c.logits[8 * kCells + 45] = 20;
  CHECK(c.run().verdict == Verdict::kGood);
}

TEST(diagnosis_lack_of_a_disc_is_believed_where_the_macula_is_found_for_certain) {
  Case c;
  c.contract.landmark_count = 2;
  c.logits.resize(9 * kCells, -20.0f);
  c.contract.operating_points[0].landmark_margins[1] = 0.25f;
  const auto report_at = [&](double probability) {  // that one cell is of the macula
    c.logits[7 * kCells + 27] = logit_of(probability);
    return c.run();
  };
  const double least = std::sqrt(kMinLandmarkShare * kCells);
  for (const double doubtful : {1.05 * least, kSureMacula - 1e-3}) {
    const Report report = report_at(doubtful);
    CHECK_NEAR(report.score, 1, 1e-4);
    CHECK(report.verdict == Verdict::kGood && report.reason == Reason::kNone);
  }
  for (const double certain : {0.95 * least, kSureMacula + 1e-3}) {
    const Report report = report_at(certain);
    CHECK_NEAR(report.score, 0.25, 1e-4);
    CHECK(report.reason == Reason::kOffCentre);
  }
}

TEST(diagnosis_picture_that_is_bad_throughout_is_not_off_centre) {
  Case c;
  c.contract.landmark_count = 2;
  c.logits.resize(9 * kCells, -20.0f);
  c.contract.operating_points[0].landmark_margins[1] = 0.25f;
  for (int i = 0; i < kCells; ++i) c.hide(i, Reason::kUnderExposed, 0.9);
  const Report report = c.run();
  CHECK(report.verdict == Verdict::kReject && report.reason == Reason::kLowAnatomyVisible);
  CHECK(report.diagnosis.main_reason == Reason::kUnderExposed);
  CHECK(report.diagnosis.remedy == Remedy::kMoreLight);
}

TEST(diagnosis_score_has_no_bound_where_no_macula_shows) {
  Case c;
  c.contract.landmark_count = 1;
  c.contract.operating_points[0].landmark_margins[0] = 0;
  c.logits.resize(8 * kCells);
  const auto score_at = [&](double probability) {  // of being of the macula, in each cell
    for (int i = 0; i < kCells; ++i) c.logits[7 * kCells + i] = logit_of(probability);
    c.logits[7 * kCells + 27] = logit_of(0.4);
    return c.run().score;
  };
  c.hide(27, Reason::kUnderExposed, 0.9);
  // A 400th of the cells has to be of one, by the squares of their probabilities.
  static_assert(kCells == 64);
  CHECK_NEAR(score_at(0.001), 1 / (1 + 0.4 * 0.4 / (63 * 1e-6)), 1e-5);
  c.logits[7 * kCells + 27] = logit_of(0.39);
  CHECK_NEAR(c.run().score, 1 - 1.0 / kCells, 1e-5);
}

TEST(diagnosis_landmarks_say_nothing_outside_the_field_and_of_refused_frames) {
  Case c;
  const Report without = c.run();
  CHECK(without.landmarks.empty() && without.landmark(Landmark::kMacula) == nullptr);
  c.contract.landmark_count = 2;
  c.logits.resize(9 * kCells, 3.0f);
  Report report = circle_report();
  c.run(report);
  for (int i = 0; i < 2 * kCells; ++i) {
    CHECK_EQ(std::isnan(report.landmarks[i]), !(report.weights[i % kCells] > 0));
  }
  for (const std::string name : {"macula", "optic_disc"}) {
    float& logit = c.logits[(name == "macula" ? 7 : 8) * kCells + 20];
    logit = std::numeric_limits<float>::infinity();
    const std::string expected = "the engine answered inf for " + name + " in grid cell";
    CHECK(contains(error_of([&] { c.run(); }), expected));
    logit = 0;
  }
  Report blind;
  c.run(blind);
  CHECK_EQ(blind.landmarks.size(), static_cast<std::size_t>(2 * kCells));
  CHECK(std::isnan(blind.landmark(Landmark::kOpticDisc)[0]));
}

TEST(diagnosis_not_a_fundus_alone_needs_no_reason_channels) {
  Case c;
  c.contract.has_reasons = false;
  c.logits.assign(2 * kCells, kGood);
  CHECK(c.run().verdict == Verdict::kGood);
  std::fill(c.logits.begin() + kCells, c.logits.end(), 3.0f);
  const Report report = c.run();
  CHECK(report.reason == Reason::kNotAFundus);
  CHECK_NEAR(report.not_a_fundus, sigmoid_of(3), kStrengthTolerance);
}

TEST(diagnosis_extreme_logits_of_each_channel_give_0_and_1) {
  Case c;
  for (const Reason reason : kChannelReasons) {
    for (int i = 0; i < kCells; ++i) c.reason(reason, i) = std::numeric_limits<float>::max();
  }
  for (int i = 0; i < kCells; ++i) {
    c.logits[kNotAFundusChannel * kCells + i] = std::numeric_limits<float>::lowest();
  }
  Report report = c.run();
  CHECK_EQ(report.not_a_fundus, 0.0f);
  for (const Reason reason : kChannelReasons) CHECK_EQ(strength_of(report.diagnosis, reason), 1.0f);
  CHECK(report.diagnosis.main_reason == Reason::kUnderExposed);
  for (int i = 0; i < kCells; ++i) {
    c.logits[kNotAFundusChannel * kCells + i] = std::numeric_limits<float>::max();
  }
  report = c.run();
  CHECK_EQ(report.not_a_fundus, 1.0f);
  CHECK(report.reason == Reason::kNotAFundus);
}

TEST(diagnosis_logit_that_is_not_finite_is_refused_with_its_channel) {
  for (const float wrong :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (int channel = 0; channel < 7; ++channel) {
      Case c;
      Report report = circle_report();
      c.run(report);
      c.logits[channel * kCells + 13] = wrong;
      c.logits[channel * kCells + 63] = wrong;  // outside the field; the first one is named
      const std::string message = error_of([&] { c.run(report); });
      CHECK(message.rfind("engine_failure: the engine answered ", 0) == 0);
      CHECK(contains(message, std::string(" for ") + c.contract.channel_name(channel) +
                                  " in grid cell (row 1, column 5), expected finite numbers"));
      CHECK(report.verdict == Verdict::kUnknown);
      CHECK(std::isnan(report.not_a_fundus));
    }
  }
}

TEST(diagnosis_without_a_field_of_view_is_to_find_the_retina) {
  Case c;
  Report report = circle_report();
  for (int i = 0; i < 30; ++i) c.hide(i, Reason::kDefocus, 0.9);
  c.run(report);
  CHECK(report.diagnosis.main_reason == Reason::kDefocus);
  report.fov = FieldOfView();
  c.run(report);
  CHECK(report.reason == Reason::kNoFieldOfView);
  CHECK(report.diagnosis.main_reason == Reason::kNone);
  CHECK(report.diagnosis.remedy == Remedy::kFindRetina);
  for (const float strength : report.diagnosis.strengths) CHECK(std::isnan(strength));
  CHECK(std::isnan(report.not_a_fundus));
}
