#include "fov_mask.h"

#include <algorithm>

namespace efiqa {

int Component::root(int i) {
  while (runs_[i].parent != i) {
    runs_[i].parent = runs_[runs_[i].parent].parent;
    i = runs_[i].parent;
  }
  return i;
}

void Component::find(const Plane& plane, float threshold) {
  runs_.clear();
  int above_begin = 0, above_end = 0;  // runs of the row above
  for (int y = 0; y < plane.height; ++y) {
    const float* row = plane.row(y);
    const int row_begin = static_cast<int>(runs_.size());
    int above = above_begin;
    for (int x = 0; x < plane.width;) {
      if (!(row[x] > threshold)) {
        ++x;
        continue;
      }
      const int begin = x;
      while (x < plane.width && row[x] > threshold) ++x;
      const int self = static_cast<int>(runs_.size());
      runs_.push_back({y, begin, x, self, x - begin});
      while (above < above_end && runs_[above].end <= begin) ++above;
      for (int i = above; i < above_end && runs_[i].begin < x; ++i) {
        const int a = root(i), b = root(self);
        if (a == b) continue;
        runs_[b].parent = a;
        runs_[a].area += runs_[b].area;
      }
    }
    above_begin = row_begin;
    above_end = static_cast<int>(runs_.size());
  }

  int best = -1;
  area_ = 0;
  for (int i = 0; i < static_cast<int>(runs_.size()); ++i) {
    if (runs_[i].parent == i && runs_[i].area > area_) {
      area_ = runs_[i].area;
      best = i;
    }
  }
  rows_.assign(static_cast<std::size_t>(plane.height), Extent{});
  columns_.assign(static_cast<std::size_t>(plane.width), Extent{});
  for (int i = 0; i < static_cast<int>(runs_.size()); ++i) {
    if (root(i) != best) continue;
    const Run& run = runs_[i];
    Extent& row = rows_[run.y];
    if (row.begin == row.end) row.begin = run.begin;
    row.end = run.end;
    for (int x = run.begin; x < run.end; ++x) {
      Extent& column = columns_[x];
      if (column.begin == column.end) column.begin = run.y;
      column.end = run.y + 1;
    }
  }
}

const std::vector<Point>& Component::outline(const Plane& plane, float threshold) {
  points_.clear();
  points_.reserve(2 * (rows_.size() + columns_.size()));
  const double scale = plane.scale_px;
  // Where the level between an outer and an inner pixel crosses the threshold, 0 = outer centre.
  const auto crossing = [threshold](float outer, float inner) {
    return inner > outer ? static_cast<double>((threshold - outer) / (inner - outer)) : 0.5;
  };
  for (int y = 0; y < plane.height; ++y) {
    const Extent e = rows_[y];
    if (e.begin == e.end) continue;
    const float* row = plane.row(y);
    if (e.begin > 0) {
      points_.push_back(
          {(e.begin - 0.5 + crossing(row[e.begin - 1], row[e.begin])) * scale, (y + 0.5) * scale});
    }
    if (e.end < plane.width) {
      points_.push_back(
          {(e.end + 0.5 - crossing(row[e.end], row[e.end - 1])) * scale, (y + 0.5) * scale});
    }
  }
  for (int x = 0; x < plane.width; ++x) {
    const Extent e = columns_[x];
    if (e.begin == e.end) continue;
    const float* column = plane.row(0) + x;
    const auto at = [&](int y) { return column[static_cast<std::ptrdiff_t>(y) * plane.width]; };
    if (e.begin > 0) {
      points_.push_back(
          {(x + 0.5) * scale, (e.begin - 0.5 + crossing(at(e.begin - 1), at(e.begin))) * scale});
    }
    if (e.end < plane.height) {
      points_.push_back(
          {(x + 0.5) * scale, (e.end + 0.5 - crossing(at(e.end), at(e.end - 1))) * scale});
    }
  }
  return points_;
}

}  // namespace efiqa
