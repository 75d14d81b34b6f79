// Python door: arrays in, report out. Argument checks and copies only; the GIL is released around
// the core's work.
#include "bindings.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "contract.h"
#include "engine.h"
#include "fov.h"
#include "frame.h"
#include "names.h"
#include "postprocess.h"
#include "preprocess.h"
#include "report.h"
#include "runtime.h"
#include "sha256.h"
#include "signature.h"
#include "status.h"

namespace py = pybind11;

namespace efiqa {
namespace {

using CropTuple = std::tuple<int, int, int>;  // x_px, y_px, side_px
using Triple = std::array<float, 3>;

// A crop may reach outside the frame, but not further than a frame could; keeps arithmetic exact.
constexpr int kMaxCropPx = 4 * kMaxSidePx;

void check_range(const char* name, int value, int low, int high) {
  if (value >= low && value <= high) return;
  throw Error(StatusCode::kInvalidArgument, std::string(name) + " is " + std::to_string(value) +
                                                ", expected " + std::to_string(low) + " to " +
                                                std::to_string(high));
}

SquareCrop crop_of(const CropTuple& tuple) {
  const SquareCrop crop{std::get<0>(tuple), std::get<1>(tuple), std::get<2>(tuple)};
  check_range("crop.x_px", crop.x_px, -kMaxCropPx, kMaxCropPx);
  check_range("crop.y_px", crop.y_px, -kMaxCropPx, kMaxCropPx);
  check_range("crop.side_px", crop.side_px, 1, kMaxCropPx);
  return crop;
}

CropTuple tuple_of(const SquareCrop& crop) { return {crop.x_px, crop.y_px, crop.side_px}; }

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

// Accepts str, bytes and path-like objects, and keeps bytes that are not UTF-8.
std::string path_of(const py::object& object) {
  PyObject* bytes = nullptr;
  if (PyUnicode_FSConverter(object.ptr(), &bytes) == 0) throw py::error_already_set();
  return py::reinterpret_steal<py::bytes>(bytes);
}

std::vector<PublicKey> keys_of(const std::vector<py::bytes>& list) {
  std::vector<PublicKey> keys;
  for (const py::bytes& bytes : list) {
    const std::string text = bytes;
    if (text.size() != kPublicKeyBytes) {
      throw Error(StatusCode::kInvalidArgument,
                  "trusted_keys[" + std::to_string(keys.size()) + "] has " +
                      std::to_string(text.size()) + " bytes, expected the " +
                      std::to_string(kPublicKeyBytes) + " of an Ed25519 public key");
    }
    std::copy(text.begin(), text.end(), keys.emplace_back().begin());
  }
  return keys;
}

// Read-only view of `values`, which `owner` keeps alive.
py::array grid_array(const py::object& owner, const std::vector<float>& values, int height,
                     int width) {
  py::array_t<float> array({height, width}, values.data(), owner);
  array.attr("setflags")(py::arg("write") = false);
  return array;
}

py::array_t<bool> mask_of(const FieldOfView& fov, int height_px, int width_px) {
  check_range("height_px", height_px, 1, kMaxSidePx);
  check_range("width_px", width_px, 1, kMaxSidePx);
  py::array_t<bool> mask({height_px, width_px});
  bool* out = mask.mutable_data();
  const py::gil_scoped_release release;
  for (int y = 0; y < height_px; ++y) {
    for (int x = 0; x < width_px; ++x) {
      *out++ =
          fov.found() && fov.contains(static_cast<float>(x) + 0.5f, static_cast<float>(y) + 0.5f);
    }
  }
  return mask;
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

py::array_t<std::uint8_t> runtime_overlay(Runtime& runtime, const py::object& frame,
                                          const std::string& pixel_format, const Report& report,
                                          const std::string& colormap, float max_alpha,
                                          const std::string& yuv_matrix,
                                          const std::string& yuv_range) {
  const FrameView view = frame_view(frame, pixel_format, yuv_matrix, yuv_range);
  const OverlayOptions options{value_of_name(kColormapNames, colormap, "colormap"), max_alpha};
  py::array_t<std::uint8_t> out({view.height_px, view.width_px, 3});
  std::uint8_t* data = out.mutable_data();
  const py::gil_scoped_release release;
  runtime.render_overlay(view, report, options, data, std::ptrdiff_t{3} * view.width_px,
                         Memory::kHost);
  return out;
}

py::dict timings_dict(const Timings& timings) {
  py::dict dict;
  dict["fov"] = timings.fov_ms;
  dict["preprocess"] = timings.preprocess_ms;
  dict["engine"] = timings.engine_ms;
  dict["postprocess"] = timings.postprocess_ms;
  dict["total"] = timings.total_ms;
  return dict;
}

py::array_t<float> network_logits(Runtime& runtime, const py::object& object) {
  const PreprocessSpec& spec = runtime.contract().preprocess;
  const std::string expected = "(3, " + std::to_string(spec.height_px) + ", " +
                               std::to_string(spec.width_px) + "), C-contiguous float32";
  if (!py::isinstance<py::array_t<float, py::array::c_style>>(object)) {
    throw Error(StatusCode::kInvalidArgument, "input is of type " +
                                                  std::string(Py_TYPE(object.ptr())->tp_name) +
                                                  ", expected a numpy array " + expected);
  }
  const auto input = py::reinterpret_borrow<py::array_t<float, py::array::c_style>>(object);
  if (input.ndim() != 3 || input.shape(0) != 3 || input.shape(1) != spec.height_px ||
      input.shape(2) != spec.width_px) {
    throw Error(
        StatusCode::kInvalidArgument,
        "input.shape is " + std::string(py::str(input.attr("shape"))) + ", expected " + expected);
  }
  py::array_t<float> logits({runtime.contract().grid_height, runtime.contract().grid_width});
  const float* from = input.data();
  float* to = logits.mutable_data();
  const py::gil_scoped_release release;
  runtime.run_network(from, to);
  return logits;
}

void register_errors(py::module_& module) {
  PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> storage;
  storage.call_once_and_store_result(
      [&] { return py::exception<Error>(module, "CoreError", PyExc_RuntimeError); });
  py::register_local_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const Error& error) {
      const py::object& type = storage.get_stored();
      // Paths need not be UTF-8: such bytes are shown escaped.
      const std::string message = error.what();
      const py::object text = py::reinterpret_steal<py::object>(PyUnicode_DecodeUTF8(
          message.data(), static_cast<py::ssize_t>(message.size()), "backslashreplace"));
      const py::object instance = type(text);
      instance.attr("code") = status_name(error.code());
      PyErr_SetObject(type.ptr(), instance.ptr());
    }
  });
}

