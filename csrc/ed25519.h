// What the cryptographic library offers to signature.cpp. No vendor header is seen outside.
#pragma once

#include <string>

#include "signature.h"

namespace efiqa {

#ifdef EFIQA_WITH_SIGNATURES
// False for every doubt about signature or key. Throws Error(kBackendUnavailable) when the library
// itself fails, e.g. because its configuration forbids Ed25519.
bool ed25519_verify(const PublicKey& key, const std::string& message,
                    const std::array<std::uint8_t, kSignatureBytes>& signature);
std::string ed25519_version();  // "OpenSSL 3.0.19, linked in", "OpenSSL 3.0.19, shared"
#endif

}  // namespace efiqa
