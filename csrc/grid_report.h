// From the sums over a grid to score, verdict and regions, on the host: the last step of the
// postprocessing on the CPU and on the GPU.
#pragma once

#include "contract.h"
#include "grid_ops.h"
#include "report.h"

namespace efiqa {

struct GridSums {
  double weight = 0, weighted_probability = 0;  // over all cells; the first is 0 if none is visible
};

// The report of a frame without a field of view: no score, no regions, empty map and weights of the
// contract's grid.
void clear_report(const Contract& contract, Report& report);

// Throws Error(kEngineFailure) that names the cell.
[[noreturn]] void refuse_logit(float logit, int cell, int grid_width);

// Fills score, verdict, reason and regions of a report whose other parts are complete. `components`
// are in their order, `count` at most kMaxRegions.
void grade(const GridSums& sums, const Component* components, int count,
           const OperatingPoint& operating_point, Report& report);

}  // namespace efiqa
