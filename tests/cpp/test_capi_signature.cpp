// The C door: trusted keys. What is a signature is in test_signature.cpp.
#include <string>

#include "capi_fixtures.h"
#include "check.h"
#include "signature.h"

using efiqa_test::contains;

namespace {

const std::string kTiny = efiqa_test::golden_path("tiny.onnx");

// "name: message" of opening the unsigned tiny model with these options.
std::string open_answer(const std::uint8_t* keys, std::int32_t count, std::int32_t require,
                        const char* model = kTiny.c_str()) {
  efiqa_options options;
  EFIQA_INIT(options);
  options.model_path = model;
  options.allow_untrained = 1;
  options.threads = 1;
  options.trusted_keys = keys;
  options.trusted_key_count = count;
  options.require_signature = require;
  efiqa_runtime* runtime = nullptr;
  char message[512];
  const std::int32_t status = efiqa_runtime_open(&options, &runtime, message, sizeof(message));
  CHECK((status == EFIQA_STATUS_OK) == (runtime != nullptr));
  efiqa_runtime_close(&runtime);
  return efiqa_test::answer_of(status, message);
}

const std::uint8_t kKeys[2 * efiqa::kPublicKeyBytes] = {1, 2, 3};  // the second one is all zeros

}  // namespace

TEST(capi_unsigned_model_is_refused_when_a_key_is_trusted) {
  for (const int require : {0, 1}) {
    const std::string answer = open_answer(kKeys, 1, require);
    if (efiqa::signature_support().built_in) {
      CHECK(contains(answer, "signature_invalid: signature " + kTiny + ".json.sig does not exist"));
    } else {
      CHECK(contains(answer, "backend_unavailable: the signature cannot be checked"));
    }
  }
}

TEST(capi_model_in_the_library_has_no_signature_of_its_own) {
  const std::string answer = open_answer(kKeys, 1, 0, nullptr);
  CHECK(contains(answer, "is linked into the program and carries no signature of its own") ||
        contains(answer, "this build has no embedded model"));
}

TEST(capi_trusted_keys_that_cannot_be_keys_are_refused) {
  CHECK(contains(open_answer(nullptr, 0, 1),
                 "invalid_argument: require_signature is set and trusted_keys is empty"));
  CHECK(contains(open_answer(nullptr, 1, 0), "invalid_argument: options.trusted_keys is null"));
  CHECK(contains(open_answer(kKeys, -1, 0), "options.trusted_key_count is -1, expected 0 to 64"));
  CHECK(contains(open_answer(kKeys, 65, 0), "options.trusted_key_count is 65, expected 0 to 64"));
  CHECK(contains(open_answer(kKeys, 2, 0), "invalid_argument: trusted_keys[1] is all zeros"));
  CHECK(contains(open_answer(kKeys, 1, 2), "options.require_signature is 2, expected 0 or 1"));
}
