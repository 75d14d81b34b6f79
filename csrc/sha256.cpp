#include "sha256.h"

#include <algorithm>
#include <cstring>

namespace efiqa {
namespace {

// Round constants: FIPS 180-4, section 4.2.2.
constexpr std::uint32_t kRound[64] = {
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u,
    0xab1c5ed5u, 0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu,
    0x9bdc06a7u, 0xc19bf174u, 0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu,
    0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau, 0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u,
    0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u, 0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu,
    0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u, 0xa2bfe8a1u, 0xa81a664bu,
    0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u, 0x19a4c116u,
    0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
    0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u,
    0xc67178f2u};

constexpr std::uint32_t rotate_right(std::uint32_t word, int bits) {
  return (word >> bits) | (word << (32 - bits));
}

}  // namespace

void Sha256::compress(const std::uint8_t* block) noexcept {
  std::uint32_t w[64];
  for (int t = 0; t < 16; ++t) {
    const std::uint8_t* b = block + 4 * t;
    w[t] = std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 |
           std::uint32_t{b[3]};
  }
  for (int t = 16; t < 64; ++t) {
    const std::uint32_t s0 =
        rotate_right(w[t - 15], 7) ^ rotate_right(w[t - 15], 18) ^ (w[t - 15] >> 3);
    const std::uint32_t s1 =
        rotate_right(w[t - 2], 17) ^ rotate_right(w[t - 2], 19) ^ (w[t - 2] >> 10);
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state_;
  for (int t = 0; t < 64; ++t) {
    const std::uint32_t sum1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
    const std::uint32_t choose = (e & f) ^ (~e & g);
    const std::uint32_t t1 = h + sum1 + choose + kRound[t] + w[t];
    const std::uint32_t sum0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
    const std::uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
    const std::uint32_t t2 = sum0 + majority;
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  const std::uint32_t working[8] = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < 8; ++i) state_[i] += working[i];
}

void Sha256::update(const void* data, std::size_t size_bytes) noexcept {
  const std::uint8_t* bytes = static_cast<const std::uint8_t*>(data);
  message_bytes_ += size_bytes;
  if (block_used_bytes_ > 0) {
    const std::size_t taken = std::min(size_bytes, kBlockBytes - block_used_bytes_);
    std::memcpy(block_.data() + block_used_bytes_, bytes, taken);
    block_used_bytes_ += taken;
    bytes += taken;
    size_bytes -= taken;
    if (block_used_bytes_ < kBlockBytes) return;
    compress(block_.data());
    block_used_bytes_ = 0;
  }
  for (; size_bytes >= kBlockBytes; bytes += kBlockBytes, size_bytes -= kBlockBytes) {
    compress(bytes);
  }
  if (size_bytes > 0) std::memcpy(block_.data(), bytes, size_bytes);
  block_used_bytes_ = size_bytes;
}

std::array<std::uint8_t, Sha256::kDigestBytes> Sha256::finish() noexcept {
  // Padding: FIPS 180-4, section 5.1.1: a one bit, zeros, the length in bits as 64-bit big endian.
  const std::uint64_t message_bits = message_bytes_ * 8;
  std::uint8_t padding[kBlockBytes + 8] = {0x80};
  const std::size_t zero_end =
      block_used_bytes_ < 56 ? 56 - block_used_bytes_ : 120 - block_used_bytes_;
  for (int i = 0; i < 8; ++i) {
    padding[zero_end + i] = static_cast<std::uint8_t>(message_bits >> (56 - 8 * i));
  }
  update(padding, zero_end + 8);
  std::array<std::uint8_t, kDigestBytes> digest;
  for (std::size_t i = 0; i < kDigestBytes; ++i) {
    digest[i] = static_cast<std::uint8_t>(state_[i / 4] >> (24 - 8 * (i % 4)));
  }
  return digest;
}

std::string sha256_hex(const void* data, std::size_t size_bytes) {
  Sha256 hash;
  hash.update(data, size_bytes);
  std::string hex;
  hex.reserve(2 * Sha256::kDigestBytes);
  for (const std::uint8_t byte : hash.finish()) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

}  // namespace efiqa
