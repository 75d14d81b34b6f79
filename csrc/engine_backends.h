// What each back end that can be built in offers to the table in engine.cpp.
#pragma once

#include <memory>
#include <string>

#include "engine.h"

namespace efiqa {

#ifdef EFIQA_WITH_OPENVINO
// model_bytes: an ONNX file. Throws as open_engine does.
std::unique_ptr<Engine> open_openvino(const std::string& model_bytes, const Contract& contract,
                                      int threads);
std::string openvino_version();  // "2026.4.0"
#endif

#ifdef EFIQA_WITH_TENSORRT
// model_bytes: a plan, which runs on the calling thread's current device. Throws as open_engine
// does.
std::unique_ptr<Engine> open_tensorrt(const std::string& model_bytes, const Contract& contract,
                                      int threads);
std::string tensorrt_version();  // of the library: "10.13.3", "RTX 1.7.1"
#endif

}  // namespace efiqa
