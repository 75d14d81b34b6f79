// The search of fov_search.h on the CPU: one serial block, each stage made when it is asked for.
#include "fov.h"

#include <cmath>

#include "fov_image.h"
#include "fov_search.h"

namespace efiqa {

RimDirections make_rim_directions() {
  constexpr double kPi = 3.14159265358979323846;
  RimDirections directions;
  for (int i = 0; i < kRimAngles; ++i) {
    const double angle = 2 * kPi * (i + 0.5) / kRimAngles;
    directions.x[i] = static_cast<float>(std::cos(angle));
    directions.y[i] = static_cast<float>(std::sin(angle));
  }
  return directions;
}

struct FovFinder::Scratch {
  SmallImages images;
  RimDirections directions = make_rim_directions();
  SearchBuffers buffers;
  SearchScratch search;
  FinishScratch finish;
  SampleScratch samples;
};

namespace {

struct LazyStages {
  const FrameView& frame;
  const SearchInput& input;
  const Levels& levels;
  SearchBuffers& buffers;
  SearchScratch& search;
  SampleScratch& sampling;

  RimCandidate candidate(const Plane& plane, int i) {
    return try_threshold(SerialBlock(), input, plane, levels, i, &buffers, &search);
  }
  Box box() { return find_box(SerialBlock(), input, levels, &buffers, &search); }
  void samples(int* counts) { count_samples(SerialBlock(), frame, 0, 1, &sampling, counts); }
};

}  // namespace

// Not value-initialised: most of it is never touched.
FovFinder::FovFinder(ThreadPool& pool) : pool_(pool), scratch_(new Scratch) {}
FovFinder::~FovFinder() = default;

FieldOfView FovFinder::find(const FrameView& frame) {
  Scratch& s = *scratch_;
  s.images.make(frame, pool_);
  const SearchInput input{s.images.fine(), s.images.coarse(), static_cast<float>(frame.width_px),
                          static_cast<float>(frame.height_px), &s.directions};
  const Levels levels = estimate_levels(SerialBlock(), input.coarse, &s.search.levels);
  LazyStages stages{frame, input, levels, s.buffers, s.search, s.samples};
  return finish_search(SerialBlock(), input, levels, stages, &s.buffers, &s.finish);
}

}  // namespace efiqa
