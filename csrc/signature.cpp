#include "signature.h"

#include <algorithm>

#include "contract.h"
#include "ed25519.h"
#include "json.h"
#include "sha256.h"
#include "status.h"

namespace efiqa {
namespace {

constexpr std::size_t kKeyIdDigits = 16;
constexpr const char* kHexDigits = "0123456789abcdef";
constexpr const char* kBase64Digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::size_t kBase64Chars = 88;  // of 64 bytes: 86 digits and "=="
constexpr const char* kFix = "; copy it again, or sign the contract again with efiqa sign";

#ifndef EFIQA_WITH_SIGNATURES
bool ed25519_verify(const PublicKey&, const std::string&,
                    const std::array<std::uint8_t, kSignatureBytes>&) {
  return false;
}
#endif

[[noreturn]] void refuse(const std::string& message) {
  throw Error(StatusCode::kSignatureInvalid, message);
}

// The four lines of a signature file, taken from the front one piece after the other.
class Reader {
 public:
  Reader(const std::string& text, const std::string& origin) : text_(text), origin_(origin) {}

  void expect(const std::string& literal) {
    if (text_.compare(at_, literal.size(), literal) != 0)
      fail("\"" + json_printable(literal) + "\"");
    at_ += literal.size();
  }

  std::string take(std::size_t count, const std::string& allowed, const std::string& rule) {
    const std::string piece = text_.substr(at_, count);
    if (piece.size() != count || piece.find_first_not_of(allowed) != std::string::npos) fail(rule);
    at_ += count;
    return piece;
  }

  [[noreturn]] void fail(const std::string& rule) const {
    refuse(origin_ + ": byte " + std::to_string(at_) + " is not the beginning of " + rule + kFix);
  }

 private:
  const std::string& text_;
  const std::string& origin_;
  std::size_t at_ = 0;
};

// Exactly one text stands for each signature: the bits that the last digit has to spare must be 0.
bool decode_base64(const std::string& text, std::array<std::uint8_t, kSignatureBytes>& bytes) {
  const std::string digits = kBase64Digits;
  std::uint32_t bits = 0;
  int bit_count = 0;
  std::size_t size = 0;
  for (const char c : text) {
    bits = bits << 6 | static_cast<std::uint32_t>(digits.find(c));
    bit_count += 6;
    if (bit_count < 8) continue;
    bit_count -= 8;
    bytes[size++] = static_cast<std::uint8_t>(bits >> bit_count);
    bits &= (1u << bit_count) - 1;
  }
  return bits == 0;
}

std::string list_key_ids(const std::vector<PublicKey>& keys) {
  std::string list;
  for (const PublicKey& key : keys) list += (list.empty() ? "" : ", ") + key_id(key);
  return list;
}

}  // namespace

SignatureSupport signature_support() {
#ifdef EFIQA_WITH_SIGNATURES
  return {true, ed25519_version()};
#else
  return {false, "not built in: efiqa was built without EFIQA_WITH_SIGNATURES"};
#endif
}

std::string key_id(const PublicKey& key) {
  return sha256_hex(key.data(), key.size()).substr(0, kKeyIdDigits);
}

std::string signature_path(const std::string& model_path) {
  return contract_path(model_path) + ".sig";
}

Signature parse_signature(const std::string& text, const std::string& origin) {
  const std::string magic = "efiqa-signature ";
  if (text.compare(0, magic.size(), magic) == 0 && text.compare(magic.size(), 2, "1\n") != 0) {
    const std::string version = text.substr(magic.size(), text.find('\n') - magic.size());
    refuse(origin + ": the version is " + json_printable(version) +
           ", this efiqa reads version 1; install an efiqa that reads it, or sign the contract "
           "again with this version's efiqa sign");
  }
  if (text.size() != kSignatureFileBytes) {
    refuse(origin + " has " + std::to_string(text.size()) + " bytes, expected " +
           std::to_string(kSignatureFileBytes) + kFix);
  }
  Reader reader(text, origin);
  Signature signature;
  reader.expect(magic + "1\n");
  reader.expect("algorithm ed25519\n");
  reader.expect("key_id ");
  signature.key_id = reader.take(kKeyIdDigits, kHexDigits, "16 lower-case hexadecimal digits");
  reader.expect("\nsignature ");
  const std::string base64 =
      reader.take(kBase64Chars - 2, kBase64Digits, "86 base64 digits (A-Z, a-z, 0-9, +, /)");
  if (!decode_base64(base64, signature.bytes)) reader.fail("base64 whose spare bits are 0");
  reader.expect("==\n");
  return signature;
}

void check_trusted_keys(const std::vector<PublicKey>& trusted_keys) {
  if (trusted_keys.empty()) {
    throw Error(StatusCode::kInvalidArgument,
                "require_signature is set and trusted_keys is empty, expected the public key of "
                "whoever signs your models (efiqa keygen makes one)");
  }
  for (std::size_t i = 0; i < trusted_keys.size(); ++i) {
    const PublicKey& key = trusted_keys[i];
    if (std::any_of(key.begin(), key.end(), [](std::uint8_t byte) { return byte != 0; })) continue;
    // Also a point of order 4, for which anybody can make signatures.
    throw Error(StatusCode::kInvalidArgument,
                "trusted_keys[" + std::to_string(i) +
                    "] is all zeros, expected an Ed25519 public key; was it never filled in?");
  }
  const SignatureSupport support = signature_support();
  if (support.built_in) return;
  throw Error(StatusCode::kBackendUnavailable,
              "the signature cannot be checked, so the model is not opened: signatures are " +
                  support.version +
                  "; install OpenSSL's headers (Debian, Ubuntu: apt-get install libssl-dev) and "
                  "build efiqa again");
}

std::string verify_signature(const std::string& contract_text, const std::string& contract_origin,
                             const std::string& signature_text, const std::string& signature_origin,
                             const std::vector<PublicKey>& trusted_keys) {
  check_trusted_keys(trusted_keys);
  const Signature signature = parse_signature(signature_text, signature_origin);
  bool known = false;
  for (const PublicKey& key : trusted_keys) {
    if (key_id(key) != signature.key_id) continue;
    known = true;
    if (ed25519_verify(key, contract_text, signature.bytes)) return signature.key_id;
  }
  if (!known) {
    refuse(signature_origin + " is by the key " + signature.key_id +
           ", which is not among the trusted ones: " + list_key_ids(trusted_keys) +
           "; have the contract signed by one of these, or trust that key if you know whose it is");
  }
  refuse(signature_origin + " by the key " + signature.key_id + " does not fit " + contract_origin +
         ": one of the two files was altered after signing" + kFix);
}

}  // namespace efiqa
