#include <clocale>
#include <string>

#include "check.h"
#include "json.h"
#include "status.h"

using efiqa::JsonValue;
using efiqa::parse_json;

namespace {

std::string error_of(const std::string& text) {
  try {
    parse_json(text, "a.json");
  } catch (const efiqa::Error& error) {
    return error.code() == efiqa::StatusCode::kContractInvalid ? error.what() : "wrong code";
  }
  return "accepted";
}

struct Refusal {
  const char* name;
  std::string text;
  const char* message;  // whole
};

}  // namespace

TEST(json_values_of_every_kind_are_read) {
  const JsonValue root = parse_json(
      " {\"a\": [1, -2.5e3, true, false, null], \"b\": {\"c\": \"x\"}, \"\": [], \"e\": {}}\r\n\t",
      "a.json");
  CHECK(root.kind == JsonValue::Kind::kObject);
  CHECK(root.members.size() == 4);
  const JsonValue& a = *root.find("a");
  CHECK(a.items.size() == 5);
  CHECK(a.items[0].number == 1.0);
  CHECK(a.items[1].number == -2500.0);
  CHECK(a.items[1].text == "-2.5e3");
  CHECK(a.items[2].boolean);
  CHECK(a.items[3].kind == JsonValue::Kind::kBool);
  CHECK(!a.items[3].boolean);
  CHECK(a.items[4].kind == JsonValue::Kind::kNull);
  CHECK(root.find("b")->find("c")->text == "x");
  CHECK(root.find("")->items.empty());
  CHECK(root.find("e")->kind == JsonValue::Kind::kObject);
  CHECK(root.find("missing") == nullptr);
}

