// C door: checks arguments, calls the core, turns exceptions into status codes. See efiqa/efiqa.h.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "capi_runtime.h"
#include "capi_support.h"
#include "embedded_model.h"
#include "postprocess.h"
#include "remedy.h"
#include "status.h"

namespace efiqa {
namespace {

// The C header's codes are those of the core.
constexpr bool same(int code, StatusCode status) { return code == static_cast<int>(status); }
static_assert(same(EFIQA_STATUS_OK, StatusCode::kOk));
static_assert(same(EFIQA_STATUS_INVALID_ARGUMENT, StatusCode::kInvalidArgument));
static_assert(same(EFIQA_STATUS_INVALID_FRAME, StatusCode::kInvalidFrame));
static_assert(same(EFIQA_STATUS_FILE_UNREADABLE, StatusCode::kFileUnreadable));
static_assert(same(EFIQA_STATUS_MODEL_INVALID, StatusCode::kModelInvalid));
static_assert(same(EFIQA_STATUS_CONTRACT_INVALID, StatusCode::kContractInvalid));
static_assert(same(EFIQA_STATUS_BACKEND_UNAVAILABLE, StatusCode::kBackendUnavailable));
static_assert(same(EFIQA_STATUS_ENGINE_FAILURE, StatusCode::kEngineFailure));
static_assert(same(EFIQA_STATUS_WRONG_THREAD, StatusCode::kWrongThread));
static_assert(same(EFIQA_STATUS_INTERNAL, StatusCode::kInternal));
static_assert(same(EFIQA_STATUS_DEADLINE, StatusCode::kDeadline));
static_assert(same(EFIQA_STATUS_SIGNATURE_INVALID, StatusCode::kSignatureInvalid));
static_assert(same(EFIQA_STATUS_OUT_OF_MEMORY, StatusCode::kOutOfMemory));
static_assert(EFIQA_VERDICT_UNKNOWN == static_cast<int>(Verdict::kUnknown));
static_assert(EFIQA_VERDICT_REJECT == static_cast<int>(Verdict::kReject));
static_assert(EFIQA_VERDICT_USABLE == static_cast<int>(Verdict::kUsable));
static_assert(EFIQA_VERDICT_GOOD == static_cast<int>(Verdict::kGood));
static_assert(EFIQA_REASON_NONE == static_cast<int>(Reason::kNone));
static_assert(EFIQA_REASON_NO_FIELD_OF_VIEW == static_cast<int>(Reason::kNoFieldOfView));
static_assert(EFIQA_REASON_LOW_ANATOMY_VISIBLE == static_cast<int>(Reason::kLowAnatomyVisible));
static_assert(EFIQA_REASON_NOT_A_FUNDUS == static_cast<int>(Reason::kNotAFundus));
static_assert(EFIQA_REASON_UNDER_EXPOSED == static_cast<int>(Reason::kUnderExposed));
static_assert(EFIQA_REASON_OVER_EXPOSED == static_cast<int>(Reason::kOverExposed));
static_assert(EFIQA_REASON_DEFOCUS == static_cast<int>(Reason::kDefocus));
static_assert(EFIQA_REASON_HAZE == static_cast<int>(Reason::kHaze));
static_assert(EFIQA_REASON_OCCLUSION == static_cast<int>(Reason::kOcclusion));
static_assert(EFIQA_REASON_FIELD_CUT == static_cast<int>(Reason::kFieldCut));
static_assert(EFIQA_REASON_OFF_CENTRE == static_cast<int>(Reason::kOffCentre));
static_assert(EFIQA_REASON_STRENGTHS == kReasonStrengths);
static_assert(EFIQA_REMEDY_NONE == static_cast<int>(Remedy::kNone));
static_assert(EFIQA_REMEDY_REFOCUS == static_cast<int>(Remedy::kRefocus));
static_assert(EFIQA_REMEDY_MORE_LIGHT == static_cast<int>(Remedy::kMoreLight));
static_assert(EFIQA_REMEDY_LESS_LIGHT == static_cast<int>(Remedy::kLessLight));
static_assert(EFIQA_REMEDY_RECENTRE == static_cast<int>(Remedy::kRecentre));
static_assert(EFIQA_REMEDY_OPEN_LID == static_cast<int>(Remedy::kOpenLid));
static_assert(EFIQA_REMEDY_CLEAN_LENS == static_cast<int>(Remedy::kCleanLens));
static_assert(EFIQA_REMEDY_DILATE_OR_ACCEPT == static_cast<int>(Remedy::kDilateOrAccept));
static_assert(EFIQA_REMEDY_FIND_RETINA == static_cast<int>(Remedy::kFindRetina));
static_assert(EFIQA_SHAPE_NONE == static_cast<int>(FovShape::kNone));
static_assert(EFIQA_SHAPE_CIRCLE == static_cast<int>(FovShape::kCircle));
static_assert(EFIQA_SHAPE_RECTANGLE == static_cast<int>(FovShape::kRectangle));
static_assert(EFIQA_BACKEND_OPENVINO == static_cast<int>(Backend::kOpenVino));
static_assert(EFIQA_BACKEND_TENSORRT == static_cast<int>(Backend::kTensorRt));
static_assert(EFIQA_COLORMAP_INFERNO == static_cast<int>(Colormap::kInferno));
static_assert(EFIQA_COLORMAP_VIRIDIS == static_cast<int>(Colormap::kViridis));
static_assert(EFIQA_COLORMAP_RED == static_cast<int>(Colormap::kRed));

[[noreturn]] void refuse(const std::string& message) {
  throw Error(StatusCode::kInvalidArgument, message);
}

void check_pointer(const void* pointer, const char* name, const char* expected) {
  if (pointer == nullptr) refuse(std::string(name) + " is null, expected " + expected);
}

void check_flag(std::int32_t value, const char* name) {
  if (value == 0 || value == 1) return;
  refuse(std::string(name) + " is " + std::to_string(value) + ", expected 0 or 1");
}

void check_reserved(std::int32_t value, const char* name) {
  if (value == 0) return;
  refuse(std::string(name) + " is " + std::to_string(value) + ", expected 0; use EFIQA_INIT");
}

constexpr const char* kRuntimeRule = "what efiqa_runtime_open gave";

std::unique_ptr<Runtime> open(const efiqa_options& given, const RuntimeOptions& options) {
  if (given.model_path != nullptr) return std::make_unique<Runtime>(options);
  const ModelBytes embedded = embedded_model();
  if (embedded.model.empty()) {
    refuse("options.model_path is null, and this build has no embedded model; name a model file");
  }
  return std::make_unique<Runtime>(embedded, options);
}

std::vector<PublicKey> keys_of(const efiqa_options& given) {
  constexpr std::int32_t kMaxKeys = 64;
  if (given.trusted_key_count < 0 || given.trusted_key_count > kMaxKeys) {
    refuse("options.trusted_key_count is " + std::to_string(given.trusted_key_count) +
           ", expected 0 to " + std::to_string(kMaxKeys));
  }
  std::vector<PublicKey> keys(given.trusted_key_count);
  if (keys.empty()) return keys;
  check_pointer(given.trusted_keys, "options.trusted_keys", "32 bytes a key");
  std::memcpy(keys.data(), given.trusted_keys, keys.size() * sizeof(PublicKey));
  return keys;
}

RuntimeOptions core_options(const efiqa_options& given) {
  check_flag(given.allow_untrained, "options.allow_untrained");
  check_reserved(given.reserved, "options.reserved");
  RuntimeOptions options;
  if (given.model_path != nullptr) options.model_path = given.model_path;
  if (given.operating_point != nullptr) options.operating_point = given.operating_point;
  options.backend = static_cast<Backend>(given.backend);
  options.threads = given.threads;
  options.deadline_ms = given.deadline_ms;
  options.allow_untrained = given.allow_untrained == 1;
  check_flag(given.require_signature, "options.require_signature");
  options.trusted_keys = keys_of(given);
  options.require_signature = given.require_signature == 1;
  return options;
}

// The fields that report and region have in common.
template <typename Struct>
void fill_diagnosis(const Diagnosis& diagnosis, Struct& out) {
  out.main_reason = static_cast<std::int32_t>(diagnosis.main_reason);
  out.remedy = static_cast<std::int32_t>(diagnosis.remedy);
  out.remedy_clock_hour = diagnosis.remedy_clock_hour;
  std::copy(diagnosis.strengths.begin(), diagnosis.strengths.end(), out.reason_strengths);
}

}  // namespace

efiqa_report empty_report(const efiqa_runtime* runtime) {
  efiqa_report out{};
  out.verdict = EFIQA_VERDICT_UNKNOWN;
  out.score = out.not_a_fundus = std::numeric_limits<float>::quiet_NaN();
  fill_diagnosis(Diagnosis(), out);
  if (runtime != nullptr) {
    const Contract& contract = runtime->core->contract();
    out.model_id = contract.id.c_str();
    out.model_sha256 = contract.model_sha256.c_str();
    out.contract_sha256 = contract.sha256.c_str();
  }
  return out;
}

void fill_report(const Report& report, efiqa_report& out) {
  out.verdict = static_cast<std::int32_t>(report.verdict);
  out.reason = static_cast<std::int32_t>(report.reason);
  out.score = report.score;
  out.fov_shape = static_cast<std::int32_t>(report.fov.shape);
  out.fov_center_x_px = report.fov.center_x_px;
  out.fov_center_y_px = report.fov.center_y_px;
  out.fov_radius_px = report.fov.radius_px;
  out.fov_left_px = report.fov.left_px;
  out.fov_top_px = report.fov.top_px;
  out.fov_right_px = report.fov.right_px;
  out.fov_bottom_px = report.fov.bottom_px;
  out.fov_visible_area_px = report.fov.visible_area_px;
  out.fov_cut_fraction = report.fov.cut_fraction;
  out.frame_width_px = report.frame_width_px;
  out.frame_height_px = report.frame_height_px;
  out.crop_x_px = report.crop.x_px;
  out.crop_y_px = report.crop.y_px;
  out.crop_side_px = report.crop.side_px;
  out.grid_width = report.grid_width;
  out.grid_height = report.grid_height;
  out.region_count = static_cast<std::int32_t>(report.regions.size());
  out.fov_ms = report.timings.fov_ms;
  out.preprocess_ms = report.timings.preprocess_ms;
  out.engine_ms = report.timings.engine_ms;
  out.postprocess_ms = report.timings.postprocess_ms;
  out.total_ms = report.timings.total_ms;
  out.map = report.map.data();
  out.weights = report.weights.data();
  fill_diagnosis(report.diagnosis, out);
  out.not_a_fundus = report.not_a_fundus;
  out.macula = report.landmark(Landmark::kMacula);
  out.optic_disc = report.landmark(Landmark::kOpticDisc);
}

namespace {

void check_out(const FrameView& frame, const std::uint8_t* out, std::size_t out_size_bytes,
               std::ptrdiff_t out_stride_bytes) {
  check_pointer(out, "out", "a buffer of 3 bytes a pixel");
  const std::size_t row_bytes = std::size_t{3} * frame.width_px;
  if (out_stride_bytes < 0 || static_cast<std::size_t>(out_stride_bytes) < row_bytes) {
    refuse("out_stride_bytes is " + std::to_string(out_stride_bytes) + ", expected at least " +
           std::to_string(row_bytes));
  }
  if (plane_fits(out_size_bytes, out_stride_bytes, row_bytes, frame.height_px)) return;
  refuse("out_size_bytes is " + std::to_string(out_size_bytes) + ", too small for " +
         std::to_string(frame.height_px) + " rows of " + std::to_string(out_stride_bytes) +
         " bytes");
}

}  // namespace

Entry::Entry(efiqa_runtime* runtime) : runtime_(runtime) {
  check_pointer(runtime, "runtime", kRuntimeRule);
  if (runtime->busy.exchange(true, std::memory_order_acquire)) {
    throw Error(StatusCode::kWrongThread,
                "another thread is inside this runtime; open one runtime per thread");
  }
}

Entry::~Entry() { runtime_->busy.store(false, std::memory_order_release); }

}  // namespace efiqa

