// The phases of the search must not depend on the order of their items: that is what lets a GPU
// block spread them over its threads.
#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "check.h"
#include "fov_image.h"
#include "fov_search.h"
#include "synthetic.h"

using efiqa::BrightComponent;
using efiqa::FieldOfView;
using efiqa::FovFinder;
using efiqa::FrameView;
using efiqa::Plane;
using efiqa::SerialBlock;
using efiqa::ThreadPool;
using efiqa_test::draw;
using efiqa_test::Drawing;
using efiqa_test::flat;
using efiqa_test::page_of_text;
using efiqa_test::Scene;

namespace {

// Goes through each phase in another order, and makes what a parallel block makes.
class ShuffledBlock {
 public:
  static constexpr bool kParallel = true;

  template <typename Body>
  void for_each(int count, Body&& body) const {
    for (const int i : shuffled(count)) body(i);
  }
  template <typename Body>
  void once(Body&& body) const {
    body();
  }
  template <int kLanes = efiqa::kBlockThreads, typename Value, typename Map, typename Combine>
  Value reduce(int count, Value identity, Map&& map, Combine&& combine, Value* scratch) const {
    for (const int t : shuffled(kLanes)) {
      Value value = identity;
      for (int i = t; i < count; i += kLanes) value = combine(value, map(i));
      scratch[t] = value;
    }
    for (int half = kLanes / 2; half > 0; half /= 2) {
      for (const int t : shuffled(half)) scratch[t] = combine(scratch[t], scratch[t + half]);
    }
    return scratch[0];
  }
  template <typename Test>
  void pack_bits(int words, std::uint32_t* out, Test&& test) const {
    for (const int w : shuffled(words)) {
      std::uint32_t bits = 0;
      for (const int k : shuffled(efiqa::kWordBits)) {
        bits |= static_cast<std::uint32_t>(test(w, k)) << k;
      }
      out[w] = bits;
    }
  }
  float nth_smallest(float* values, int count, int n, float* place) const {
    std::vector<float> sorted(values, values + count);
    std::sort(sorted.begin(), sorted.end());
    *place = sorted[static_cast<std::size_t>(n)];
    return *place;
  }

 private:
  std::vector<int> shuffled(int count) const {
    std::vector<int> order(static_cast<std::size_t>(count));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random_);
    return order;
  }

  mutable std::mt19937 random_{29};
};

// All that the search writes into, filled with what an earlier frame may have left.
struct Memory {
  efiqa::SearchBuffers buffers;
  efiqa::SearchScratch search;
  efiqa::FinishScratch finish;
  efiqa::SampleScratch samples;
};

std::unique_ptr<Memory> used_memory() {
  std::unique_ptr<Memory> memory(new Memory);
  std::memset(static_cast<void*>(memory.get()), 0x7b, sizeof(Memory));
  return memory;
}

template <typename Block>
struct Stages {
  const Block& block;
  const FrameView& frame;
  const efiqa::SearchInput& input;
  const efiqa::Levels& levels;
  Memory& memory;

  efiqa::RimCandidate candidate(const Plane& plane, int i) {
    return try_threshold(block, input, plane, levels, i, &memory.buffers, &memory.search);
  }
  efiqa::Box box() { return find_box(block, input, levels, &memory.buffers, &memory.search); }
  void samples(int* counts) { count_samples(block, frame, 0, 1, &memory.samples, counts); }
};

FieldOfView find_shuffled(const FrameView& frame) {
  ThreadPool pool(1);
  efiqa::SmallImages images;
  images.make(frame, pool);
  const efiqa::RimDirections directions = efiqa::make_rim_directions();
  const efiqa::SearchInput input{images.fine(), images.coarse(), static_cast<float>(frame.width_px),
                                 static_cast<float>(frame.height_px), &directions};
  const std::unique_ptr<Memory> memory = used_memory();
  const ShuffledBlock block;
  const efiqa::Levels levels = estimate_levels(block, input.coarse, &memory->search.levels);
  Stages<ShuffledBlock> stages{block, frame, input, levels, *memory};
  return finish_search(block, input, levels, stages, &memory->buffers, &memory->finish);
}

