// Looks into an ONNX file before a vendor's parser does.
#pragma once

#include <string>

namespace efiqa {

// Throws Error(kModelInvalid) where the bytes are no ONNX file, or where any tensor keeps its
// values in another file: the contract's hash covers the model file alone, and which file a vendor
// would open depends on the working directory.
void check_onnx_is_self_contained(const std::string& model_bytes);

}  // namespace efiqa
