// Owners of CUDA's handles and memory. Destructors never throw; what they cannot give back is lost.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>

#include "frame.h"
#include "status.h"

namespace efiqa {

// Throws Error(kEngineFailure): "CUDA failed at WHAT: an illegal memory access was encountered
// (700)". CUDA's own note of the error is taken away, so that no later launch is blamed for it.
inline void check_cuda(cudaError_t result, const char* what) {
  if (result == cudaSuccess) return;
  (void)cudaGetLastError();
  throw Error(StatusCode::kEngineFailure, std::string("CUDA failed at ") + what + ": " +
                                              cudaGetErrorString(result) + " (" +
                                              std::to_string(static_cast<int>(result)) + ")");
}

// Makes `device` the calling thread's, and gives the thread its own one back.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device) {
    check_cuda(cudaGetDevice(&before_), "cudaGetDevice");
    if (device == before_) return;
    check_cuda(cudaSetDevice(device), "cudaSetDevice");
    changed_ = true;
  }
  ~DeviceGuard() {
    if (changed_) (void)cudaSetDevice(before_);
  }
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  int before_ = 0;
  bool changed_ = false;
};

struct DeviceMemory {
  static cudaError_t allocate(void** memory, std::size_t bytes) {
    return cudaMalloc(memory, bytes);
  }
  static void free(void* memory) { (void)cudaFree(memory); }
  static constexpr const char* kName = "cudaMalloc";
};

// Page-locked memory of the host: copies to and from the device run without the CPU.
struct PinnedMemory {
  static cudaError_t allocate(void** memory, std::size_t bytes) {
    return cudaMallocHost(memory, bytes);
  }
  static void free(void* memory) { (void)cudaFreeHost(memory); }
  static constexpr const char* kName = "cudaMallocHost";
};

// `count` values that are not initialised.
template <typename Value, typename Kind>
class CudaBuffer {
 public:
  static_assert(std::is_trivially_copyable_v<Value>, "bytes are all that is copied");

  CudaBuffer() = default;
  explicit CudaBuffer(std::size_t count) { reserve(count); }
  ~CudaBuffer() { clear(); }
  CudaBuffer(const CudaBuffer&) = delete;
  CudaBuffer& operator=(const CudaBuffer&) = delete;

  // At least `count` values; new memory, and lost values, only where there are fewer.
  void reserve(std::size_t count) {
    if (count <= count_) return;
    clear();
    void* memory = nullptr;
    const std::size_t bytes = count * sizeof(Value);
    const std::string what = Kind::kName + (" of " + std::to_string(bytes)) + " bytes";
    check_cuda(Kind::allocate(&memory, bytes), what.c_str());
    data_ = static_cast<Value*>(memory);
    count_ = count;
  }

  Value* data() const noexcept { return data_; }
  std::size_t count() const noexcept { return count_; }

 private:
  void clear() noexcept {
    if (data_ != nullptr) Kind::free(data_);
    data_ = nullptr;
    count_ = 0;
  }

  Value* data_ = nullptr;
  std::size_t count_ = 0;
};

template <typename Value>
using DeviceBuffer = CudaBuffer<Value, DeviceMemory>;
template <typename Value>
using PinnedBuffer = CudaBuffer<Value, PinnedMemory>;

// A stream that does not wait for the default stream.
class StreamHandle {
 public:
  StreamHandle() {
    check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking),
               "cudaStreamCreateWithFlags");
  }
  ~StreamHandle() { (void)cudaStreamDestroy(stream_); }
  StreamHandle(const StreamHandle&) = delete;
  StreamHandle& operator=(const StreamHandle&) = delete;

  Stream get() const noexcept { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  enum class Timing { kOff, kOn };

  explicit Event(Timing timing) {
    check_cuda(cudaEventCreateWithFlags(
                   &event_, timing == Timing::kOn ? cudaEventDefault : cudaEventDisableTiming),
               "cudaEventCreateWithFlags");
  }
  ~Event() { (void)cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(Stream stream) { check_cuda(cudaEventRecord(event_, stream), "cudaEventRecord"); }
  // What is put into `stream` from here on waits, on the GPU, for the last record().
  void make_wait(Stream stream) {
    check_cuda(cudaStreamWaitEvent(stream, event_, 0), "cudaStreamWaitEvent");
  }
  float ms_since(const Event& start) const {
    float ms = 0;
    check_cuda(cudaEventElapsedTime(&ms, start.event_, event_), "cudaEventElapsedTime");
    return ms;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

// Work that was put into a stream once, and is launched as one piece from then on.
class Graph {
 public:
  Graph() = default;
  ~Graph() { clear(); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  // Records what put_work() puts into `stream`, of which nothing runs. Throws what put_work()
  // throws, or Error(kEngineFailure) where CUDA refuses; the graph is then empty and the stream as
  // before.
  template <typename PutWork>
  void capture(Stream stream, PutWork&& put_work) {
    clear();
    // Of this thread alone: other threads' allocations are no business of this capture.
    check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal),
               "cudaStreamBeginCapture");
    Recording recording;
    try {
      put_work();
    } catch (...) {
      (void)cudaStreamEndCapture(stream, &recording.graph);
      (void)cudaGetLastError();
      throw;
    }
    check_cuda(cudaStreamEndCapture(stream, &recording.graph), "cudaStreamEndCapture");
    check_cuda(cudaGraphInstantiate(&exec_, recording.graph, 0), "cudaGraphInstantiate");
  }

  bool empty() const noexcept { return exec_ == nullptr; }
  void launch(Stream stream) { check_cuda(cudaGraphLaunch(exec_, stream), "cudaGraphLaunch"); }

 private:
  struct Recording {
    cudaGraph_t graph = nullptr;
    ~Recording() {
      if (graph != nullptr) (void)cudaGraphDestroy(graph);
    }
  };

  void clear() noexcept {
    if (exec_ != nullptr) (void)cudaGraphExecDestroy(exec_);
    exec_ = nullptr;
  }

  cudaGraphExec_t exec_ = nullptr;
};

}  // namespace efiqa
