#include "json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <system_error>
#include <utility>

#include "status.h"

namespace efiqa {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Bytes of the well-formed UTF-8 sequence at `at`, 0 when there is none (Unicode 15, table 3-7).
std::size_t utf8_length(const std::string& text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<std::uint8_t>(text[i]) : std::uint8_t{0};
  };
  const auto within = [&](std::size_t i, int low, int high) {
    return byte(i) >= low && byte(i) <= high;
  };
  const std::uint8_t lead = byte(at);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return within(at + 1, 0x80, 0xBF) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const int low = lead == 0xE0 ? 0xA0 : 0x80;   // no overlong forms
    const int high = lead == 0xED ? 0x9F : 0xBF;  // no surrogates
    return within(at + 1, low, high) && within(at + 2, 0x80, 0xBF) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const int low = lead == 0xF0 ? 0x90 : 0x80;
    const int high = lead == 0xF4 ? 0x8F : 0xBF;  // nothing above U+10FFFF
    return within(at + 1, low, high) && within(at + 2, 0x80, 0xBF) && within(at + 3, 0x80, 0xBF)
               ? 4
               : 0;
  }
  return 0;
}

void append_utf8(std::uint32_t code, std::string& out) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

class Parser {
 public:
  Parser(const std::string& text, const std::string& origin) : text_(text), origin_(origin) {}

  JsonValue parse() {
    if (text_.size() > kMaxJsonBytes) {
      throw Error(StatusCode::kContractInvalid,
                  origin_ + ": the text has " + std::to_string(text_.size()) +
                      " bytes, expected at most " + std::to_string(kMaxJsonBytes));
    }
    for (std::size_t i = 0; i < text_.size();) {
      const std::size_t length = utf8_length(text_, i);
      if (length == 0) fail(i, "a byte that is not UTF-8");
      i += length;
    }
    skip_space();
    JsonValue value = parse_value(0);
    skip_space();
    if (at_ < text_.size()) fail(at_, "expected the end of the text after the value");
    return value;
  }

 private:
  [[noreturn]] void fail(std::size_t at, const std::string& what) const {
    std::size_t line = 1, line_start = 0;
    for (std::size_t i = 0; i < at; ++i) {
      if (text_[i] == '\n') {
        ++line;
        line_start = i + 1;
      }
    }
    throw Error(StatusCode::kContractInvalid,
                origin_ + ": line " + std::to_string(line) + ", column " +
                    std::to_string(at - line_start + 1) + ": " + what +
                    (at >= text_.size() ? " (end of text)" : ""));
  }

