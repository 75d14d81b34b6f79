// Stands in for CUDA's cuda_runtime.h in tests on a machine without a GPU: the part of the runtime
// API that this project uses, backed by host memory. Failures and counters: cuda_double.h.
// Where CUDA leaves a choice, the double takes the stricter one: a copy inside a capture needs
// page-locked memory, and a copy must lie in one block.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "cuda_double.h"

#define EFIQA_DOUBLE_ENTER(name) \
  if (const cudaError_t failure = efiqa_double::enter(name); failure != cudaSuccess) return failure

inline const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInsufficientDriver:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorIllegalAddress:
      return "an illegal memory access was encountered";
    case cudaErrorLaunchFailure:
      return "unspecified launch failure";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated:
      return "operation failed due to a previous error during capture";
    default:
      return "another error";
  }
}

inline cudaError_t cudaPeekAtLastError() { return efiqa_double::state().last_error; }

inline cudaError_t cudaGetLastError() {
  return std::exchange(efiqa_double::state().last_error, cudaSuccess);
}

// Devices.

inline cudaError_t cudaGetDeviceCount(int* count) {
  EFIQA_DOUBLE_ENTER("cudaGetDeviceCount");
  *count = efiqa_double::state().device_count;
  return *count > 0 ? cudaSuccess : efiqa_double::refuse(cudaErrorNoDevice);
}

inline cudaError_t cudaGetDevice(int* device) {
  EFIQA_DOUBLE_ENTER("cudaGetDevice");
  *device = efiqa_double::state().current_device;
  return cudaSuccess;
}

inline cudaError_t cudaSetDevice(int device) {
  EFIQA_DOUBLE_ENTER("cudaSetDevice");
  if (device < 0 || device >= efiqa_double::state().device_count) {
    return efiqa_double::refuse(cudaErrorInvalidDevice);
  }
  efiqa_double::state().current_device = device;
  return cudaSuccess;
}

inline cudaError_t cudaDriverGetVersion(int* version) {
  EFIQA_DOUBLE_ENTER("cudaDriverGetVersion");
  *version = efiqa_double::state().driver_version;
  return cudaSuccess;
}

inline cudaError_t cudaRuntimeGetVersion(int* version) {
  EFIQA_DOUBLE_ENTER("cudaRuntimeGetVersion");
  *version = 13000;
  return cudaSuccess;
}

inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int /*device*/) {
  EFIQA_DOUBLE_ENTER("cudaDeviceGetAttribute");
  const int capability = efiqa_double::state().compute_capability;
  *value = attribute == cudaDevAttrComputeCapabilityMajor   ? capability / 10
           : attribute == cudaDevAttrComputeCapabilityMinor ? capability % 10
                                                            : 1;
  return cudaSuccess;
}

inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int /*device*/) {
  EFIQA_DOUBLE_ENTER("cudaGetDeviceProperties");
  *properties = {};
  std::snprintf(properties->name, sizeof(properties->name), "Double");
  properties->major = efiqa_double::state().compute_capability / 10;
  properties->minor = efiqa_double::state().compute_capability % 10;
  properties->totalGlobalMem = std::size_t{8} << 30;
  properties->multiProcessorCount = 1;
  return cudaSuccess;
}

inline cudaError_t cudaDeviceSynchronize() {
  EFIQA_DOUBLE_ENTER("cudaDeviceSynchronize");
  for (const cudaStream_t stream : efiqa_double::state().streams) {
    efiqa_double::drain(*stream, stream->put);
  }
  efiqa_double::drain(efiqa_double::state().default_stream,
                      efiqa_double::state().default_stream.put);
  return cudaSuccess;
}

// Memory.

inline cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  EFIQA_DOUBLE_ENTER("cudaMalloc");
  if (const cudaError_t error = efiqa_double::forbidden_in_capture(); error != cudaSuccess) {
    return error;
  }
  *memory = bytes == 0 ? nullptr : std::malloc(bytes);
  if (*memory == nullptr) {
    return bytes == 0 ? cudaSuccess : efiqa_double::refuse(cudaErrorMemoryAllocation);
  }
  std::memset(*memory, 0xCD, bytes);  // whoever reads it before writing it notices
  efiqa_double::state().device[static_cast<const char*>(*memory)] = bytes;
  efiqa_double::allow_host(*memory, bytes, efiqa_double::state().working > 0);
  return cudaSuccess;
}

