// The stages on the GPU, around an engine in device memory. One stream; all of a frame's work but
// its upload is one CUDA graph, recorded for each geometry of frames and launched for every frame.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "cuda_util.h"
#include "fov_cuda.h"
#include "postprocess_cuda.h"
#include "preprocess_cuda.h"
#include "stages.h"
#include "status.h"
#include "upload_cuda.h"

namespace efiqa {
namespace {

constexpr std::size_t kGraphs = 4;  // geometries in turn; a camera has one, or two with a preview
constexpr int kRowGrain = 64;       // of an overlay on its way to the caller

// What a graph depends on. Pointers are read on the device, when the graph runs.
bool same_geometry(const FrameView& a, const FrameView& b) {
  return a.width_px == b.width_px && a.height_px == b.height_px &&
         a.row_stride_bytes == b.row_stride_bytes && a.format == b.format &&
         a.uv_stride_bytes == b.uv_stride_bytes && a.matrix == b.matrix && a.range == b.range;
}

bool same_values(const std::vector<float>& a, const std::vector<float>& b) {  // NaN is itself
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

bool same_field(const FieldOfView& a, const FieldOfView& b) {
  return a.shape == b.shape && a.center_x_px == b.center_x_px && a.center_y_px == b.center_y_px &&
         a.radius_px == b.radius_px && a.left_px == b.left_px && a.top_px == b.top_px &&
         a.right_px == b.right_px && a.bottom_px == b.bottom_px;
}

struct GraphSlot {
  FrameView geometry;
  Graph graph;
  long last_used = 0;
};

class DeviceStages : public Stages {
 public:
  DeviceStages(const Contract& contract, std::unique_ptr<Engine> engine,
               std::shared_ptr<ThreadPool> pool)
      : contract_(contract),
        pool_(std::move(pool)),
        engine_(std::move(engine)),
        upload_(*pool_),
        view_(1),
        staged_view_(1),
        field_(1),
        postprocessor_(contract),
        meter_(contract.preprocess) {
    check_cuda(cudaGetDevice(&device_), "cudaGetDevice");
    const TensorView input = engine_->input();
    check_cuda(cudaMemsetAsync(input.data, 0, value_count(input) * sizeof(float), stream_.get()),
               "cudaMemsetAsync");
    // An engine finishes its own setting up in its first run, which therefore is not captured.
    engine_->run(stream_.get());
    synchronise();
    try {
      Graph probe;
      probe.capture(stream_.get(), [&] { engine_->run(stream_.get()); });
    } catch (const Error& error) {
      no_graph_reason_ = error.what();
    }
  }
  ~DeviceStages() override { (void)cudaStreamSynchronize(stream_.get()); }

  // What is on the GPU cannot be given up: a deadline is noticed when the frame is through.
  void run(const FrameView& frame, const OperatingPoint& operating_point,
           const Deadline& /*deadline*/, Report& report, FrameMeasures* measures) override {
    Stopwatch watch;
    const DeviceGuard guard(device_);
    has_result_ = false;
    bool as_graph = false;
    finish([&] {
      const FrameView geometry = upload_.take(frame, device_, stream_.get());
      *staged_view_.data() = geometry;
      as_graph = launch_graph(geometry);
      if (!as_graph) enqueue(geometry, &events_);
    });
    if (!as_graph) read_timings(report.timings);
    postprocessor_.read(operating_point, report);
    has_result_ = true;
    if (measures != nullptr && report.fov.found()) *measures = measure(report, frame.height_px);
    report.timings.total_ms = watch.lap_ms();
  }

  void render_overlay(const FrameView& frame, const Report& report, const OverlayOptions& options,
                      std::uint8_t* out, std::ptrdiff_t out_stride_bytes,
                      Memory out_memory) override {
    check_overlay(frame, report, options, out, out_stride_bytes);
    const DeviceGuard guard(device_);
    if (!is_last(report)) {
      if (frame.memory == Memory::kHost && out_memory == Memory::kHost) {
        efiqa::render_overlay(frame, report, options, *pool_, out, out_stride_bytes);
        return;
      }
      throw Error(StatusCode::kInvalidArgument,
                  "the report is not of the last frame that this Runtime assessed, and the GPU "
                  "keeps the last one only; assess the frame again, or pass frame and out in host "
                  "memory");
    }
    const bool to_host = out_memory == Memory::kHost;
    const std::ptrdiff_t row_bytes = std::ptrdiff_t{3} * frame.width_px;
    const std::size_t bytes = static_cast<std::size_t>(row_bytes) * frame.height_px;
    if (to_host) {
      overlay_.reserve(bytes);
      staged_overlay_.reserve(bytes);
    } else {
      check_device_pointer(out, "out", device_, StatusCode::kInvalidArgument);
    }
    finish([&] {
      const FrameView geometry = upload_.take(frame, device_, stream_.get());
      *staged_view_.data() = geometry;
      send_view();
      postprocessor_.enqueue_overlay(geometry, view_.data(), field_.data(), options,
                                     to_host ? overlay_.data() : out,
                                     to_host ? row_bytes : out_stride_bytes, stream_.get());
      if (!to_host) return;
      check_cuda(cudaMemcpyAsync(staged_overlay_.data(), overlay_.data(), bytes,
                                 cudaMemcpyDeviceToHost, stream_.get()),
                 "cudaMemcpyAsync of the overlay");
    });
    if (!to_host) return;
    pool_->for_ranges(frame.height_px, kRowGrain, [&](int begin, int end) {
      for (std::ptrdiff_t y = begin; y < end; ++y) {
        std::memcpy(out + y * out_stride_bytes, staged_overlay_.data() + y * row_bytes,
                    static_cast<std::size_t>(row_bytes));
      }
    });
  }

  void run_network(const float* input, float* logits) override {
    const DeviceGuard guard(device_);
    const TensorView in = engine_->input(), out = engine_->output();
    finish([&] {
      check_cuda(cudaMemcpyAsync(in.data, input, value_count(in) * sizeof(float),
                                 cudaMemcpyHostToDevice, stream_.get()),
                 "cudaMemcpyAsync of the input");
      engine_->run(stream_.get());
      check_cuda(cudaMemcpyAsync(logits, out.data, value_count(out) * sizeof(float),
                                 cudaMemcpyDeviceToHost, stream_.get()),
                 "cudaMemcpyAsync of the logits");
    });
  }

  std::string description() const override {
    return engine_->description() +
           (no_graph_reason_.empty() ? ", CUDA graph" : ", no CUDA graph: " + no_graph_reason_);
  }

 private:
  // Before each stage, and behind the last.
  struct StageEvents {
    Event begin{Event::Timing::kOn}, fov{Event::Timing::kOn}, preprocess{Event::Timing::kOn},
        engine{Event::Timing::kOn}, postprocess{Event::Timing::kOn};
  };

  void synchronise() { check_cuda(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize"); }

  // Does what put_work() puts into the stream. Nothing of it is under way afterwards, whatever was
  // thrown: frame and buffers are the caller's again.
  template <typename PutWork>
  void finish(PutWork&& put_work) {
    try {
      put_work();
    } catch (...) {
      (void)cudaStreamSynchronize(stream_.get());
      (void)cudaGetLastError();
      throw;
    }
    synchronise();
  }

  // From the network's input, which the engine left as it was.
  FrameMeasures measure(const Report& report, int frame_height_px) {
    const TensorView input = engine_->input();
    seen_input_.reserve(value_count(input));
    finish([&] {
      check_cuda(cudaMemcpyAsync(seen_input_.data(), input.data, value_count(input) * sizeof(float),
                                 cudaMemcpyDeviceToHost, stream_.get()),
                 "cudaMemcpyAsync of the network's input");
    });
    return meter_.measure(seen_input_.data(), report.crop, report.fov, frame_height_px);
  }

  void send_view() {
    check_cuda(cudaMemcpyAsync(view_.data(), staged_view_.data(), sizeof(FrameView),
                               cudaMemcpyHostToDevice, stream_.get()),
               "cudaMemcpyAsync of the view");
  }

  // Puts the frame's work into the stream. Events: null inside a graph.
  void enqueue(const FrameView& geometry, StageEvents* events) {
    const Stream stream = stream_.get();
    const auto mark = [&](Event StageEvents::* event) {
      if (events != nullptr) (events->*event).record(stream);
    };
    mark(&StageEvents::begin);
    send_view();
    finder_.enqueue(geometry, view_.data(), field_.data(), stream);
    mark(&StageEvents::fov);
    launch_preprocess(geometry, view_.data(), field_.data(), contract_.preprocess,
                      engine_->input().data, stream);
    mark(&StageEvents::preprocess);
    // Without a field of view, too: a graph has no branches, and the postprocessor looks at the
    // field before it looks at the logits.
    engine_->run(stream);
    mark(&StageEvents::engine);
    postprocessor_.enqueue(engine_->output().data, field_.data(), stream);
    mark(&StageEvents::postprocess);
  }

  void read_timings(Timings& timings) const {
    timings.fov_ms = events_.fov.ms_since(events_.begin);
    timings.preprocess_ms = events_.preprocess.ms_since(events_.fov);
    timings.engine_ms = events_.engine.ms_since(events_.preprocess);
    timings.postprocess_ms = events_.postprocess.ms_since(events_.engine);
  }

  // False where there is no graph, and nothing is in the stream.
  bool launch_graph(const FrameView& geometry) {
    if (!no_graph_reason_.empty()) return false;
    GraphSlot* slot = &slots_[0];
    for (GraphSlot& other : slots_) {
      if (!other.graph.empty() && same_geometry(other.geometry, geometry)) {
        slot = &other;
        break;
      }
      if (other.last_used < slot->last_used) slot = &other;
    }
    if (slot->graph.empty() || !same_geometry(slot->geometry, geometry)) {
      try {
        slot->graph.capture(stream_.get(), [&] { enqueue(geometry, nullptr); });
      } catch (const Error& error) {
        no_graph_reason_ = error.what();
        return false;
      }
      slot->geometry = geometry;
    }
    slot->last_used = ++uses_;
    slot->graph.launch(stream_.get());
    return true;
  }

  // Whether the last run() filled `report`, or a copy of it.
  bool is_last(const Report& report) {
    if (!has_result_) return false;
    postprocessor_.read(contract_.operating_points.front(), last_);
    return same_field(report.fov, last_.fov) && same_values(report.map, last_.map) &&
           same_values(report.weights, last_.weights);
  }

  const Contract& contract_;
  std::shared_ptr<ThreadPool> pool_;
  int device_ = 0;
  StreamHandle stream_;
  std::unique_ptr<Engine> engine_;
  FrameUpload upload_;
  DeviceBuffer<FrameView> view_;
  PinnedBuffer<FrameView> staged_view_;
  DeviceBuffer<DeviceField> field_;
  DeviceFovFinder finder_;
  DevicePostprocessor postprocessor_;
  FrameMeter meter_;
  PinnedBuffer<float> seen_input_;
  DeviceBuffer<std::uint8_t> overlay_;
  PinnedBuffer<std::uint8_t> staged_overlay_;
  StageEvents events_;
  std::array<GraphSlot, kGraphs> slots_;
  long uses_ = 0;
  std::string no_graph_reason_;
  bool has_result_ = false;
  Report last_;
};

}  // namespace

std::unique_ptr<Stages> make_device_stages(const Contract& contract, std::unique_ptr<Engine> engine,
                                           std::shared_ptr<ThreadPool> pool) {
  return std::make_unique<DeviceStages>(contract, std::move(engine), std::move(pool));
}

}  // namespace efiqa
