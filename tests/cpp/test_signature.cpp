#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "check.h"
#include "fixtures.h"
#include "runtime.h"
#include "signature.h"

using efiqa::PublicKey;
using efiqa_test::contains;
using efiqa_test::error_of;
using efiqa_test::replaced;

namespace {

// RFC 8032, section 7.1, TEST 2 and TEST 3; the key ids are by another program (sha256sum).
struct Vector {
  const char* key_hex;
  const char* key_id;
  std::string message;
  const char* signature_base64;
};
const Vector kTest2 = {
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "39f713d0a644253f", "\x72",
    "kqAJqfDUyrhyDoILX2QlQKKye1QWUD+Ps3YiI+vbadoIWsHkPhWZbkWPNhPQ8R2MOHsurrQwKu6wDSkWErsMAA=="};
const Vector kTest3 = {
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "dac073e0123bdea5",
    "\xaf\x82",
    "YpHWV97sJAJIJ+acOr4BowzlSKKEdDpEXjaA19taw6wY/5tTjRbykK5n92CYTcZZSnwV6XFu0o3AJ77O6h7ECg=="};

PublicKey key_of(const Vector& vector) {
  PublicKey key{};
  const std::string hex = vector.key_hex;
  for (std::size_t i = 0; i < key.size(); ++i) {
    key[i] = static_cast<std::uint8_t>(std::stoi(hex.substr(2 * i, 2), nullptr, 16));
  }
  return key;
}

std::string file_of(const Vector& vector) {
  return std::string("efiqa-signature 1\nalgorithm ed25519\nkey_id ") + vector.key_id +
         "\nsignature " + vector.signature_base64 + "\n";
}

std::string verify(const std::string& message, const std::string& file,
                   const std::vector<PublicKey>& trusted) {
  return efiqa::verify_signature(message, "m.onnx.json", file, "m.onnx.json.sig", trusted);
}

std::string refusal(const std::string& message, const std::string& file,
                    const std::vector<PublicKey>& trusted) {
  return error_of([&] { verify(message, file, trusted); });
}

std::string parse_refusal(const std::string& text) {
  return error_of([&] { efiqa::parse_signature(text, "x.sig"); });
}

bool starts_with(const std::string& text, const std::string& start) {
  return text.rfind(start, 0) == 0;
}

// The tiny model, and its contract, in a folder of their own; `signature` beside them unless empty.
class ModelFolder {
 public:
  explicit ModelFolder(const std::string& signature,
                       const std::string& contract = efiqa_test::tiny_contract_text()) {
    char name[] = "/tmp/efiqa_test_XXXXXX";
    if (mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp failed");
    folder_ = name;
    write("", efiqa_test::read_golden("tiny.onnx"));
    write(".json", contract);
    if (!signature.empty()) write(".json.sig", signature);
  }
  ~ModelFolder() {
    for (const char* suffix : {"", ".json", ".json.sig"}) std::remove((model() + suffix).c_str());
    rmdir(folder_.c_str());
  }
  ModelFolder(const ModelFolder&) = delete;
  ModelFolder& operator=(const ModelFolder&) = delete;

  std::string model() const { return folder_ + "/m.onnx"; }

  std::string open_error(const std::vector<PublicKey>& trusted, bool require = true) const {
    efiqa::RuntimeOptions options;
    options.model_path = model();
    options.threads = 1;
    options.trusted_keys = trusted;
    options.require_signature = require;
    return error_of([&] { efiqa::Runtime runtime(options); });
  }

 private:
  void write(const std::string& suffix, const std::string& bytes) const {
    std::ofstream(model() + suffix, std::ios::binary) << bytes;
  }
  std::string folder_;
};

const bool kBuiltIn = efiqa::signature_support().built_in;
const std::string kNotBuiltIn =
    "backend_unavailable: the signature cannot be checked, so the model is not opened: signatures "
    "are not built in";

}  // namespace

TEST(signature_key_id_begins_the_keys_sha256) {
  CHECK_EQ(efiqa::key_id(key_of(kTest2)), std::string(kTest2.key_id));
  CHECK_EQ(efiqa::key_id(key_of(kTest3)), std::string(kTest3.key_id));
  CHECK_EQ(efiqa::signature_path("a/m.onnx"), std::string("a/m.onnx.json.sig"));
}

TEST(signature_file_is_read_byte_for_byte) {
  CHECK(file_of(kTest2).size() == efiqa::kSignatureFileBytes);
  const efiqa::Signature signature = efiqa::parse_signature(file_of(kTest3), "x.sig");
  CHECK_EQ(signature.key_id, std::string(kTest3.key_id));
  CHECK(signature.bytes[0] == 0x62);
  CHECK(signature.bytes[1] == 0x91);
  CHECK(signature.bytes[62] == 0xc4);
  CHECK(signature.bytes[63] == 0x0a);
}

TEST(signature_file_with_any_other_byte_is_refused_or_differs) {
  const std::string good = file_of(kTest2);
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const char other : {'\0', ' ', '\n', 'A', '0', '=', '\xff'}) {
      if (good[i] == other) continue;
      std::string text = good;
      text[i] = other;
      const std::string message = parse_refusal(text);
      if (message != "no error") {
        CHECK(starts_with(message, "signature_invalid: x.sig: "));
        continue;
      }
      const efiqa::Signature read = efiqa::parse_signature(text, "x.sig");
      CHECK(read.key_id != kTest2.key_id ||
            read.bytes != efiqa::parse_signature(good, "x.sig").bytes);
    }
  }
}

