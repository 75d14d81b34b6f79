#include "diagnosis.h"

#include <algorithm>
#include <cmath>

#include "fov_geometry.h"
#include "remedy.h"

namespace efiqa {
namespace {

constexpr double kPi = 3.14159265358979323846;

// Share of a circle's area beyond a line at `distance` radii from its centre, which may be
// negative; at 1 and more it is 0.
double share_beyond(double distance) {
  constexpr double kRadius = 1;
  return 0.5 - 2 * corner_area(distance, kRadius, kRadius) / kPi;
}

// The strongest reason that reaches `min_strength`, the first one of equals.
Reason find_main_reason(const Diagnosis& diagnosis, float min_strength) {
  Reason main = Reason::kNone;
  float strongest = 0;
  for (int i = 0; i < kReasonStrengths; ++i) {
    const float strength = diagnosis.strengths[i];
    if (!(strength >= min_strength) || !(strength > strongest)) continue;  // as NaN does not
    strongest = strength;
    main = reason_of_strength(i);
  }
  return main;
}

DefectPlace place_of(const Region& region) {
  return {region.clock_hour, region.center_distance, region.area_share};
}

}  // namespace

float clock_hour_of(double dx, double dy) {
  const double hour = std::atan2(dx, -dy) * 6 / kPi;  // clockwise from the top, -6 to 6
  return static_cast<float>(hour > 0 ? hour : hour + 12);
}

FieldCut find_field_cut(const FieldOfView& fov) {
  if (fov.shape != FovShape::kCircle || !(fov.radius_px > 0)) return {};
  const auto beyond = [&](float from_px, float to_px) {
    return share_beyond((static_cast<double>(to_px) - from_px) / fov.radius_px);
  };
  const double x = beyond(fov.center_x_px, fov.right_px) - beyond(fov.left_px, fov.center_x_px);
  const double y = beyond(fov.center_y_px, fov.bottom_px) - beyond(fov.top_px, fov.center_y_px);
  FieldCut cut;
  cut.share = static_cast<float>(std::max(std::fabs(x), std::fabs(y)));
  if (cut.share > 0) cut.clock_hour = clock_hour_of(x, y);
  return cut;
}

void diagnose_region(const Contract& contract, const Component& group, Region& region) {
  Diagnosis& diagnosis = region.diagnosis;
  for (int i = 0; contract.has_reasons && i < kReasonChannels; ++i) {
    diagnosis.strengths[i] = static_cast<float>(static_cast<double>(group.strengths[i]) /
                                                static_cast<double>(group.weight));
  }
  diagnosis.strengths[strength_of_reason(Reason::kFieldCut)] = 0;
  diagnosis.main_reason = find_main_reason(diagnosis, contract.region_min_strength);
  prescribe_region(place_of(region), diagnosis);
}

void diagnose_picture(const Contract& contract, const GridSums& sums, Report& report) {
  Diagnosis diagnosis;
  for (int i = 0; contract.has_reasons && i < kReasonChannels; ++i) {
    diagnosis.strengths[i] = static_cast<float>(sums.weighted_strengths[i] / sums.weight);
  }
  const FieldCut cut = find_field_cut(report.fov);
  diagnosis.strengths[strength_of_reason(Reason::kFieldCut)] = cut.share;
  diagnosis.main_reason = find_main_reason(diagnosis, contract.picture_min_strength);
  if (report.reason == Reason::kOffCentre && diagnosis.main_reason == Reason::kNone) {
    diagnosis.remedy = Remedy::kRecentre;  // towards where nobody knows
  } else if (report.verdict != Verdict::kGood) {
    DefectPlace place;
    if (diagnosis.main_reason == Reason::kFieldCut) place.clock_hour = cut.clock_hour;
    for (const Region& region : report.regions) {  // largest first
      const Reason reason = region.diagnosis.main_reason;
      if (reason == Reason::kNone) continue;
      // What hides a macula is little of the whole.
      if (diagnosis.main_reason == Reason::kNone) diagnosis.main_reason = reason;
      if (reason != diagnosis.main_reason) continue;
      place = place_of(region);
      break;
    }
    prescribe_picture(place, diagnosis);
  }
  report.diagnosis = diagnosis;
}

}  // namespace efiqa
