// What the files of the Python door share.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "frame.h"

namespace efiqa {

// Borrows the array's memory: the caller keeps `object` alive for the call.
FrameView frame_view(const pybind11::object& object, const std::string& format_name,
                     const std::string& yuv_matrix, const std::string& yuv_range);

void register_gate(pybind11::module_& module);

}  // namespace efiqa
