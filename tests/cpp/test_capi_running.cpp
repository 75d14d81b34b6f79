// The C door in service: deadlines, several threads, no allocation.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "allocations.h"
#include "capi_fixtures.h"
#include "check.h"
#include "deadline.h"
#include "embedded_model.h"

using efiqa_test::c_frame;
using efiqa_test::CBench;
using efiqa_test::contains;
using efiqa_test::DiscFrame;
using efiqa_test::HeldRun;
using efiqa_test::says_unknown;

TEST(capi_deadline_missed_is_unknown_and_the_runtime_stays_usable) {
  static constexpr int kDeadlineMs = 1000;  // far above what the other stages take
  CBench bench(1, kDeadlineMs);
  const DiscFrame disc(320, 240);
  const efiqa_frame frame = c_frame(disc);
  bench.engine->on_run = [] {
    std::this_thread::sleep_for(std::chrono::milliseconds(kDeadlineMs));
  };
  CHECK_EQ(bench.answer(frame),
           std::string("deadline: the frame took longer than deadline_ms 1000 and was given up "
                       "after the network; allow more time, or use more threads"));
  CHECK(says_unknown(bench.report));
  efiqa_region region;
  EFIQA_INIT(region);
  CHECK_EQ(efiqa_region_read(bench.runtime, 0, &region), int{EFIQA_STATUS_INVALID_ARGUMENT});
  bench.engine->on_run = nullptr;
  CHECK_EQ(bench.answer(frame), std::string("ok: "));
  CHECK_EQ(bench.report.verdict, int{EFIQA_VERDICT_GOOD});
}

TEST(capi_deadline_that_is_kept_changes_nothing) {
  CBench bench(1, 60000);
  const DiscFrame disc(320, 240);
  CHECK_EQ(bench.answer(c_frame(disc)), std::string("ok: "));
  CHECK_EQ(bench.report.verdict, int{EFIQA_VERDICT_GOOD});
}

#ifdef EFIQA_WITH_OPENVINO
TEST(capi_deadline_of_a_real_model_is_missed_on_every_frame) {
  efiqa_options options;
  EFIQA_INIT(options);
  options.deadline_ms = 1;  // the network alone takes longer
  efiqa_runtime* runtime = nullptr;
  CHECK_EQ(efiqa_runtime_open(&options, &runtime, nullptr, 0), int{EFIQA_STATUS_OK});
  const DiscFrame disc(640, 480);
  const efiqa_frame frame = c_frame(disc);
  efiqa_report report;
  EFIQA_INIT(report);
  for (int i = 0; i < 5; ++i) {
    char message[256];
    CHECK_EQ(efiqa_runtime_assess(runtime, &frame, &report, message, sizeof(message)),
             int{EFIQA_STATUS_DEADLINE});
    CHECK(contains(message, "the frame took longer than deadline_ms 1 and was given up "));
    CHECK(says_unknown(report));
  }
  efiqa_runtime_close(&runtime);
}

TEST(capi_deadline_interrupts_openvino_and_the_next_run_is_right) {
  const efiqa::ModelBytes model = efiqa::embedded_model();
  const efiqa::Contract contract =
      efiqa::parse_contract(std::string(model.contract), std::string(model.name));
  const auto engine =
      efiqa::open_engine(std::string(model.model), contract, efiqa::Backend::kOpenVino, 1);
  const auto fill = [&](float value) {
    const efiqa::TensorView input = engine->input();  // waits for what was given up
    std::fill_n(input.data, 3 * input.height * input.width, value);
  };
  const efiqa::TensorView output = engine->output();
  const int cells = output.height * output.width;
  fill(0.25f);
  engine->run(nullptr);
  std::vector<float> expected(static_cast<std::size_t>(cells));
  std::copy_n(output.data, cells, expected.begin());
  int interrupted = 0;
  for (int i = 0; i < 10; ++i) {
    const efiqa::Deadline deadline(1);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    fill(-1);
    try {
      engine->run_before(deadline);  // may be through, where this thread was held up
    } catch (const efiqa::Error& error) {
      CHECK(error.code() == efiqa::StatusCode::kDeadline);
      CHECK(contains(error.what(), "given up in the network"));
      ++interrupted;
    }
    fill(0.25f);
    engine->run_before(efiqa::Deadline(efiqa::kMaxDeadlineMs));
    CHECK(std::equal(expected.begin(), expected.end(), output.data));
  }
  CHECK(interrupted > 0);
}
#endif

