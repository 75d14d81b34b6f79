#include "status.h"

namespace efiqa {

const char* status_name(StatusCode code) noexcept {
  switch (code) {
    case StatusCode::kOk:
      return "ok";
    case StatusCode::kInvalidArgument:
      return "invalid_argument";
    case StatusCode::kInvalidFrame:
      return "invalid_frame";
    case StatusCode::kFileUnreadable:
      return "file_unreadable";
    case StatusCode::kModelInvalid:
      return "model_invalid";
    case StatusCode::kContractInvalid:
      return "contract_invalid";
    case StatusCode::kBackendUnavailable:
      return "backend_unavailable";
    case StatusCode::kEngineFailure:
      return "engine_failure";
    case StatusCode::kWrongThread:
      return "wrong_thread";
    case StatusCode::kInternal:
      return "internal";
    case StatusCode::kDeadline:
      return "deadline";
    case StatusCode::kOutOfMemory:
      return "out_of_memory";
  }
  return "unrecognised";
}

}  // namespace efiqa
