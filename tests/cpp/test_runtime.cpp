#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <string>
#include <thread>

#include "allocations.h"
#include "check.h"
#include "fixtures.h"
#include "runtime.h"

using efiqa::Runtime;
using efiqa::RuntimeOptions;
using efiqa::Verdict;
using efiqa_test::contains;
using efiqa_test::DiscFrame;
using efiqa_test::error_of;
using efiqa_test::FakeEngine;
using efiqa_test::Folder;
using efiqa_test::HeldRun;
using efiqa_test::read_golden;
using efiqa_test::replaced;

namespace {

// A runtime with a fake engine, which the test keeps a hand on.
struct Bench {
  explicit Bench(int threads = 1, const efiqa::Contract& contract = efiqa_test::tiny_contract()) {
    auto owned = std::make_unique<FakeEngine>(contract);
    engine = owned.get();
    RuntimeOptions options;
    options.threads = threads;
    runtime = std::make_unique<Runtime>(contract, std::move(owned), options);
  }

  FakeEngine* engine = nullptr;
  std::unique_ptr<Runtime> runtime;
};

std::string open_error(const std::string& model_path, bool allow_untrained = true, int threads = 1,
                       const std::string& operating_point = "") {
  RuntimeOptions options;
  options.model_path = model_path;
  options.allow_untrained = allow_untrained;
  options.threads = threads;
  options.operating_point = operating_point;
  return error_of([&] { Runtime runtime(options); });
}

}  // namespace

TEST(runtime_frame_is_assessed_and_timed) {
  Bench bench;
  const DiscFrame frame(640, 480);
  const efiqa::Report& report = bench.runtime->assess(frame.view);
  CHECK(report.verdict == Verdict::kGood);
  CHECK_NEAR(report.score, 1 - 1 / (1 + std::exp(4.0)), 1e-5);
  CHECK(report.fov.shape == efiqa::FovShape::kCircle);
  CHECK(report.frame_width_px == 640);
  CHECK(report.frame_height_px == 480);
  CHECK(report.grid_width == 8);
  CHECK(report.timings.fov_ms > 0);
  CHECK(report.timings.preprocess_ms > 0);
  CHECK(report.timings.engine_ms >= 0);
  CHECK(report.timings.postprocess_ms > 0);
  CHECK_NEAR(report.timings.total_ms,
             report.timings.fov_ms + report.timings.preprocess_ms + report.timings.engine_ms +
                 report.timings.postprocess_ms,
             1e-3);
  CHECK(bench.engine->runs == 1);
  CHECK(bench.runtime->engine_description() == "fake");
  CHECK(bench.runtime->pool()->threads() == 1);
}

TEST(runtime_frame_without_field_of_view_is_unknown_and_spares_the_engine) {
  Bench bench;
  const DiscFrame black(640, 480, false);
  const efiqa::Report& report = bench.runtime->assess(black.view);
  CHECK(report.verdict == Verdict::kUnknown);
  CHECK(report.reason == efiqa::Reason::kNoFieldOfView);
  CHECK(std::isnan(report.score));
  CHECK(bench.engine->runs == 0);
  CHECK(report.timings.engine_ms == 0.0f);
}

TEST(runtime_device_memory_is_refused_by_an_engine_on_the_cpu) {
  Bench bench;
  const DiscFrame frame(640, 480);
  efiqa::FrameView device = frame.view;
  device.memory = efiqa::Memory::kDevice;
  const std::string rest =
      " is device, and this Runtime's engine (fake) runs on the CPU; pass host memory, or open a "
      "TensorRT plan";
  CHECK_EQ(error_of([&] { bench.runtime->assess(device); }), "invalid_frame: frame.memory" + rest);

  const efiqa::Report report = bench.runtime->assess(frame.view);
  std::vector<std::uint8_t> out(3u * 640 * 480);
  CHECK_EQ(
      error_of([&] { bench.runtime->render_overlay(device, report, {}, out.data(), 3 * 640); }),
      "invalid_frame: frame.memory" + rest);
  CHECK_EQ(error_of([&] {
             bench.runtime->render_overlay(frame.view, report, {}, out.data(), 3 * 640,
                                           efiqa::Memory::kDevice);
           }),
           "invalid_argument: out_memory" + rest);
}