efiqa_runtime::efiqa_runtime(std::unique_ptr<efiqa::Runtime> opened, int deadline)
    : core(std::move(opened)), deadline_ms(deadline), engine(core->engine_description()) {}

using namespace efiqa;

int32_t efiqa_abi_version(void) { return EFIQA_ABI_VERSION; }

const char* efiqa_library_version(void) { return EFIQA_VERSION; }

const char* efiqa_status_name(int32_t status) {
  return status_name(static_cast<StatusCode>(status));
}

const char* efiqa_verdict_name(int32_t verdict) {
  return verdict_name(static_cast<Verdict>(verdict));
}

const char* efiqa_reason_name(int32_t reason) { return reason_name(static_cast<Reason>(reason)); }

const char* efiqa_remedy_name(int32_t remedy) { return remedy_name(static_cast<Remedy>(remedy)); }

const char* efiqa_remedy_text(int32_t remedy, float clock_hour) {
  return remedy_text(static_cast<Remedy>(remedy), clock_hour);
}

const char* efiqa_shape_name(int32_t shape) { return fov_shape_name(static_cast<FovShape>(shape)); }

int32_t efiqa_runtime_open(const efiqa_options* options, efiqa_runtime** runtime, char* message,
                           size_t message_size) {
  return guarded(message, message_size, [&] {
    check_pointer(runtime, "runtime", "where to put the handle");
    *runtime = nullptr;
    efiqa_options given{};
    if (options != nullptr) given = read_struct(options, "options", "efiqa_options");
    *runtime = new efiqa_runtime(open(given, core_options(given)), given.deadline_ms);
  });
}

