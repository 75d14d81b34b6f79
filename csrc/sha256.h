// SHA-256, so that a model file is known to be the one its contract describes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace efiqa {

// Incremental hash. Allocates nothing; update() may be called any number of times before finish().
class Sha256 {
 public:
  static constexpr std::size_t kDigestBytes = 32;

  void update(const void* data, std::size_t size_bytes) noexcept;
  // Ends the message; the object must not be used afterwards.
  std::array<std::uint8_t, kDigestBytes> finish() noexcept;

 private:
  static constexpr std::size_t kBlockBytes = 64;
  void compress(const std::uint8_t* block) noexcept;

  // Initial state: FIPS 180-4, section 5.3.3.
  std::array<std::uint32_t, 8> state_ = {0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
                                         0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u};
  std::array<std::uint8_t, kBlockBytes> block_{};
  std::size_t block_used_bytes_ = 0;
  std::uint64_t message_bytes_ = 0;
};

// 64 lower-case hexadecimal digits.
std::string sha256_hex(const void* data, std::size_t size_bytes);

}  // namespace efiqa
