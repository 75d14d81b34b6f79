#include "grid_report.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "diagnosis.h"
#include "status.h"

namespace efiqa {
namespace {

// Of the radius: nearer to the centre a direction would be made of rounding errors.
constexpr double kCenterDistance = 1e-3;

float nan_value() { return std::numeric_limits<float>::quiet_NaN(); }

Region region_of(const Contract& contract, const Component& group, const Report& report,
                 double total_weight) {
  const double weight = static_cast<double>(group.weight);
  const double x = static_cast<double>(group.twice_x) / (2 * weight);  // of the centroid, in cells
  const double y = static_cast<double>(group.twice_y) / (2 * weight);
  const FieldOfView& fov = report.fov;
  const double cell_width = static_cast<double>(report.crop.side_px) / report.grid_width;
  const double cell_height = static_cast<double>(report.crop.side_px) / report.grid_height;
  // The visible box lies in the frame, so clipping to it clips to the frame as well.
  const auto clip = [](double value, float low, float high) {
    return std::clamp(value, static_cast<double>(low), static_cast<double>(high));
  };
  const double left = clip(report.crop.x_px + group.left * cell_width, fov.left_px, fov.right_px);
  const double right =
      clip(report.crop.x_px + (group.right + 1) * cell_width, fov.left_px, fov.right_px);
  const double top = clip(report.crop.y_px + group.top * cell_height, fov.top_px, fov.bottom_px);
  const double bottom =
      clip(report.crop.y_px + (group.bottom + 1) * cell_height, fov.top_px, fov.bottom_px);
  const double dx = report.crop.x_px + x * cell_width - fov.center_x_px;
  const double dy = report.crop.y_px + y * cell_height - fov.center_y_px;
  const double distance = std::hypot(dx, dy) / fov.radius_px;

  Region region;
  region.x_px = static_cast<float>(left);
  region.y_px = static_cast<float>(top);
  region.width_px = static_cast<float>(right - left);
  region.height_px = static_cast<float>(bottom - top);
  region.area_share = static_cast<float>(weight / kFixedOne / total_weight);
  region.mean_probability = static_cast<float>(static_cast<double>(group.probability) / weight);
  // The centre of a cell that the rim cuts may lie outside.
  region.center_distance = static_cast<float>(std::min(distance, 1.0));
  if (distance > kCenterDistance) region.clock_hour = clock_hour_of(dx, dy);
  diagnose_region(contract, group, region);
  return region;
}

struct Score {
  float value = 0;
  // What it were if the picture, which lacks a disc, had one; else the value.
  float of_the_rest = 0;
};

// The weight from which on a picture shows a landmark.
double least_weight(const GridSums& sums) { return kMinLandmarkShare * sums.weight; }

double weight_of(const GridSums& sums, Landmark landmark) {
  return sums.landmark_weights[static_cast<int>(landmark)];
}

bool is_shown(const GridSums& sums, Landmark landmark) {
  return weight_of(sums, landmark) >= least_weight(sums);
}

bool has_sure_macula(const Report& report) {
  const float* macula = report.landmark(Landmark::kMacula);
  return macula != nullptr &&
         std::any_of(macula, macula + report.map.size(), [](float probability) {
           return probability >= kSureMacula;  // not a number outside the field
         });
}

// Whether a picture shows no disc. Where the macula is found, but not for certain, a disc that is
// not found may be there all the same.
bool lacks_disc(const GridSums& sums, const Report& report) {
  if (is_shown(sums, Landmark::kOpticDisc)) return false;
  return !is_shown(sums, Landmark::kMacula) || has_sure_macula(report);
}

// Share of a landmark that can be seen. One that is not shown counts as seen, or, if `needed`, as
// hidden: each photograph of a fundus is to show a disc, but a macula may lie beyond the field, and
// a diseased one is not found.
double seen_of(const GridSums& sums, Landmark landmark, bool needed) {
  if (!needed && !is_shown(sums, landmark)) return 1;
  const double weight = weight_of(sums, landmark);
  const double hidden = sums.landmark_probabilities[static_cast<int>(landmark)];
  return (weight - hidden) / std::max(weight, least_weight(sums));
}

// Share of the visible area that shows its anatomy, zones counted as the operating point says; and
// not above that of a landmark by more than the point's margin for it.
Score score_of(const GridSums& sums, bool without_disc, const OperatingPoint& operating_point) {
  double weight = 0, probability = 0;
  for (int zone = 0; zone < kZones; ++zone) {
    const auto counted = static_cast<double>(operating_point.zone_weights[zone]);
    weight += counted * sums.zone_weights[zone];
    probability += counted * sums.weighted_probabilities[zone];
  }
  const auto most_by = [&](Landmark landmark, bool needed) {
    const float margin = operating_point.landmark_margins[static_cast<int>(landmark)];
    return seen_of(sums, landmark, needed) + static_cast<double>(margin);
  };
  const double rest = std::min(1 - probability / weight, most_by(Landmark::kMacula, false));
  const double score = std::min(rest, most_by(Landmark::kOpticDisc, without_disc));
  return {static_cast<float>(score), static_cast<float>(without_disc ? rest : score)};
}

}  // namespace

void clear_report(const Contract& contract, Report& report) {
  const std::size_t cells = static_cast<std::size_t>(contract.grid_width) * contract.grid_height;
  report.verdict = Verdict::kUnknown;
  report.reason = Reason::kNoFieldOfView;
  report.score = nan_value();
  report.grid_width = contract.grid_width;
  report.grid_height = contract.grid_height;
  report.regions.clear();
  report.regions.reserve(kMaxRegions);
  report.map.assign(cells, nan_value());
  report.weights.assign(cells, 0.0f);
  report.landmarks.assign(contract.landmark_count * cells, nan_value());
  report.diagnosis = Diagnosis();
  report.diagnosis.remedy = Remedy::kFindRetina;
  report.not_a_fundus = nan_value();
}

void refuse_logit(const Contract& contract, float logit, int index) {
  const int width = contract.grid_width, cells = width * contract.grid_height;
  throw Error(StatusCode::kEngineFailure,
              "the engine answered " + std::to_string(logit) + " for " +
                  contract.channel_name(index / cells) + " in grid cell (row " +
                  std::to_string(index % cells / width) + ", column " +
                  std::to_string(index % width) +
                  "), expected finite numbers; the model or its precision is not fit for use");
}

void grade(const Contract& contract, const GridSums& sums, const Component* components, int count,
           const OperatingPoint& operating_point, Report& report) {
  if (!(sums.weight > 0)) return;
  if (contract.has_not_a_fundus) {
    report.not_a_fundus = probability_of(sums.weighted_not_a_fundus / sums.weight);
    // Where the map sees a retina's anatomy, there is a retina, whatever a site's zones count for.
    if (report.not_a_fundus >= contract.not_a_fundus_min_probability &&
        score_of(sums, false, {}).value <= contract.not_a_fundus_max_score) {
      report.reason = Reason::kNotAFundus;
      return;  // what clear_report says stands: unknown, and no score
    }
  }
  for (int i = 0; i < count; ++i) {
    report.regions.push_back(region_of(contract, components[i], report, sums.weight));
  }
  const Score score = score_of(sums, lacks_disc(sums, report), operating_point);
  report.score = score.value;
  const bool good = report.score >= operating_point.good_min_score;
  const bool usable = report.score >= operating_point.usable_min_score;
  const bool off_centre = score.of_the_rest >= operating_point.usable_min_score;
  report.reason = usable       ? Reason::kNone
                  : off_centre ? Reason::kOffCentre
                               : Reason::kLowAnatomyVisible;
  report.verdict = good && usable ? Verdict::kGood : usable ? Verdict::kUsable : Verdict::kReject;
  diagnose_picture(contract, sums, report);
}

}  // namespace efiqa