int32_t efiqa_runtime_close(efiqa_runtime** runtime) {
  return guarded(nullptr, 0, [&] {
    if (runtime == nullptr || *runtime == nullptr) return;
    {
      const Entry inside(*runtime);
    }  // refuses while another thread is in there
    delete *runtime;
    *runtime = nullptr;
  });
}

int32_t efiqa_runtime_describe(const efiqa_runtime* runtime, efiqa_info* info) {
  return guarded(nullptr, 0, [&] {
    check_pointer(runtime, "runtime", kRuntimeRule);
    check_struct(info, "info", "efiqa_info");
    const Contract& contract = runtime->core->contract();
    const OperatingPoint& point = runtime->core->operating_point();
    efiqa_info out{};
    out.threads = runtime->core->pool()->threads();
    out.deadline_ms = runtime->deadline_ms;
    out.input_width_px = contract.preprocess.width_px;
    out.input_height_px = contract.preprocess.height_px;
    out.grid_width = contract.grid_width;
    out.grid_height = contract.grid_height;
    out.good_min_score = point.good_min_score;
    out.usable_min_score = point.usable_min_score;
    out.model_id = contract.id.c_str();
    out.model_sha256 = contract.model_sha256.c_str();
    out.contract_sha256 = contract.sha256.c_str();
    out.engine = runtime->engine.c_str();
    out.operating_point = point.name.c_str();
    out.signed_by = runtime->core->signed_by().c_str();
    write_struct(out, info);
  });
}

