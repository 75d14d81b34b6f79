// The runtime as a Python class, with what it reads: contracts, keys and signatures.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "bindings.h"
#include "contract.h"
#include "names.h"
#include "report.h"
#include "runtime.h"
#include "sha256.h"
#include "signature.h"
#include "status.h"

namespace py = pybind11;

namespace efiqa {
namespace {

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
  const Contract& contract = runtime.contract();
  py::array_t<float> logits({contract.channel_count(), contract.grid_height, contract.grid_width});
  const float* from = input.data();
  float* to = logits.mutable_data();
  const py::gil_scoped_release release;
  runtime.run_network(from, to);
  return logits;
}

}  // namespace

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

void register_contract(py::module_& module) {
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
}

}  // namespace efiqa
