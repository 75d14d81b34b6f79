// The C door when memory runs out: at each single allocation of open, and of the first frame.
#include <string>
#include <vector>

#include "allocations.h"
#include "capi_fixtures.h"
#include "check.h"

using efiqa_test::c_frame;
using efiqa_test::CBench;
using efiqa_test::DiscFrame;

namespace {

constexpr long kMany = 100000;  // no call here allocates as often

}  // namespace

// Up to where the back end is asked for: what OpenVINO does without memory is OpenVINO's.
TEST(capi_open_without_memory_is_named_and_leaves_no_handle) {
  const std::string model = efiqa_test::golden_path("tiny.onnx");
  efiqa_options options;
  EFIQA_INIT(options);
  options.model_path = model.c_str();
  options.allow_untrained = 1;
  options.backend = 77;
  long failures = 0;
  for (long count = 0; count < kMany; ++count) {
    char message[128] = "";
    efiqa_runtime* runtime = nullptr;
    std::int32_t status = EFIQA_STATUS_OK;
    {
      const efiqa_test::OutOfMemory none_left(count);
      status = efiqa_runtime_open(&options, &runtime, message, sizeof(message));
    }
    CHECK(runtime == nullptr);
    if (status == EFIQA_STATUS_BACKEND_UNAVAILABLE) break;
    CHECK_EQ(efiqa_test::answer_of(status, message), std::string("out_of_memory: out of memory"));
    ++failures;
  }
  CHECK(failures > 50 && failures < kMany);
}

TEST(capi_runtime_construction_without_memory_throws_and_frees_its_threads) {
  const efiqa::Contract contract = efiqa_test::tiny_contract();
  long failures = 0;
  for (long count = 0; count < kMany; ++count) {
    auto engine = std::make_unique<efiqa_test::FakeEngine>(contract);
    efiqa::Contract copy = contract;
    efiqa::RuntimeOptions options;
    options.threads = 2;
    try {
      const efiqa_test::OutOfMemory none_left(count);
      const efiqa::Runtime runtime(std::move(copy), std::move(engine), options);
      break;
    } catch (const std::bad_alloc&) {
      ++failures;
    }
  }
  CHECK(failures > 5 && failures < kMany);
}

TEST(capi_first_frame_without_memory_is_unknown_and_the_next_one_is_assessed) {
  const DiscFrame disc(320, 240);
  const efiqa_frame frame = c_frame(disc);
  long failures = 0;
  for (long count = 0; count < kMany; ++count) {
    CBench bench;
    std::int32_t status = EFIQA_STATUS_OK;
    {
      const efiqa_test::OutOfMemory none_left(count);
      status = bench.assess(frame);
    }
    if (status == EFIQA_STATUS_OK) break;
    ++failures;
    CHECK_EQ(efiqa_test::answer_of(status, bench.message),
             std::string("out_of_memory: out of memory"));
    CHECK(efiqa_test::says_unknown(bench.report));
    CHECK_EQ(bench.answer(frame), std::string("ok: "));
    CHECK_EQ(bench.report.verdict, int{EFIQA_VERDICT_GOOD});
  }
  CHECK(failures > 5 && failures < kMany);
}

TEST(capi_overlay_without_memory_still_draws) {
  CBench bench;
  const DiscFrame disc(320, 240);
  const efiqa_frame frame = c_frame(disc);
  bench.assess(frame);
  std::vector<std::uint8_t> out(3u * 320 * 240);
  const efiqa_test::OutOfMemory none_left(0);
  CHECK_EQ(
      efiqa_overlay_render(bench.runtime, &frame, nullptr, out.data(), out.size(), 960, nullptr, 0),
      int{EFIQA_STATUS_OK});
}
