#include "runtime.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "deadline.h"
#include "sha256.h"
#include "status.h"

namespace efiqa {
namespace {

// Beyond 4 cores this kind of network gains little, and a camera has other things to do.
constexpr int kMaxDefaultThreads = 4;
constexpr int kMaxThreads = 256;

int default_threads() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return 1;
  return std::clamp(CPU_COUNT(&allowed), 1, kMaxDefaultThreads);
}

int checked_threads(int threads) {
  if (threads == 0) return default_threads();
  if (threads < 0 || threads > kMaxThreads) {
    throw Error(StatusCode::kInvalidArgument, "threads is " + std::to_string(threads) +
                                                  ", expected 1 to " + std::to_string(kMaxThreads) +
                                                  ", or 0 for one per core, at most " +
                                                  std::to_string(kMaxDefaultThreads));
  }
  return threads;
}

int checked_deadline(int deadline_ms) {
  if (deadline_ms >= 0 && deadline_ms <= kMaxDeadlineMs) return deadline_ms;
  throw Error(StatusCode::kInvalidArgument, "deadline_ms is " + std::to_string(deadline_ms) +
                                                ", expected 1 to " +
                                                std::to_string(kMaxDeadlineMs) + ", or 0 for none");
}

[[noreturn]] void fail_read(const std::string& what, const std::string& path,
                            const std::string& reason) {
  throw Error(StatusCode::kFileUnreadable, what + " " + path + " " + reason);
}

// The whole of a regular file. `what` and `missing_fix` are for messages.
std::string read_file(const std::string& path, const std::string& what,
                      const std::string& missing_fix) {
  struct FileDescriptor {
    int number;
    ~FileDescriptor() {
      if (number >= 0) close(number);
    }
  };
  if (path.empty() || path.find('\0') != std::string::npos) {
    throw Error(StatusCode::kInvalidArgument, what + " path is empty or holds a NUL character");
  }
  // O_NONBLOCK: opening a pipe must not wait for its writer.
  const FileDescriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.number < 0) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR)
      fail_read(what, path, "does not exist; " + missing_fix);
    fail_read(what, path,
              "cannot be opened: " + std::string(std::strerror(error)) + "; check its permissions");
  }
  struct stat status{};
  if (fstat(file.number, &status) != 0) {
    fail_read(what, path, "cannot be read: " + std::string(std::strerror(errno)));
  }
  if (S_ISDIR(status.st_mode)) fail_read(what, path, "is a folder, expected a file");
  if (!S_ISREG(status.st_mode)) fail_read(what, path, "is not a regular file");
  if (status.st_size == 0) fail_read(what, path, "is empty; copy or export it again");
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = read(file.number, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_read(what, path, "cannot be read: " + std::string(std::strerror(errno)));
    if (count == 0) fail_read(what, path, "became shorter while it was read; try again");
    done += static_cast<std::size_t>(count);
  }
  return bytes;
}

std::string read_model(const std::string& path) {
  return read_file(path, "model", "check the path");
}

Contract read_contract(const std::string& model_path) {
  const std::string path = contract_path(model_path);
  return parse_contract(read_file(path, "contract",
                                  "a model needs its contract beside it: copy it along, or export "
                                  "the model again with efiqa export"),
                        path);
}

void check_model_hash(const std::string& bytes, const Contract& contract, const std::string& path) {
  const std::string actual = sha256_hex(bytes.data(), bytes.size());
  if (actual == contract.model_sha256) return;
  throw Error(StatusCode::kContractInvalid,
              "model " + path + " has the SHA-256 " + actual + ", its contract " +
                  contract_path(path) + " expects " + contract.model_sha256 +
                  "; the contract is of another model, or the model is damaged: copy both files "
                  "again, or export the model again with efiqa export");
}

void check_trained(const Contract& contract, bool allow_untrained, const std::string& path) {
  if (contract.trained || allow_untrained) return;
  throw Error(StatusCode::kModelInvalid,
              "model " + path +
                  " has random weights (model.trained is false in its contract), so its scores "
                  "mean nothing; for tests and timing pass allow_untrained=True");
}

// Milliseconds since the previous call.
class Stopwatch {
 public:
  float lap_ms() {
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<float, std::milli> elapsed = now - last_;
    last_ = now;
    return elapsed.count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// A report that is not complete must not read as an answer.
void withhold(Report& report) {
  report.verdict = Verdict::kUnknown;
  report.score = std::numeric_limits<float>::quiet_NaN();
  report.regions.clear();
}

}  // namespace

struct Runtime::Impl {
  Impl(Contract parsed, std::unique_ptr<Engine> opened, const RuntimeOptions& options)
      : contract(std::move(parsed)),
        operating_point(contract.operating_point(options.operating_point)),
        deadline_ms(checked_deadline(options.deadline_ms)),
        engine(std::move(opened)),
        pool(std::make_shared<ThreadPool>(checked_threads(options.threads))),
        finder(*pool),
        preprocessor(contract.preprocess, *pool),
        meter(contract.preprocess),
        postprocessor(contract) {}

