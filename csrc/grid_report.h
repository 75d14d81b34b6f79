// From the sums over a grid to score, verdict and regions, on the host: the last step of the
// postprocessing on the CPU and on the GPU.
#pragma once

#include "contract.h"
#include "grid_ops.h"
#include "report.h"

namespace efiqa {

// Of the visible area: a picture shows a macula, a disc, where at least that is probably of one.
constexpr double kMinLandmarkShare = 1.0 / 400;
// A macula was found for certain where some cell is of it with that probability.
constexpr float kSureMacula = 0.9f;

// The report of a frame without a field of view: no score, no regions, no diagnosis, empty map,
// weights and landmarks of the contract's grid.
void clear_report(const Contract& contract, Report& report);

// Throws Error(kEngineFailure) that names channel and cell of the value at `index` of the output.
[[noreturn]] void refuse_logit(const Contract& contract, float logit, int index);

// Fills score, verdict, reason, regions, diagnosis and not_a_fundus of a report whose other parts
// are complete. `components` are in their order, `count` at most kMaxRegions.
void grade(const Contract& contract, const GridSums& sums, const Component* components, int count,
           const OperatingPoint& operating_point, Report& report);

}  // namespace efiqa
