// What one assessed frame answers with. Vectors are reserved at open and reused.
#pragma once

#include <cstdint>
#include <vector>

#include "fov.h"

namespace efiqa {

enum class Verdict : std::int32_t { kUnknown = 0, kReject = 1, kUsable = 2, kGood = 3 };

enum class Reason : std::int32_t {
  kNone = 0,
  kNoFieldOfView = 1,      // nothing in the frame looks like a retina's field of view
  kLowAnatomyVisible = 2,  // the score is below the operating point's limit for `usable`
};

constexpr int kMaxRegions = 32;  // the largest ones are kept

// A connected group (8 neighbours) of grid cells whose probability reaches the region threshold.
struct Region {
  float x_px = 0, y_px = 0, width_px = 0, height_px = 0;  // box in frame pixels, within the frame
  float area_share = 0;                                   // of the visible field of view, 0..1
  float mean_probability = 0;                             // weighted by visibility
  float clock_hour = 0;       // (0, 12], 12 = up, 3 = right in the frame; 0 when at the centre
  float center_distance = 0;  // of its centroid, 0 = centre of the field, 1 = its rim
};

// Where the stages are one CUDA graph only the total is known, and the others are 0.
struct Timings {
  float fov_ms = 0, preprocess_ms = 0, engine_ms = 0, postprocess_ms = 0, total_ms = 0;
};

struct Report {
  Verdict verdict = Verdict::kUnknown;
  Reason reason = Reason::kNone;
  float score = 0;  // 1 - mean probability over the field of view; NaN when the verdict is unknown
  FieldOfView fov;
  SquareCrop crop;
  int frame_width_px = 0, frame_height_px = 0;
  int grid_width = 0, grid_height = 0;
  std::vector<float> map;  // (grid_height, grid_width) P(anatomy NOT visible); NaN where weight 0
  std::vector<float> weights;   // share of each cell inside the field of view, 0..1
  std::vector<Region> regions;  // largest area first
  Timings timings;
};

const char* verdict_name(Verdict verdict) noexcept;   // "unknown" "reject" "usable" "good"
const char* reason_name(Reason reason) noexcept;      // "" "no_field_of_view" "low_anatomy_visible"
const char* fov_shape_name(FovShape shape) noexcept;  // "none" "circle" "rectangle"

}  // namespace efiqa
