// What light, focus, haze and lid do to a frame, measured from the network's input: cheap numbers
// that tell a live preview's reader what to change.
#pragma once

#include <limits>
#include <vector>

#include "fov.h"
#include "preprocess.h"

namespace efiqa {

// NaN where nothing was measured. Grey levels are 0..1 of full scale, sRGB as in the frame, over
// the inner 0.9 of the field's radius.
struct FrameMeasures {
  static constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

  float level = kNone;            // mean luma
  float green = kNone;            // mean green: the channel that a retina saturates last
  float saturated_share = kNone;  // of the pixels, those whose green is at least 250 / 255
  // Energy of detail of 2 pixels over that of 4, of a field that is 384 wide: about 1/4 in any
  // smooth picture, so in any defocused one. Does not depend on exposure or contrast.
  float sharpness = kNone;
  float contrast = kNone;   // rms of detail of 8 pixels, over the mean green: what haze takes away
  float lid_share = kNone;  // how much darker, 0..1, top or bottom of the field is than its sides

  bool complete() const;  // all of them are finite numbers
};

// Buffers are made once for the input's size; nothing is allocated later. Not thread-safe.
class FrameMeter {
 public:
  explicit FrameMeter(const PreprocessSpec& spec);

  // `input` is what Preprocessor::run made of the frame: (3, height, width), in host memory. All
  // NaN without a field of view, or where too little of it is in the input.
  FrameMeasures measure(const float* input, const SquareCrop& crop, const FieldOfView& fov,
                        int frame_height_px);

 private:
  struct Span {
    int begin, end;
  };
  Span inner_span(const FieldOfView& fov, const SquareCrop& crop, int y) const;
  float lid_share(const float* input, const SquareCrop& crop, const FieldOfView& fov,
                  int frame_height_px) const;
  void halve(int width, int height);  // one level of the pyramid, in place
  double detail(int width, int height) const;

  PreprocessSpec spec_;
  std::vector<float> plane_;  // one level of the pyramid of green
  std::vector<Span> spans_;   // of each of its rows, inside the field
};

}  // namespace efiqa
