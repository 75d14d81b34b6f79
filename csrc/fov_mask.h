// The largest bright component of a small image, and where its outline lies; host and device share
// this file.
#pragma once

#include <climits>

#include "circle_fit.h"
#include "fov_plane.h"

namespace efiqa {

constexpr int kMaxRowWords = kFineSidePx / kWordBits;
constexpr int kMaxRuns = kFineSidePx * kFineSidePx / 2;

// Pixels [begin, end) of a line.
struct Extent {
  int begin, end;

  EFIQA_HOST_DEVICE bool empty() const { return end <= begin; }
};

// A row's unbroken bright pixels. Runs of row y are numbered from y * runs_per_row on.
struct Run {
  std::uint16_t begin, end;
};

struct BrightComponent {
  std::uint32_t bits[kFineSidePx * kMaxRowWords];    // pixels above the threshold
  std::uint32_t inside[kFineSidePx * kMaxRowWords];  // pixels of the largest component
  Run runs[kMaxRuns];
  int parents[kMaxRuns];  // of runs: a run of the same component with a lower number, or itself
  int areas[kMaxRuns];    // of components, at the run that is its own parent
  int run_counts[kFineSidePx];
  Extent rows[kFineSidePx], columns[kFineSidePx];  // of the largest component
};

struct ComponentArea {
  int pixels, root;  // 0 and INT_MAX when there is none
};

constexpr int kAreaLanes = 256;

EFIQA_HOST_DEVICE inline int runs_per_row(const Plane& plane) { return (plane.width + 1) / 2; }

// Shortens the way for later callers. Other threads may do the same at any time: parents only ever
// become lower numbers of the same component.
EFIQA_HOST_DEVICE inline int root_of_run(int* parents, int run) {
  for (;;) {
    const int parent = parents[run];
    if (parent == run) return run;
    const int grandparent = parents[parent];
    if (grandparent != parent) atomic_min(&parents[run], grandparent);
    run = parent;
  }
}

// The lower of two roots becomes the root of both, so that the last root is the component's lowest
// run, in whatever order the threads come.
EFIQA_HOST_DEVICE inline void join_runs(int* parents, int a, int b) {
  for (;;) {
    a = root_of_run(parents, a);
    b = root_of_run(parents, b);
    if (a == b) return;
    const int low = min_of(a, b), high = max_of(a, b);
    const int before = atomic_min(&parents[high], low);
    if (before == high) return;
    a = low;  // another thread was first: its root takes part as well
    b = before;
  }
}

// Finds the runs of plane > threshold and their 4-connected components; the largest one, or of
// several the highest one. Every thread gets the result.
template <typename Block>
EFIQA_HOST_DEVICE ComponentArea find_component(const Block& block, const Plane& plane,
                                               float threshold, BrightComponent* component,
                                               ComponentArea* scratch) {
  BrightComponent& c = *component;
  const int words = words_per_row(plane), stride = runs_per_row(plane);
  mark_bright(block, plane, threshold, c.bits);
  block.for_each(plane.height, [&](int y) {
    int count = y * stride;
    std::uint32_t last = 0;  // the pixel before the word
    for (int w = 0; w < words; ++w) {
      const std::uint32_t bits = c.bits[y * words + w] & pixels_of_word(w, 0, plane.width);
      std::uint32_t changes = bits ^ ((bits << 1) | last);
      for (; changes != 0; changes &= changes - 1) {
        const int x = w * kWordBits + lowest_bit(changes);
        if ((bits >> (x % kWordBits) & 1u) != 0) {
          c.runs[count].begin = static_cast<std::uint16_t>(x);
        } else {
          c.runs[count++].end = static_cast<std::uint16_t>(x);
        }
      }
      last = bits >> (kWordBits - 1);
    }
    if (last != 0) c.runs[count++].end = static_cast<std::uint16_t>(plane.width);
    for (int i = y * stride; i < count; ++i) {
      c.parents[i] = i;
      c.areas[i] = 0;
    }
    c.run_counts[y] = count - y * stride;
  });
  block.for_each(plane.height - 1, [&](int y) {
    int above = y * stride, below = above + stride;
    const int above_end = above + c.run_counts[y], below_end = below + c.run_counts[y + 1];
    while (above < above_end && below < below_end) {
      const Run a = c.runs[above], b = c.runs[below];
      if (a.begin < b.end && b.begin < a.end) join_runs(c.parents, above, below);
      if (a.end < b.end) {
        ++above;
      } else {
        ++below;
      }
    }
  });
  block.for_each(plane.height, [&](int y) {
    for (int i = y * stride; i < y * stride + c.run_counts[y]; ++i) {
      const int root = root_of_run(c.parents, i);
      atomic_min(&c.parents[i], root);
      atomic_add(&c.areas[root], c.runs[i].end - c.runs[i].begin);
    }
  });
  const auto larger = [](ComponentArea a, ComponentArea b) {
    return b.pixels > a.pixels || (b.pixels == a.pixels && b.root < a.root) ? b : a;
  };
  return block.template reduce<kAreaLanes>(
      plane.height, ComponentArea{0, INT_MAX},
      [&](int y) {
        ComponentArea best{0, INT_MAX};
        for (int i = y * stride; i < y * stride + c.run_counts[y]; ++i) {
          if (c.parents[i] == i) best = larger(best, ComponentArea{c.areas[i], i});
        }
        return best;
      },
      larger, scratch);
}

// Fills `inside`, `rows` and `columns` for the component of `root`.
template <typename Block>
EFIQA_HOST_DEVICE void trace_component(const Block& block, const Plane& plane, int root,
                                       BrightComponent* component) {
  BrightComponent& c = *component;
  const int words = words_per_row(plane), stride = runs_per_row(plane);
  block.for_each(plane.height, [&](int y) {
    std::uint32_t* inside = c.inside + y * words;
    for (int w = 0; w < words; ++w) inside[w] = 0;
    Extent row{0, 0};
    for (int i = y * stride; i < y * stride + c.run_counts[y]; ++i) {
      if (c.parents[i] != root) continue;
      const int begin = c.runs[i].begin, end = c.runs[i].end;
      if (row.empty()) row.begin = begin;
      row.end = end;
      for (int w = begin / kWordBits; w * kWordBits < end; ++w) {
        inside[w] |= pixels_of_word(w, begin, end);
      }
    }
    c.rows[y] = row;
  });
  block.for_each(plane.width, [&](int x) { c.columns[x] = Extent{INT_MAX, 0}; });
  block.for_each(plane.height * words, [&](int i) {
    const int y = i / words, x = i % words * kWordBits;
    const std::uint32_t bits = c.inside[i];
    if (bits == 0) return;
    const std::uint32_t above = y > 0 ? c.inside[i - words] : 0;
    const std::uint32_t below = y + 1 < plane.height ? c.inside[i + words] : 0;
    for (std::uint32_t first = bits & ~above; first != 0; first &= first - 1) {
      atomic_min(&c.columns[x + lowest_bit(first)].begin, y);
    }
    for (std::uint32_t last = bits & ~below; last != 0; last &= last - 1) {
      atomic_max(&c.columns[x + lowest_bit(last)].end, y + 1);
    }
  });
}

// The smallest extent around all of `lines`. Every thread gets the result.
template <typename Block>
EFIQA_HOST_DEVICE Extent bounds(const Block& block, const Extent* lines, int count,
                                Extent* scratch) {
  return block.template reduce<kAreaLanes>(
      count, Extent{INT_MAX, 0},
      [&](int i) { return lines[i].empty() ? Extent{INT_MAX, 0} : lines[i]; },
      [](Extent a, Extent b) { return Extent{min_of(a.begin, b.begin), max_of(a.end, b.end)}; },
      scratch);
}

constexpr int kSides = 4;  // begins of rows, ends of rows, begins of columns, ends of columns
constexpr int kMaxEnds = kFineSidePx + 1;

struct OutlineScratch {
  int ends_here[kSides][kMaxEnds];
  int line_counts[kSides / 2];  // lines of rows, of columns, that are not empty
  unsigned char cut[kSides][kMaxEnds];
  Compaction compaction;
};

// Outline points in frame pixels, at the sub-pixel position where the plane crosses the threshold:
// both ends of each row and of each column, without those on the frame's edge and those of straight
// cuts, which are no part of a circle. Every thread gets their number.
template <typename Block>
EFIQA_HOST_DEVICE int trace_outline(const Block& block, const Plane& plane, float threshold,
                                    const BrightComponent& c, OutlineScratch* scratch,
                                    Points* points) {
  OutlineScratch& s = *scratch;
  // Slots: the lines of the four sides, one side after the other.
  const int slots = 2 * (plane.height + plane.width);
  struct Slot {
    int side, line, end, length;  // of the lines that end there
    bool empty;
  };
  const auto slot_at = [&](int slot) {
    const bool row = slot < 2 * plane.height;
    const int at = row ? slot : slot - 2 * plane.height;
    const int lines = row ? plane.height : plane.width;
    const int last = at >= lines ? 1 : 0;
    const int line = at - last * lines;
    const Extent extent = row ? c.rows[line] : c.columns[line];
    return Slot{(row ? 0 : 2) + last, line, last != 0 ? extent.end : extent.begin,
                row ? plane.width : plane.height, extent.empty()};
  };
  block.for_each(kSides * kMaxEnds, [&](int i) { s.ends_here[i / kMaxEnds][i % kMaxEnds] = 0; });
  block.for_each(kSides / 2, [&](int i) { s.line_counts[i] = 0; });
  block.for_each(slots, [&](int i) {
    const Slot slot = slot_at(i);
    if (slot.empty) return;
    atomic_add(&s.ends_here[slot.side][slot.end], 1);
    if (slot.side % 2 == 0) atomic_add(&s.line_counts[slot.side / 2], 1);
  });
  // A side is a straight cut where many more lines end than a circle as large as the component
  // could have there.
  block.for_each(kSides * kMaxEnds, [&](int i) {
    const int side = i / kMaxEnds, end = i % kMaxEnds;
    const int last = side < 2 ? plane.width : plane.height;  // of the ends
    // Within three pixels of its top, a circle of diameter `count` ends 2 sqrt(3 count) lines; one
    // that is cut at both sides and so is larger, a few more.
    const float most = 4.5f * std::sqrt(static_cast<float>(s.line_counts[side / 2]));
    const int* here = s.ends_here[side];
    bool cut = false;
    for (int middle = max_of(end - 1, 1); middle <= min_of(end + 1, last - 1); ++middle) {
      cut |= static_cast<float>(here[middle - 1] + here[middle] + here[middle + 1]) > most;
    }
    s.cut[side][end] = cut;
  });
  // Centre of the boundary between pixels i - 1 and i of a line, moved to where the level crosses
  // the threshold.
  const float scale = static_cast<float>(plane.scale_px);
  const auto edge = [&](float before, float after, int i) {
    const float rise = after - before;
    const float share = rise != 0 ? (threshold - before) / rise : 0.5f;
    return (static_cast<float>(i) - 0.5f + share) * scale;
  };
  return compact(
      block, slots, &s.compaction,
      [&](int i) {
        const Slot slot = slot_at(i);
        return !slot.empty && slot.end > 0 && slot.end < slot.length &&
               s.cut[slot.side][slot.end] == 0;
      },
      [&](int i, int place) {
        const Slot slot = slot_at(i);
        const float along = (static_cast<float>(slot.line) + 0.5f) * scale;
        if (slot.side < 2) {
          points->x[place] = edge(plane.level(slot.end - 1, slot.line),
                                  plane.level(slot.end, slot.line), slot.end);
          points->y[place] = along;
        } else {
          points->x[place] = along;
          points->y[place] = edge(plane.level(slot.line, slot.end - 1),
                                  plane.level(slot.line, slot.end), slot.end);
        }
      });
}

}  // namespace efiqa
