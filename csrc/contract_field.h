// One field of a contract's JSON document, with the checks that several fields share. Only
// contract.cpp includes this.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>

#include "contract.h"
#include "json.h"
#include "names.h"
#include "status.h"

namespace efiqa {

constexpr std::size_t kMaxNameBytes = 64;
constexpr const char* kNameRule = "1 to 64 characters of a-z, 0-9, _ and -";
// Wider calibrations or pixel statistics are a mistake, and would leave the range where float32
// arithmetic on them is exact enough.
constexpr double kMaxMagnitude = 1000;

// Where the text came from, and what mends a contract that breaks a rule; both for messages.
struct ContractSource {
  std::string origin;
  const char* fix;
};

// The value of a field, and where it stands.
class Field {
 public:
  Field(const JsonValue& value, std::string path, const ContractSource& source)
      : value_(value), path_(std::move(path)), source_(source) {}

  const JsonValue& value() const { return value_; }

  [[noreturn]] void fail(const std::string& rule) const {
    throw Error(StatusCode::kContractInvalid,
                source_.origin + ": " + (path_.empty() ? "the text" : path_) + " is " +
                    json_excerpt(value_) + ", expected " + rule + source_.fix);
  }

  [[noreturn]] void fail_name(const std::string& name) const {
    throw Error(StatusCode::kContractInvalid, source_.origin + ": the name of " + path_ + " has " +
                                                  std::to_string(name.size()) +
                                                  " bytes, expected " + kNameRule + source_.fix);
  }

  // The member's own field; refuses a missing one.
  Field operator[](const std::string& name) const {
    const JsonValue* member = value_.find(name);
    const std::string path = (path_.empty() ? "" : path_ + ".") + json_printable(name);
    if (member == nullptr) {
      throw Error(StatusCode::kContractInvalid,
                  source_.origin + ": " + path + " is missing" + source_.fix);
    }
    return Field(*member, path, source_);
  }

  void expect_object() const {
    if (value_.kind != JsonValue::Kind::kObject) fail("an object");
  }

  // Refuses anything but an object with exactly these members, and perhaps with optional ones.
  void expect_members(std::initializer_list<const char*> names,
                      std::initializer_list<const char*> optional = {}) const {
    expect_object();
    for (const char* name : names) (*this)[name];
    for (const auto& member : value_.members) {
      const auto is_it = [&](const char* name) { return member.first == name; };
      if (std::any_of(names.begin(), names.end(), is_it)) continue;
      if (std::any_of(optional.begin(), optional.end(), is_it)) continue;
      throw Error(StatusCode::kContractInvalid,
                  source_.origin + ": " + (path_.empty() ? "" : path_ + ".") +
                      json_printable(member.first) + " is not a field of contract version " +
                      std::to_string(kContractVersion) + source_.fix);
    }
  }

  bool boolean() const {
    if (value_.kind != JsonValue::Kind::kBool) fail("true or false");
    return value_.boolean;
  }

  float number(double low, double high, const std::string& rule) const {
    if (value_.kind != JsonValue::Kind::kNumber || !(value_.number >= low) ||
        !(value_.number <= high)) {
      fail(rule);
    }
    return static_cast<float>(value_.number);
  }

  // A number whose float is > 0 too: the runtime divides by it.
  float positive() const {
    const std::string rule = "a number > 0";
    const float value = number(0, kMaxMagnitude, rule);
    if (!(value > 0)) fail(rule);
    return value;
  }

  float finite() const {
    return number(-kMaxMagnitude, kMaxMagnitude, "a number from -1000 to 1000");
  }

  // The float must lie inside too: it is compared with probabilities that are floats.
  float between_0_and_1() const {
    const std::string rule = "a number > 0 and < 1";
    const float value = number(0, 1, rule);
    if (!(value > 0) || !(value < 1)) fail(rule);
    return value;
  }

  int integer(int low, int high) const {
    const std::string rule =
        "a whole number from " + std::to_string(low) + " to " + std::to_string(high);
    number(low, high, rule);
    if (value_.number != std::floor(value_.number)) fail(rule);
    return static_cast<int>(value_.number);
  }

  const std::string& text(std::size_t max_bytes) const {
    const std::string rule = "a text of 1 to " + std::to_string(max_bytes) + " bytes";
    if (value_.kind != JsonValue::Kind::kString || value_.text.empty() ||
        value_.text.size() > max_bytes) {
      fail(rule);
    }
    for (const char c : value_.text) {
      if (static_cast<std::uint8_t>(c) < 0x20 || c == 0x7F)
        fail("a text without control characters");
    }
    return value_.text;
  }

  // A file that lies beside the contract.
  const std::string& file_name() const {
    constexpr std::size_t kMaxFileNameBytes = 255;  // on Linux
    const std::string& name = text(kMaxFileNameBytes);
    if (name.find_first_of("/\\") != std::string::npos || name == "." || name == "..") {
      fail("a bare file name without a folder");
    }
    return name;
  }

  const std::string& sha256() const {
    constexpr std::size_t kDigits = 64;
    if (value_.kind != JsonValue::Kind::kString || value_.text.size() != kDigits ||
        value_.text.find_first_not_of("0123456789abcdef") != std::string::npos) {
      fail("64 lower-case hexadecimal digits");
    }
    return value_.text;
  }

  // How many items an array has; anything else breaks `rule`.
  std::size_t count(std::size_t low, std::size_t high, const std::string& rule) const {
    if (value_.kind != JsonValue::Kind::kArray || value_.items.size() < low ||
        value_.items.size() > high) {
      fail(rule);
    }
    return value_.items.size();
  }

  // An item of an array whose count() is known.
  Field item(std::size_t index) const {
    return Field(value_.items[index], path_ + "[" + std::to_string(index) + "]", source_);
  }

  template <typename Value, std::size_t kCount>
  Value one_of(const Named<Value> (&table)[kCount]) const {
    if (value_.kind == JsonValue::Kind::kString) {
      for (const Named<Value>& entry : table) {
        if (value_.text == entry.name) return entry.value;
      }
    }
    fail("one of: " + list_names(table));
  }

  // A fixed word: today's only choice, written down so that a later choice cannot be misread.
  void expect_word(const char* word) const {
    if (value_.kind != JsonValue::Kind::kString || value_.text != word) {
      fail("\"" + std::string(word) + "\"");
    }
  }

  const std::string& name() const {
    if (value_.kind != JsonValue::Kind::kString || !is_name(value_.text)) {
      fail(kNameRule);
    }
    return value_.text;
  }

  static bool is_name(const std::string& text) {
    return !text.empty() && text.size() <= kMaxNameBytes &&
           text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == std::string::npos;
  }

 private:
  const JsonValue& value_;
  std::string path_;
  const ContractSource& source_;
};

}  // namespace efiqa