int32_t efiqa_runtime_assess(efiqa_runtime* runtime, const efiqa_frame* frame, efiqa_report* report,
                             char* message, size_t message_size) {
  efiqa_report out = empty_report(runtime);
  out.status = guarded(message, message_size, [&] {
    check_struct(report, "report", "efiqa_report");
    const Entry inside(runtime);
    runtime->report = nullptr;
    const Report& answer = runtime->core->assess(frame_view(frame));
    fill_report(answer, out);
    runtime->report = &answer;
  });
  if (report != nullptr && report->struct_size <= kMaxStructBytes) write_struct(out, report);
  return out.status;
}

int32_t efiqa_region_read(efiqa_runtime* runtime, int32_t index, efiqa_region* region) {
  return guarded(nullptr, 0, [&] {
    check_struct(region, "region", "efiqa_region");
    const Entry inside(runtime);
    const int count =
        runtime->report == nullptr ? 0 : static_cast<int>(runtime->report->regions.size());
    if (index < 0 || index >= count) refuse("index is outside the report's regions");
    const Region& from = runtime->report->regions[index];
    efiqa_region out{};
    out.x_px = from.x_px;
    out.y_px = from.y_px;
    out.width_px = from.width_px;
    out.height_px = from.height_px;
    out.area_share = from.area_share;
    out.mean_probability = from.mean_probability;
    out.clock_hour = from.clock_hour;
    out.center_distance = from.center_distance;
    fill_diagnosis(from.diagnosis, out);
    write_struct(out, region);
  });
}

int32_t efiqa_overlay_render(efiqa_runtime* runtime, const efiqa_frame* frame,
                             const efiqa_overlay* overlay, uint8_t* out, size_t out_size_bytes,
                             ptrdiff_t out_stride_bytes, char* message, size_t message_size) {
  return guarded(message, message_size, [&] {
    OverlayOptions options;
    if (overlay != nullptr) {
      const efiqa_overlay given = read_struct(overlay, "overlay", "efiqa_overlay");
      check_reserved(given.reserved, "overlay.reserved");
      options.colormap = static_cast<Colormap>(given.colormap);
      if (given.max_alpha != 0) options.max_alpha = given.max_alpha;
    }
    const Entry inside(runtime);
    if (runtime->report == nullptr) {
      refuse("there is no report to draw; assess a frame first, successfully");
    }
    const FrameView view = frame_view(frame);
    check_out(view, out, out_size_bytes, out_stride_bytes);
    runtime->core->render_overlay(view, *runtime->report, options, out, out_stride_bytes);
  });
}
