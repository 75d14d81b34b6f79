// Ed25519 signatures of contracts, by which a runtime knows who made its model: the contract holds
// the model's SHA-256, so one signature covers both files. docs/security.md specifies the file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace efiqa {

constexpr std::size_t kPublicKeyBytes = 32, kSignatureBytes = 64;  // RFC 8032, section 5.1
constexpr std::size_t kSignatureFileBytes = 159;                   // of version 1, always

using PublicKey = std::array<std::uint8_t, kPublicKeyBytes>;

// A signature file's content.
struct Signature {
  std::string key_id;
  std::array<std::uint8_t, kSignatureBytes> bytes{};
};

struct SignatureSupport {
  bool built_in;        // compiled into this library
  std::string version;  // of the vendor library, or why there is none
};
SignatureSupport signature_support();

// The first 8 bytes of the key's SHA-256 as 16 lower-case hexadecimal digits.
std::string key_id(const PublicKey& key);

// "model.onnx" -> "model.onnx.json.sig".
std::string signature_path(const std::string& model_path);

// Throws Error(kSignatureInvalid) unless the text is a signature file, byte for byte. `origin` is
// for messages.
Signature parse_signature(const std::string& text, const std::string& origin);

// Throws Error(kInvalidArgument) for an empty list and for a key that cannot be one, and
// Error(kBackendUnavailable) when this build cannot check signatures.
void check_trusted_keys(const std::vector<PublicKey>& trusted_keys);

// Returns the id of the trusted key by which `signature_text` signs exactly the bytes of
// `contract_text`. Throws as the two functions above, and Error(kSignatureInvalid) naming file, key
// id and fix when the signature is altered, of other bytes, or of a key that is not trusted.
std::string verify_signature(const std::string& contract_text, const std::string& contract_origin,
                             const std::string& signature_text, const std::string& signature_origin,
                             const std::vector<PublicKey>& trusted_keys);

}  // namespace efiqa
