// Colour tables for overlays, made at compile time.
#pragma once

#include <array>
#include <cstdint>

#include "pixel_ops.h"
#include "postprocess.h"

namespace efiqa {

constexpr int kColormapEntries = 256;  // entry i is the colour of probability i / 255

// Throws Error(kInvalidArgument) for a number outside the list.
const std::array<Rgb8, kColormapEntries>& colormap_table(Colormap colormap);

}  // namespace efiqa