FieldOfView find(const FrameView& frame) {
  ThreadPool pool(1);
  return FovFinder(pool).find(frame);
}

struct Pixels {
  std::vector<std::uint16_t> values;
  Plane plane;
};

// A plane of bright (1) and dark (0) pixels.
Pixels pixels_of(int width, int height, const std::vector<int>& bright) {
  Pixels p;
  p.values.assign(bright.size() + efiqa::kPlanePadding, 0);
  for (std::size_t i = 0; i < bright.size(); ++i) {
    p.values[i] = static_cast<std::uint16_t>(bright[i] * 100 * efiqa::kUnitsPerLevel);
  }
  p.plane = {width, height, 1, p.values.data()};
  return p;
}

// The largest 4-connected component by flooding: its size, and whether each pixel is in it.
std::vector<int> flood(const Plane& plane, int* largest) {
  std::vector<int> label(static_cast<std::size_t>(plane.size()), 0);
  std::vector<int> sizes{0};
  for (int start = 0; start < plane.size(); ++start) {
    if (plane.values[start] == 0 || label[static_cast<std::size_t>(start)] != 0) continue;
    const int mark = static_cast<int>(sizes.size());
    sizes.push_back(0);
    std::vector<int> open{start};
    label[static_cast<std::size_t>(start)] = mark;
    while (!open.empty()) {
      const int at = open.back();
      open.pop_back();
      ++sizes.back();
      const int x = at % plane.width, y = at / plane.width;
      const int next[4][2] = {{x - 1, y}, {x + 1, y}, {x, y - 1}, {x, y + 1}};
      for (const auto& n : next) {
        if (n[0] < 0 || n[0] >= plane.width || n[1] < 0 || n[1] >= plane.height) continue;
        const int to = n[1] * plane.width + n[0];
        if (plane.values[to] == 0 || label[static_cast<std::size_t>(to)] != 0) continue;
        label[static_cast<std::size_t>(to)] = mark;
        open.push_back(to);
      }
    }
  }
  const auto best = std::max_element(sizes.begin(), sizes.end());
  *largest = *best;
  const int mark = static_cast<int>(best - sizes.begin());
  for (int& l : label) l = l == mark && *best > 0;
  return label;
}

}  // namespace

TEST(fov_search_in_any_order_gives_the_same_field) {
  std::mt19937 random(41);
  std::vector<Drawing> drawings;  // moved in: a copy's view would still be the original's
  drawings.push_back(page_of_text());
  drawings.push_back(flat(300, 200, 90));
  for (int i = 0; i < 12; ++i) drawings.push_back(draw(efiqa_test::random_scene(random, i)));
  Scene filled;
  filled.radius = 700;
  drawings.push_back(draw(filled));
  Drawing noise = flat(400, 300, 0);
  for (std::uint8_t& p : noise.pixels) p = static_cast<std::uint8_t>(random() & 255u);
  drawings.push_back(std::move(noise));
  for (const Drawing& d : drawings) {
    const FieldOfView expected = find(d.view), shuffled = find_shuffled(d.view);
    CHECK(std::memcmp(&expected, &shuffled, sizeof(expected)) == 0);
  }
}

