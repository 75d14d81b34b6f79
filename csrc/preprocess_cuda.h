// From frame and field of view to the network's input, on the GPU: one fused kernel.
#pragma once

#include "fov_cuda.h"
#include "preprocess.h"

namespace efiqa {

// The device's twin of Preprocessor::run, same arithmetic. `geometry`, `frame`: as DeviceFovFinder
// has them. out: (3, height, width) in device memory. Without a field of view the output is left as
// it is.
void launch_preprocess(const FrameView& geometry, const FrameView* frame, const DeviceField* field,
                       const PreprocessSpec& spec, float* out, Stream stream);

}  // namespace efiqa
