// The C door: names, open, describe, close. Frames are in test_capi_assess.cpp.
#include <cstring>
#include <string>
#include <vector>

#include "capi_fixtures.h"
#include "check.h"

using efiqa_test::answer_of;
using efiqa_test::CBench;
using efiqa_test::contains;
using efiqa_test::golden_path;

extern "C" int efiqa_test_from_c(void);

namespace {

struct Opened {
  std::int32_t status = -1;
  std::string answer;
  efiqa_runtime* runtime = nullptr;

  explicit Opened(const efiqa_options* options) {
    char message[512];
    status = efiqa_runtime_open(options, &runtime, message, sizeof(message));
    answer = answer_of(status, message);
  }
  ~Opened() { efiqa_runtime_close(&runtime); }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
};

efiqa_options tiny_options(const char* path) {
  efiqa_options options;
  EFIQA_INIT(options);
  options.model_path = path;
  options.allow_untrained = 1;
  options.threads = 1;
  return options;
}

const std::string kTiny = golden_path("tiny.onnx");

std::string open_answer(const efiqa_options& options) { return Opened(&options).answer; }

}  // namespace

TEST(capi_header_is_c) { CHECK_EQ(efiqa_test_from_c(), 0); }

TEST(capi_versions_are_those_of_header_and_project) {
  CHECK_EQ(efiqa_abi_version(), EFIQA_ABI_VERSION);
  CHECK_EQ(std::string(efiqa_library_version()), std::string(EFIQA_VERSION));
}

TEST(capi_every_code_has_a_name_and_others_do_not_read_as_good) {
  for (int code = 0; code <= EFIQA_STATUS_OUT_OF_MEMORY; ++code) {
    CHECK(std::strcmp(efiqa_status_name(code), "unrecognised") != 0);
  }
  for (const int code : {-1, 13, 1 << 30}) {
    CHECK_EQ(std::string(efiqa_status_name(code)), std::string("unrecognised"));
    CHECK_EQ(std::string(efiqa_verdict_name(code)), std::string("unknown"));
    CHECK_EQ(std::string(efiqa_reason_name(code)), std::string("unrecognised"));
    CHECK_EQ(std::string(efiqa_shape_name(code)), std::string("unrecognised"));
    CHECK_EQ(std::string(efiqa_remedy_name(code)), std::string("unrecognised"));
    CHECK_EQ(std::string(efiqa_remedy_text(code, 3)), std::string());
  }
  CHECK_EQ(std::string(efiqa_verdict_name(EFIQA_VERDICT_REJECT)), std::string("reject"));
  CHECK_EQ(std::string(efiqa_reason_name(EFIQA_REASON_NONE)), std::string());
  for (int code = 0; code <= EFIQA_REASON_OFF_CENTRE; ++code) {
    CHECK(std::strcmp(efiqa_reason_name(code), "unrecognised") != 0);
  }
  CHECK_EQ(std::string(efiqa_reason_name(EFIQA_REASON_OCCLUSION)), std::string("occlusion"));
  CHECK_EQ(std::string(efiqa_shape_name(EFIQA_SHAPE_RECTANGLE)), std::string("rectangle"));
  CHECK_EQ(std::string(efiqa_remedy_name(EFIQA_REMEDY_CLEAN_LENS)), std::string("clean_lens"));
  CHECK_EQ(std::string(efiqa_remedy_text(EFIQA_REMEDY_RECENTRE, 3.2f)),
           std::string("Re-centre the eye: the defect lies at 3 o'clock."));
}

TEST(capi_open_refuses_each_bad_option_by_name) {
  efiqa_options options = tiny_options(kTiny.c_str());
  options.threads = 257;
  CHECK(contains(open_answer(options), "invalid_argument: threads is 257, expected 1 to 256"));
  options = tiny_options(kTiny.c_str());
  options.threads = -1;
  CHECK(contains(open_answer(options), "invalid_argument: threads is -1"));
  options = tiny_options(kTiny.c_str());
  options.deadline_ms = -5;
  CHECK_EQ(open_answer(options),
           std::string("invalid_argument: deadline_ms is -5, expected 1 to 60000, or 0 for none"));
  options.deadline_ms = 60001;
  CHECK(contains(open_answer(options), "invalid_argument: deadline_ms is 60001"));
  options = tiny_options(kTiny.c_str());
  options.backend = 77;
  CHECK(contains(open_answer(options), "backend_unavailable: backend is 77, expected one of: "));
  options = tiny_options(kTiny.c_str());
  options.operating_point = "strict";
  CHECK_EQ(open_answer(options),
           std::string("invalid_argument: operating_point is \"strict\", expected one of: "
                       "screening, lenient"));
  options = tiny_options(kTiny.c_str());
  options.allow_untrained = 2;
  CHECK_EQ(open_answer(options),
           std::string("invalid_argument: options.allow_untrained is 2, expected 0 or 1"));
  options.allow_untrained = 0;
  CHECK(contains(open_answer(options), "model_invalid: model " + kTiny + " has random weights"));
  options = tiny_options(kTiny.c_str());
  options.reserved = 1;
  CHECK(contains(open_answer(options), "invalid_argument: options.reserved is 1, expected 0"));
  options = tiny_options("");
  CHECK(contains(open_answer(options), "invalid_argument: model path is empty"));
  options = tiny_options("/nowhere/m.onnx");
  CHECK_EQ(open_answer(options),
           std::string("file_unreadable: model /nowhere/m.onnx does not exist; check the path"));
}