TEST(signature_file_of_another_form_is_refused_with_rule_and_fix) {
  const std::string good = file_of(kTest2);
  CHECK_EQ(parse_refusal(good + "\n"),
           std::string("signature_invalid: x.sig has 160 bytes, expected 159; copy it again, or "
                       "sign the contract again with efiqa sign"));
  CHECK(starts_with(parse_refusal(""), "signature_invalid: x.sig has 0 bytes, expected 159"));
  CHECK(contains(parse_refusal(replaced(good, "signature 1", "signature 2")),
                 "the version is 2, this efiqa reads version 1; install an efiqa that reads it"));
  CHECK(contains(parse_refusal(replaced(good, "ed25519", "ed448xx")),
                 "byte 18 is not the beginning of \"algorithm ed25519"));
  CHECK(contains(parse_refusal(replaced(good, "39f7", "39F7")),
                 "byte 43 is not the beginning of 16 lower-case hexadecimal digits"));
  CHECK(contains(parse_refusal(replaced(good, "kqAJ", "kqA-")),
                 "byte 70 is not the beginning of 86 base64 digits"));
  // The last digit has 4 bits too many: B differs from A in them alone.
  CHECK(contains(parse_refusal(replaced(good, "AA==", "AB==")), "base64 whose spare bits are 0"));
}

TEST(signature_of_a_trusted_key_answers_with_its_id) {
  if (!kBuiltIn) return;
  CHECK_EQ(verify(kTest2.message, file_of(kTest2), {key_of(kTest2)}), std::string(kTest2.key_id));
  CHECK_EQ(verify(kTest3.message, file_of(kTest3), {key_of(kTest2), key_of(kTest3)}),
           std::string(kTest3.key_id));
}

TEST(signature_of_a_foreign_key_is_refused_with_the_trusted_ones) {
  if (!kBuiltIn) return;
  CHECK_EQ(
      refusal(kTest3.message, file_of(kTest3), {key_of(kTest2)}),
      std::string("signature_invalid: m.onnx.json.sig is by the key dac073e0123bdea5, which is "
                  "not among the trusted ones: 39f713d0a644253f; have the contract signed by "
                  "one of these, or trust that key if you know whose it is"));
  // A foreign signature that claims to be by the trusted key.
  CHECK(contains(refusal(kTest3.message, replaced(file_of(kTest3), kTest3.key_id, kTest2.key_id),
                         {key_of(kTest2)}),
                 "one of the two files was altered"));
}

