// The test's hand on the CUDA double (cuda_runtime.h): failures on demand, counters, and the
// launches that cuda_launch.h makes.
//
//   efiqa_double::reset();
//   efiqa_double::fail("cudaMalloc", 2, cudaErrorMemoryAllocation);  // the second call from here
//   ... CHECK(efiqa_double::calls("cudaGraphLaunch") == 3);
//
// Device memory is host memory with a register of its blocks, so that copies are checked for
// direction and bounds. Built with the address sanitizer, it is poisoned outside the device's work:
// host code that reads or writes it directly is an error there, as on a GPU.
// Streams run at once, or with defer_work(true) only when they are waited for, which shows results
// that are read too early. One thread at a time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#include "cuda_double_types.h"

struct CUgraph_st {
  std::vector<std::function<void()>> nodes;
};

struct CUgraphExec_st {
  std::vector<std::function<void()>> nodes;
};

struct CUstream_st {
  CUgraph_st* capture = nullptr;  // of the graph that the work goes into
  bool capture_broken = false;
  std::deque<std::function<void()>> pending;
  std::uint64_t put = 0, done = 0;  // pieces of work, since the stream was made
};

struct CUevent_st {
  cudaStream_t stream = nullptr;  // null: never recorded
  bool captured = false;          // recorded into a graph, not into a stream
  std::uint64_t position = 0;     // of the stream, after which the event has happened
  std::chrono::steady_clock::time_point time;
};

namespace efiqa_double {

struct Coordinates {
  int thread_x = 0, thread_y = 0, block_x = 0, block_y = 0;
};

inline Coordinates& coordinates() {
  static Coordinates current;
  return current;
}

struct Failure {
  long call = 0;  // the number of the call that fails
  cudaError_t error = cudaSuccess;
};

struct State {
  std::map<std::string, long> calls;
  std::map<std::string, Failure> failures;
  std::map<const char*, std::size_t> device, pinned;  // first byte and size of each block
  std::set<cudaStream_t> streams;
  std::set<cudaEvent_t> events;
  long graphs = 0, graph_execs = 0;  // that are not destroyed
  cudaError_t last_error = cudaSuccess;
  bool deferred = false;
  int working = 0;  // depth of the device's work
  int device_count = 1, current_device = 0;
  int compute_capability = 87;
  int driver_version = 13000;
  int block_device = 0;  // the device that cudaPointerGetAttributes names
  CUstream_st default_stream;
};

inline State& state() {
  static State everything;
  return everything;
}

// Forgets failures and counters; what is alive stays alive.
inline void reset() {
  State& s = state();
  s.calls.clear();
  s.failures.clear();
  s.last_error = cudaSuccess;
  s.deferred = false;
  s.device_count = 1;
  s.current_device = s.block_device = 0;
  s.compute_capability = 87;
  s.driver_version = 13000;
}

// The n-th call of `function` from here fails. "launch" stands for kernels.
inline void fail(const char* function, long n, cudaError_t error) {
  state().failures[function] = {state().calls[function] + n, error};
}

inline long calls(const char* function) { return state().calls[function]; }

// Blocks of memory, streams, events and graphs that nobody has given back.
inline long alive() {
  const State& s = state();
  return static_cast<long>(s.device.size() + s.pinned.size() + s.streams.size() + s.events.size()) +
         s.graphs + s.graph_execs;
}

inline void defer_work(bool deferred) { state().deferred = deferred; }

// Counts a call, and says whether it is to fail.
inline cudaError_t enter(const char* function) {
  State& s = state();
  const long call = ++s.calls[function];
  const auto found = s.failures.find(function);
  if (found == s.failures.end() || found->second.call != call) return cudaSuccess;
  s.last_error = found->second.error;
  return found->second.error;
}

inline cudaError_t refuse(cudaError_t error) {
  state().last_error = error;
  return error;
}

inline void allow_host(const void* begin, std::size_t bytes, bool allowed) {
#if defined(__SANITIZE_ADDRESS__)
  if (allowed) {
    ASAN_UNPOISON_MEMORY_REGION(begin, bytes);
  } else {
    ASAN_POISON_MEMORY_REGION(begin, bytes);
  }
#else
  (void)begin;
  (void)bytes;
  (void)allowed;
#endif
}

// While one lives, device memory can be read and written.
class DeviceWork {
 public:
  DeviceWork() {
    if (state().working++ == 0) allow(true);
  }
  ~DeviceWork() {
    if (--state().working == 0) allow(false);
  }
  DeviceWork(const DeviceWork&) = delete;
  DeviceWork& operator=(const DeviceWork&) = delete;