TEST(runtime_overlay_is_render_overlays) {
  Bench bench;
  bench.engine->logits[20] = 3;
  const DiscFrame frame(320, 240);
  const efiqa::Report report = bench.runtime->assess(frame.view);
  std::vector<std::uint8_t> out(3u * 320 * 240), expected(out.size());
  bench.runtime->render_overlay(frame.view, report, {}, out.data(), 3 * 320);
  efiqa::render_overlay(frame.view, report, {}, *bench.runtime->pool(), expected.data(), 3 * 320);
  CHECK(out == expected);
}

TEST(runtime_engine_on_a_gpu_is_refused_where_the_stages_are_not_built_in) {
  class DeviceEngine : public FakeEngine {
   public:
    using FakeEngine::FakeEngine;
    efiqa::TensorView input() override { return on_device(FakeEngine::input()); }
    efiqa::TensorView output() override { return on_device(FakeEngine::output()); }

   private:
    static efiqa::TensorView on_device(efiqa::TensorView view) {
      view.memory = efiqa::Memory::kDevice;
      return view;
    }
  };
  const efiqa::Contract contract = efiqa_test::tiny_contract();
  CHECK_EQ(error_of([&] { Runtime(contract, std::make_unique<DeviceEngine>(contract), {}); }),
           std::string("backend_unavailable: the engine \"fake\" runs on a GPU, and this build of "
                       "efiqa has no CUDA stages; build it with EFIQA_WITH_CUDA=ON"));
}

TEST(runtime_stays_usable_after_frames_that_failed) {
  Bench bench;
  const DiscFrame frame(640, 480);
  bench.runtime->assess(frame.view);

  efiqa::FrameView wrong = frame.view;
  wrong.row_stride_bytes = 3;
  CHECK(error_of([&] {
          bench.runtime->assess(wrong);
        }).rfind("invalid_frame: frame.row_stride_bytes is 3, expected ", 0) == 0);
  wrong = frame.view;
  wrong.data = nullptr;
  CHECK(error_of([&] { bench.runtime->assess(wrong); }).rfind("invalid_frame: ", 0) == 0);

  bench.engine->on_run = [] {
    throw efiqa::Error(efiqa::StatusCode::kEngineFailure, "the plug was pulled");
  };
  CHECK_EQ(error_of([&] { bench.runtime->assess(frame.view); }),
           std::string("engine_failure: the plug was pulled"));
  bench.engine->on_run = nullptr;

  bench.engine->logits[30] = std::numeric_limits<float>::quiet_NaN();
  efiqa::Report report;
  report.verdict = Verdict::kGood;
  report.score = 1;
  CHECK(error_of([&] {
          bench.runtime->assess_into(frame.view, report);
        }).rfind("engine_failure: ", 0) == 0);
  CHECK(report.verdict == Verdict::kUnknown);  // what failed must not read as good
  CHECK(std::isnan(report.score));

  bench.engine->logits[30] = -4;
  CHECK(bench.runtime->assess(frame.view).verdict == Verdict::kGood);
}

TEST(runtime_second_thread_inside_is_refused) {
  Bench bench;
  const DiscFrame frame(640, 480);
  HeldRun held(*bench.engine);
  std::thread first([&] { bench.runtime->assess(frame.view); });
  held.wait_until_inside();
  const std::string message = error_of([&] { bench.runtime->assess(frame.view); });
  held.release();
  first.join();
  CHECK_EQ(message, std::string("wrong_thread: another thread is inside this Runtime; open one "
                                "Runtime per thread"));
  CHECK(bench.runtime->assess(frame.view).verdict == Verdict::kGood);
}