TEST(capi_second_thread_is_turned_away_everywhere_and_close_keeps_the_runtime) {
  CBench bench;
  const DiscFrame disc(320, 240);
  const efiqa_frame frame = c_frame(disc);
  HeldRun held(*bench.engine);
  std::thread first([&] { bench.assess(frame); });
  held.wait_until_inside();
  efiqa_report report;
  EFIQA_INIT(report);
  efiqa_region region;
  EFIQA_INIT(region);
  std::vector<std::uint8_t> out(3u * 320 * 240);
  const int refused = EFIQA_STATUS_WRONG_THREAD;
  CHECK_EQ(efiqa_runtime_assess(bench.runtime, &frame, &report, nullptr, 0), refused);
  CHECK(says_unknown(report));
  CHECK_EQ(efiqa_region_read(bench.runtime, 0, &region), refused);
  CHECK_EQ(
      efiqa_overlay_render(bench.runtime, &frame, nullptr, out.data(), out.size(), 960, nullptr, 0),
      refused);
  CHECK_EQ(efiqa_runtime_close(&bench.runtime), refused);
  CHECK(bench.runtime != nullptr);
  held.release();
  first.join();
  CHECK_EQ(bench.report.verdict, int{EFIQA_VERDICT_GOOD});
}

TEST(capi_eight_threads_with_a_runtime_each_and_one_contract_answer_alike) {
  const DiscFrame disc(320, 240);
  const efiqa_frame frame = c_frame(disc);
  const efiqa::Contract shared = efiqa_test::tiny_contract();
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      efiqa::RuntimeOptions options;
      options.threads = 2;
      efiqa_runtime* runtime =
          new efiqa_runtime(std::make_unique<efiqa::Runtime>(
                                shared, std::make_unique<efiqa_test::FakeEngine>(shared), options),
                            0);
      efiqa_report report;
      EFIQA_INIT(report);
      for (int round = 0; round < 5; ++round) {
        efiqa_runtime_assess(runtime, &frame, &report, nullptr, 0);
        good += report.verdict == EFIQA_VERDICT_GOOD;
      }
      efiqa_runtime_close(&runtime);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(good.load(), 40);
}

TEST(capi_frames_allocate_nothing_after_the_first_of_their_size) {
  for (const int threads : {1, 2}) {
    CBench bench(threads, 60000, efiqa_test::full_contract());
    for (int i = 0; i < 64; i += 2) bench.engine->logits[i] = 3;  // regions, too
    const DiscFrame large(1280, 960), small(640, 480), black(640, 480, false);
    std::vector<std::uint8_t> out(3u * 1280 * 960);
    bench.assess(c_frame(large));
    bench.assess(c_frame(small));
    efiqa_region region;
    EFIQA_INIT(region);
    const efiqa_test::AllocationCount count;
    for (const DiscFrame* disc : {&small, &large, &black, &large}) {
      const efiqa_frame frame = c_frame(*disc);
      bench.assess(frame);
      for (int i = 0; i < bench.report.region_count; ++i) {
        efiqa_region_read(bench.runtime, i, &region);
      }
      efiqa_overlay_render(bench.runtime, &frame, nullptr, out.data(), out.size(),
                           3 * frame.width_px, nullptr, 0);
    }
    CHECK(bench.report.region_count > 0);
    CHECK_EQ(count.since_start(), 0L);
  }
}
