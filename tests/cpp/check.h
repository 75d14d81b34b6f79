// A small test harness. Every TEST of a program runs; each failing check is printed with its place.
//
//   TEST(crop_outside_the_frame_reads_black) { CHECK_NEAR(level, 0.0, 1e-6); }
#pragma once

#include <cmath>
#include <cstdio>
#include <exception>
#include <sstream>
#include <string>
#include <vector>

namespace efiqa_test {

struct Test {
  const char* name;
  void (*body)();
};

std::vector<Test>& tests();
// Marks the running test as failed.
void fail(const char* file, int line, const std::string& message);

struct Registration {
  Registration(const char* name, void (*body)()) { tests().push_back({name, body}); }
};

template <typename A, typename B>
void check_equal(const A& actual, const B& expected, const char* text, const char* file, int line) {
  if (actual == expected) return;
  std::ostringstream message;
  message << text << " is\n    " << actual << "\n  expected\n    " << expected;
  fail(file, line, message.str());
}

template <typename Body>
void check_throws(const Body& body, const std::string& part, const char* text, const char* file,
                  int line) {
  try {
    body();
  } catch (const std::exception& error) {
    if (std::string(error.what()).find(part) == std::string::npos) {
      fail(file, line,
           std::string(text) + " threw\n    " + error.what() + "\n  expected\n    " + part);
    }
    return;
  }
  fail(file, line, std::string(text) + " threw nothing, expected\n    " + part);
}

// How often a test repeats itself with random input: a sixth of `count` under a sanitizer, where
// each time costs ten to forty times as much.
constexpr int rounds(int count) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return (count + 5) / 6;
#else
  return count;
#endif
}

inline void check_near(double actual, double expected, double tolerance, const char* text,
                       const char* file, int line) {
  if (std::abs(actual - expected) <= tolerance) return;  // false for NaN
  std::ostringstream message;
  message.precision(10);
  message << text << " is " << actual << ", expected " << expected << " +- " << tolerance;
  fail(file, line, message.str());
}

}  // namespace efiqa_test

#define TEST(name)                                                               \
  static void test_##name();                                                     \
  static const efiqa_test::Registration registration_##name(#name, test_##name); \
  static void test_##name()

#define CHECK(condition)                                                            \
  do {                                                                              \
    if (!(condition)) efiqa_test::fail(__FILE__, __LINE__, #condition " is false"); \
  } while (false)

#define CHECK_EQ(actual, expected) \
  efiqa_test::check_equal(actual, expected, #actual, __FILE__, __LINE__)

#define CHECK_NEAR(actual, expected, tolerance)                                      \
  efiqa_test::check_near(static_cast<double>(actual), static_cast<double>(expected), \
                         static_cast<double>(tolerance), #actual, __FILE__, __LINE__)

// The statement must throw a std::exception whose message contains `part`.
#define CHECK_THROWS_WITH(statement, part) \
  efiqa_test::check_throws([&] { statement; }, part, #statement, __FILE__, __LINE__)