TEST(fov_component_of_random_pixels_equals_a_flood) {
  std::mt19937 random(17);
  const std::unique_ptr<Memory> memory = used_memory();
  BrightComponent& component = memory->buffers.component;
  for (int i = 0; i < efiqa_test::rounds(60); ++i) {
    const int width = 2 + static_cast<int>(random() % 100);
    const int height = 2 + static_cast<int>(random() % 40);
    const int share =
        35 + static_cast<int>(random() % 40);  // percent bright: from crumbs to one web
    std::vector<int> bright(static_cast<std::size_t>(width * height));
    for (int& b : bright) b = static_cast<int>(random() % 100) < share ? 1 : 0;
    const Pixels p = pixels_of(width, height, bright);
    int largest = 0;
    const std::vector<int> inside = flood(p.plane, &largest);
    const ShuffledBlock block;
    const auto found = find_component(block, p.plane, 50, &component, memory->search.areas);
    CHECK_EQ(found.pixels, largest);
    trace_component(block, p.plane, found.root, &component);
    // Of several largest ones either may have been flooded.
    int bits = 0, rows_end = 0, agree = 0;
    const int words = efiqa::words_per_row(p.plane);
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        const bool in = component.inside[y * words + x / 32] >> (x % 32) & 1u;
        bits += in;
        agree += in && inside[static_cast<std::size_t>(y * width + x)] != 0;
        if (!in) continue;
        CHECK(component.rows[y].begin <= x && x < component.rows[y].end);
        CHECK(component.columns[x].begin <= y && y < component.columns[x].end);
        rows_end = y + 1;
      }
    }
    CHECK_EQ(bits, largest);
    CHECK(agree == largest || agree == 0);
    const efiqa::Extent down = bounds(block, component.columns, width, memory->search.extents);
    CHECK_EQ(down.end, rows_end);
  }
}

TEST(fov_component_of_a_spiral_is_one) {
  // One path of single pixels with gaps between its turns: the longest chain of runs there is.
  constexpr int kSide = 255;
  std::vector<int> bright(static_cast<std::size_t>(kSide * kSide), 0);
  int x = 0, y = 0, dx = 1, dy = 0, painted = 0;
  const auto at = [&](int u, int v) -> int {
    if (u < 0 || v < 0 || u >= kSide || v >= kSide) return 0;
    return bright[static_cast<std::size_t>(v * kSide + u)];
  };
  for (int turns = 0; turns < 2;) {
    if (at(x, y) == 0) {
      bright[static_cast<std::size_t>(y * kSide + x)] = 1;
      ++painted;
    }
    const int u = x + dx, v = y + dy;
    const bool free = u >= 0 && v >= 0 && u < kSide && v < kSide && at(u + dx, v + dy) == 0;
    if (free) {
      x = u;
      y = v;
      turns = 0;
    } else {
      const int turned = dx;
      dx = -dy;
      dy = turned;
      ++turns;
    }
  }
  CHECK(painted > kSide * kSide / 3);
  const Pixels p = pixels_of(kSide, kSide, bright);
  const std::unique_ptr<Memory> memory = used_memory();
  const auto found = find_component(ShuffledBlock(), p.plane, 50, &memory->buffers.component,
                                    memory->search.areas);
  CHECK_EQ(found.pixels, painted);
}

TEST(fov_circle_of_scattered_points_is_the_one_most_lie_on) {
  std::mt19937 random(2);
  std::uniform_real_distribution<float> uniform(0, 1);
  const auto points = std::make_unique<efiqa::Points>();
  constexpr int kCount = 600;
  for (int i = 0; i < kCount; ++i) {
    const float angle = 6.2831853f * uniform(random);
    // Every third point lies anywhere inside the circle, as shadows do.
    const float share = i % 3 == 0 ? uniform(random) : 1;
    points->x[i] = 4000 + share * 1500 * std::cos(angle) + uniform(random) - 0.5f;
    points->y[i] = 3000 + share * 1500 * std::sin(angle) + uniform(random) - 0.5f;
  }
  const efiqa::CircleLimits limits{100, 5000, 0, 0, 8000, 6000};
  efiqa::CircleScratch scratch;
  efiqa::Circle circle;
  CHECK(find_circle(SerialBlock(), *points, kCount, 3.0f, limits, &scratch, &circle));
  CHECK_NEAR(circle.radius, 1500, 5);
  CHECK(refine_circle(SerialBlock(), *points, kCount, 6.0f, &scratch, &circle));
  // 400 points with an error of 0.3 pixels each.
  CHECK_NEAR(circle.x, 4000, 0.1);
  CHECK_NEAR(circle.y, 3000, 0.1);
  CHECK_NEAR(circle.radius, 1500, 0.1);
}
