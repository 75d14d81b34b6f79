#include "remedy.h"

#include <algorithm>
#include <cmath>

namespace efiqa {
namespace {

constexpr float kHours = 12;
constexpr float kLidHours = 1.5f;  // from 12 or 6 o'clock: what comes from there is a lid
// A reflex of the pupil's edge is a small place at the rim; light that is too strong is not.
constexpr float kReflexMinDistance = 0.6f, kReflexMaxShare = 0.25f;
// Dirt on the lens is small, and out of focus; an eye's cloudy media veil most of the picture.
constexpr float kMediaMinShare = 0.3f;

bool is_reflex(const DefectPlace& place) {
  return place.center_distance > kReflexMinDistance && place.area_share < kReflexMaxShare;
}

// A place without an hour is in the middle, or nowhere: no side to move away from.
bool is_lid(const DefectPlace& place) {
  if (place.clock_hour == 0) return true;
  const float from_top = std::min(place.clock_hour, kHours - place.clock_hour);
  return std::min(from_top, kHours / 2 - from_top) <= kLidHours;
}

Remedy remedy_of(Reason reason, const DefectPlace& place, bool whole_picture) {
  switch (reason) {
    case Reason::kUnderExposed:
      return Remedy::kMoreLight;
    case Reason::kOverExposed:
      return is_reflex(place) ? Remedy::kRecentre : Remedy::kLessLight;
    case Reason::kDefocus:
      return Remedy::kRefocus;
    case Reason::kHaze:
      return whole_picture || place.area_share >= kMediaMinShare ? Remedy::kDilateOrAccept
                                                                 : Remedy::kCleanLens;
    case Reason::kOcclusion:
      return is_lid(place) ? Remedy::kOpenLid : Remedy::kRecentre;
    case Reason::kFieldCut:
      return Remedy::kRecentre;
    case Reason::kNone:
    case Reason::kNoFieldOfView:
    case Reason::kLowAnatomyVisible:
    case Reason::kNotAFundus:
    case Reason::kOffCentre:
      break;
  }
  return Remedy::kNone;
}

void prescribe(const DefectPlace& place, bool whole_picture, Diagnosis& diagnosis) {
  diagnosis.remedy = remedy_of(diagnosis.main_reason, place, whole_picture);
  diagnosis.remedy_clock_hour = diagnosis.remedy == Remedy::kRecentre ? place.clock_hour : 0;
}

struct Words {
  Remedy remedy;
  const char *name, *text;
};

constexpr Words kWords[] = {
    {Remedy::kNone, "", ""},
    {Remedy::kRefocus, "refocus", "Refocus."},
    {Remedy::kMoreLight, "more_light", "More light: raise the flash or the gain."},
    {Remedy::kLessLight, "less_light", "Less light: lower the flash or the gain."},
    {Remedy::kRecentre, "recentre", "Re-centre the eye."},
    {Remedy::kOpenLid, "open_lid", "Open the eye wider: a lid or lashes are in the way."},
    {Remedy::kCleanLens, "clean_lens", "Clean the lens."},
    {Remedy::kDilateOrAccept, "dilate_or_accept",
     "The eye may be cloudy: dilate the pupil, or accept the picture."},
    {Remedy::kFindRetina, "find_retina", "No retina in view: bring the camera before the pupil."},
};

// Which way to move depends on the camera, so the hour says where the defect is to be seen.
constexpr const char* kRecentreTexts[] = {"Re-centre the eye: the defect lies at 12 o'clock.",
                                          "Re-centre the eye: the defect lies at 1 o'clock.",
                                          "Re-centre the eye: the defect lies at 2 o'clock.",
                                          "Re-centre the eye: the defect lies at 3 o'clock.",
                                          "Re-centre the eye: the defect lies at 4 o'clock.",
                                          "Re-centre the eye: the defect lies at 5 o'clock.",
                                          "Re-centre the eye: the defect lies at 6 o'clock.",
                                          "Re-centre the eye: the defect lies at 7 o'clock.",
                                          "Re-centre the eye: the defect lies at 8 o'clock.",
                                          "Re-centre the eye: the defect lies at 9 o'clock.",
                                          "Re-centre the eye: the defect lies at 10 o'clock.",
                                          "Re-centre the eye: the defect lies at 11 o'clock."};

const Words* words_of(Remedy remedy) {
  for (const Words& words : kWords) {
    if (words.remedy == remedy) return &words;
  }
  return nullptr;
}

}  // namespace

void prescribe_region(const DefectPlace& place, Diagnosis& diagnosis) {
  prescribe(place, false, diagnosis);
}

void prescribe_picture(const DefectPlace& place, Diagnosis& diagnosis) {
  prescribe(place, true, diagnosis);
}

const char* remedy_name(Remedy remedy) noexcept {
  const Words* words = words_of(remedy);
  return words == nullptr ? "unrecognised" : words->name;
}

const char* remedy_text(Remedy remedy, float clock_hour) noexcept {
  const Words* words = words_of(remedy);
  if (words == nullptr) return "";
  // False for NaN: any number may come in through the C door.
  if (remedy != Remedy::kRecentre || !(clock_hour > 0 && clock_hour <= kHours)) return words->text;
  return kRecentreTexts[std::lround(clock_hour) % static_cast<int>(kHours)];
}

}  // namespace efiqa
