// Single stages of the core as Python functions: training, tests and benchmarks use them.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cmath>
#include <string>

#include "bindings.h"
#include "contract.h"
#include "fov.h"
#include "grid_ops.h"
#include "names.h"
#include "postprocess.h"
#include "preprocess.h"
#include "report.h"
#include "status.h"

namespace py = pybind11;

namespace efiqa {
namespace {

using Triple = std::array<float, 3>;

// A crop may reach outside the frame, but not further than a frame could; keeps arithmetic exact.
constexpr int kMaxCropPx = 4 * kMaxSidePx;

SquareCrop crop_of(const CropTuple& tuple) {
  const SquareCrop crop{std::get<0>(tuple), std::get<1>(tuple), std::get<2>(tuple)};
  check_range("crop.x_px", crop.x_px, -kMaxCropPx, kMaxCropPx);
  check_range("crop.y_px", crop.y_px, -kMaxCropPx, kMaxCropPx);
  check_range("crop.side_px", crop.side_px, 1, kMaxCropPx);
  return crop;
}

PreprocessSpec spec_of(int width_px, int height_px, const std::string& filter, bool blank_outside,
                       const Triple& mean, const Triple& std) {
  PreprocessSpec spec;
  check_range("width_px", width_px, kMinInputPx, kMaxInputPx);
  check_range("height_px", height_px, kMinInputPx, kMaxInputPx);
  spec.width_px = width_px;
  spec.height_px = height_px;
  spec.filter = value_of_name(kResizeFilterNames, filter, "resize_filter");
  spec.blank_outside = blank_outside;
  for (int c = 0; c < 3; ++c) {
    const std::string index = "[" + std::to_string(c) + "]";
    if (!std::isfinite(mean[c])) {
      throw Error(StatusCode::kInvalidArgument, "mean" + index + " is not a finite number");
    }
    if (!std::isfinite(std[c]) || !(std[c] > 0)) {
      throw Error(StatusCode::kInvalidArgument, "std" + index + " is " + std::to_string(std[c]) +
                                                    ", expected a finite number > 0");
    }
    spec.mean[c] = mean[c];
    spec.std[c] = std[c];
  }
  return spec;
}

FieldOfView find_field_of_view(const py::object& frame, const std::string& pixel_format,
                               int threads, const std::string& yuv_matrix,
                               const std::string& yuv_range) {
  const FrameView view = frame_view(frame, pixel_format, yuv_matrix, yuv_range);
  const py::gil_scoped_release release;
  ThreadPool pool(threads);
  return FovFinder(pool).find(view);
}

py::array_t<float> weights_of_grid(const FieldOfView& fov, const CropTuple& crop, int grid_width,
                                   int grid_height) {
  check_range("grid_width", grid_width, 1, kMaxGridCells);
  check_range("grid_height", grid_height, 1, kMaxGridCells);
  const SquareCrop square = crop_of(crop);
  py::array_t<float> weights({grid_height, grid_width});
  grid_weights(fov, square, grid_width, grid_height, weights.mutable_data());
  return weights;
}

py::array_t<int> zones_of_grid(int grid_width, int grid_height) {
  check_range("grid_width", grid_width, 1, kMaxGridCells);
  check_range("grid_height", grid_height, 1, kMaxGridCells);
  py::array_t<int> zones({grid_height, grid_width});
  for (int cell = 0; cell < grid_width * grid_height; ++cell) {
    zones.mutable_data()[cell] = zone_of(grid_width, grid_height, cell);
  }
  return zones;
}

py::array_t<float> preprocess(const py::object& frame, const std::string& pixel_format,
                              const CropTuple& crop, const FieldOfView& fov, int width_px,
                              int height_px, const std::string& resize_filter, bool blank_outside,
                              const Triple& mean, const Triple& std, int threads,
                              const std::string& yuv_matrix, const std::string& yuv_range) {
  const FrameView view = frame_view(frame, pixel_format, yuv_matrix, yuv_range);
  const SquareCrop square = crop_of(crop);
  const PreprocessSpec spec = spec_of(width_px, height_px, resize_filter, blank_outside, mean, std);
  py::array_t<float> out({3, height_px, width_px});
  float* data = out.mutable_data();
  const py::gil_scoped_release release;
  ThreadPool pool(threads);
  Preprocessor(spec, pool).run(view, square, fov, data);
  return out;
}

py::array_t<std::uint8_t> preprocess_u8(const py::object& frame, const std::string& pixel_format,
                                        const CropTuple& crop, const FieldOfView& fov, int width_px,
                                        int height_px, const std::string& resize_filter,
                                        bool blank_outside, int threads,
                                        const std::string& yuv_matrix,
                                        const std::string& yuv_range) {
  const FrameView view = frame_view(frame, pixel_format, yuv_matrix, yuv_range);
  const SquareCrop square = crop_of(crop);
  const PreprocessSpec spec =
      spec_of(width_px, height_px, resize_filter, blank_outside, {0, 0, 0}, {1, 1, 1});
  py::array_t<std::uint8_t> out({height_px, width_px, 3});
  std::uint8_t* data = out.mutable_data();
  const py::gil_scoped_release release;
  ThreadPool pool(threads);
  Preprocessor(spec, pool).run_u8(view, square, fov, data);
  return out;
}

py::array_t<std::uint8_t> overlay(const py::object& frame, const std::string& pixel_format,
                                  const Report& report, ThreadPool& pool,
                                  const std::string& colormap, float max_alpha,
                                  const std::string& yuv_matrix, const std::string& yuv_range) {
  const FrameView view = frame_view(frame, pixel_format, yuv_matrix, yuv_range);
  if (view.memory == Memory::kDevice) {
    throw Error(StatusCode::kInvalidArgument,
                "the frame lies in GPU memory; use Runtime.render_overlay, or copy it to the host");
  }
  const OverlayOptions options{value_of_name(kColormapNames, colormap, "colormap"), max_alpha};
  py::array_t<std::uint8_t> out({view.height_px, view.width_px, 3});
  std::uint8_t* data = out.mutable_data();
  const py::gil_scoped_release release;
  render_overlay(view, report, options, pool, data, std::ptrdiff_t{3} * view.width_px);
  return out;
}

}  // namespace

void check_range(const char* name, int value, int low, int high) {
  if (value >= low && value <= high) return;
  throw Error(StatusCode::kInvalidArgument, std::string(name) + " is " + std::to_string(value) +
                                                ", expected " + std::to_string(low) + " to " +
                                                std::to_string(high));
}

void register_stages(py::module_& module) {
  module.def("find_field_of_view", &find_field_of_view, py::arg("frame"), py::arg("pixel_format"),
             py::kw_only(), py::arg("threads") = 1, py::arg("yuv_matrix") = "bt601",
             py::arg("yuv_range") = "limited");
  module.def(
      "square_crop", [](const FieldOfView& fov) { return tuple_of(square_crop(fov)); },
      py::arg("fov"));
  module.def("grid_weights", &weights_of_grid, py::arg("fov"), py::arg("crop"),
             py::arg("grid_width"), py::arg("grid_height"));
  module.def("grid_zones", &zones_of_grid, py::arg("grid_width"), py::arg("grid_height"));
  module.def("preprocess", &preprocess, py::arg("frame"), py::arg("pixel_format"), py::arg("crop"),
             py::arg("fov"), py::kw_only(), py::arg("width_px"), py::arg("height_px"),
             py::arg("resize_filter"), py::arg("blank_outside"), py::arg("mean"), py::arg("std"),
             py::arg("threads") = 1, py::arg("yuv_matrix") = "bt601",
             py::arg("yuv_range") = "limited");
  module.def("preprocess_u8", &preprocess_u8, py::arg("frame"), py::arg("pixel_format"),
             py::arg("crop"), py::arg("fov"), py::kw_only(), py::arg("width_px"),
             py::arg("height_px"), py::arg("resize_filter"), py::arg("blank_outside"),
             py::arg("threads") = 1, py::arg("yuv_matrix") = "bt601",
             py::arg("yuv_range") = "limited");
  module.def("render_overlay", &overlay, py::arg("frame"), py::arg("pixel_format"),
             py::arg("report"), py::kw_only(), py::arg("pool"), py::arg("colormap") = "turbo",
             py::arg("max_alpha") = 0.6, py::arg("yuv_matrix") = "bt601",
             py::arg("yuv_range") = "limited");
}

}  // namespace efiqa
