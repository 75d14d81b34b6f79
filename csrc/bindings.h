// What the files of the Python door share.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <tuple>

#include "fov.h"
#include "frame.h"

namespace efiqa {

using CropTuple = std::tuple<int, int, int>;  // x_px, y_px, side_px

// Borrows the memory of a numpy array or a DeviceArray: the caller keeps `object` alive for the
// call. Throws Error that names dtype, shape or strides.
FrameView frame_view(const pybind11::object& object, const std::string& format_name,
                     const std::string& yuv_matrix, const std::string& yuv_range);

CropTuple tuple_of(const SquareCrop& crop);
// Throws Error(kInvalidArgument) that names the value and its range.
void check_range(const char* name, int value, int low, int high);

// The class DeviceArray, and the function that makes one of a DLPack capsule.
void register_device_array(pybind11::module_& module);
void register_report(pybind11::module_& module);
void register_stages(pybind11::module_& module);
void register_runtime(pybind11::module_& module);
void register_contract(pybind11::module_& module);
void register_gate(pybind11::module_& module);

}  // namespace efiqa
