// Reading the files that make up a model: whole, once, and with an error for each way that can
// fail.
#pragma once

#include <cstddef>
#include <limits>
#include <string>

#include "json.h"
#include "signature.h"
#include "status.h"

namespace efiqa {

// How each of a model's files is read, and what is said when it cannot be.
struct FileKind {
  const char* what;
  std::size_t max_bytes;
  StatusCode bad_size;  // empty, or too large
  StatusCode missing;
  const char* missing_fix;
};
inline constexpr FileKind kModelFile = {"model", std::numeric_limits<std::size_t>::max(),
                                        StatusCode::kFileUnreadable, StatusCode::kFileUnreadable,
                                        "check the path"};
inline constexpr FileKind kContractFile = {
    "contract", kMaxJsonBytes, StatusCode::kContractInvalid, StatusCode::kFileUnreadable,
    "a model needs its contract beside it: copy it along, or export the model again with efiqa "
    "export"};
inline constexpr FileKind kSignatureFile = {
    "signature", kSignatureFileBytes, StatusCode::kSignatureInvalid, StatusCode::kSignatureInvalid,
    "the model is opened only when a trusted key has signed its contract: copy the signature "
    "along, or make one with efiqa sign"};
inline constexpr FileKind kGoldenFile = {"golden file", std::numeric_limits<std::size_t>::max(),
                                         StatusCode::kFileUnreadable, StatusCode::kFileUnreadable,
                                         "a model whose parity was not measured at build needs it "
                                         "beside its contract: copy it along, or "
                                         "build the plan again with efiqa build"};

// The whole of a regular file. Throws Error.
std::string read_file(const std::string& path, const FileKind& kind);

}  // namespace efiqa
