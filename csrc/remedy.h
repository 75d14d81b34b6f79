// What the operator can do about a diagnosis, and the words for it.
#pragma once

#include "report.h"

namespace efiqa {

// Where a defect lies, as in Region.
struct DefectPlace {
  float clock_hour = 0, center_distance = 0, area_share = 0;
};

// Sets remedy and remedy_clock_hour by the main reason. field_cut is of a picture only, and its
// place the side at which the field is cut.
void prescribe_region(const DefectPlace& place, Diagnosis& diagnosis);
void prescribe_picture(const DefectPlace& place, Diagnosis& diagnosis);

const char* remedy_name(Remedy remedy) noexcept;  // "" "refocus" "more_light" ...; "unrecognised"
// One short English sentence; "" for none and for a number outside the list. Of kRecentre it names
// the hour at which the defect lies, where there is one.
const char* remedy_text(Remedy remedy, float clock_hour) noexcept;

}  // namespace efiqa
