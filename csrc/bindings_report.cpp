// The report and its field of view as Python classes.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cmath>
#include <tuple>
#include <vector>

#include "bindings.h"
#include "fov.h"
#include "names.h"
#include "remedy.h"
#include "report.h"

namespace py = pybind11;

namespace efiqa {
namespace {

// Read-only view of `values`, which `owner` keeps alive.
py::array grid_array(const py::object& owner, const float* values, int height, int width) {
  py::array_t<float> array({height, width}, values, owner);
  array.attr("setflags")(py::arg("write") = false);
  return array;
}

// What gives Python this grid of a report.
auto grid_getter(std::vector<float> Report::* grid) {
  return [grid](const py::object& self) {
    const Report& r = self.cast<const Report&>();
    return grid_array(self, (r.*grid).data(), r.grid_height, r.grid_width);
  };
}

// Likewise; None where the model does not find it.
auto landmark_getter(Landmark landmark) {
  return [landmark](const py::object& self) -> py::object {
    const Report& r = self.cast<const Report&>();
    const float* values = r.landmark(landmark);
    if (values == nullptr) return py::none();
    return grid_array(self, values, r.grid_height, r.grid_width);
  };
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

py::dict timings_dict(const Timings& timings) {
  py::dict dict;
  dict["fov"] = timings.fov_ms;
  dict["preprocess"] = timings.preprocess_ms;
  dict["engine"] = timings.engine_ms;
  dict["postprocess"] = timings.postprocess_ms;
  dict["total"] = timings.total_ms;
  return dict;
}

// The strengths by name, in the order of the enumeration, without those that the model does not
// say.
py::dict reasons_dict(const Diagnosis& diagnosis) {
  py::dict dict;
  for (int i = 0; i < kReasonStrengths; ++i) {
    const float strength = diagnosis.strengths[i];
    if (!std::isnan(strength)) dict[reason_name(reason_of_strength(i))] = strength;
  }
  return dict;
}

// What a class with a `diagnosis` says of it.
template <typename Diagnosed>
void define_diagnosis(py::class_<Diagnosed>& type) {
  type.def_property_readonly("reasons",
                             [](const Diagnosed& d) { return reasons_dict(d.diagnosis); })
      .def_property_readonly(
          "main_reason", [](const Diagnosed& d) { return reason_name(d.diagnosis.main_reason); })
      .def_property_readonly("remedy",
                             [](const Diagnosed& d) { return remedy_name(d.diagnosis.remedy); })
      .def_property_readonly("remedy_clock_hour",
                             [](const Diagnosed& d) { return d.diagnosis.remedy_clock_hour; })
      .def_property_readonly("remedy_text", [](const Diagnosed& d) {
        return remedy_text(d.diagnosis.remedy, d.diagnosis.remedy_clock_hour);
      });
}

}  // namespace

CropTuple tuple_of(const SquareCrop& crop) { return {crop.x_px, crop.y_px, crop.side_px}; }

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
  py::class_<Region> region(module, "Region", py::is_final());
  define_diagnosis(region);
  region.def_readonly("x_px", &Region::x_px)
      .def_readonly("y_px", &Region::y_px)
      .def_readonly("width_px", &Region::width_px)
      .def_readonly("height_px", &Region::height_px)
      .def_readonly("area_share", &Region::area_share)
      .def_readonly("mean_probability", &Region::mean_probability)
      .def_readonly("clock_hour", &Region::clock_hour)
      .def_readonly("center_distance", &Region::center_distance);
  py::class_<Report> report(module, "Report", py::is_final());
  define_diagnosis(report);
  report.def_readonly("score", &Report::score)
      .def_readonly("not_a_fundus", &Report::not_a_fundus)
      .def_property_readonly("verdict", [](const Report& r) { return verdict_name(r.verdict); })
      .def_property_readonly("reason", [](const Report& r) { return reason_name(r.reason); })
      .def_readonly("fov", &Report::fov)
      .def_property_readonly("crop", [](const Report& r) { return tuple_of(r.crop); })
      .def_property_readonly(
          "frame_size",
          [](const Report& r) { return std::make_tuple(r.frame_height_px, r.frame_width_px); })
      .def_property_readonly("map", grid_getter(&Report::map))
      .def_property_readonly("weights", grid_getter(&Report::weights))
      .def_property_readonly("macula", landmark_getter(Landmark::kMacula))
      .def_property_readonly("optic_disc", landmark_getter(Landmark::kOpticDisc))
      .def_property_readonly("regions", [](const Report& r) { return r.regions; })
      .def_property_readonly("timings_ms", [](const Report& r) { return timings_dict(r.timings); });
}

}  // namespace efiqa