TEST(signature_of_altered_bytes_is_refused) {
  if (!kBuiltIn) return;
  CHECK_EQ(
      refusal("\x73", file_of(kTest2), {key_of(kTest2)}),
      std::string("signature_invalid: m.onnx.json.sig by the key 39f713d0a644253f does not fit "
                  "m.onnx.json: one of the two files was altered after signing; copy it again, "
                  "or sign the contract again with efiqa sign"));
  CHECK(starts_with(refusal("", file_of(kTest2), {key_of(kTest2)}), "signature_invalid: "));
  CHECK(starts_with(refusal("\x72\n", file_of(kTest2), {key_of(kTest2)}), "signature_invalid: "));
  const std::string altered = replaced(file_of(kTest2), "kqAJ", "kqAI");
  CHECK(starts_with(refusal(kTest2.message, altered, {key_of(kTest2)}), "signature_invalid: "));
}

TEST(signature_whose_scalar_is_not_reduced_is_refused) {
  if (!kBuiltIn) return;
  // S + L instead of S (RFC 8032, 5.1.7 demands S < L): a second signature of the same bytes, which
  // nobody with the key has made.
  CHECK(starts_with(
      refusal(
          kTest2.message,
          replaced(file_of(kTest2), kTest2.signature_base64,
                   "kqAJqfDUyrhyDoILX2QlQKKye1QWUD+Ps3YiI+vbadr1LbdBWXirxhssLrau6/ygOHsurrQwKu6w"
                   "DSkWErsMEA=="),
          {key_of(kTest2)}),
      "signature_invalid: "));
}

TEST(trusted_keys_that_cannot_be_keys_are_refused) {
  CHECK(starts_with(error_of([] { efiqa::check_trusted_keys({}); }),
                    "invalid_argument: require_signature is set and trusted_keys is empty"));
  CHECK(starts_with(error_of([] { efiqa::check_trusted_keys({key_of(kTest2), PublicKey{}}); }),
                    "invalid_argument: trusted_keys[1] is all zeros"));
}

TEST(runtime_unsigned_model_is_refused_when_keys_are_trusted) {
  const ModelFolder folder("");
  for (const bool require : {true, false}) {  // keys alone are enough
    CHECK(starts_with(folder.open_error({key_of(kTest2)}, require),
                      kBuiltIn ? "signature_invalid: signature " + folder.model() +
                                     ".json.sig does not exist; the model is opened only when"
                               : kNotBuiltIn));
  }
}

TEST(runtime_required_signature_without_keys_is_refused_before_any_file) {
  efiqa::RuntimeOptions options;
  options.model_path = "/nowhere/m.onnx";
  options.require_signature = true;
  CHECK(starts_with(error_of([&] { efiqa::Runtime runtime(options); }),
                    "invalid_argument: require_signature is set and trusted_keys is empty"));
}

TEST(runtime_contract_of_a_stranger_is_refused_before_it_is_parsed) {
  // The contract is garbage: only the signature may be complained about.
  const ModelFolder folder(file_of(kTest2), "not JSON at all");
  const std::string by_key = folder.open_error({key_of(kTest2)});
  const std::string by_other = folder.open_error({key_of(kTest3)});
  CHECK(starts_with(by_key, kBuiltIn ? "signature_invalid: " : kNotBuiltIn));
  CHECK(starts_with(by_other, kBuiltIn ? "signature_invalid: " : kNotBuiltIn));
}

TEST(runtime_oversized_sidecars_are_refused_by_their_size) {
  const std::string megabyte(1 << 20, ' ');
  const ModelFolder contract("", megabyte);
  CHECK_EQ(contract.open_error({}, false),
           "contract_invalid: contract " + contract.model() +
               ".json has 1048576 bytes, expected at most 65536; copy it again");
  if (!kBuiltIn) return;
  const ModelFolder signature(megabyte);
  CHECK_EQ(signature.open_error({key_of(kTest2)}),
           "signature_invalid: signature " + signature.model() +
               ".json.sig has 1048576 bytes, expected at most 159; copy it again");
}

TEST(runtime_signed_contract_is_still_validated) {
  if (!kBuiltIn) return;
  // The signed bytes of TEST 2 are one letter, so what follows the signature is the parser.
  const ModelFolder folder(file_of(kTest2), kTest2.message);
  CHECK(starts_with(folder.open_error({key_of(kTest2)}), "contract_invalid: "));
}
