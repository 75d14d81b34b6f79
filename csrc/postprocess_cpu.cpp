#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "postprocess.h"
#include "status.h"

namespace efiqa {
namespace {

constexpr double kPi = 3.14159265358979323846;
// Of the radius: nearer to the centre a direction would be made of rounding errors.
constexpr double kCenterDistance = 1e-3;

float nan_value() { return std::numeric_limits<float>::quiet_NaN(); }

double sigmoid(double x) {
  // The branch keeps exp() from overflowing.
  if (x >= 0) return 1.0 / (1.0 + std::exp(-x));
  const double e = std::exp(x);
  return e / (1.0 + e);
}

void check_finite(const float* logits, int width, int height) {
  for (int i = 0; i < width * height; ++i) {
    if (std::isfinite(logits[i])) continue;
    throw Error(StatusCode::kEngineFailure,
                "the engine answered " + std::to_string(logits[i]) + " for grid cell (row " +
                    std::to_string(i / width) + ", column " + std::to_string(i % width) +
                    "), expected finite numbers; the model or its precision is not fit for use");
  }
}

// A group of cells that is still being added up.
struct Component {
  double weight = 0, weighted_probability = 0, weighted_x = 0, weighted_y = 0;  // x, y in cells
  int left = 0, top = 0, right = 0, bottom = 0;                                 // cells, inclusive
  int first_cell = 0;  // breaks ties of equal weight, so that the order never varies
};

}  // namespace

struct Postprocessor::Scratch {
  std::vector<std::uint8_t> bad;      // cells that belong to a region and have no group yet
  std::vector<std::int32_t> pending;  // cells whose neighbours are still to be looked at
  std::vector<Component> components;
};

namespace {

// Adds up the group of the bad cell `first`, and takes its cells out of `bad`.
Component collect(const Report& report, int first, std::vector<std::uint8_t>& bad,
                  std::vector<std::int32_t>& pending) {
  const int width = report.grid_width, height = report.grid_height;
  Component group;
  group.first_cell = first;
  group.left = group.right = first % width;
  group.top = group.bottom = first / width;
  bad[first] = 0;
  pending.push_back(first);
  while (!pending.empty()) {
    const int cell = pending.back();
    pending.pop_back();
    const int x = cell % width, y = cell / width;
    const double weight = report.weights[cell];
    group.weight += weight;
    group.weighted_probability += weight * report.map[cell];
    group.weighted_x += weight * (x + 0.5);
    group.weighted_y += weight * (y + 0.5);
    group.left = std::min(group.left, x);
    group.right = std::max(group.right, x);
    group.top = std::min(group.top, y);
    group.bottom = std::max(group.bottom, y);
    for (int ny = std::max(y - 1, 0); ny <= std::min(y + 1, height - 1); ++ny) {
      for (int nx = std::max(x - 1, 0); nx <= std::min(x + 1, width - 1); ++nx) {
        const int neighbour = ny * width + nx;
        if (bad[neighbour] == 0) continue;
        bad[neighbour] = 0;  // marked before it is pending: no cell is pending twice
        pending.push_back(neighbour);
      }
    }
  }
  return group;
}

Region region_of(const Component& group, const Report& report, double total_weight) {
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
  const double dx =
      report.crop.x_px + group.weighted_x / group.weight * cell_width - fov.center_x_px;
  const double dy =
      report.crop.y_px + group.weighted_y / group.weight * cell_height - fov.center_y_px;
  const double distance = std::hypot(dx, dy) / fov.radius_px;

  Region region;
  region.x_px = static_cast<float>(left);
  region.y_px = static_cast<float>(top);
  region.width_px = static_cast<float>(right - left);
  region.height_px = static_cast<float>(bottom - top);
  region.area_share = static_cast<float>(group.weight / total_weight);
  region.mean_probability = static_cast<float>(group.weighted_probability / group.weight);
  // The centre of a cell that the rim cuts may lie outside.
  region.center_distance = static_cast<float>(std::min(distance, 1.0));
  if (distance > kCenterDistance) {
    const double hour = std::atan2(dx, -dy) * 6 / kPi;  // clockwise from the top, -6 to 6
    region.clock_hour = static_cast<float>(hour > 0 ? hour : hour + 12);
  }
  return region;
}

}  // namespace

Postprocessor::Postprocessor(const Contract& contract)
    : contract_(contract), scratch_(std::make_unique<Scratch>()) {
  const std::size_t cells = static_cast<std::size_t>(contract.grid_width) * contract.grid_height;
  scratch_->bad.resize(cells);
  scratch_->pending.reserve(cells);
  // Groups of 8 neighbours: no two of them share a block of 2 x 2 cells.
  scratch_->components.reserve(static_cast<std::size_t>((contract.grid_width + 1) / 2) *
                               ((contract.grid_height + 1) / 2));
}

Postprocessor::~Postprocessor() = default;

void Postprocessor::run(const float* logits, const OperatingPoint& operating_point,
                        Report& report) {
  const int width = contract_.grid_width, height = contract_.grid_height;
  const std::size_t cells = static_cast<std::size_t>(width) * height;
  report.verdict = Verdict::kUnknown;
  report.reason = Reason::kNoFieldOfView;
  report.score = nan_value();
  report.grid_width = width;
  report.grid_height = height;
  report.regions.clear();
  report.regions.reserve(kMaxRegions);
  report.map.assign(cells, nan_value());
  report.weights.assign(cells, 0.0f);
  if (!report.fov.found()) return;
  check_finite(logits, width, height);
  grid_weights(report.fov, report.crop, width, height, report.weights.data());

  double total_weight = 0, weighted_probability = 0;
  for (std::size_t i = 0; i < cells; ++i) {
    const double weight = report.weights[i];
    const bool visible = weight > 0;
    if (visible) {
      const double logit = logits[i];
      report.map[i] = static_cast<float>(
          sigmoid(contract_.calibration_scale * logit + contract_.calibration_offset));
      total_weight += weight;
      weighted_probability += weight * report.map[i];
    }
    scratch_->bad[i] = visible && report.map[i] >= contract_.region_threshold ? 1 : 0;
  }
  if (!(total_weight > 0)) return;

  scratch_->components.clear();
  for (std::size_t i = 0; i < cells; ++i) {
    if (scratch_->bad[i] == 0) continue;
    scratch_->components.push_back(
        collect(report, static_cast<int>(i), scratch_->bad, scratch_->pending));
  }
  // std::sort, as std::stable_sort allocates; the first cell makes the order complete.
  std::sort(scratch_->components.begin(), scratch_->components.end(),
            [](const Component& a, const Component& b) {
              return a.weight != b.weight ? a.weight > b.weight : a.first_cell < b.first_cell;
            });
  const std::size_t kept =
      std::min(scratch_->components.size(), static_cast<std::size_t>(kMaxRegions));
  for (std::size_t i = 0; i < kept; ++i) {
    report.regions.push_back(region_of(scratch_->components[i], report, total_weight));
  }

  report.score = static_cast<float>(1.0 - weighted_probability / total_weight);
  const bool good = report.score >= operating_point.good_min_score;
  const bool usable = report.score >= operating_point.usable_min_score;
  report.reason = usable ? Reason::kNone : Reason::kLowAnatomyVisible;
  report.verdict = good && usable ? Verdict::kGood : usable ? Verdict::kUsable : Verdict::kReject;
}

}  // namespace efiqa
