// Ed25519 by OpenSSL's libcrypto, 3.0 or later.
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <memory>

#include "ed25519.h"
#include "status.h"

namespace efiqa {
namespace {

template <typename Handle, void (*kFree)(Handle*)>
struct Freer {
  void operator()(Handle* handle) const noexcept { kFree(handle); }
};
template <typename Handle, void (*kFree)(Handle*)>
using Owned = std::unique_ptr<Handle, Freer<Handle, kFree>>;

// The queue of errors belongs to the thread, and may hold some of the application's own.
struct ErrorsRestored {
  ErrorsRestored() { ERR_set_mark(); }
  ~ErrorsRestored() { ERR_pop_to_mark(); }
};

}  // namespace

bool ed25519_verify(const PublicKey& key, const std::string& message,
                    const std::array<std::uint8_t, kSignatureBytes>& signature) {
  const ErrorsRestored restored;
#ifdef EFIQA_OWN_LIBCRYPTO
  // Linked in for us alone: what the system's openssl.cnf names is for the system's OpenSSL.
  OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
#endif
  // A context of our own: the application may have restricted, or replaced, what the default does.
  const Owned<OSSL_LIB_CTX, OSSL_LIB_CTX_free> library(OSSL_LIB_CTX_new());
  const Owned<EVP_PKEY, EVP_PKEY_free> public_key(
      library ? EVP_PKEY_new_raw_public_key_ex(library.get(), "ED25519", nullptr, key.data(),
                                               key.size())
              : nullptr);
  const Owned<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  if (!public_key || !context ||
      EVP_DigestVerifyInit_ex(context.get(), nullptr, nullptr, library.get(), nullptr,
                              public_key.get(), nullptr) != 1) {
    throw Error(StatusCode::kBackendUnavailable,
                ed25519_version() + " cannot check Ed25519 signatures on this machine");
  }
  return EVP_DigestVerify(context.get(), signature.data(), signature.size(),
                          reinterpret_cast<const unsigned char*>(message.data()),
                          message.size()) == 1;
}

std::string ed25519_version() {
#ifdef EFIQA_OWN_LIBCRYPTO
  constexpr const char* kLinkage = ", linked in";
#else
  constexpr const char* kLinkage = ", shared";
#endif
  return std::string("OpenSSL ") + OpenSSL_version(OPENSSL_VERSION_STRING) + kLinkage;
}

}  // namespace efiqa