void register_report(py::module_& module) {
  py::class_<FieldOfView>(module, "FieldOfView", py::is_final())
      .def_property_readonly("shape", [](const FieldOfView& f) { return fov_shape_name(f.shape); })
      .def_readonly("center_x_px", &FieldOfView::center_x_px)
      .def_readonly("center_y_px", &FieldOfView::center_y_px)
      .def_readonly("radius_px", &FieldOfView::radius_px)
      .def_readonly("left_px", &FieldOfView::left_px)
      .def_readonly("top_px", &FieldOfView::top_px)
      .def_readonly("right_px", &FieldOfView::right_px)
      .def_readonly("bottom_px", &FieldOfView::bottom_px)
      .def_readonly("visible_area_px", &FieldOfView::visible_area_px)
      .def_readonly("cut_fraction", &FieldOfView::cut_fraction)
      .def("mask", &mask_of, py::arg("height_px"), py::arg("width_px"));
  py::class_<Region>(module, "Region", py::is_final())
      .def_readonly("x_px", &Region::x_px)
      .def_readonly("y_px", &Region::y_px)
      .def_readonly("width_px", &Region::width_px)
      .def_readonly("height_px", &Region::height_px)
      .def_readonly("area_share", &Region::area_share)
      .def_readonly("mean_probability", &Region::mean_probability)
      .def_readonly("clock_hour", &Region::clock_hour)
      .def_readonly("center_distance", &Region::center_distance);
  py::class_<Report>(module, "Report", py::is_final())
      .def_readonly("score", &Report::score)
      .def_property_readonly("verdict", [](const Report& r) { return verdict_name(r.verdict); })
      .def_property_readonly("reason", [](const Report& r) { return reason_name(r.reason); })
      .def_readonly("fov", &Report::fov)
      .def_property_readonly("crop", [](const Report& r) { return tuple_of(r.crop); })
      .def_property_readonly(
          "frame_size",
          [](const Report& r) { return std::make_tuple(r.frame_height_px, r.frame_width_px); })
      .def_property_readonly("map",
                             [](const py::object& self) {
                               const Report& r = self.cast<const Report&>();
                               return grid_array(self, r.map, r.grid_height, r.grid_width);
                             })
      .def_property_readonly("weights",
                             [](const py::object& self) {
                               const Report& r = self.cast<const Report&>();
                               return grid_array(self, r.weights, r.grid_height, r.grid_width);
                             })
      .def_property_readonly("regions", [](const Report& r) { return r.regions; })
      .def_property_readonly("timings_ms", [](const Report& r) { return timings_dict(r.timings); });
}

