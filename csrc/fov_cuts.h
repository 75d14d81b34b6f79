// Straight cuts of the field of view; host and device share this file.
#pragma once

#include "circle_fit.h"
#include "fov_plane.h"

namespace efiqa {

// The rows, or the columns, of a plane as the search for cuts sees them.
struct CutLines {
  Plane plane;
  Circle circle;
  const std::uint32_t* bits;  // of mark_bright
  bool rows;

  EFIQA_HOST_DEVICE int count() const { return rows ? plane.height : plane.width; }

  // Share of bright pixels in a line of the circle, a little inside the rim; -1 where none is.
  EFIQA_HOST_DEVICE float filled(int line) const {
    const float scale = static_cast<float>(plane.scale_px);
    const float across = (static_cast<float>(line) + 0.5f) * scale - (rows ? circle.y : circle.x);
    const float inner = 0.97f * circle.radius;
    if (line < 0 || line >= count() || std::fabs(across) >= inner) return -1;
    const float half = std::sqrt(inner * inner - across * across);
    const float center = rows ? circle.x : circle.y;
    const int length = rows ? plane.width : plane.height;
    const int begin = max_of(0, static_cast<int>(std::ceil((center - half) / scale - 0.5f)));
    const int end = min_of(length, static_cast<int>((center + half) / scale - 0.5f) + 1);
    if (end - begin < 3) return -1;
    return static_cast<float>(bright(line, begin, end)) / static_cast<float>(end - begin);
  }

  // From the first line on (or the last one back), the frame coordinate of the cut, or `uncut`.
  // `share(line)`: filled(line).
  template <typename Share>
  EFIQA_HOST_DEVICE float cut(bool forward, float uncut, Share&& share) const {
    const float scale = static_cast<float>(plane.scale_px);
    // A cut may lean or be soft, but within this share of the radius it is over.
    const int transition = max_of(2, static_cast<int>(0.05f * circle.radius / scale));
    const int step = forward ? 1 : -1;
    // Not before the circle's first line.
    const float center = (rows ? circle.y : circle.x) / scale, reach = circle.radius / scale;
    int line = forward ? max_of(0, static_cast<int>(center - reach))
                       : min_of(count() - 1, static_cast<int>(center + reach));
    while (line >= 0 && line < count() && share(line) < 0) line += step;
    const int first = line;
    int last_dark = line - step;
    for (; line >= 0 && line < count(); line += step) {
      const float bright_share = share(line);
      if (bright_share < 0) return uncut;  // dark all through
      if (bright_share <= 0.2f) last_dark = line;
      if (bright_share >= 0.5f) break;
    }
    if (line < 0 || line >= count() || line == first || last_dark == first - step) return uncut;
    for (int on = line; on >= 0 && on < count(); on += step) {
      const int distance = forward ? on - last_dark : last_dark - on;
      if (distance > transition) return uncut;
      if (share(on) >= 0.8f) return static_cast<float>(forward ? line : line + 1) * scale;
    }
    return uncut;
  }

 private:
  EFIQA_HOST_DEVICE int bright(int line, int begin, int end) const {
    const int words = words_per_row(plane);
    int sum = 0;
    if (rows) {
      for (int w = begin / kWordBits; w * kWordBits < end; ++w) {
        sum += count_bits(bits[line * words + w] & pixels_of_word(w, begin, end));
      }
    } else {
      const std::uint32_t* column = bits + line / kWordBits;
      const int bit = line % kWordBits;
      for (int y = begin; y < end; ++y) sum += static_cast<int>(column[y * words] >> bit & 1u);
    }
    return sum;
  }
};

struct CutScratch {
  float shares[2][kFineSidePx];  // of columns, of rows
  float sides[4];
};

// Moves the sides of `box` inwards to straight cuts: lines of the circle, from its edge on, that
// are dark up to a sudden end. Gradual ends are shadows and leave the box alone. `bits`: those of
// mark_bright at the level of a cut's edge. Every thread gets the result.
template <typename Block>
EFIQA_HOST_DEVICE void find_cuts(const Block& block, const Plane& plane, const Circle& circle,
                                 const std::uint32_t* bits, CutScratch* scratch, Box* box) {
  CutScratch& s = *scratch;
  const auto lines = [&](bool rows) { return CutLines{plane, circle, bits, rows}; };
  const Box uncut = *box;
  if (Block::kParallel) {
    block.for_each(plane.width + plane.height, [&](int i) {
      const bool row = i >= plane.width;
      const int line = row ? i - plane.width : i;
      s.shares[row ? 1 : 0][line] = lines(row).filled(line);
    });
  }
  block.for_each(4, [&](int side) {
    const bool rows = side >= 2, forward = side % 2 == 0;
    const float first = rows ? uncut.top : uncut.left, last = rows ? uncut.bottom : uncut.right;
    const CutLines all = lines(rows);
    s.sides[side] = all.cut(forward, forward ? first : last, [&](int line) {
      return Block::kParallel ? s.shares[rows ? 1 : 0][line] : all.filled(line);
    });
  });
  box->left = max_of(uncut.left, s.sides[0]);
  box->right = min_of(uncut.right, s.sides[1]);
  box->top = max_of(uncut.top, s.sides[2]);
  box->bottom = min_of(uncut.bottom, s.sides[3]);
}

}  // namespace efiqa
