// Python door of the live capture gate. The GIL is released while a frame is assessed.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>

#include "bindings.h"
#include "gate.h"
#include "runtime.h"
#include "status.h"

namespace py = pybind11;

namespace efiqa {
namespace {

Verdict verdict_of(const std::string& name) {
  for (const Verdict verdict :
       {Verdict::kUnknown, Verdict::kReject, Verdict::kUsable, Verdict::kGood}) {
    if (name == verdict_name(verdict)) return verdict;
  }
  throw Error(StatusCode::kInvalidArgument,
              "verdict is \"" + name + "\", expected one of: unknown, reject, usable, good");
}

FovShape shape_of(const std::string& name) {
  for (const FovShape shape : {FovShape::kNone, FovShape::kCircle, FovShape::kRectangle}) {
    if (name == fov_shape_name(shape)) return shape;
  }
  throw Error(StatusCode::kInvalidArgument,
              "shape is \"" + name + "\", expected one of: none, circle, rectangle");
}

using Answer = std::tuple<Report, FrameMeasures, GateDecision>;

Answer assess(CaptureGate& gate, Runtime& runtime, const py::object& frame,
              const std::string& pixel_format, std::int64_t timestamp_ms,
              const std::string& yuv_matrix, const std::string& yuv_range) {
  Answer answer;
  const CaptureGate::Turn turn(gate);
  std::get<2>(answer) =
      update_gate(gate, timestamp_ms, [&](FrameMeasures* measures) -> const Report& {
        const FrameView view = frame_view(frame, pixel_format, yuv_matrix, yuv_range);
        const py::gil_scoped_release release;
        runtime.assess_into(view, std::get<0>(answer), measures);
        std::get<1>(answer) = *measures;
        return std::get<0>(answer);
      });
  return answer;
}

GateDecision observe(CaptureGate& gate, std::int64_t timestamp_ms, const std::string& verdict,
                     float score, const std::string& shape, float center_x_px, float center_y_px,
                     float radius_px, int frame_width_px, int frame_height_px, float level,
                     float green, float saturated_share, float sharpness, float contrast,
                     float lid_share) {
  GateObservation observation;
  observation.assessed = true;
  observation.verdict = verdict_of(verdict);
  observation.score = score;
  observation.fov.shape = shape_of(shape);
  observation.fov.center_x_px = center_x_px;
  observation.fov.center_y_px = center_y_px;
  observation.fov.radius_px = radius_px;
  observation.frame_width_px = frame_width_px;
  observation.frame_height_px = frame_height_px;
  observation.measures = {level, green, saturated_share, sharpness, contrast, lid_share};
  const CaptureGate::Turn turn(gate);
  return gate.update(observation, timestamp_ms);
}

py::dict dict_of(const GateParams& params) {
  py::dict dict;
  for_each_gate_param(params,
                      [&](const char* name, auto value, double, double) { dict[name] = value; });
  return dict;
}

// The defaults, with what `given` names in their place.
GateParams params_of(const py::dict& given) {
  GateParams params;
  std::size_t known = 0;
  for_each_gate_param(params, [&](const char* name, auto& value, double, double) {
    if (!given.contains(name)) return;
    value = given[name].cast<std::decay_t<decltype(value)>>();
    ++known;
  });
  if (known != given.size()) {
    throw Error(StatusCode::kInvalidArgument, "params has a name that the gate does not know");
  }
  return params;
}

}  // namespace

void register_gate(py::module_& module) {
  py::class_<FrameMeasures>(module, "FrameMeasures", py::is_final())
      .def_readonly("level", &FrameMeasures::level)
      .def_readonly("green", &FrameMeasures::green)
      .def_readonly("saturated_share", &FrameMeasures::saturated_share)
      .def_readonly("sharpness", &FrameMeasures::sharpness)
      .def_readonly("contrast", &FrameMeasures::contrast)
      .def_readonly("lid_share", &FrameMeasures::lid_share);
  py::class_<GateDecision>(module, "GateDecision", py::is_final())
      .def_property_readonly("state",
                             [](const GateDecision& d) { return gate_state_name(d.state); })
      .def_property_readonly("guidance",
                             [](const GateDecision& d) { return guidance_name(d.guidance); })
      .def_property_readonly(
          "text", [](const GateDecision& d) { return guidance_text(d.guidance, d.clock_hour); })
      .def_readonly("clock_hour", &GateDecision::clock_hour)
      .def_readonly("progress", &GateDecision::progress)
      .def_readonly("speed", &GateDecision::speed)
      .def_readonly("frame_index", &GateDecision::frame_index)
      .def_readonly("keep_slot", &GateDecision::keep_slot)
      .def_readonly("best_slot", &GateDecision::best_slot)
      .def_readonly("best_frame_index", &GateDecision::best_frame_index)
      .def_readonly("best_timestamp_ms", &GateDecision::best_timestamp_ms)
      .def_readonly("best_score", &GateDecision::best_score);
  py::class_<CaptureGate>(module, "CaptureGate", py::is_final())
      .def(py::init([](const py::dict& params) {
             return std::make_unique<CaptureGate>(params_of(params));
           }),
           py::arg("params"))
      .def("assess", &assess, py::arg("runtime"), py::arg("frame"), py::arg("pixel_format"),
           py::arg("timestamp_ms"), py::kw_only(), py::arg("yuv_matrix") = "bt601",
           py::arg("yuv_range") = "limited")
      .def("observe", &observe, py::arg("timestamp_ms"), py::kw_only(), py::arg("verdict"),
           py::arg("score"), py::arg("shape"), py::arg("center_x_px"), py::arg("center_y_px"),
           py::arg("radius_px"), py::arg("frame_width_px"), py::arg("frame_height_px"),
           py::arg("level"), py::arg("green"), py::arg("saturated_share"), py::arg("sharpness"),
           py::arg("contrast"), py::arg("lid_share"))
      .def(
          "observe_failure",
          [](CaptureGate& gate, std::int64_t timestamp_ms) {
            const CaptureGate::Turn turn(gate);
            return gate.update(GateObservation(), timestamp_ms);
          },
          py::arg("timestamp_ms"))
      .def("reset",
           [](CaptureGate& gate) {
             const CaptureGate::Turn turn(gate);
             gate.reset();
           })
      .def_property_readonly("params",
                             [](const CaptureGate& gate) { return dict_of(gate.params()); })
      .def_property_readonly("decision", [](const CaptureGate& gate) { return gate.decision(); });
  module.def("gate_defaults", [] { return dict_of(GateParams()); });
}

}  // namespace efiqa
