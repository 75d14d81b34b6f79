// What one assessed frame answers with. Vectors are reserved at open and reused.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "fov.h"

namespace efiqa {

enum class Verdict : std::int32_t { kUnknown = 0, kReject = 1, kUsable = 2, kGood = 3 };

enum class Reason : std::int32_t {
  kNone = 0,
  kNoFieldOfView = 1,      // nothing in the frame looks like a retina's field of view
  kLowAnatomyVisible = 2,  // the score is below the operating point's limit for `usable`
  kNotAFundus = 3,         // the picture shows something else
  // What hides the anatomy, of a region or of the picture.
  kUnderExposed = 4,
  kOverExposed = 5,  // with glare and reflexes
  kDefocus = 6,
  kHaze = 7,
  kOcclusion = 8,   // a lid, lashes, a shadow at the edge
  kFieldCut = 9,    // part of the field lies outside the frame
  kOffCentre = 10,  // it is the optic disc that the picture does not show
};

constexpr int kReasonStrengths = 6;  // of the reasons from kUnderExposed on
constexpr int kReasonChannels = 5;   // the first ones, which a network answers; then comes geometry
constexpr int kZones = 3;            // of the grid: centre, middle, periphery
constexpr int kLandmarks = 2;        // of a retina, which a network may find, seen or hidden
constexpr Reason reason_of_strength(int index) {
  return static_cast<Reason>(static_cast<int>(Reason::kUnderExposed) + index);
}
constexpr int strength_of_reason(Reason reason) {
  return static_cast<int>(reason) - static_cast<int>(Reason::kUnderExposed);
}

enum class Landmark : std::int32_t { kMacula = 0, kOpticDisc = 1 };

// What the operator can do. The words are remedy.h's.
enum class Remedy : std::int32_t {
  kNone = 0,
  kRefocus = 1,
  kMoreLight = 2,
  kLessLight = 3,
  kRecentre = 4,  // with the clock hour at which the defect lies
  kOpenLid = 5,
  kCleanLens = 6,
  kDilateOrAccept = 7,  // the eye's own media may be cloudy
  kFindRetina = 8,
};

// Why anatomy is hidden, in a region or in the picture, and what helps.
struct Diagnosis {
  Diagnosis() { strengths.fill(std::numeric_limits<float>::quiet_NaN()); }

  // Share of the anatomy, 0..1, that each reason hides, by strength_of_reason; NaN where the model
  // does not say. field_cut is a picture's: 0 for regions.
  std::array<float, kReasonStrengths> strengths;
  // The strongest one that reaches the contract's limit; of a picture that is not good, where none
  // does, that of its largest region with one.
  Reason main_reason = Reason::kNone;
  Remedy remedy = Remedy::kNone;  // none for a picture that is good
  float remedy_clock_hour = 0;    // of kRecentre: (0, 12], 12 = up, 3 = right; else 0
};

constexpr int kMaxRegions = 32;  // the largest ones are kept

// A connected group (8 neighbours) of grid cells whose probability reaches the region threshold.
struct Region {
  float x_px = 0, y_px = 0, width_px = 0, height_px = 0;  // box in frame pixels, within the frame
  float area_share = 0;                                   // of the visible field of view, 0..1
  float mean_probability = 0;                             // weighted by visibility
  float clock_hour = 0;       // (0, 12], 12 = up, 3 = right in the frame; 0 when at the centre
  float center_distance = 0;  // of its centroid, 0 = centre of the field, 1 = its rim
  Diagnosis diagnosis;
};

// Where the stages are one CUDA graph only the total is known, and the others are 0.
struct Timings {
  float fov_ms = 0, preprocess_ms = 0, engine_ms = 0, postprocess_ms = 0, total_ms = 0;
};

struct Report {
  Verdict verdict = Verdict::kUnknown;
  Reason reason = Reason::kNone;
  float score = 0;  // 1 - the map's mean over the field, parts of it weighted; NaN: unknown
  FieldOfView fov;
  SquareCrop crop;
  int frame_width_px = 0, frame_height_px = 0;
  int grid_width = 0, grid_height = 0;
  std::vector<float> map;  // (grid_height, grid_width) P(anatomy NOT visible); NaN where weight 0
  std::vector<float> weights;  // share of each cell inside the field of view, 0..1
  // (landmarks that the model finds, grid_height, grid_width), as the map: P(the cell lies within
  // one disc diameter of the fovea, of the optic disc's centre, hidden or not).
  std::vector<float> landmarks;
  std::vector<Region> regions;  // largest area first
  Diagnosis diagnosis;          // of the picture
  // Probability that the picture shows no fundus; NaN where the model does not say, and without a
  // field of view.
  float not_a_fundus = std::numeric_limits<float>::quiet_NaN();
  Timings timings;

  // (grid_height, grid_width); null where the model does not find it.
  const float* landmark(Landmark which) const {
    const std::size_t begin = static_cast<std::size_t>(which) * map.size();
    return begin < landmarks.size() ? landmarks.data() + begin : nullptr;
  }
};

const char* verdict_name(Verdict verdict) noexcept;   // "unknown" "reject" "usable" "good"
const char* reason_name(Reason reason) noexcept;      // "" "no_field_of_view" "defocus" ...
const char* fov_shape_name(FovShape shape) noexcept;  // "none" "circle" "rectangle"

}  // namespace efiqa
