// Python door: arrays in, report out. Argument checks and copies only; the GIL is released around
// the core's work.
#include "bindings.h"

#include <pybind11/pybind11.h>

#include <string>

#include "contract.h"
#include "engine.h"
#include "grid_report.h"
#include "names.h"
#include "status.h"

namespace py = pybind11;

namespace efiqa {
namespace {

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
  module.attr("MIN_LANDMARK_SHARE") = kMinLandmarkShare;
  module.attr("SURE_MACULA") = kSureMacula;
  register_errors(module);
  register_device_array(module);
  register_report(module);
  register_runtime(module);
  register_stages(module);
  register_contract(module);
  register_gate(module);
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