template <typename Value>
cudaError_t cudaMalloc(Value** memory, std::size_t bytes) {
  return cudaMalloc(reinterpret_cast<void**>(memory), bytes);
}

inline cudaError_t cudaFree(void* memory) {
  EFIQA_DOUBLE_ENTER("cudaFree");
  if (memory == nullptr) return cudaSuccess;
  auto& blocks = efiqa_double::state().device;
  const auto block = blocks.find(static_cast<const char*>(memory));
  if (block == blocks.end()) return efiqa_double::refuse(cudaErrorInvalidValue);
  efiqa_double::allow_host(memory, block->second, true);
  blocks.erase(block);
  std::free(memory);
  return cudaSuccess;
}

inline cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  EFIQA_DOUBLE_ENTER("cudaMallocHost");
  if (const cudaError_t error = efiqa_double::forbidden_in_capture(); error != cudaSuccess) {
    return error;
  }
  *memory = std::malloc(bytes > 0 ? bytes : 1);
  if (*memory == nullptr) return efiqa_double::refuse(cudaErrorMemoryAllocation);
  efiqa_double::state().pinned[static_cast<const char*>(*memory)] = bytes;
  return cudaSuccess;
}

template <typename Value>
cudaError_t cudaMallocHost(Value** memory, std::size_t bytes) {
  return cudaMallocHost(reinterpret_cast<void**>(memory), bytes);
}

inline cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned int /*flags*/) {
  return cudaMallocHost(memory, bytes);
}

inline cudaError_t cudaFreeHost(void* memory) {
  EFIQA_DOUBLE_ENTER("cudaFreeHost");
  if (memory == nullptr) return cudaSuccess;
  if (efiqa_double::state().pinned.erase(static_cast<const char*>(memory)) == 0) {
    return efiqa_double::refuse(cudaErrorInvalidValue);
  }
  std::free(memory);
  return cudaSuccess;
}

inline cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* memory) {
  EFIQA_DOUBLE_ENTER("cudaPointerGetAttributes");
  void* address = const_cast<void*>(memory);
  *attributes = {cudaMemoryTypeUnregistered, -1, nullptr, address};
  if (efiqa_double::on_device(memory, 1)) {
    *attributes = {cudaMemoryTypeDevice, efiqa_double::state().block_device, address, nullptr};
  } else if (efiqa_double::is_pinned(memory, 1)) {
    *attributes = {cudaMemoryTypeHost, efiqa_double::state().block_device, address, address};
  }
  return cudaSuccess;
}

namespace efiqa_double {

// Whether both ends of a copy lie where its kind says.
inline bool copy_is_sound(const void* to, const void* from, std::size_t to_bytes,
                          std::size_t from_bytes, cudaMemcpyKind kind) {
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice ||
                         (kind == cudaMemcpyDefault && !on_host(to));
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice ||
                           (kind == cudaMemcpyDefault && !on_host(from));
  return (to_device ? on_device(to, to_bytes) : on_host(to)) &&
         (from_device ? on_device(from, from_bytes) : on_host(from));
}

// A copy from or to pageable memory is complete on return, and must not be captured.
inline cudaError_t put_copy(cudaStream_t handle, bool pageable, std::function<void()> copy) {
  CUstream_st& stream = stream_of(handle);
  if (pageable && stream.capture != nullptr) {
    stream.capture_broken = true;
    return refuse(cudaErrorStreamCaptureUnsupported);
  }
  put(handle, std::move(copy));
  if (pageable) drain(stream, stream.put);
  return cudaSuccess;
}

inline bool is_pageable(const void* memory, std::size_t bytes) {
  return on_host(memory) && !is_pinned(memory, bytes);
}

}  // namespace efiqa_double

inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes,
                                   cudaMemcpyKind kind, cudaStream_t stream = nullptr) {
  EFIQA_DOUBLE_ENTER("cudaMemcpyAsync");
  if (!efiqa_double::copy_is_sound(to, from, bytes, bytes, kind)) {
    return efiqa_double::refuse(cudaErrorInvalidValue);
  }
  const bool pageable =
      efiqa_double::is_pageable(to, bytes) || efiqa_double::is_pageable(from, bytes);
  return efiqa_double::put_copy(stream, pageable, [=] { std::memcpy(to, from, bytes); });
}

inline cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from,
                                     std::size_t from_pitch, std::size_t width_bytes,
                                     std::size_t rows, cudaMemcpyKind kind,
                                     cudaStream_t stream = nullptr) {
  EFIQA_DOUBLE_ENTER("cudaMemcpy2DAsync");
  if (width_bytes == 0 || rows == 0) return cudaSuccess;
  const std::size_t to_bytes = to_pitch * (rows - 1) + width_bytes;
  const std::size_t from_bytes = from_pitch * (rows - 1) + width_bytes;
  if (to_pitch < width_bytes || from_pitch < width_bytes ||
      !efiqa_double::copy_is_sound(to, from, to_bytes, from_bytes, kind)) {
    return efiqa_double::refuse(cudaErrorInvalidValue);
  }
  const bool pageable =
      efiqa_double::is_pageable(to, to_bytes) || efiqa_double::is_pageable(from, from_bytes);
  return efiqa_double::put_copy(stream, pageable, [=] {
    for (std::size_t row = 0; row < rows; ++row) {
      std::memcpy(static_cast<char*>(to) + row * to_pitch,
                  static_cast<const char*>(from) + row * from_pitch, width_bytes);
    }
  });
}

inline cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  EFIQA_DOUBLE_ENTER("cudaMemcpy");
  if (const cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind); error != cudaSuccess) {
    return error;
  }
  efiqa_double::drain(efiqa_double::state().default_stream,
                      efiqa_double::state().default_stream.put);
  return cudaSuccess;
}

inline cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes,
                                   cudaStream_t stream = nullptr) {
  EFIQA_DOUBLE_ENTER("cudaMemsetAsync");
  if (!efiqa_double::on_device(memory, bytes)) return efiqa_double::refuse(cudaErrorInvalidValue);
  efiqa_double::put(stream, [=] { std::memset(memory, value, bytes); });
  return cudaSuccess;
}

inline cudaError_t cudaMemset(void* memory, int value, std::size_t bytes) {
  EFIQA_DOUBLE_ENTER("cudaMemset");
  return cudaMemsetAsync(memory, value, bytes);
}

// Streams.

inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned int /*flags*/) {
  EFIQA_DOUBLE_ENTER("cudaStreamCreateWithFlags");
  *stream = new CUstream_st;
  efiqa_double::state().streams.insert(*stream);
  return cudaSuccess;
}

inline cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  EFIQA_DOUBLE_ENTER("cudaStreamSynchronize");
  CUstream_st& stream = efiqa_double::stream_of(handle);
  if (stream.capture != nullptr) {
    stream.capture_broken = true;
    return efiqa_double::refuse(cudaErrorStreamCaptureUnsupported);
  }
  efiqa_double::drain(stream, stream.put);
  return cudaSuccess;
}

inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  EFIQA_DOUBLE_ENTER("cudaStreamDestroy");
  if (efiqa_double::state().streams.erase(stream) == 0) {
    return efiqa_double::refuse(cudaErrorInvalidResourceHandle);
  }
  efiqa_double::drain(*stream, stream->put);
  delete stream;
  return cudaSuccess;
}

// Events.

inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int /*flags*/) {
  EFIQA_DOUBLE_ENTER("cudaEventCreateWithFlags");
  *event = new CUevent_st;
  efiqa_double::state().events.insert(*event);
  return cudaSuccess;
}

inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
  EFIQA_DOUBLE_ENTER("cudaEventDestroy");
  if (efiqa_double::state().events.erase(event) == 0) {
    return efiqa_double::refuse(cudaErrorInvalidResourceHandle);
  }
  delete event;
  return cudaSuccess;
}

inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle = nullptr) {
  EFIQA_DOUBLE_ENTER("cudaEventRecord");
  CUstream_st& stream = efiqa_double::stream_of(handle);
  event->stream = &stream;
  event->captured = stream.capture != nullptr;
  efiqa_double::put(handle, [event] {
    if (efiqa_double::state().events.count(event) != 0) {
      event->time = std::chrono::steady_clock::now();
    }
  });
  event->position = stream.put;
  return cudaSuccess;
}

inline cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event,
                                       unsigned int /*flags*/ = 0) {
  EFIQA_DOUBLE_ENTER("cudaStreamWaitEvent");
  if (event->stream == nullptr) return cudaSuccess;
  CUstream_st& stream = efiqa_double::stream_of(handle);
  if (stream.capture != nullptr && !event->captured) {
    stream.capture_broken = true;
    return efiqa_double::refuse(cudaErrorStreamCaptureIsolation);
  }
  efiqa_double::put(handle, [source = event->stream, position = event->position] {
    const auto& streams = efiqa_double::state().streams;
    if (source == &efiqa_double::state().default_stream || streams.count(source) != 0) {
      efiqa_double::drain(*source, position);
    }
  });
  return cudaSuccess;
}

inline cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  EFIQA_DOUBLE_ENTER("cudaEventSynchronize");
  if (event->stream != nullptr) efiqa_double::drain(*event->stream, event->position);
  return cudaSuccess;
}

inline cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t start, cudaEvent_t end) {
  EFIQA_DOUBLE_ENTER("cudaEventElapsedTime");
  if (start->stream == nullptr || end->stream == nullptr) {
    return efiqa_double::refuse(cudaErrorInvalidResourceHandle);
  }
  if (start->stream->done < start->position || end->stream->done < end->position) {
    return efiqa_double::refuse(cudaErrorNotReady);
  }
  *ms = std::chrono::duration<float, std::milli>(end->time - start->time).count();
  return cudaSuccess;
}

// Graphs.

inline cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode /*mode*/) {
  EFIQA_DOUBLE_ENTER("cudaStreamBeginCapture");
  if (stream == nullptr || stream->capture != nullptr) {
    return efiqa_double::refuse(cudaErrorStreamCaptureUnsupported);
  }
  stream->capture = new CUgraph_st;
  stream->capture_broken = false;
  ++efiqa_double::state().graphs;
  return cudaSuccess;
}

inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  EFIQA_DOUBLE_ENTER("cudaGraphDestroy");
  --efiqa_double::state().graphs;
  delete graph;
  return cudaSuccess;
}

inline cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const cudaError_t failure = efiqa_double::enter("cudaStreamEndCapture");
  *graph = nullptr;
  if (stream->capture == nullptr) return efiqa_double::refuse(cudaErrorInvalidValue);
  CUgraph_st* captured = std::exchange(stream->capture, nullptr);
  if (failure == cudaSuccess && !stream->capture_broken) {
    *graph = captured;
    return cudaSuccess;
  }
  --efiqa_double::state().graphs;
  delete captured;
  return efiqa_double::refuse(failure != cudaSuccess ? failure : cudaErrorStreamCaptureInvalidated);
}

inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph,
                                        unsigned long long /*flags*/ = 0) {
  EFIQA_DOUBLE_ENTER("cudaGraphInstantiate");
  *exec = new CUgraphExec_st{graph->nodes};
  ++efiqa_double::state().graph_execs;
  return cudaSuccess;
}

inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  EFIQA_DOUBLE_ENTER("cudaGraphExecDestroy");
  --efiqa_double::state().graph_execs;
  delete exec;
  return cudaSuccess;
}

inline cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  EFIQA_DOUBLE_ENTER("cudaGraphLaunch");
  for (const std::function<void()>& node : exec->nodes) efiqa_double::put(stream, node);
  return cudaSuccess;
}

#undef EFIQA_DOUBLE_ENTER