  void assess(const FrameView& frame, Report& out, FrameMeasures* measures);
  void check_host(Memory memory) const {
    if (memory == Memory::kHost) return;
    throw Error(StatusCode::kInvalidFrame, "frame.memory is device, and this Runtime's engine (" +
                                               engine->description() +
                                               ") runs on the CPU; pass host memory");
  }

  Contract contract;
  OperatingPoint operating_point;
  int deadline_ms;
  std::unique_ptr<Engine> engine;
  std::shared_ptr<ThreadPool> pool;
  FovFinder finder;
  Preprocessor preprocessor;
  FrameMeter meter;
  Postprocessor postprocessor;
  Report report;
  std::atomic<bool> busy{false};
};

void Runtime::Impl::assess(const FrameView& frame, Report& out, FrameMeasures* measures) {
  if (busy.exchange(true, std::memory_order_acquire)) {
    throw Error(StatusCode::kWrongThread,
                "another thread is inside this Runtime; open one Runtime per thread");
  }
  struct Release {
    std::atomic<bool>& busy;
    ~Release() { busy.store(false, std::memory_order_release); }
  } const release{busy};

  withhold(out);  // until the last stage is through
  out.timings = Timings();
  if (measures != nullptr) *measures = FrameMeasures();
  validate_frame(frame);
  check_host(frame.memory);
  out.frame_width_px = frame.width_px;
  out.frame_height_px = frame.height_px;

  const Deadline deadline(deadline_ms);
  Stopwatch watch;
  Timings& timings = out.timings;
  out.fov = finder.find(frame);
  out.crop = out.fov.found() ? square_crop(out.fov) : SquareCrop();
  timings.fov_ms = watch.lap_ms();
  deadline.check("after the search for the field of view");
  if (out.fov.found()) {
    preprocessor.run(frame, out.crop, out.fov, engine->input().data);
    if (measures != nullptr) {
      *measures = meter.measure(engine->input().data, out.crop, out.fov, frame.height_px);
    }
    timings.preprocess_ms = watch.lap_ms();
    deadline.check("before the network");
    engine->run_before(deadline);
    timings.engine_ms = watch.lap_ms();
    deadline.check("after the network");
  }
  postprocessor.run(engine->output().data, operating_point, out);
  timings.postprocess_ms = watch.lap_ms();
  timings.total_ms =
      timings.fov_ms + timings.preprocess_ms + timings.engine_ms + timings.postprocess_ms;
  if (deadline.passed()) {
    withhold(out);
    deadline.fail("after the last stage");
  }
}

std::unique_ptr<Runtime::Impl> Runtime::open(const std::string& model, Contract contract,
                                             const std::string& name,
                                             const RuntimeOptions& options) {
  // What is cheap to refuse, before the long part.
  const int threads = checked_threads(options.threads);
  checked_deadline(options.deadline_ms);
  contract.operating_point(options.operating_point);
  check_model_hash(model, contract, name);
  check_trained(contract, options.allow_untrained, name);
  std::unique_ptr<Engine> engine = open_engine(model, contract, options.backend, threads);
  return std::make_unique<Impl>(std::move(contract), std::move(engine), options);
}

Runtime::Runtime(const RuntimeOptions& options) {
  checked_threads(options.threads);
  const std::string model = read_model(options.model_path);
  impl_ = open(model, read_contract(options.model_path), options.model_path, options);
}

Runtime::Runtime(const ModelBytes& bytes, const RuntimeOptions& options) {
  const std::string name(bytes.name);
  impl_ = open(std::string(bytes.model),
               parse_contract(std::string(bytes.contract), contract_path(name)), name, options);
}

Runtime::Runtime(Contract contract, std::unique_ptr<Engine> engine, const RuntimeOptions& options)
    : impl_(std::make_unique<Impl>(std::move(contract), std::move(engine), options)) {}

Runtime::~Runtime() = default;

const Report& Runtime::assess(const FrameView& frame, FrameMeasures* measures) {
  impl_->assess(frame, impl_->report, measures);
  return impl_->report;
}

void Runtime::assess_into(const FrameView& frame, Report& report, FrameMeasures* measures) {
  impl_->assess(frame, report, measures);
}

const Contract& Runtime::contract() const noexcept { return impl_->contract; }

const OperatingPoint& Runtime::operating_point() const noexcept { return impl_->operating_point; }

std::string Runtime::engine_description() const { return impl_->engine->description(); }

std::shared_ptr<ThreadPool> Runtime::pool() const noexcept { return impl_->pool; }

}  // namespace efiqa
