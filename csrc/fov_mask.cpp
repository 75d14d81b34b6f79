#include "fov_mask.h"

#include <algorithm>
#include <cmath>

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

namespace {

Extent bounds(const std::vector<Extent>& lines) {
  Extent all;
  for (const Extent& e : lines) {
    if (e.begin == e.end) continue;
    if (all.begin == all.end) all = e;
    all = {std::min(all.begin, e.begin), std::max(all.end, e.end)};
  }
  return all;
}

}  // namespace

Extent Component::across() const { return bounds(rows_); }
Extent Component::down() const { return bounds(columns_); }

template <typename Side>
void Component::mark_cuts(const std::vector<Extent>& lines, int length, Side&& side) {
  const std::size_t size = static_cast<std::size_t>(length) + 1;
  ends_here_.assign(size, 0);
  cut_.assign(size, 0);
  int count = 0;
  for (const Extent& e : lines) {
    if (e.begin == e.end) continue;
    ++count;
    ++ends_here_[side(e)];
  }
  // Within three pixels of its top, a circle of diameter `count` ends 2 sqrt(3 count) lines; one
  // that is cut at both sides and so is larger, a few more.
  const double most = 4.5 * std::sqrt(static_cast<double>(count));
  for (std::size_t i = 1; i + 1 < size; ++i) {
    if (ends_here_[i - 1] + ends_here_[i] + ends_here_[i + 1] > most) {
      cut_[i - 1] = cut_[i] = cut_[i + 1] = 1;
    }
  }
}

const std::vector<Point>& Component::outline(const Plane& plane, float threshold) {
  points_.clear();
  points_.reserve(2 * (rows_.size() + columns_.size()));
  const double scale = plane.scale_px;
  const auto begin_of = [](const Extent& e) { return e.begin; };
  const auto end_of = [](const Extent& e) { return e.end; };
  // Centre of the boundary between pixels i - 1 and i of a line, moved to where the level crosses
  // the threshold.
  const auto edge = [&](float before, float after, int i) {
    const float rise = after - before;
    const double share = rise != 0 ? static_cast<double>((threshold - before) / rise) : 0.5;
    return (i - 0.5 + share) * scale;
  };
  const auto add_rows = [&](auto side) {
    mark_cuts(rows_, plane.width, side);
    for (int y = 0; y < plane.height; ++y) {
      const int x = side(rows_[y]);
      if (rows_[y].begin == rows_[y].end || x <= 0 || x >= plane.width || cut_[x]) continue;
      const float* row = plane.row(y);
      points_.push_back({edge(row[x - 1], row[x], x), (y + 0.5) * scale});
    }
  };
  const auto add_columns = [&](auto side) {
    mark_cuts(columns_, plane.height, side);
    for (int x = 0; x < plane.width; ++x) {
      const int y = side(columns_[x]);
      if (columns_[x].begin == columns_[x].end || y <= 0 || y >= plane.height || cut_[y]) continue;
      points_.push_back({(x + 0.5) * scale, edge(plane.row(y - 1)[x], plane.row(y)[x], y)});
    }
  };
  add_rows(begin_of);
  add_rows(end_of);
  add_columns(begin_of);
  add_columns(end_of);
  return points_;
}

}  // namespace efiqa