TEST(capi_open_refuses_structs_that_were_not_initialised_or_are_of_the_future) {
  efiqa_options options = tiny_options(kTiny.c_str());
  for (const std::uint32_t size :
       {0u, 4u, std::uint32_t{sizeof(options)} - 1, 4097u, 0xFFFFFFFFu}) {
    options.struct_size = size;
    CHECK(contains(open_answer(options), "invalid_argument: options.struct_size is " +
                                             std::to_string(size) + ", expected at least "));
  }
  struct Longer {
    efiqa_options known;
    std::uint64_t later;
  } longer{tiny_options(kTiny.c_str()), 0};
  longer.known.struct_size = sizeof(longer);
  longer.known.backend = EFIQA_BACKEND_TENSORRT;  // refused later than the struct is
  CHECK(contains(open_answer(longer.known), "backend_unavailable: "));
  longer.later = 1;
  CHECK(contains(open_answer(longer.known), "invalid_argument: options sets a field at byte "));
}

TEST(capi_open_without_a_place_for_the_handle_is_refused) {
  char message[64] = "stale";
  CHECK_EQ(efiqa_runtime_open(nullptr, nullptr, message, sizeof(message)),
           int{EFIQA_STATUS_INVALID_ARGUMENT});
  CHECK(contains(message, "runtime is null"));
}

TEST(capi_open_leaves_no_handle_behind_a_failure) {
  efiqa_runtime* runtime = reinterpret_cast<efiqa_runtime*>(8);
  efiqa_options options = tiny_options("/nowhere/m.onnx");
  CHECK_EQ(efiqa_runtime_open(&options, &runtime, nullptr, 0), int{EFIQA_STATUS_FILE_UNREADABLE});
  CHECK(runtime == nullptr);
}

TEST(capi_message_is_cut_to_its_buffer_and_ends_with_nul) {
  efiqa_runtime* runtime = nullptr;
  efiqa_options options = tiny_options("/nowhere/m.onnx");
  char buffer[8];
  std::memset(buffer, 'x', sizeof(buffer));
  efiqa_runtime_open(&options, &runtime, buffer, 6);
  CHECK_EQ(std::string(buffer), std::string("model"));
  CHECK(buffer[6] == 'x' && buffer[7] == 'x');
  efiqa_runtime_open(&options, &runtime, buffer, 1);
  CHECK(buffer[0] == '\0' && buffer[1] == 'o');
  buffer[0] = 'x';
  efiqa_runtime_open(&options, &runtime, buffer, 0);  // touches nothing
  CHECK(buffer[0] == 'x');
}

TEST(capi_describe_says_what_was_opened) {
  CBench bench(2, 500);
  efiqa_info info;
  EFIQA_INIT(info);
  CHECK_EQ(efiqa_runtime_describe(bench.runtime, &info), int{EFIQA_STATUS_OK});
  CHECK_EQ(info.threads, 2);
  CHECK_EQ(info.deadline_ms, 500);
  CHECK_EQ(info.input_width_px, 64);
  CHECK_EQ(info.input_height_px, 64);
  CHECK_EQ(info.grid_width, 8);
  CHECK_EQ(info.grid_height, 8);
  CHECK_NEAR(info.good_min_score, 0.85, 1e-6);
  CHECK_NEAR(info.usable_min_score, 0.6, 1e-6);
  CHECK_EQ(std::string(info.model_id), std::string("tiny-v1"));
  CHECK_EQ(std::string(info.model_sha256), efiqa_test::tiny_contract().model_sha256);
  CHECK_EQ(std::string(info.contract_sha256), efiqa_test::tiny_contract().sha256);
  CHECK_EQ(std::string(info.engine), std::string("fake"));
  CHECK_EQ(std::string(info.operating_point), std::string("screening"));
}

