// Rows of a frame as RGB8, whatever the frame's format.
#pragma once

#include <cstdint>

#include "frame.h"

namespace efiqa {

// rgb[3 * i ...] = the colour of pixel (x + i, y), 0 <= i < count. The frame is valid and in host
// memory.
void unpack_rgb(const FrameView& frame, int x, int y, int count, std::uint8_t* rgb);

}  // namespace efiqa
