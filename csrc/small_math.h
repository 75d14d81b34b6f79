// Small functions that host and device code share, where the standard library's are the host's
// only.
#pragma once

#include <cstdint>

#include "host_device.h"

namespace efiqa {

template <typename T>
EFIQA_HOST_DEVICE constexpr T min_of(T a, T b) {
  return b < a ? b : a;
}

template <typename T>
EFIQA_HOST_DEVICE constexpr T max_of(T a, T b) {
  return a < b ? b : a;
}

template <typename T>
EFIQA_HOST_DEVICE constexpr T clamp_to(T value, T low, T high) {
  return value < low ? low : (high < value ? high : value);
}

// Position of the lowest bit that is set; `bits` must not be 0.
EFIQA_HOST_DEVICE inline int lowest_bit(std::uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __ffs(static_cast<int>(bits)) - 1;
#else
  return __builtin_ctz(bits);
#endif
}

EFIQA_HOST_DEVICE inline int count_bits(std::uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __popc(bits);
#else
  return __builtin_popcount(bits);
#endif
}

// The bits of a word at positions [begin, end), 0 <= begin < end <= 32.
EFIQA_HOST_DEVICE inline std::uint32_t bit_range(int begin, int end) {
  return (~std::uint32_t{0} >> (32 - (end - begin))) << begin;
}

}  // namespace efiqa