  // The character at the cursor; NUL at the end, which no rule of the grammar accepts.
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_space() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
  }

  JsonValue parse_value(int depth) {
    if (depth > kMaxJsonDepth) {
      fail(at_, "nested more than " + std::to_string(kMaxJsonDepth) + " deep");
    }
    JsonValue value;
    switch (peek()) {
      case '{':
        parse_object(depth, value);
        return value;
      case '[':
        parse_array(depth, value);
        return value;
      case '"':
        value.kind = JsonValue::Kind::kString;
        value.text = parse_string();
        return value;
      case 't':
        expect_word("true");
        value.kind = JsonValue::Kind::kBool;
        value.boolean = true;
        return value;
      case 'f':
        expect_word("false");
        value.kind = JsonValue::Kind::kBool;
        return value;
      case 'n':
        expect_word("null");
        return value;
      default:
        if (peek() != '-' && !is_digit(peek())) fail(at_, "expected a value");
        parse_number(value);
        return value;
    }
  }

  void expect_word(const char* word) {
    const std::string expected = word;
    if (text_.compare(at_, expected.size(), expected) != 0) fail(at_, "expected a value");
    at_ += expected.size();
  }

  void parse_object(int depth, JsonValue& value) {
    value.kind = JsonValue::Kind::kObject;
    ++at_;
    skip_space();
    if (peek() == '}') {
      ++at_;
      return;
    }
    while (true) {
      if (peek() != '"') fail(at_, "expected a name in double quotes");
      const std::size_t name_at = at_;
      std::string name = parse_string();
      if (value.find(name) != nullptr)
        fail(name_at, "the name \"" + json_printable(name) + "\" is repeated");
      skip_space();
      if (peek() != ':') fail(at_, "expected ':' after a name");
      ++at_;
      skip_space();
      JsonValue member = parse_value(depth + 1);
      value.members.emplace_back(std::move(name), std::move(member));
      skip_space();
      if (peek() == '}') break;
      if (peek() != ',') fail(at_, "expected ',' or '}' after a member");
      ++at_;
      skip_space();
    }
    ++at_;
  }

  void parse_array(int depth, JsonValue& value) {
    value.kind = JsonValue::Kind::kArray;
    ++at_;
    skip_space();
    if (peek() == ']') {
      ++at_;
      return;
    }
    while (true) {
      value.items.push_back(parse_value(depth + 1));
      skip_space();
      if (peek() == ']') break;
      if (peek() != ',') fail(at_, "expected ',' or ']' after an item");
      ++at_;
      skip_space();
    }
    ++at_;
  }

  std::uint32_t parse_hex4() {
    std::uint32_t code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = peek();
      const int digit = is_digit(c)              ? c - '0'
                        : (c >= 'a' && c <= 'f') ? c - 'a' + 10
                        : (c >= 'A' && c <= 'F') ? c - 'A' + 10
                                                 : -1;
      if (digit < 0) fail(at_, "expected four hexadecimal digits after \\u");
      code = code * 16 + static_cast<std::uint32_t>(digit);
    }
    return code;
  }

  void parse_escape(std::string& out) {
    const std::size_t escape_at = at_;
    ++at_;
    const char c = peek();
    static constexpr char kLetters[] = "\"\\/bfnrt";
    static constexpr char kMeanings[] = "\"\\/\b\f\n\r\t";
    for (int i = 0; kLetters[i] != '\0'; ++i) {
      if (c != kLetters[i]) continue;
      out += kMeanings[i];
      ++at_;
      return;
    }
    if (c != 'u') fail(at_, "expected one of \" \\ / b f n r t u after a backslash");
    ++at_;
    std::uint32_t code = parse_hex4();
    if (code >= 0xD800 && code <= 0xDBFF && text_.compare(at_, 2, "\\u") == 0) {
      at_ += 2;
      const std::uint32_t low = parse_hex4();
      if (low < 0xDC00 || low > 0xDFFF) fail(escape_at, "half of a surrogate pair");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xD800 && code <= 0xDFFF) {
      fail(escape_at, "half of a surrogate pair");
    }
    append_utf8(code, out);
  }

  std::string parse_string() {
    std::string out;
    ++at_;
    while (true) {
      if (at_ >= text_.size()) fail(at_, "expected '\"' at the end of a string");
      const char c = text_[at_];
      if (static_cast<std::uint8_t>(c) < 0x20) fail(at_, "a control character inside a string");
      if (c == '"') break;
      if (c == '\\') {
        parse_escape(out);
      } else {
        out += c;
        ++at_;
      }
    }
    ++at_;
    return out;
  }

  void parse_digits() {
    if (!is_digit(peek())) fail(at_, "expected a digit");
    while (is_digit(peek())) ++at_;
  }

  void parse_number(JsonValue& value) {
    const std::size_t start = at_;
    if (peek() == '-') ++at_;
    if (peek() == '0') {
      ++at_;
      if (is_digit(peek())) fail(at_, "a number must not begin with 0");
    } else {
      parse_digits();
    }
    if (peek() == '.') {
      ++at_;
      parse_digits();
    }
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      parse_digits();
    }
    value.kind = JsonValue::Kind::kNumber;
    value.text = text_.substr(start, at_ - start);
    // from_chars, unlike strtod, does not depend on the locale.
    const char* end = value.text.data() + value.text.size();
    const std::from_chars_result result = std::from_chars(value.text.data(), end, value.number);
    if (result.ec != std::errc() || result.ptr != end || !std::isfinite(value.number)) {
      fail(start, "the number " + json_printable(value.text) + " does not fit a double");
    }
  }

  const std::string& text_;
  const std::string& origin_;
  std::size_t at_ = 0;
};

}  // namespace

const JsonValue* JsonValue::find(const std::string& name) const noexcept {
  for (const auto& member : members) {
    if (member.first == name) return &member.second;
  }
  return nullptr;
}

const char* json_kind_name(JsonValue::Kind kind) noexcept {
  switch (kind) {
    case JsonValue::Kind::kNull:
      return "null";
    case JsonValue::Kind::kBool:
      return "a boolean";
    case JsonValue::Kind::kNumber:
      return "a number";
    case JsonValue::Kind::kString:
      return "a string";
    case JsonValue::Kind::kArray:
      return "an array";
    case JsonValue::Kind::kObject:
      return "an object";
  }
  return "unrecognised";
}

std::string json_printable(const std::string& text) {
  constexpr std::size_t kMaxShownBytes = 80;
  std::size_t end = std::min(text.size(), kMaxShownBytes);
  while (end < text.size() && (static_cast<std::uint8_t>(text[end]) & 0xC0) == 0x80) --end;
  std::string shown;
  for (std::size_t i = 0; i < end; ++i) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    if (byte >= 0x20 && byte != 0x7F) {
      shown += text[i];
    } else {
      shown += "\\u00";
      shown += "0123456789abcdef"[byte >> 4];
      shown += "0123456789abcdef"[byte & 15];
    }
  }
  return end < text.size() ? shown + "..." : shown;
}

std::string json_excerpt(const JsonValue& value) {
  switch (value.kind) {
    case JsonValue::Kind::kBool:
      return value.boolean ? "true" : "false";
    case JsonValue::Kind::kNumber:
      return json_printable(value.text);
    case JsonValue::Kind::kString:
      return "\"" + json_printable(value.text) + "\"";
    default:
      return json_kind_name(value.kind);
  }
}

JsonValue parse_json(const std::string& text, const std::string& origin) {
  return Parser(text, origin).parse();
}

}  // namespace efiqa