 private:
  static void allow(bool allowed) {
    for (const auto& block : state().device) allow_host(block.first, block.second, allowed);
  }
};

// The block of `blocks` that all of the bytes lie in, or null.
inline const char* block_of(const std::map<const char*, std::size_t>& blocks, const void* begin,
                            std::size_t bytes) {
  const char* first = static_cast<const char*>(begin);
  auto next = blocks.upper_bound(first);
  if (next == blocks.begin()) return nullptr;
  --next;
  const std::size_t offset = static_cast<std::size_t>(first - next->first);
  return offset <= next->second && bytes <= next->second - offset ? next->first : nullptr;
}

inline bool on_device(const void* begin, std::size_t bytes) {
  return block_of(state().device, begin, bytes) != nullptr;
}

// The byte behind a block is nobody's or the next one's: an allocator may put them side by side.
inline bool on_host(const void* begin) { return block_of(state().device, begin, 1) == nullptr; }

inline bool is_pinned(const void* begin, std::size_t bytes) {
  return block_of(state().pinned, begin, bytes) != nullptr;
}

inline CUstream_st& stream_of(cudaStream_t stream) {
  return stream == nullptr ? state().default_stream : *stream;
}

// Does the stream's work up to `position`.
inline void drain(CUstream_st& stream, std::uint64_t position) {
  const DeviceWork working;
  while (stream.done < position && !stream.pending.empty()) {
    const std::function<void()> work = std::move(stream.pending.front());
    stream.pending.pop_front();
    ++stream.done;
    work();
  }
}

inline void put(cudaStream_t handle, std::function<void()> work) {
  CUstream_st& stream = stream_of(handle);
  if (stream.capture != nullptr) {
    stream.capture->nodes.push_back(std::move(work));
    return;
  }
  stream.pending.push_back(std::move(work));
  ++stream.put;
  if (!state().deferred) drain(stream, stream.put);
}

// What must not happen while a stream is being captured: refuses, and breaks that capture.
inline cudaError_t forbidden_in_capture() {
  bool capturing = false;
  for (const cudaStream_t stream : state().streams) {
    if (stream->capture == nullptr) continue;
    stream->capture_broken = true;
    capturing = true;
  }
  return capturing ? refuse(cudaErrorStreamCaptureUnsupported) : cudaSuccess;
}

// For cuda_launch.h: kernel() once a thread, or once a block.
template <typename Kernel>
void run_threads(int threads_x, int threads_y, cudaStream_t stream, Kernel kernel) {
  if (enter("launch") != cudaSuccess) return;
  if (threads_x <= 0 || threads_y <= 0) {
    refuse(cudaErrorInvalidConfiguration);
    return;
  }
  put(stream, [=] {
    for (int y = 0; y < threads_y; ++y) {
      for (int x = 0; x < threads_x; ++x) {
        coordinates() = {x, y, 0, 0};
        kernel();
      }
    }
  });
}

template <typename Kernel>
void run_blocks(int blocks_x, int blocks_y, cudaStream_t stream, Kernel kernel) {
  if (enter("launch") != cudaSuccess) return;
  if (blocks_x <= 0 || blocks_y <= 0) {
    refuse(cudaErrorInvalidConfiguration);
    return;
  }
  put(stream, [=] {
    for (int y = 0; y < blocks_y; ++y) {
      for (int x = 0; x < blocks_x; ++x) {
        coordinates() = {0, 0, x, y};
        kernel();
      }
    }
  });
}

}  // namespace efiqa_double