TEST(runtime_threads_with_one_runtime_each_answer_alike) {
  const DiscFrame frame(320, 240);
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      Bench bench(2);
      for (int round = 0; round < 5; ++round) {
        good += bench.runtime->assess(frame.view).verdict == Verdict::kGood;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(good == 20);
}

TEST(runtime_frames_allocate_nothing_after_the_largest_one) {
  for (const int threads : {1, 2}) {
    Bench bench(threads, efiqa_test::full_contract());
    for (int i = 0; i < 64; i += 2) bench.engine->logits[i] = 3;  // regions, too
    const DiscFrame large(1280, 960), small(640, 480), black(640, 480, false);
    CHECK(!bench.runtime->assess(large.view).regions.empty());
    bench.runtime->assess(small.view);
    const efiqa_test::AllocationCount count;
    for (int i = 0; i < 3; ++i) {
      bench.runtime->assess(small.view);
      bench.runtime->assess(large.view);
      bench.runtime->assess(black.view);
    }
    CHECK(count.since_start() == 0);
  }
}

TEST(runtime_overlay_allocates_nothing) {
  Bench bench(2);
  const DiscFrame frame(640, 480);
  const efiqa::Report& report = bench.runtime->assess(frame.view);
  std::vector<std::uint8_t> out(3u * 640 * 480);
  const auto pool = bench.runtime->pool();
  const efiqa_test::AllocationCount count;
  efiqa::render_overlay(frame.view, report, {}, *pool, out.data(), 3 * 640);
  CHECK(count.since_start() == 0);
}

TEST(runtime_thread_counts_outside_the_range_are_refused) {
  CHECK_EQ(open_error(efiqa_test::golden_path("tiny.onnx"), true, -1),
           std::string("invalid_argument: threads is -1, expected 1 to 256, or 0 for one per core, "
                       "at most 4"));
  CHECK(contains(open_error(efiqa_test::golden_path("tiny.onnx"), true, 257), "threads is 257"));
  Bench bench(0);
  CHECK(bench.runtime->pool()->threads() >= 1);
  CHECK(bench.runtime->pool()->threads() <= 4);
}

TEST(runtime_model_files_that_cannot_be_read_are_refused_with_the_reason) {
  Folder folder;
  const std::string missing = folder.add("missing.onnx");
  CHECK_EQ(open_error(missing),
           "file_unreadable: model " + missing + " does not exist; check the path");
  CHECK(contains(open_error("/tmp"), "file_unreadable: model /tmp is a folder, expected a file"));
  CHECK(contains(open_error(""), "invalid_argument: model path is empty"));
  CHECK(contains(open_error(std::string("a\0b", 3)), "invalid_argument: model path"));
  const std::string empty = folder.write("empty.onnx", "");
  CHECK_EQ(open_error(empty),
           "file_unreadable: model " + empty + " is empty; copy or export it again");
  const std::string pipe = folder.add("pipe.onnx");
  CHECK(mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_EQ(open_error(pipe), "file_unreadable: model " + pipe + " is not a regular file");
  if (geteuid() != 0) {  // root may read everything
    const std::string locked = folder.write("locked.onnx", "x");
    CHECK(chmod(locked.c_str(), 0) == 0);
    CHECK(contains(open_error(locked), "cannot be opened: Permission denied"));
  }
}

TEST(runtime_model_without_contract_is_refused_with_the_fix) {
  Folder folder;
  const std::string model = folder.write("m.onnx", read_golden("tiny.onnx"));
  CHECK_EQ(open_error(model),
           "file_unreadable: contract " + model +
               ".json does not exist; a model needs its contract beside it: copy it along, or "
               "export the model again with efiqa export");
  folder.write("m.onnx.json", efiqa_test::tiny_contract_text().substr(0, 300));
  CHECK(open_error(model).rfind("contract_invalid: " + model + ".json: line ", 0) == 0);
}

TEST(runtime_model_of_another_contract_is_refused_with_both_hashes) {
  Folder folder;
  const std::string contract = efiqa_test::tiny_contract_text();
  const std::string expected = efiqa_test::tiny_contract().model_sha256;
  const std::string model = folder.write("m.onnx", read_golden("tiny.onnx") + "x");
  folder.write("m.onnx.json", contract);
  const std::string message = open_error(model);
  CHECK(message.rfind("contract_invalid: model " + model + " has the SHA-256 ", 0) == 0);
  CHECK(contains(message, "expects " + expected));
  CHECK(contains(message, "copy both files again"));
}

TEST(runtime_untrained_model_is_refused_unless_allowed) {
  const std::string message = open_error(efiqa_test::golden_path("tiny.onnx"), false);
  CHECK(message.rfind("model_invalid: model ", 0) == 0);
  CHECK(contains(message, "has random weights"));
  CHECK(contains(message, "allow_untrained"));
}

TEST(runtime_unknown_operating_point_is_refused_with_the_list) {
  CHECK_EQ(open_error(efiqa_test::golden_path("tiny.onnx"), true, 1, "strict"),
           std::string("invalid_argument: operating_point is \"strict\", expected one of: "
                       "screening, lenient"));
}

#ifdef EFIQA_WITH_OPENVINO
TEST(runtime_tiny_model_takes_the_dark_side_for_bad) {
  RuntimeOptions options;
  options.model_path = efiqa_test::golden_path("tiny.onnx");
  options.allow_untrained = true;
  options.threads = 2;
  options.operating_point = "lenient";
  Runtime runtime(options);
  const DiscFrame frame(640, 480);
  const efiqa::Report& report = runtime.assess(frame.view);
  CHECK(report.verdict != Verdict::kUnknown);
  CHECK(report.score > 0.3f);
  CHECK(report.map[3 * 8 + 1] > report.map[3 * 8 + 6]);  // light comes from the right
  CHECK(contains(runtime.engine_description(), "2 threads"));
  CHECK(runtime.contract().id == "tiny-v1");
}

TEST(runtime_network_alone_takes_its_input_and_gives_its_logits) {
  RuntimeOptions options;
  options.model_path = efiqa_test::golden_path("tiny.onnx");
  options.allow_untrained = true;
  options.threads = 1;
  Runtime runtime(options);
  std::vector<float> input(3 * 64 * 64, -1.0f);      // black: logit -2 + 1.5 * 3
  for (int i = 0; i < 64 * 8; ++i) input[i] = 1.0f;  // the red channel of the first row of cells
  std::vector<float> logits(8 * 8, 99.0f);
  runtime.run_network(input.data(), logits.data());
  for (int cell = 0; cell < 64; ++cell) CHECK_NEAR(logits[cell], cell < 8 ? -0.5 : 2.5, 1e-5);
}
#endif

TEST(runtime_network_alone_refuses_a_second_thread_and_stays_usable_after_a_failure) {
  Bench bench;
  const std::vector<float> input(3 * 64 * 64);
  std::vector<float> logits(8 * 8);
  bench.engine->on_run = [&] {
    const std::string inner =
        error_of([&] { bench.runtime->run_network(input.data(), logits.data()); });
    CHECK_EQ(inner, std::string("wrong_thread: another thread is inside this Runtime; open one "
                                "Runtime per thread"));
    throw efiqa::Error(efiqa::StatusCode::kEngineFailure, "broken");
  };
  CHECK_EQ(error_of([&] { bench.runtime->run_network(input.data(), logits.data()); }),
           std::string("engine_failure: broken"));
  bench.engine->on_run = nullptr;
  bench.runtime->run_network(input.data(), logits.data());
  CHECK(logits[63] == -4.0f);
}
