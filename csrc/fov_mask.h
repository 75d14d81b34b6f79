// The largest bright component of a small image, and where its outline lies.
#pragma once

#include <vector>

#include "circle_fit.h"
#include "fov_image.h"

namespace efiqa {

struct Extent {
  int begin = 0, end = 0;  // empty when begin == end
};

// Buffers grow only.
class Component {
 public:
  // Keeps the largest 4-connected component of plane > threshold.
  void find(const Plane& plane, float threshold);

  int area() const { return area_; }
  // Outline points in frame pixels, at the sub-pixel position where the plane crosses the
  // threshold: both ends of each row and of each column, without those on the frame's edge.
  const std::vector<Point>& outline(const Plane& plane, float threshold);

 private:
  struct Run {
    int y, begin, end, parent, area;
  };
  int root(int i);

  std::vector<Run> runs_;
  std::vector<Extent> rows_, columns_;
  std::vector<Point> points_;
  int area_ = 0;
};

}  // namespace efiqa
