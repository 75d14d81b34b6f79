// Arithmetic of the grid of cells that the crop is divided into, for CPU and GPU: how much of each
// cell is visible, what a logit means, and which cells form a region.
#pragma once

#include <cmath>
#include <cstdint>

#include "block.h"
#include "fov.h"
#include "fov_geometry.h"
#include "report.h"
#include "small_math.h"

namespace efiqa {

struct CropGrid {
  FieldOfView fov;
  SquareCrop crop;
  int width = 0, height = 0;  // cells
};

struct CellBox {
  double left = 0, top = 0, right = 0, bottom = 0;
};

// Part of a cell within the visible box.
EFIQA_HOST_DEVICE inline CellBox cell_box(const CropGrid& grid, int cell) {
  const int i = cell % grid.width, j = cell / grid.width;
  const double step_x = static_cast<double>(grid.crop.side_px) / grid.width;
  const double step_y = static_cast<double>(grid.crop.side_px) / grid.height;
  return {max_of(static_cast<double>(grid.fov.left_px), grid.crop.x_px + i * step_x),
          max_of(static_cast<double>(grid.fov.top_px), grid.crop.y_px + j * step_y),
          min_of(static_cast<double>(grid.fov.right_px), grid.crop.x_px + (i + 1) * step_x),
          min_of(static_cast<double>(grid.fov.bottom_px), grid.crop.y_px + (j + 1) * step_y)};
}

EFIQA_HOST_DEVICE inline float weight_of_area(const CropGrid& grid, double area) {
  // Rounding leaves some 1e-15 of a cell that lies outside; it must not count as visible.
  constexpr double kNoShare = 1e-9;
  const double cell_area = static_cast<double>(grid.crop.side_px) / grid.width *
                           (static_cast<double>(grid.crop.side_px) / grid.height);
  const double share = min_of(area / cell_area, 1.0);
  return share < kNoShare ? 0.0f : static_cast<float>(share);
}

struct CellShare {
  float weight = 0;  // share of the cell that is visible, unless the rim cuts it
  bool rim = false;
};

// Most cells lie within the circle or outside it as a whole.
EFIQA_HOST_DEVICE inline CellShare simple_share(const CropGrid& grid, int cell) {
  if (!grid.fov.found()) return {};
  const CellBox box = cell_box(grid, cell);
  if (box.right <= box.left || box.bottom <= box.top) return {};
  const double x = static_cast<double>(grid.fov.center_x_px);
  const double y = static_cast<double>(grid.fov.center_y_px);
  const double radius = static_cast<double>(grid.fov.radius_px);
  const double near_x = clamp_to(x, box.left, box.right) - x;
  const double near_y = clamp_to(y, box.top, box.bottom) - y;
  if (near_x * near_x + near_y * near_y >= radius * radius) return {};
  const double far_x = max_of(x - box.left, box.right - x);
  const double far_y = max_of(y - box.top, box.bottom - y);
  if (far_x * far_x + far_y * far_y > radius * radius) return {0, true};
  return {weight_of_area(grid, (box.right - box.left) * (box.bottom - box.top)), false};
}

EFIQA_HOST_DEVICE inline float rim_weight(const CropGrid& grid, int cell) {
  const CellBox box = cell_box(grid, cell);
  return weight_of_area(grid, circle_box_area(static_cast<double>(grid.fov.center_x_px),
                                              static_cast<double>(grid.fov.center_y_px),
                                              static_cast<double>(grid.fov.radius_px), box.left,
                                              box.top, box.right, box.bottom));
}

EFIQA_HOST_DEVICE inline double sigmoid(double x) {
  // The branch keeps exp() from overflowing.
  if (x >= 0) return 1.0 / (1.0 + std::exp(-x));
  const double e = std::exp(x);
  return e / (1.0 + e);
}

// probability = sigmoid(scale * logit + offset)
struct Calibration {
  double scale = 1, offset = 0;
};

EFIQA_HOST_DEVICE inline float probability_of(const Calibration& calibration, float logit) {
  return static_cast<float>(
      sigmoid(calibration.scale * static_cast<double>(logit) + calibration.offset));
}

// Of a reason's channel, and of the whole picture's mean logit of not_a_fundus.
EFIQA_HOST_DEVICE inline float probability_of(double logit) {
  return static_cast<float>(sigmoid(logit));
}

EFIQA_HOST_DEVICE inline bool is_finite(float value) { return value - value == 0; }

// Sums in whole numbers, so that their value does not depend on the order: 1 is 2^40, the largest
// sum of 128 x 128 cells with twice their position is below 2^62, and the smallest weight, 1e-9, is
// still about 1000.
constexpr double kFixedOne = 1099511627776.0;

EFIQA_HOST_DEVICE inline std::int64_t to_fixed(double value) {
  return static_cast<std::int64_t>(value * kFixedOne + 0.5);
}

// What a network's output says of each cell.
struct CellValues {
  const float* map = nullptr;  // (h, w) probability that anatomy is not visible
  const float* strengths =
      nullptr;                     // (kReasonChannels, h, w); null: the model has no such channels
  const float* weights = nullptr;  // (h, w); where it is 0 the others say nothing
  // (landmark_count, h, w) probabilities of being of each
  const float* landmarks = nullptr;
  int landmark_count = 0;
};

// Rings around the grid's middle, by the distance of a cell's centre in halves of the grid's side:
// centre up to 0.4, middle up to 0.8, then the periphery. In whole numbers, so that no cell
// changes sides with the rounding of a processor.
EFIQA_HOST_DEVICE inline int zone_of(int width, int height, int cell) {
  const std::int64_t x = 2 * (cell % width) + 1 - width, y = 2 * (cell / width) + 1 - height;
  const std::int64_t w = width, h = height;
  const std::int64_t distance = 25 * (x * x * h * h + y * y * w * w), unit = w * w * h * h;
  return distance <= 4 * unit ? 0 : distance <= 16 * unit ? 1 : 2;
}

// Over all visible cells, weighted by how much of each is visible. Without default values, as
// shared memory takes none: GridSums{} is all zeros.
struct GridSums {
  double weight;  // 0: no cell is visible
  double zone_weights[kZones];
  double weighted_probabilities[kZones];
  double weighted_strengths[kReasonChannels];
  double weighted_not_a_fundus;  // of the logit
  // Of each landmark: weighted by the square of its probability, too; and of the map, likewise.
  double landmark_weights[kLandmarks];
  double landmark_probabilities[kLandmarks];
};

constexpr int kSumLanes = 256;

// Every thread gets the result. `not_a_fundus`: (h, w) logits, or null. `lanes`: kSumLanes values
// that all threads share.
template <typename Block>
EFIQA_HOST_DEVICE GridSums add_up_grid(const Block& block, int width, int height,
                                       const CellValues& values, const float* not_a_fundus,
                                       GridSums* lanes) {
  const int cells = width * height;
  return block.template reduce<kSumLanes>(
      cells, GridSums{},
      [&](int cell) {
        GridSums sums{};
        const double weight = static_cast<double>(values.weights[cell]);
        if (!(weight > 0)) return sums;
        sums.weight = weight;
        const int zone = zone_of(width, height, cell);
        for (int i = 0; i < kZones; ++i) {  // registers have no index
          sums.zone_weights[i] = i == zone ? weight : 0;
          sums.weighted_probabilities[i] =
              sums.zone_weights[i] * static_cast<double>(values.map[cell]);
        }
        for (int i = 0; values.strengths != nullptr && i < kReasonChannels; ++i) {
          sums.weighted_strengths[i] =
              weight * static_cast<double>(values.strengths[i * cells + cell]);
        }
        if (not_a_fundus != nullptr) {
          sums.weighted_not_a_fundus = weight * static_cast<double>(not_a_fundus[cell]);
        }
        for (int i = 0; i < kLandmarks; ++i) {
          if (i >= values.landmark_count) continue;
          const auto near = static_cast<double>(values.landmarks[i * cells + cell]);
          sums.landmark_weights[i] = weight * near * near;
          sums.landmark_probabilities[i] =
              sums.landmark_weights[i] * static_cast<double>(values.map[cell]);
        }
        return sums;
      },
      [](GridSums a, const GridSums& b) {
        a.weight += b.weight;
        for (int i = 0; i < kZones; ++i) {
          a.zone_weights[i] += b.zone_weights[i];
          a.weighted_probabilities[i] += b.weighted_probabilities[i];
        }
        for (int i = 0; i < kReasonChannels; ++i) {
          a.weighted_strengths[i] += b.weighted_strengths[i];
        }
        a.weighted_not_a_fundus += b.weighted_not_a_fundus;
        for (int i = 0; i < kLandmarks; ++i) {
          a.landmark_weights[i] += b.landmark_weights[i];
          a.landmark_probabilities[i] += b.landmark_probabilities[i];
        }
        return a;
      },
      lanes);
}

// A connected group (8 neighbours) of cells, added up.
struct Component {
  std::int64_t weight = 0, probability = 0;      // the second weighted, both in fixed point
  std::int64_t strengths[kReasonChannels] = {};  // weighted, in fixed point
  std::int64_t twice_x = 0, twice_y = 0;         // weighted, of cells' centres, in fixed point
  int left = 0, top = 0, right = 0, bottom = 0;  // cells, inclusive
  int first_cell = 0;  // breaks ties of equal weight, so that the order never varies
};

// The order of regions: largest first.
EFIQA_HOST_DEVICE inline bool comes_before(const Component& a, const Component& b) {
  return a.weight != b.weight ? a.weight > b.weight : a.first_cell < b.first_cell;
}

// One value per cell, and one count.
struct ComponentScratch {
  std::int32_t* parent;  // -1: not in a region
  Component* by_root;    // of the group whose first cell this is
  std::int32_t* roots;   // first cells, `*root_count` of them, in any order
  std::int32_t* root_count;
};

// First cell of the group, as far as it is known. Reading an old parent is fine: it is an ancestor.
EFIQA_HOST_DEVICE inline int root_of(const std::int32_t* parent, int cell) {
  while (parent[cell] != cell) cell = parent[cell];
  return cell;
}

// Makes one group of those of two cells; the smaller root wins.
EFIQA_HOST_DEVICE inline void unite(std::int32_t* parent, int a, int b) {
  for (;;) {
    a = root_of(parent, a);
    b = root_of(parent, b);
    if (a == b) return;
    const int low = min_of(a, b), high = max_of(a, b);
    const int before = atomic_min(parent + high, low);
    if (before == high) return;  // it was a root until now
    a = before;                  // another thread was faster: its group and ours are one
    b = low;
  }
}

// Adds up the groups of cells that are visible and whose probability reaches `threshold`.
template <typename Block>
EFIQA_HOST_DEVICE void find_components(const Block& block, int width, int height,
                                       const CellValues& values, float threshold,
                                       const ComponentScratch& scratch) {
  const float* map = values.map;
  const float* weights = values.weights;
  std::int32_t* parent = scratch.parent;
  const auto is_bad = [=](int x, int y) {
    return x >= 0 && x < width && y >= 0 && parent[y * width + x] >= 0;
  };
  block.once([&] { *scratch.root_count = 0; });
  block.for_each(width * height, [&](int cell) {
    parent[cell] = weights[cell] > 0 && map[cell] >= threshold ? cell : -1;
    scratch.by_root[cell] = {};
    scratch.by_root[cell].left = width;
  });
  block.for_each(width * height, [&](int cell) {
    const int x = cell % width, y = cell / width;
    if (!is_bad(x, y)) return;
    if (is_bad(x - 1, y)) unite(parent, cell, cell - 1);
    for (int dx = -1; dx <= 1; ++dx) {
      if (is_bad(x + dx, y - 1)) unite(parent, cell, cell - width + dx);
    }
  });
  // A run of cells side by side is added up by the thread of its first cell.
  block.for_each(width * height, [&](int cell) {
    const int x = cell % width, y = cell / width;
    if (!is_bad(x, y) || is_bad(x - 1, y)) return;
    const int root = root_of(parent, cell);
    Component run;
    int end = x;
    for (; is_bad(end, y); ++end) {
      const double weight = static_cast<double>(weights[y * width + end]);
      const std::int64_t fixed = to_fixed(weight);
      run.weight += fixed;
      run.probability += to_fixed(weight * static_cast<double>(map[y * width + end]));
      for (int i = 0; values.strengths != nullptr && i < kReasonChannels; ++i) {
        const float strength = values.strengths[(i * height + y) * width + end];
        run.strengths[i] += to_fixed(weight * static_cast<double>(strength));
      }
      run.twice_x += fixed * (2 * end + 1);
    }
    Component& group = scratch.by_root[root];
    atomic_add(&group.weight, run.weight);
    atomic_add(&group.probability, run.probability);
    for (int i = 0; values.strengths != nullptr && i < kReasonChannels; ++i) {
      atomic_add(&group.strengths[i], run.strengths[i]);
    }
    atomic_add(&group.twice_x, run.twice_x);
    atomic_add(&group.twice_y, run.weight * (2 * y + 1));
    atomic_min(&group.left, x);
    atomic_max(&group.right, end - 1);
    atomic_max(&group.bottom, y);
    if (root != cell) return;
    // The first cell of a group is the first of its topmost run.
    group.first_cell = cell;
    group.top = y;
    scratch.roots[atomic_add(scratch.root_count, 1)] = cell;
  });
}

}  // namespace efiqa