TEST(capi_describe_refuses_null_and_unset_structs) {
  CBench bench;
  efiqa_info info;
  EFIQA_INIT(info);
  CHECK_EQ(efiqa_runtime_describe(nullptr, &info), int{EFIQA_STATUS_INVALID_ARGUMENT});
  CHECK_EQ(efiqa_runtime_describe(bench.runtime, nullptr), int{EFIQA_STATUS_INVALID_ARGUMENT});
  info.struct_size = 12;
  CHECK_EQ(efiqa_runtime_describe(bench.runtime, &info), int{EFIQA_STATUS_INVALID_ARGUMENT});
  CHECK(info.model_id == nullptr);
}

TEST(capi_close_takes_null_and_may_be_called_twice) {
  CHECK_EQ(efiqa_runtime_close(nullptr), int{EFIQA_STATUS_OK});
  efiqa_runtime* runtime = nullptr;
  CHECK_EQ(efiqa_runtime_close(&runtime), int{EFIQA_STATUS_OK});
  CBench bench;
  CHECK_EQ(efiqa_runtime_close(&bench.runtime), int{EFIQA_STATUS_OK});
  CHECK(bench.runtime == nullptr);
  CHECK_EQ(efiqa_runtime_close(&bench.runtime), int{EFIQA_STATUS_OK});
}

TEST(capi_structs_grow_without_holes) {
  // A hole would be bytes that nobody sets, and would become a field by accident.
  CHECK_EQ(sizeof(efiqa_options), 8u * 4 + 3 * sizeof(void*));
  CHECK_EQ(sizeof(efiqa_region), (9u + 3 + EFIQA_REASON_STRENGTHS) * 4);
  CHECK_EQ(sizeof(efiqa_overlay), 4u * 4);
  CHECK_EQ(sizeof(efiqa_report), (28u + 4 + EFIQA_REASON_STRENGTHS) * 4 + 7 * sizeof(void*));
  CHECK_EQ(sizeof(efiqa_info), 10u * 4 + 6 * sizeof(void*));
  CHECK_EQ(sizeof(efiqa_frame), 8u * 4 + 7 * sizeof(void*));
}

#ifdef EFIQA_WITH_OPENVINO
TEST(capi_tiny_model_of_a_file_answers_as_through_cpp) {
  efiqa_options options = tiny_options(kTiny.c_str());
  options.operating_point = "lenient";
  const Opened opened(&options);
  CHECK_EQ(opened.answer, std::string("ok: "));
  const efiqa_test::DiscFrame disc(640, 480);
  const efiqa_frame frame = efiqa_test::c_frame(disc);
  efiqa_report report;
  EFIQA_INIT(report);
  CHECK_EQ(efiqa_runtime_assess(opened.runtime, &frame, &report, nullptr, 0), int{EFIQA_STATUS_OK});

  efiqa::RuntimeOptions core;
  core.model_path = kTiny;
  core.allow_untrained = true;
  core.threads = 1;
  core.operating_point = "lenient";
  efiqa::Runtime runtime(core);
  const efiqa::Report& expected = runtime.assess(disc.view);
  CHECK(report.score == expected.score);
  CHECK(report.verdict == static_cast<int>(expected.verdict));
  CHECK(std::memcmp(report.weights, expected.weights.data(), 64 * sizeof(float)) == 0);
}

TEST(capi_embedded_model_opens_without_any_file) {
  const Opened opened(nullptr);
  CHECK_EQ(opened.answer, std::string("ok: "));
  efiqa_info info;
  EFIQA_INIT(info);
  CHECK_EQ(efiqa_runtime_describe(opened.runtime, &info), int{EFIQA_STATUS_OK});
  CHECK(contains(info.engine, "OpenVINO "));
  const efiqa_test::DiscFrame disc(640, 480);
  const efiqa_frame frame = efiqa_test::c_frame(disc);
  efiqa_report report;
  EFIQA_INIT(report);
  CHECK_EQ(efiqa_runtime_assess(opened.runtime, &frame, &report, nullptr, 0), int{EFIQA_STATUS_OK});
  CHECK_EQ(report.fov_shape, int{EFIQA_SHAPE_CIRCLE});
  CHECK_EQ(report.verdict, int{EFIQA_VERDICT_REJECT});  // no vessel is to be seen
}

#else
TEST(capi_embedded_model_without_a_back_end_says_so) {
  CHECK(contains(Opened(nullptr).answer, "backend_unavailable: "));
}
#endif
