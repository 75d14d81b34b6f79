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
  // Smallest box around it, in pixels of the plane; empty when there is no component.
  Extent across() const;
  Extent down() const;
  // Outline points in frame pixels, at the sub-pixel position where the plane crosses the
  // threshold: both ends of each row and of each column, without those on the frame's edge and
  // those of straight cuts, which are no part of a circle.
  const std::vector<Point>& outline(const Plane& plane, float threshold);

 private:
  struct Run {
    int y, begin, end, parent, area;
  };
  int root(int i);
  // Marks in `cut_` the positions of a straight side: `side(extent)` of many more lines than a
  // circle as large as the component could have there.
  template <typename Side>
  void mark_cuts(const std::vector<Extent>& lines, int length, Side&& side);

  std::vector<Run> runs_;
  std::vector<Extent> rows_, columns_;
  std::vector<Point> points_;
  std::vector<int> ends_here_;
  std::vector<char> cut_;
  int area_ = 0;
};

}  // namespace efiqa
