// Four pixels at a time, of any format, as three words of RGB8: how kernels read frames.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "pixel_ops.h"

namespace efiqa {

constexpr int kQuadPx = 4;

// Bytes in memory order, the first one lowest: R0 G0 B0 R1, G1 B1 R2 G2, B2 R3 G3 B3.
struct Quad {
  std::uint32_t words[3] = {0, 0, 0};
};

// Byte k of the result is byte (selector >> 4 k & 7) of the eight in `low` and `high`.
EFIQA_HOST_DEVICE inline std::uint32_t pick_bytes(std::uint32_t low, std::uint32_t high,
                                                  std::uint32_t selector) {
#if defined(__CUDA_ARCH__)
  return __byte_perm(low, high, selector);
#else
  const std::uint64_t both = static_cast<std::uint64_t>(high) << 32 | low;
  std::uint32_t picked = 0;
  for (int k = 0; k < 4; ++k) {
    const std::uint32_t byte = static_cast<std::uint32_t>(both >> (selector >> 4 * k & 7) * 8);
    picked |= (byte & 255u) << 8 * k;
  }
  return picked;
#endif
}

// Byte `index` of a word as a number. On the device without a conversion, which GPUs have few units
// for: 2^23 + byte is made of bits, and 2^23 taken away, which is exact.
EFIQA_HOST_DEVICE inline float byte_value(std::uint32_t word, int index) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(__byte_perm(word, 0x4B000000u, 0x7440u + static_cast<unsigned>(index))) -
         8388608.0f;
#else
  return static_cast<float>(word >> 8 * index & 255u);
#endif
}

EFIQA_HOST_DEVICE inline std::uint32_t aligned_word(const std::uint8_t* address) {
#if defined(__CUDA_ARCH__)
  return *reinterpret_cast<const std::uint32_t*>(address);
#else
  std::uint32_t word;
  std::memcpy(&word, address, sizeof(word));
  return word;
#endif
}

// Four bytes from `address` on, which may be odd; those at `end` and behind read 0. Nothing outside
// [begin, end), the row, is touched.
EFIQA_HOST_DEVICE inline std::uint32_t load_word(const std::uint8_t* address,
                                                 const std::uint8_t* begin,
                                                 const std::uint8_t* end) {
  const int shift = static_cast<int>(reinterpret_cast<std::uintptr_t>(address) & 3u);
  if (shift == 0 && end - address >= 4) return aligned_word(address);
  if (address - begin >= shift && end - address >= 8 - shift) {
    const std::uint32_t low = aligned_word(address - shift);
    const std::uint32_t high = aligned_word(address - shift + 4);
    return pick_bytes(low, high, 0x3210u + 0x1111u * static_cast<unsigned>(shift));
  }
  std::uint32_t word = 0;
  for (int k = 0; k < 4; ++k) {
    if (end - address > k) word |= static_cast<std::uint32_t>(address[k]) << 8 * k;
  }
  return word;
}

EFIQA_HOST_DEVICE inline Quad quad_of_colors(const Rgb8 (&colors)[kQuadPx]) {
  const auto word = [](int a, int b, int c, int d) {
    return static_cast<std::uint32_t>(a | b << 8 | c << 16) | static_cast<std::uint32_t>(d) << 24;
  };
  return {{word(colors[0].red, colors[0].green, colors[0].blue, colors[1].red),
           word(colors[1].green, colors[1].blue, colors[2].red, colors[2].green),
           word(colors[2].blue, colors[3].red, colors[3].green, colors[3].blue)}};
}

// Pixels x, x + 1, ... of row y; x is a multiple of kQuadPx and less than the width. Those past the
// row's end have no meaning. `frame` has kFormat; `scale` is used for Y'CbCr only.
template <PixelFormat kFormat>
EFIQA_HOST_DEVICE Quad load_quad(const FrameView& frame, const YuvScale& scale, int x, int y) {
  constexpr int kBytes = bytes_per_pixel(kFormat);
  const std::uint8_t* row = frame.data + static_cast<std::ptrdiff_t>(y) * frame.row_stride_bytes;
  const std::uint8_t* end = row + static_cast<std::ptrdiff_t>(frame.width_px) * kBytes;
  const std::uint8_t* pixels = row + static_cast<std::ptrdiff_t>(x) * kBytes;
  std::uint32_t w[kBytes];
  for (int i = 0; i < kBytes; ++i) w[i] = load_word(pixels + 4 * i, row, end);
  // Selectors: see pick_bytes, e.g. 0x5012 picks bytes 2, 1, 0 of the first word, 1 of the second.
  if constexpr (kFormat == PixelFormat::kRgb8) {
    return {{w[0], w[1], w[2]}};
  } else if constexpr (kFormat == PixelFormat::kBgr8) {
    return {{pick_bytes(w[0], w[1], 0x5012),
             pick_bytes(pick_bytes(w[0], w[1], 0x7034), w[2], 0x3410),
             pick_bytes(w[1], w[2], 0x5672)}};
  } else if constexpr (kFormat == PixelFormat::kGray8) {
    return {
        {pick_bytes(w[0], 0, 0x1000), pick_bytes(w[0], 0, 0x2211), pick_bytes(w[0], 0, 0x3332)}};
  } else if constexpr (kFormat == PixelFormat::kRgba8) {
    return {{pick_bytes(w[0], w[1], 0x4210), pick_bytes(w[1], w[2], 0x5421),
             pick_bytes(w[2], w[3], 0x6542)}};
  } else {
    const auto byte = [](std::uint32_t word, int k) {
      return static_cast<int>(word >> 8 * k & 255u);
    };
    Rgb8 colors[kQuadPx];
    if constexpr (kFormat == PixelFormat::kNv12) {
      const std::uint8_t* uv_row =
          frame.uv_data + static_cast<std::ptrdiff_t>(y / 2) * frame.uv_stride_bytes;
      const std::uint32_t uv = load_word(uv_row + x, uv_row, uv_row + frame.width_px);
      for (int i = 0; i < kQuadPx; ++i) {
        const YuvChroma chroma = yuv_chroma(scale, byte(uv, i / 2 * 2), byte(uv, i / 2 * 2 + 1));
        colors[i] = yuv_to_rgb(scale, byte(w[0], i), chroma);
      }
    } else {
      static_assert(kFormat == PixelFormat::kYuyv, "a format that load_quad does not know");
      for (int i = 0; i < kQuadPx; ++i) {
        const YuvChroma chroma = yuv_chroma(scale, byte(w[i / 2], 1), byte(w[i / 2], 3));
        colors[i] = yuv_to_rgb(scale, byte(w[i / 2], i % 2 * 2), chroma);
      }
    }
    return quad_of_colors(colors);
  }
}

}  // namespace efiqa
