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

#include <algorithm>
#include <cstdint>

#include "pixel_ops.h"

namespace efiqa {

constexpr int kBlockThreads =
    1024;                      // lanes of reduce() on both sides; the device's block may be smaller
constexpr int kWordBits = 32;  // of a word of pack_bits(), and threads of a warp

class SerialBlock {
 public:
  // Whether what many items may need is better made for all of them in one phase.
  static constexpr bool kParallel = false;
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
  // combine() over map(i) for i in [0, count); the order is fixed: lane t takes t, t + kLanes, ...,
  // then halves of the lanes are combined. `scratch`: kLanes values that all threads share; kLanes
  // is a power of two. Every thread gets the result.
  template <int kLanes = kBlockThreads, typename Value, typename Map, typename Combine>
  Value reduce(int count, Value identity, Map&& map, Combine&& combine, Value* scratch) const {
    for (int t = 0; t < kLanes; ++t) {
      Value value = identity;
      for (int i = t; i < count; i += kLanes) value = combine(value, map(i));
      scratch[t] = value;
    }
    for (int half = kLanes / 2; half > 0; half /= 2) {
      for (int t = 0; t < half; ++t) scratch[t] = combine(scratch[t], scratch[t + half]);
    }
    return scratch[0];
  }
  // Bit k of out[w] = test(w, k), for each of `words` words of kWordBits bits.
  template <typename Test>
  void pack_bits(int words, std::uint32_t* out, Test&& test) const {
    for (int w = 0; w < words; ++w) {
      std::uint32_t bits = 0;
      for (int k = 0; k < kWordBits; ++k) bits |= static_cast<std::uint32_t>(test(w, k)) << k;
      out[w] = bits;
    }
  }
  // The value that would be values[n] if they were sorted; may change their order. `values` and
  // `place`, one value, are shared by all threads; every thread gets the result.
  float nth_smallest(float* values, int count, int n, float* place) const {
    std::nth_element(values, values + n, values + count);
    *place = values[n];
    return *place;
  }
};

#if defined(__CUDACC__)

class DeviceBlock {
 public:
  static constexpr bool kParallel = true;
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
  template <int kLanes = kBlockThreads, typename Value, typename Map, typename Combine>
  __device__ Value reduce(int count, Value identity, Map&& map, Combine&& combine,
                          Value* scratch) const {
    for (int t = static_cast<int>(threadIdx.x); t < kLanes; t += static_cast<int>(blockDim.x)) {
      Value value = identity;
      for (int i = t; i < count; i += kLanes) value = combine(value, map(i));
      scratch[t] = value;
    }
    __syncthreads();
    for (int half = kLanes / 2; half > 0; half /= 2) {
      for (int t = static_cast<int>(threadIdx.x); t < half; t += static_cast<int>(blockDim.x)) {
        scratch[t] = combine(scratch[t], scratch[t + half]);
      }
      // From here on only the first warp works, and only it needs to wait.
      if (half > kWordBits || half == 1) {
        __syncthreads();
      } else {
        __syncwarp();
      }
    }
    const Value result = scratch[0];
    __syncthreads();  // scratch may be used again at once
    return result;
  }
  // blockDim.x must be a multiple of kWordBits.
  template <typename Test>
  __device__ void pack_bits(int words, std::uint32_t* out, Test&& test) const {
    const int lane = static_cast<int>(threadIdx.x) % kWordBits;
    const int warps = static_cast<int>(blockDim.x) / kWordBits;
    for (int w = static_cast<int>(threadIdx.x) / kWordBits; w < words; w += warps) {
      const std::uint32_t bits = __ballot_sync(0xffffffffu, test(w, lane));
      if (lane == 0) out[w] = bits;
    }
    __syncthreads();
  }
  __device__ float nth_smallest(float* values, int count, int n, float* place) const {
    for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) {
      int rank = 0;
      for (int j = 0; j < count; ++j) {
        rank += values[j] < values[i] || (values[j] == values[i] && j < i);
      }
      if (rank == n) *place = values[i];
    }
    __syncthreads();
    const float result = *place;
    __syncthreads();  // place may be used again at once
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
