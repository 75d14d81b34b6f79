// A thread block as a sequence of phases: one source for the CUDA kernels and for the CPU.
//
//   template <typename Block>
//   EFIQA_HOST_DEVICE void double_all(const Block& block, float* values, int count) {
//     block.for_each(count, [&](int i) { values[i] *= 2; });
//   }
//
// DeviceBlock spreads each phase over the block's threads and waits for all of them; SerialBlock is
// a plain loop. Phases write disjoint places, or through the atomics below whose result does not
// depend on the order, so both give the same values (compiled without contraction into FMA on
// either side).
#pragma once

#include <cstdint>

#include "pixel_ops.h"

namespace efiqa {

constexpr int kBlockThreads =
    1024;  // lanes of reduce() on both sides; the device's block may be smaller

class SerialBlock {
 public:
  // body(i) for each i in [0, count), in any order; everything is done and visible on return.
  template <typename Body>
  void for_each(int count, Body&& body) const {
    for (int i = 0; i < count; ++i) body(i);
  }
  // body() once.
  template <typename Body>
  void once(Body&& body) const {
    body();
  }
  // combine() over map(i) for i in [0, count); the order is fixed: lane t takes t, t +
  // kBlockThreads, ..., then halves of the lanes are combined. `scratch`: kBlockThreads values that
  // all threads share.
  template <typename Value, typename Map, typename Combine>
  Value reduce(int count, Value identity, Map&& map, Combine&& combine, Value* scratch) const {
    for (int t = 0; t < kBlockThreads; ++t) {
      Value value = identity;
      for (int i = t; i < count; i += kBlockThreads) value = combine(value, map(i));
      scratch[t] = value;
    }
    for (int half = kBlockThreads / 2; half > 0; half /= 2) {
      for (int t = 0; t < half; ++t) scratch[t] = combine(scratch[t], scratch[t + half]);
    }
    return scratch[0];
  }
};

#if defined(__CUDACC__)

class DeviceBlock {
 public:
  template <typename Body>
  __device__ void for_each(int count, Body&& body) const {
    for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x))
      body(i);
    __syncthreads();
  }
  template <typename Body>
  __device__ void once(Body&& body) const {
    if (threadIdx.x == 0) body();
    __syncthreads();
  }
  template <typename Value, typename Map, typename Combine>
  __device__ Value reduce(int count, Value identity, Map&& map, Combine&& combine,
                          Value* scratch) const {
    for (int t = static_cast<int>(threadIdx.x); t < kBlockThreads;
         t += static_cast<int>(blockDim.x)) {
      Value value = identity;
      for (int i = t; i < count; i += kBlockThreads) value = combine(value, map(i));
      scratch[t] = value;
    }
    __syncthreads();
    for (int half = kBlockThreads / 2; half > 0; half /= 2) {
      for (int t = static_cast<int>(threadIdx.x); t < half; t += static_cast<int>(blockDim.x)) {
        scratch[t] = combine(scratch[t], scratch[t + half]);
      }
      __syncthreads();
    }
    const Value result = scratch[0];
    __syncthreads();  // scratch may be used again at once
    return result;
  }
};

using KernelBlock = DeviceBlock;
#else
using KernelBlock = SerialBlock;  // kernels compiled for the CPU by the tests: see cuda_launch.h
#endif

// Atomics whose final value does not depend on the order of the calls.
EFIQA_HOST_DEVICE inline int atomic_min(int* place, int value) {
#if defined(__CUDA_ARCH__)
  return atomicMin(place, value);
#else
  const int old = *place;
  *place = value < old ? value : old;
  return old;
#endif
}

EFIQA_HOST_DEVICE inline int atomic_max(int* place, int value) {
#if defined(__CUDA_ARCH__)
  return atomicMax(place, value);
#else
  const int old = *place;
  *place = value > old ? value : old;
  return old;
#endif
}

EFIQA_HOST_DEVICE inline int atomic_add(int* place, int value) {
#if defined(__CUDA_ARCH__)
  return atomicAdd(place, value);
#else
  const int old = *place;
  *place = old + value;
  return old;
#endif
}

EFIQA_HOST_DEVICE inline std::int64_t atomic_add(std::int64_t* place, std::int64_t value) {
#if defined(__CUDA_ARCH__)
  // Two's complement: the sum of the bits is that of the numbers.
  return static_cast<std::int64_t>(atomicAdd(reinterpret_cast<unsigned long long*>(place),
                                             static_cast<unsigned long long>(value)));
#else
  const std::int64_t old = *place;
  *place = old + value;
  return old;
#endif
}

}  // namespace efiqa
