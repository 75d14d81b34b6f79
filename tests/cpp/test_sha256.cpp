#include <string>

#include "check.h"
#include "sha256.h"

namespace {

std::string hash_of(const std::string& text) { return efiqa::sha256_hex(text.data(), text.size()); }

}  // namespace

// Source of the digests: NIST's examples for FIPS 180-4 and its short-message test vectors.
TEST(sha256_of_nist_vectors_is_the_published_one) {
  CHECK(hash_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hash_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hash_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(hash_of("\xd3") == "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1");
  CHECK(hash_of(std::string(1000000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(sha256_in_pieces_is_that_of_the_whole) {
  std::string message;
  for (int i = 0; i < 300; ++i) message += static_cast<char>(i * 7);
  // Lengths around the block's 64 bytes and around the 56 bytes that leave room for the length.
  for (std::size_t length : {0u, 1u, 55u, 56u, 57u, 63u, 64u, 65u, 119u, 120u, 128u, 300u}) {
    const std::string whole = message.substr(0, length);
    for (std::size_t piece : {1u, 3u, 64u, 100u}) {
      efiqa::Sha256 hash;
      for (std::size_t i = 0; i < length; i += piece) {
        const std::string part = whole.substr(i, piece);
        hash.update(part.data(), part.size());
      }
      const auto digest = hash.finish();
      std::string hex;
      for (const unsigned byte : digest) {
        hex += "0123456789abcdef"[byte >> 4];
        hex += "0123456789abcdef"[byte & 15];
      }
      CHECK(hex == hash_of(whole));
    }
  }
}
