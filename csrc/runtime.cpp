#include "runtime.h"

#include <sched.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "deadline.h"
#include "golden.h"
#include "model_files.h"
#include "sha256.h"
#include "signature.h"
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

int checked_deadline(int deadline_ms) {
  if (deadline_ms >= 0 && deadline_ms <= kMaxDeadlineMs) return deadline_ms;
  throw Error(StatusCode::kInvalidArgument, "deadline_ms is " + std::to_string(deadline_ms) +
                                                ", expected 1 to " +
                                                std::to_string(kMaxDeadlineMs) + ", or 0 for none");
}

bool must_be_signed(const RuntimeOptions& options) {
  return options.require_signature || !options.trusted_keys.empty();
}

// The id of the trusted key that signed the contract.
std::string check_signature(const std::string& contract_text, const RuntimeOptions& options) {
  const std::string path = signature_path(options.model_path);
  const std::string text = read_file(path, kSignatureFile);
  return verify_signature(contract_text, contract_path(options.model_path), text, path,
                          options.trusted_keys);
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

// The parity gate of a model that was built where it could not run.
void check_parity(Stages& stages, const Contract& contract, const std::string& model_path) {
  if (contract.parity_passed || contract.golden.file.empty()) return;
  const std::size_t folder_end = model_path.rfind('/') + 1;  // 0 where there is none
  const std::string path = model_path.substr(0, folder_end) + contract.golden.file;
  const std::string bytes = read_file(path, kGoldenFile);
  const std::string actual = sha256_hex(bytes.data(), bytes.size());
  if (actual != contract.golden.sha256) {
    throw Error(StatusCode::kContractInvalid,
                "golden file " + path + " has the SHA-256 " + actual + ", the contract " +
                    contract_path(model_path) + " expects " + contract.golden.sha256 +
                    "; copy the model's files again, or build the plan again with efiqa build");
  }
  check_golden(stages, parse_golden(bytes, contract, path), contract, model_path);
}

// A report that is not complete must not read as an answer.
void withhold(Report& report) {
  report.verdict = Verdict::kUnknown;
  report.score = std::numeric_limits<float>::quiet_NaN();
  report.regions.clear();
  report.diagnosis = Diagnosis();
  report.not_a_fundus = std::numeric_limits<float>::quiet_NaN();
}

}  // namespace

struct Runtime::Impl {
  Impl(Contract parsed, std::unique_ptr<Engine> engine, const RuntimeOptions& options)
      : contract(std::move(parsed)),
        operating_point(contract.operating_point(options.operating_point)),
        deadline_ms(checked_deadline(options.deadline_ms)),
        pool(std::make_shared<ThreadPool>(checked_threads(options.threads))),
        stages(make_stages(contract, std::move(engine), pool)) {}

  // Calls action() unless another thread is inside: the second one is refused, not queued.
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

  void assess(const FrameView& frame, Report& out, FrameMeasures* measures);

  Contract contract;
  std::string contract_text, signed_by;
  OperatingPoint operating_point;
  int deadline_ms;
  std::shared_ptr<ThreadPool> pool;
  std::unique_ptr<Stages> stages;
  Report report;
  std::atomic<bool> busy{false};
};

void Runtime::Impl::assess(const FrameView& frame, Report& out, FrameMeasures* measures) {
  exclusively([&] {
    withhold(out);  // until the last stage is through
    out.timings = Timings();
    if (measures != nullptr) *measures = FrameMeasures();
    validate_frame(frame);
    out.frame_width_px = frame.width_px;
    out.frame_height_px = frame.height_px;
    const Deadline deadline(deadline_ms);
    stages->run(frame, operating_point, deadline, out, measures);
    if (!deadline.passed()) return;
    withhold(out);
    deadline.fail("after the last stage");
  });
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
  if (must_be_signed(options)) check_trusted_keys(options.trusted_keys);
  // Each file is read once: what is checked here is what is used below. The signature comes first,
  // so that no parser meets bytes of somebody who is not trusted.
  const std::string contract_origin = contract_path(options.model_path);
  const std::string model = read_file(options.model_path, kModelFile);
  std::string contract_text = read_file(contract_origin, kContractFile);
  std::string signed_by;
  if (must_be_signed(options)) signed_by = check_signature(contract_text, options);
  impl_ = open(model, parse_contract(contract_text, contract_origin), options.model_path, options);
  impl_->contract_text = std::move(contract_text);
  impl_->signed_by = std::move(signed_by);
  check_parity(*impl_->stages, impl_->contract, options.model_path);
}

Runtime::Runtime(const ModelBytes& bytes, const RuntimeOptions& options) {
  const std::string name(bytes.name);
  if (must_be_signed(options)) {
    throw Error(StatusCode::kSignatureInvalid,
                "model " + name +
                    " is linked into the program and carries no signature of its own; name a model "
                    "file, or give no trusted_keys and protect the program");
  }
  std::string contract_text(bytes.contract);
  impl_ = open(std::string(bytes.model), parse_contract(contract_text, contract_path(name)), name,
               options);
  if (!impl_->contract.parity_passed && !impl_->contract.golden.file.empty()) {
    throw Error(StatusCode::kModelInvalid,
                "model " + name +
                    " was built where its parity could not be measured, and that takes "
                    "its golden file; open it from its files, or link a model that passed");
  }
  impl_->contract_text = std::move(contract_text);
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

const OperatingPoint& Runtime::operating_point() const noexcept { return impl_->operating_point; }

const std::string& Runtime::contract_text() const noexcept { return impl_->contract_text; }

const std::string& Runtime::signed_by() const noexcept { return impl_->signed_by; }

std::string Runtime::engine_description() const { return impl_->stages->description(); }

std::shared_ptr<ThreadPool> Runtime::pool() const noexcept { return impl_->pool; }

}  // namespace efiqa
