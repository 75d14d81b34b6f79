// Why anatomy is hidden: from the sums over a grid, and from the geometry of the field of view.
#pragma once

#include "contract.h"
#include "fov.h"
#include "grid_ops.h"
#include "report.h"

namespace efiqa {

// How far the field of view reaches beyond the frame.
struct FieldCut {
  float share = 0;       // of the circle's area, 0..1
  float clock_hour = 0;  // towards the side where it is cut; 0: it is not
};

// Of a circle, the area beyond one straight edge less that beyond the opposite one: a flat top with
// the same flat bottom is the camera's own mask. The larger of both axes. 0 for rectangles.
FieldCut find_field_cut(const FieldOfView& fov);

// (0, 12], 12 = up, 3 = right, of a displacement in frame pixels, whose y points down.
float clock_hour_of(double dx, double dy);

// Strengths, main reason and remedy of a region, whose place is complete.
void diagnose_region(const Contract& contract, const Component& group, Region& region);

// The same of the picture, whose regions, verdict and reason are complete.
void diagnose_picture(const Contract& contract, const GridSums& sums, Report& report);

}  // namespace efiqa