void register_runtime(py::module_& module) {
  py::class_<ThreadPool, std::shared_ptr<ThreadPool>>(module, "ThreadPool", py::is_final())
      .def(py::init<int>(), py::arg("threads"))
      .def_property_readonly("threads", &ThreadPool::threads);
  py::class_<Runtime>(module, "Runtime", py::is_final())
      .def(py::init([](const py::object& model_path, const std::string& backend, int threads,
                       const std::string& operating_point, bool allow_untrained,
                       const std::vector<py::bytes>& trusted_keys, bool require_signature,
                       int deadline_ms) {
             RuntimeOptions options;
             options.model_path = path_of(model_path);
             options.backend = value_of_name(kBackendNames, backend, "backend");
             options.threads = threads;
             options.operating_point = operating_point;
             options.allow_untrained = allow_untrained;
             options.trusted_keys = keys_of(trusted_keys);
             options.require_signature = require_signature;
             options.deadline_ms = deadline_ms;
             const py::gil_scoped_release release;
             return std::make_unique<Runtime>(options);
           }),
           py::arg("model_path"), py::kw_only(), py::arg("backend") = "auto",
           py::arg("threads") = 0, py::arg("operating_point") = "",
           py::arg("allow_untrained") = false, py::arg("trusted_keys") = py::tuple(),
           py::arg("require_signature") = false, py::arg("deadline_ms") = 0)
      .def(
          "assess",
          [](Runtime& runtime, const py::object& frame, const std::string& pixel_format,
             const std::string& yuv_matrix, const std::string& yuv_range) {
            const FrameView view = frame_view(frame, pixel_format, yuv_matrix, yuv_range);
            Report report;
            const py::gil_scoped_release release;
            runtime.assess_into(view, report);
            return report;
          },
          py::arg("frame"), py::arg("pixel_format"), py::kw_only(), py::arg("yuv_matrix") = "bt601",
          py::arg("yuv_range") = "limited")
      .def("run_network", &network_logits, py::arg("input"))
      .def_property_readonly("contract_text",
                             [](const Runtime& r) { return py::bytes(r.contract_text()); })
      .def_property_readonly("signed_by", &Runtime::signed_by)
      .def("render_overlay", &runtime_overlay, py::arg("frame"), py::arg("pixel_format"),
           py::arg("report"), py::kw_only(), py::arg("colormap") = "turbo",
           py::arg("max_alpha") = 0.6, py::arg("yuv_matrix") = "bt601",
           py::arg("yuv_range") = "limited")
      .def_property_readonly("engine_description", &Runtime::engine_description)
      .def_property_readonly("pool", &Runtime::pool)
      .def_property_readonly("threads", [](const Runtime& r) { return r.pool()->threads(); });
}

}  // namespace
}  // namespace efiqa

PYBIND11_MODULE(_core, module) {
  using namespace efiqa;
  module.doc() = "The compiled core of efiqa. Private: the public names are in efiqa/__init__.py.";
  module.attr("__version__") = EFIQA_VERSION;
  module.attr("CONTRACT_VERSION") = kContractVersion;
  module.attr("MIN_PARITY_COSINE") = kMinParityCosine;
  module.attr("MIN_PARITY_PATCH_COSINE_P1") = kMinParityPatchCosineP1;
  module.attr("MAX_PARITY_RELATIVE_FROBENIUS") = kMaxParityRelativeFrobenius;
  register_errors(module);
  register_device_array(module);
  register_report(module);
  register_runtime(module);
  register_gate(module);

  module.def("find_field_of_view", &find_field_of_view, py::arg("frame"), py::arg("pixel_format"),
             py::kw_only(), py::arg("threads") = 1, py::arg("yuv_matrix") = "bt601",
             py::arg("yuv_range") = "limited");
  module.def(
      "square_crop", [](const FieldOfView& fov) { return tuple_of(square_crop(fov)); },
      py::arg("fov"));
  module.def("grid_weights", &weights_of_grid, py::arg("fov"), py::arg("crop"),
             py::arg("grid_width"), py::arg("grid_height"));
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
  module.def(
      "validate_contract",
      [](const std::string& json_text, const std::string& origin) {
        parse_contract(json_text, origin);
      },
      py::arg("json_text"), py::arg("origin"));
  module.def(
      "contract_path",
      [](const py::object& model_path) {
        const std::string path = contract_path(path_of(model_path));
        return py::reinterpret_steal<py::str>(
            PyUnicode_DecodeFSDefaultAndSize(path.data(), static_cast<py::ssize_t>(path.size())));
      },
      py::arg("model_path"));
  module.def(
      "sha256_hex",
      [](const py::bytes& data) {
        char* bytes = nullptr;
        py::ssize_t size = 0;
        if (PyBytes_AsStringAndSize(data.ptr(), &bytes, &size) != 0) throw py::error_already_set();
        const py::gil_scoped_release release;
        return sha256_hex(bytes, static_cast<std::size_t>(size));
      },
      py::arg("data"));
  module.def(
      "key_id", [](const py::bytes& public_key) { return key_id(keys_of({public_key})[0]); },
      py::arg("public_key"));
  module.def(
      "verify_signature",
      [](const py::bytes& contract, const std::string& contract_origin, const py::bytes& signature,
         const std::string& signature_origin, const std::vector<py::bytes>& trusted_keys) {
        return verify_signature(contract, contract_origin, signature, signature_origin,
                                keys_of(trusted_keys));
      },
      py::arg("contract"), py::arg("contract_origin"), py::arg("signature"),
      py::arg("signature_origin"), py::arg("trusted_keys"));
  module.def("signature_support", [] {
    py::dict entry;
    entry["built_in"] = signature_support().built_in;
    entry["version"] = signature_support().version;
    return entry;
  });
  module.def("backends", [] {
    py::list list;
    for (const BackendInfo& info : backends()) {
      py::dict entry;
      entry["name"] = info.name;
      entry["built_in"] = info.built_in;
      entry["version"] = info.version;
      list.append(entry);
    }
    return list;
  });
}
