// Launches of the two forms that every kernel here has. The kernels' sources (*.cu) compile with
// nvcc, and as plain C++ for the tests: then tests/cpp/doubles/cuda_runtime.h stands in for CUDA's,
// `launch_*` run the same bodies on the CPU, and streams and graphs are the double's.
//
//   thread kernel  __global__ void name_kernel(args): one item a thread, at thread_x() and
//   thread_y() block kernel   __global__ void name_kernel(args): phases of a KernelBlock (block.h),
//   at block_x(), block_y()
#pragma once

#include <cuda_runtime.h>

#include "block.h"
#include "cuda_util.h"
#include "engine.h"

namespace efiqa {

struct LaunchSize {
  int x = 1, y = 1;
};

#if defined(__CUDACC__)

__device__ inline int thread_x() { return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); }
__device__ inline int thread_y() { return static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y); }
__device__ inline int block_x() { return static_cast<int>(blockIdx.x); }
__device__ inline int block_y() { return static_cast<int>(blockIdx.y); }

// At least `items` threads in blocks of `block`; the kernel ignores those past the end.
template <typename... Parameters, typename... Arguments>
void launch_threads(void (*kernel)(Parameters...), const char* name, LaunchSize items,
                    LaunchSize block, Stream stream, Arguments... arguments) {
  const dim3 blocks(static_cast<unsigned>((items.x + block.x - 1) / block.x),
                    static_cast<unsigned>((items.y + block.y - 1) / block.y));
  kernel<<<blocks, dim3(static_cast<unsigned>(block.x), static_cast<unsigned>(block.y)), 0,
           stream>>>(arguments...);
  check_cuda(cudaGetLastError(), name);
}

// `blocks` blocks of `threads` threads; `threads` is at most kBlockThreads.
template <typename... Parameters, typename... Arguments>
void launch_blocks(void (*kernel)(Parameters...), const char* name, LaunchSize blocks, int threads,
                   Stream stream, Arguments... arguments) {
  kernel<<<dim3(static_cast<unsigned>(blocks.x), static_cast<unsigned>(blocks.y)),
           static_cast<unsigned>(threads), 0, stream>>>(arguments...);
  check_cuda(cudaGetLastError(), name);
}

#else

// The double: `efiqa_double::run_threads` and `run_blocks` put the work into the stream (or into
// the graph that is being captured) and set the coordinates that these functions read.
inline int thread_x() { return efiqa_double::coordinates().thread_x; }
inline int thread_y() { return efiqa_double::coordinates().thread_y; }
inline int block_x() { return efiqa_double::coordinates().block_x; }
inline int block_y() { return efiqa_double::coordinates().block_y; }

template <typename... Parameters, typename... Arguments>
void launch_threads(void (*kernel)(Parameters...), const char* name, LaunchSize items,
                    LaunchSize block, Stream stream, Arguments... arguments) {
  efiqa_double::run_threads((items.x + block.x - 1) / block.x * block.x,
                            (items.y + block.y - 1) / block.y * block.y, stream,
                            [=] { kernel(arguments...); });
  check_cuda(cudaGetLastError(), name);
}

template <typename... Parameters, typename... Arguments>
void launch_blocks(void (*kernel)(Parameters...), const char* name, LaunchSize blocks,
                   int /*threads*/, Stream stream, Arguments... arguments) {
  efiqa_double::run_blocks(blocks.x, blocks.y, stream, [=] { kernel(arguments...); });
  check_cuda(cudaGetLastError(), name);
}

#endif

}  // namespace efiqa
