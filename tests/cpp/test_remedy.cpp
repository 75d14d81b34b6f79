#include <limits>
#include <string>

#include "check.h"
#include "remedy.h"

using efiqa::DefectPlace;
using efiqa::Diagnosis;
using efiqa::Reason;
using efiqa::Remedy;

namespace {

Diagnosis of_region(Reason reason, const DefectPlace& place) {
  Diagnosis diagnosis;
  diagnosis.main_reason = reason;
  diagnosis.remedy_clock_hour = 99;  // left behind by an earlier frame
  efiqa::prescribe_region(place, diagnosis);
  return diagnosis;
}

Diagnosis of_picture(Reason reason, const DefectPlace& place) {
  Diagnosis diagnosis;
  diagnosis.main_reason = reason;
  efiqa::prescribe_picture(place, diagnosis);
  return diagnosis;
}

std::string name_of(const Diagnosis& diagnosis) { return efiqa::remedy_name(diagnosis.remedy); }

}  // namespace

TEST(remedy_follows_the_main_reason_wherever_the_place_does_not_matter) {
  const struct {
    Reason reason;
    const char* remedy;
  } cases[] = {{Reason::kNone, ""},
               {Reason::kNoFieldOfView, ""},
               {Reason::kLowAnatomyVisible, ""},
               {Reason::kNotAFundus, ""},
               {Reason::kUnderExposed, "more_light"},
               {Reason::kDefocus, "refocus"}};
  for (const auto& expected : cases) {
    for (const DefectPlace& place :
         {DefectPlace{3, 0.9f, 0.1f}, DefectPlace{0, 0, 1}, DefectPlace{12, 0.5f, 0.3f}}) {
      const Diagnosis diagnosis = of_region(expected.reason, place);
      CHECK_EQ(name_of(diagnosis), expected.remedy);
      CHECK_EQ(diagnosis.remedy_clock_hour, 0.0f);
      CHECK_EQ(name_of(of_picture(expected.reason, place)), expected.remedy);
    }
  }
}

TEST(remedy_of_too_much_light_is_less_of_it_but_of_a_reflex_at_the_rim_to_recentre) {
  const struct {
    DefectPlace place;
    const char* remedy;
  } cases[] = {{{4, 0.61f, 0.249f}, "recentre"},
               {{4, 0.6f, 0.1f}, "less_light"},
               {{4, 0.95f, 0.25f}, "less_light"},
               {{4, 1.0f, 0.01f}, "recentre"},
               {{0, 0.0f, 0.0f}, "less_light"}};
  for (const auto& expected : cases) {
    for (const Diagnosis& diagnosis : {of_region(Reason::kOverExposed, expected.place),
                                       of_picture(Reason::kOverExposed, expected.place)}) {
      CHECK_EQ(name_of(diagnosis), expected.remedy);
      const bool recentre = diagnosis.remedy == Remedy::kRecentre;
      CHECK_EQ(diagnosis.remedy_clock_hour, recentre ? expected.place.clock_hour : 0.0f);
    }
  }
}

TEST(remedy_of_an_occlusion_is_the_lid_at_top_and_bottom_and_to_recentre_at_the_sides) {
  for (const float hour : {12.0f, 10.5f, 11.2f, 0.3f, 1.5f, 6.0f, 4.5f, 7.5f, 5.9f}) {
    const Diagnosis diagnosis = of_region(Reason::kOcclusion, {hour, 0.8f, 0.2f});
    CHECK_EQ(name_of(diagnosis), "open_lid");
    CHECK_EQ(diagnosis.remedy_clock_hour, 0.0f);
  }
  for (const float hour : {1.51f, 3.0f, 4.49f, 7.51f, 9.0f, 10.49f}) {
    for (const Diagnosis& diagnosis : {of_region(Reason::kOcclusion, {hour, 0.8f, 0.2f}),
                                       of_picture(Reason::kOcclusion, {hour, 0.8f, 0.2f})}) {
      CHECK_EQ(name_of(diagnosis), "recentre");
      CHECK_EQ(diagnosis.remedy_clock_hour, hour);
    }
  }
  CHECK_EQ(name_of(of_picture(Reason::kOcclusion, {})), "open_lid");  // no side to move from
}

TEST(remedy_of_haze_is_the_lens_where_it_is_small_and_the_eye_where_it_is_large) {
  CHECK_EQ(name_of(of_region(Reason::kHaze, {3, 0.9f, 0.299f})), "clean_lens");
  CHECK_EQ(name_of(of_region(Reason::kHaze, {3, 0.2f, 0.3f})), "dilate_or_accept");
  CHECK_EQ(name_of(of_picture(Reason::kHaze, {3, 0.9f, 0.1f})), "dilate_or_accept");
}

TEST(remedy_of_a_cut_field_is_to_recentre_towards_it) {
  const Diagnosis diagnosis = of_picture(Reason::kFieldCut, {9, 0, 0});
  CHECK_EQ(name_of(diagnosis), "recentre");
  CHECK_EQ(diagnosis.remedy_clock_hour, 9.0f);
}

TEST(remedy_every_code_has_a_name_and_a_sentence_and_others_have_none) {
  const char* const names[] = {"",           "refocus",          "more_light",
                               "less_light", "recentre",         "open_lid",
                               "clean_lens", "dilate_or_accept", "find_retina"};
  for (int code = 0; code <= 8; ++code) {
    const Remedy remedy = static_cast<Remedy>(code);
    CHECK_EQ(std::string(efiqa::remedy_name(remedy)), names[code]);
    const std::string text = efiqa::remedy_text(remedy, 0);
    CHECK_EQ(text.empty(), code == 0);
    if (code > 0) CHECK_EQ(text.back(), '.');
  }
  for (const int code : {-1, 9, 1 << 30}) {
    CHECK_EQ(std::string(efiqa::remedy_name(static_cast<Remedy>(code))), "unrecognised");
    CHECK_EQ(std::string(efiqa::remedy_text(static_cast<Remedy>(code), 3)), "");
  }
}

TEST(remedy_text_of_recentre_names_the_nearest_hour_where_there_is_one) {
  const auto text = [](float hour) {
    return std::string(efiqa::remedy_text(Remedy::kRecentre, hour));
  };
  CHECK_EQ(text(3), "Re-centre the eye: the defect lies at 3 o'clock.");
  CHECK_EQ(text(2.6f), "Re-centre the eye: the defect lies at 3 o'clock.");
  CHECK_EQ(text(11.7f), "Re-centre the eye: the defect lies at 12 o'clock.");
  CHECK_EQ(text(0.2f), "Re-centre the eye: the defect lies at 12 o'clock.");
  for (int hour = 1; hour <= 12; ++hour) {
    CHECK_EQ(text(static_cast<float>(hour)),
             "Re-centre the eye: the defect lies at " + std::to_string(hour) + " o'clock.");
  }
  for (const float none : {0.0f, -3.0f, 12.5f, std::numeric_limits<float>::quiet_NaN(),
                           std::numeric_limits<float>::infinity()}) {
    CHECK_EQ(text(none), "Re-centre the eye.");
  }
  CHECK_EQ(std::string(efiqa::remedy_text(Remedy::kRefocus, 3)), "Refocus.");
}
