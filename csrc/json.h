// A small strict JSON reader (RFC 8259) for contracts: whole texts into a tree, nothing lenient.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace efiqa {

constexpr std::size_t kMaxJsonBytes = 1 << 16;  // a contract is about 2 KB; bounds the work
constexpr int kMaxJsonDepth = 16;               // a contract nests 3 deep; bounds the recursion

struct JsonValue {
  enum class Kind { kNull, kBool, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  bool boolean = false;
  double number = 0;
  std::string text;  // of a string, unescaped UTF-8; of a number, as it was written
  std::vector<JsonValue> items;
  std::vector<std::pair<std::string, JsonValue>> members;  // in the order of the text

  const JsonValue* find(const std::string& name) const noexcept;  // null when not there
};

const char* json_kind_name(JsonValue::Kind kind) noexcept;  // "an object", "a number", ...

// At most 80 bytes of the text, control characters escaped: safe to show in a message.
std::string json_printable(const std::string& text);

// The value as a short text for messages, e.g. `0.5`, `"image"`, `an object`.
std::string json_excerpt(const JsonValue& value);

// Parses one value and nothing after it. Throws Error(kContractInvalid):
// "ORIGIN: line 3, column 7: expected ':' after a name". Refused are, beyond the grammar: text that
// is not UTF-8, repeated names, numbers beyond a double, more than kMaxJsonDepth or kMaxJsonBytes.
JsonValue parse_json(const std::string& text, const std::string& origin);

}  // namespace efiqa
