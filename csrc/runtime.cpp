#include "runtime.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "golden.h"
#include "sha256.h"
#include "stages.h"
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

// The parity gate of a model that was built where it could not run.
void check_parity(Stages& stages, const Contract& contract, const std::string& model_path) {
  if (contract.parity_passed || contract.golden.file.empty()) return;
  const std::size_t folder_end = model_path.rfind('/') + 1;  // 0 where there is none
  const std::string path = model_path.substr(0, folder_end) + contract.golden.file;
  const std::string bytes =
      read_file(path, "golden file",
                "a model whose parity was not measured at build needs it beside its contract: copy "
                "it along, or build the plan again with efiqa build");
  const std::string actual = sha256_hex(bytes.data(), bytes.size());
  if (actual != contract.golden.sha256) {
    throw Error(StatusCode::kContractInvalid,
                "golden file " + path + " has the SHA-256 " + actual + ", the contract " +
                    contract_path(model_path) + " expects " + contract.golden.sha256 +
                    "; copy the model's files again, or build the plan again with efiqa build");
  }
  check_golden(stages, parse_golden(bytes, contract, path), model_path);
}

void check_trained(const Contract& contract, bool allow_untrained, const std::string& path) {
  if (contract.trained || allow_untrained) return;
  throw Error(StatusCode::kModelInvalid,
              "model " + path +
                  " has random weights (model.trained is false in its contract), so its scores "
                  "mean nothing; for tests and timing pass allow_untrained=True");
}

}  // namespace

struct Runtime::Impl {
  Impl(Contract parsed, std::unique_ptr<Engine> engine, int threads,
       const std::string& operating_point_name)
      : contract(std::move(parsed)),
        operating_point(contract.operating_point(operating_point_name)),
        pool(std::make_shared<ThreadPool>(threads)),
        stages(make_stages(contract, std::move(engine), pool)) {}

  // Calls action() unless another thread is inside.
  template <typename Action>
  void exclusively(Action&& action) {
    if (busy.exchange(true, std::memory_order_acquire)) {
      throw Error(StatusCode::kWrongThread,
                  "another thread is inside this Runtime; open one Runtime per thread");
    }
    struct Release {
      std::atomic<bool>& busy;
      ~Release() { busy.store(false, std::memory_order_release); }
    } const release{busy};
    action();
  }

  void assess(const FrameView& frame, Report& out);

  Contract contract;
  OperatingPoint operating_point;
  std::shared_ptr<ThreadPool> pool;
  std::unique_ptr<Stages> stages;
  Report report;
  std::atomic<bool> busy{false};
};

void Runtime::Impl::assess(const FrameView& frame, Report& out) {
  exclusively([&] {
    // Until the last stage is through, the report must not read as an answer.
    out.verdict = Verdict::kUnknown;
    out.score = std::numeric_limits<float>::quiet_NaN();
    out.regions.clear();
    out.timings = Timings();
    validate_frame(frame);
    out.frame_width_px = frame.width_px;
    out.frame_height_px = frame.height_px;
    stages->run(frame, operating_point, out);
  });
}

Runtime::Runtime(const RuntimeOptions& options) {
  const int threads = checked_threads(options.threads);
  const std::string model_bytes = read_model(options.model_path);
  Contract contract = read_contract(options.model_path);
  contract.operating_point(
      options.operating_point);  // refuses an unknown name before the long part
  check_model_hash(model_bytes, contract, options.model_path);
  check_trained(contract, options.allow_untrained, options.model_path);
  std::unique_ptr<Engine> engine = open_engine(model_bytes, contract, options.backend, threads);
  impl_ = std::make_unique<Impl>(std::move(contract), std::move(engine), threads,
                                 options.operating_point);
  check_parity(*impl_->stages, impl_->contract, options.model_path);
}

Runtime::Runtime(Contract contract, std::unique_ptr<Engine> engine, const RuntimeOptions& options)
    : impl_(std::make_unique<Impl>(std::move(contract), std::move(engine),
                                   checked_threads(options.threads), options.operating_point)) {}

Runtime::~Runtime() = default;

const Report& Runtime::assess(const FrameView& frame) {
  impl_->assess(frame, impl_->report);
  return impl_->report;
}

void Runtime::assess_into(const FrameView& frame, Report& report) { impl_->assess(frame, report); }

void Runtime::render_overlay(const FrameView& frame, const Report& report,
                             const OverlayOptions& options, std::uint8_t* out,
                             std::ptrdiff_t out_stride_bytes, Memory out_memory) {
  impl_->exclusively([&] {
    impl_->stages->render_overlay(frame, report, options, out, out_stride_bytes, out_memory);
  });
}
void Runtime::run_network(const float* input, float* logits) {
  impl_->exclusively([&] { impl_->stages->run_network(input, logits); });
}

const Contract& Runtime::contract() const noexcept { return impl_->contract; }

std::string Runtime::engine_description() const { return impl_->stages->description(); }

std::shared_ptr<ThreadPool> Runtime::pool() const noexcept { return impl_->pool; }

}  // namespace efiqa
