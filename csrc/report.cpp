#include "report.h"

namespace efiqa {

const char* verdict_name(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::kUnknown:
      return "unknown";
    case Verdict::kReject:
      return "reject";
    case Verdict::kUsable:
      return "usable";
    case Verdict::kGood:
      return "good";
  }
  return "unknown";  // a number outside the list must never read as good
}

const char* reason_name(Reason reason) noexcept {
  switch (reason) {
    case Reason::kNone:
      return "";
    case Reason::kNoFieldOfView:
      return "no_field_of_view";
    case Reason::kLowAnatomyVisible:
      return "low_anatomy_visible";
    case Reason::kNotAFundus:
      return "not_a_fundus";
    case Reason::kUnderExposed:
      return "under_exposed";
    case Reason::kOverExposed:
      return "over_exposed";
    case Reason::kDefocus:
      return "defocus";
    case Reason::kHaze:
      return "haze";
    case Reason::kOcclusion:
      return "occlusion";
    case Reason::kFieldCut:
      return "field_cut";
    case Reason::kOffCentre:
      return "off_centre";
  }
  return "unrecognised";
}

const char* fov_shape_name(FovShape shape) noexcept {
  switch (shape) {
    case FovShape::kNone:
      return "none";
    case FovShape::kCircle:
      return "circle";
    case FovShape::kRectangle:
      return "rectangle";
  }
  return "unrecognised";
}

}  // namespace efiqa
