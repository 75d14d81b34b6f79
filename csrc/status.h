// Status codes and the one exception type of the core. Codes are never renumbered.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace efiqa {

enum class StatusCode : std::int32_t {
  kOk = 0,
  kInvalidArgument = 1,     // an option or a buffer of the caller breaks its rule
  kInvalidFrame = 2,        // the frame's geometry, stride, format or pointer
  kFileUnreadable = 3,      // a model or contract file that is missing or cannot be read
  kModelInvalid = 4,        // a model that does not parse, or does not fit its contract
  kContractInvalid = 5,     // a contract that is garbled, incomplete, unknown or of another model
  kBackendUnavailable = 6,  // a back end that this build or this machine does not have
  kEngineFailure = 7,       // the engine failed, or answered with NaN or infinity
  kWrongThread = 8,         // two threads inside one runtime
  kInternal = 9,            // a defect of efiqa itself
  kDeadline = 10,           // the frame took longer than the runtime's deadline
  kOutOfMemory = 12,        // only codes: in C++ it is std::bad_alloc
};

// Stable lower-case name, e.g. "invalid_frame"; "unrecognised" for a number outside the list.
const char* status_name(StatusCode code) noexcept;

// What every failure of the core throws. The message names the field, its value and the rule.
class Error : public std::runtime_error {
 public:
  Error(StatusCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  StatusCode code() const noexcept { return code_; }

 private:
  StatusCode code_;
};

}  // namespace efiqa
