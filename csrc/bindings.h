// What the files of the Python door share.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "frame.h"

namespace efiqa {

// Borrows the memory of a numpy array or a DeviceArray: the caller keeps `object` alive for the
// call. Throws Error that names dtype, shape or strides.
FrameView frame_view(const pybind11::object& object, const std::string& format_name,
                     const std::string& yuv_matrix, const std::string& yuv_range);

// The class DeviceArray, and the function that makes one of a DLPack capsule.
void register_device_array(pybind11::module_& module);
void register_gate(pybind11::module_& module);

}  // namespace efiqa
