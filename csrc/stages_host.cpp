// The stages on the CPU, around an engine in host memory.
#include <algorithm>
#include <utility>

#include "fov.h"
#include "preprocess.h"
#include "stages.h"
#include "status.h"

namespace efiqa {
namespace {

class HostStages : public Stages {
 public:
  HostStages(const Contract& contract, std::unique_ptr<Engine> engine,
             std::shared_ptr<ThreadPool> pool)
      : engine_(std::move(engine)),
        pool_(std::move(pool)),
        finder_(*pool_),
        preprocessor_(contract.preprocess, *pool_),
        meter_(contract.preprocess),
        postprocessor_(contract) {}

  void run(const FrameView& frame, const OperatingPoint& operating_point, const Deadline& deadline,
           Report& report, FrameMeasures* measures) override {
    check_host(frame.memory, "frame.memory", StatusCode::kInvalidFrame);
    Stopwatch watch;
    Timings& timings = report.timings;
    report.fov = finder_.find(frame);
    report.crop = report.fov.found() ? square_crop(report.fov) : SquareCrop();
    timings.fov_ms = watch.lap_ms();
    deadline.check("after the search for the field of view");
    if (report.fov.found()) {
      preprocessor_.run(frame, report.crop, report.fov, engine_->input().data);
      if (measures != nullptr) {
        *measures = meter_.measure(engine_->input().data, report.crop, report.fov, frame.height_px);
      }
      timings.preprocess_ms = watch.lap_ms();
      deadline.check("before the network");
      engine_->run_before(deadline);
      timings.engine_ms = watch.lap_ms();
      deadline.check("after the network");
    }
    postprocessor_.run(engine_->output().data, operating_point, report);
    timings.postprocess_ms = watch.lap_ms();
    timings.total_ms =
        timings.fov_ms + timings.preprocess_ms + timings.engine_ms + timings.postprocess_ms;
  }

  void render_overlay(const FrameView& frame, const Report& report, const OverlayOptions& options,
                      std::uint8_t* out, std::ptrdiff_t out_stride_bytes,
                      Memory out_memory) override {
    check_host(frame.memory, "frame.memory", StatusCode::kInvalidFrame);
    check_host(out_memory, "out_memory", StatusCode::kInvalidArgument);
    efiqa::render_overlay(frame, report, options, *pool_, out, out_stride_bytes);
  }

  void run_network(const float* input, float* logits) override {
    const TensorView in = engine_->input(), out = engine_->output();
    std::copy_n(input, value_count(in), in.data);
    engine_->run(nullptr);
    std::copy_n(out.data, value_count(out), logits);
  }

  std::string description() const override { return engine_->description(); }

 private:
  void check_host(Memory memory, const char* field, StatusCode code) const {
    if (memory == Memory::kHost) return;
    throw Error(code, std::string(field) + " is device, and this Runtime's engine (" +
                          engine_->description() +
                          ") runs on the CPU; pass host memory, or open a TensorRT plan");
  }

  std::unique_ptr<Engine> engine_;
  std::shared_ptr<ThreadPool> pool_;
  FovFinder finder_;
  Preprocessor preprocessor_;
  FrameMeter meter_;
  Postprocessor postprocessor_;
};

}  // namespace

std::unique_ptr<Stages> make_host_stages(const Contract& contract, std::unique_ptr<Engine> engine,
                                         std::shared_ptr<ThreadPool> pool) {
  return std::make_unique<HostStages>(contract, std::move(engine), std::move(pool));
}

}  // namespace efiqa
