// Colour tables for overlays, made at compile time.
#pragma once

#include <array>
#include <cstdint>

#include "postprocess.h"

namespace efiqa {

struct Rgb8 {
  std::uint8_t red = 0, green = 0, blue = 0;
};

constexpr int kColormapEntries = 256;  // entry i is the colour of probability i / 255

// Throws Error(kInvalidArgument) for a number outside the list.
const std::array<Rgb8, kColormapEntries>& colormap_table(Colormap colormap);

}  // namespace efiqa