TEST(json_strings_are_unescaped_to_utf8) {
  CHECK(parse_json("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "a").text == "\"\\/\b\f\n\r\t");
  CHECK(parse_json("\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"", "a").text ==
        "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
  CHECK(parse_json("\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"", "a").text ==
        "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
}

TEST(json_numbers_are_read_to_the_last_bit_in_any_locale) {
  const char* const old_locale = std::setlocale(LC_NUMERIC, nullptr);
  const std::string restore = old_locale != nullptr ? old_locale : "C";
  std::setlocale(LC_NUMERIC, "de_DE.UTF-8");  // a decimal comma, where the machine has it
  CHECK(parse_json("0.1", "a").number == 0.1);
  CHECK(parse_json("-0", "a").number == 0.0);
  CHECK(parse_json("1E-2", "a").number == 0.01);
  CHECK(parse_json("123456789012345678", "a").number == 123456789012345678.0);
  std::setlocale(LC_NUMERIC, restore.c_str());
}

TEST(json_text_that_breaks_the_grammar_is_refused_with_its_place) {
  const std::string nul("\"a\0b\"", 5);
  const Refusal refusals[] = {
      {"empty", "", "a.json: line 1, column 1: expected a value (end of text)"},
      {"only space", "\n ", "a.json: line 2, column 2: expected a value (end of text)"},
      {"trailing value", "{} {}",
       "a.json: line 1, column 4: expected the end of the text after the value"},
      {"trailing NUL", std::string("{}\0", 3),
       "a.json: line 1, column 3: expected the end of the text after the value"},
      {"repeated name", "{\"a\": 1,\n \"a\": 2}",
       "a.json: line 2, column 2: the name \"a\" is repeated"},
      {"repeated name, escaped", "{\"a\": 1, \"\\u0061\": 2}",
       "a.json: line 1, column 10: the name \"a\" is repeated"},
      {"trailing comma in object", "{\"a\": 1,}",
       "a.json: line 1, column 9: expected a name in double quotes"},
      {"trailing comma in array", "[1,]", "a.json: line 1, column 4: expected a value"},
      {"missing comma", "[1 2]", "a.json: line 1, column 4: expected ',' or ']' after an item"},
      {"missing comma in object", "{\"a\": 1 \"b\": 2}",
       "a.json: line 1, column 9: expected ',' or '}' after a member"},
      {"missing colon", "{\"a\" 1}", "a.json: line 1, column 6: expected ':' after a name"},
      {"unquoted name", "{a: 1}", "a.json: line 1, column 2: expected a name in double quotes"},
      {"cut object", "{\"a\": 1",
       "a.json: line 1, column 8: expected ',' or '}' after a member (end of text)"},
      {"cut string", "\"abc",
       "a.json: line 1, column 5: expected '\"' at the end of a string (end of text)"},
      {"comment", "{} // no",
       "a.json: line 1, column 4: expected the end of the text after the value"},
      {"NaN", "NaN", "a.json: line 1, column 1: expected a value"},
      {"infinity", "-Infinity", "a.json: line 1, column 2: expected a digit"},
      {"cut word", "tru", "a.json: line 1, column 1: expected a value"},
      {"leading zero", "01", "a.json: line 1, column 2: a number must not begin with 0"},
      {"leading plus", "+1", "a.json: line 1, column 1: expected a value"},
      {"no digit after point", "1.", "a.json: line 1, column 3: expected a digit (end of text)"},
      {"no digit before point", ".5", "a.json: line 1, column 1: expected a value"},
      {"no digit in exponent", "1e+", "a.json: line 1, column 4: expected a digit (end of text)"},
      {"beyond a double", "1e999",
       "a.json: line 1, column 1: the number 1e999 does not fit a double"},
      {"line break in string", "\"a\nb\"",
       "a.json: line 1, column 3: a control character inside a string"},
      {"NUL in string", nul, "a.json: line 1, column 3: a control character inside a string"},
      {"unknown escape", "\"\\x\"",
       "a.json: line 1, column 3: expected one of \" \\ / b f n r t u after a backslash"},
      {"cut escape", "\"\\",
       "a.json: line 1, column 3: expected one of \" \\ / b f n r t u after a backslash (end of "
       "text)"},
      {"short hex", "\"\\u12g4\"",
       "a.json: line 1, column 6: expected four hexadecimal digits after \\u"},
      {"lone high surrogate", "\"\\ud83d\"", "a.json: line 1, column 2: half of a surrogate pair"},
      {"lone low surrogate", "\"\\ude00\"", "a.json: line 1, column 2: half of a surrogate pair"},
      {"two high surrogates", "\"\\ud83d\\ud83d\"",
       "a.json: line 1, column 2: half of a surrogate pair"},
      {"byte order mark", "\xEF\xBB\xBF{}", "a.json: line 1, column 1: expected a value"},
  };
  for (const Refusal& refusal : refusals) {
    // The name says which line of the table it is.
    CHECK_EQ(refusal.name + (": " + error_of(refusal.text)),
             refusal.name + (": " + std::string(refusal.message)));
  }
}

TEST(json_text_that_is_not_utf8_is_refused) {
  for (const char* bytes :
       {"\"\x80\"", "\"\xC0\xAF\"", "\"\xC3\"", "\"\xE0\x80\x80\"", "\"\xED\xA0\x80\"",
        "\"\xF0\x80\x80\x80\"", "\"\xF4\x90\x80\x80\"", "\"\xF8\x88\x80\x80\x80\"", "\"\xFF\""}) {
    CHECK(error_of(bytes) == "a.json: line 1, column 2: a byte that is not UTF-8");
  }
}

TEST(json_deeper_or_longer_than_the_limit_is_refused) {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '[') +
           std::string(static_cast<std::size_t>(depth), ']');
  };
  CHECK(error_of(nested(efiqa::kMaxJsonDepth + 1)) == "accepted");
  CHECK(error_of(nested(efiqa::kMaxJsonDepth + 2)) ==
        "a.json: line 1, column 18: nested more than 16 deep");
  CHECK(error_of(nested(20000)) == "a.json: line 1, column 18: nested more than 16 deep");
  CHECK(error_of(std::string(efiqa::kMaxJsonBytes, ' ') + "1") ==
        "a.json: the text has 65537 bytes, expected at most 65536");
}

TEST(json_excerpts_are_short_and_whole_characters) {
  CHECK(efiqa::json_excerpt(parse_json("0.50", "a")) == "0.50");
  CHECK(efiqa::json_excerpt(parse_json("\"x\"", "a")) == "\"x\"");
  CHECK(efiqa::json_excerpt(parse_json("true", "a")) == "true");
  CHECK(efiqa::json_excerpt(parse_json("null", "a")) == "null");
  CHECK(efiqa::json_excerpt(parse_json("[1]", "a")) == "an array");
  CHECK(efiqa::json_excerpt(parse_json("{}", "a")) == "an object");
  CHECK(efiqa::json_excerpt(parse_json("\"a\\n\\u0000\"", "a")) == "\"a\\u000a\\u0000\"");
  std::string text = "\"" + std::string(79, 'a');
  text += "\xC3\xA9\"";  // its two bytes stand across the limit of 80
  CHECK(efiqa::json_excerpt(parse_json(text, "a")) == "\"" + std::string(79, 'a') + "...\"");
}
