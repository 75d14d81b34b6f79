#include <algorithm>
#include <cstdint>
#include <vector>

#include "grid_ops.h"
#include "grid_report.h"
#include "postprocess.h"

namespace efiqa {

struct Postprocessor::Scratch {
  std::vector<std::int32_t> parent, roots;
  std::vector<Component> by_root, components;
  std::int32_t root_count = 0;
  std::vector<float> strengths;  // (kReasonChannels, h, w); empty: the model has no such channels
  std::vector<GridSums> lanes;
};

Postprocessor::Postprocessor(const Contract& contract)
    : contract_(contract), scratch_(std::make_unique<Scratch>()) {
  const std::size_t cells = static_cast<std::size_t>(contract.grid_width) * contract.grid_height;
  scratch_->parent.resize(cells);
  scratch_->roots.resize(cells);
  scratch_->by_root.resize(cells);
  scratch_->components.reserve(cells);
  scratch_->lanes.resize(kSumLanes);
  if (contract.has_reasons) scratch_->strengths.resize(kReasonChannels * cells);
}

Postprocessor::~Postprocessor() = default;

void Postprocessor::run(const float* logits, const OperatingPoint& operating_point,
                        Report& report) {
  const int width = contract_.grid_width, height = contract_.grid_height;
  const int cells = width * height;
  clear_report(contract_, report);
  if (!report.fov.found()) return;
  for (int i = 0; i < cells * contract_.channel_count(); ++i) {
    if (!is_finite(logits[i])) refuse_logit(contract_, logits[i], i);
  }
  grid_weights(report.fov, report.crop, width, height, report.weights.data());

  const Calibration calibration{static_cast<double>(contract_.calibration_scale),
                                static_cast<double>(contract_.calibration_offset)};
  Scratch& s = *scratch_;
  const CellValues values{report.map.data(), contract_.has_reasons ? s.strengths.data() : nullptr,
                          report.weights.data(), report.landmarks.data(), contract_.landmark_count};
  for (int i = 0; i < cells; ++i) {
    if (!(report.weights[i] > 0)) continue;
    report.map[i] = probability_of(calibration, logits[i]);
    for (int c = 0; contract_.has_reasons && c < kReasonChannels; ++c) {
      s.strengths[c * cells + i] = probability_of(logits[(c + 1) * cells + i]);
    }
    for (int c = 0; c < contract_.landmark_count; ++c) {
      const int channel = contract_.first_landmark_channel() + c;
      report.landmarks[c * cells + i] =
          probability_of(static_cast<double>(logits[channel * cells + i]));
    }
  }
  const float* not_a_fundus =
      contract_.has_not_a_fundus ? logits + contract_.not_a_fundus_channel() * cells : nullptr;
  const GridSums sums =
      add_up_grid(SerialBlock(), width, height, values, not_a_fundus, s.lanes.data());
  find_components(SerialBlock(), width, height, values, contract_.region_threshold,
                  {s.parent.data(), s.by_root.data(), s.roots.data(), &s.root_count});
  s.components.clear();
  for (int i = 0; i < s.root_count; ++i) s.components.push_back(s.by_root[s.roots[i]]);
  // std::sort, as std::stable_sort allocates; the first cell makes the order complete.
  std::sort(s.components.begin(), s.components.end(), comes_before);
  grade(contract_, sums, s.components.data(), std::min(s.root_count, kMaxRegions), operating_point,
        report);
}

}  // namespace efiqa
