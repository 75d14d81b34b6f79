// Runs the tests of one program: all of them, or those whose name contains the first argument.
#include <cstdio>
#include <cstring>
#include <exception>

#include "check.h"
#ifdef EFIQA_TESTS_NEED_GPU
#include "device_required.h"
#endif

namespace efiqa_test {
namespace {

int failed_checks = 0;

}  // namespace

std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

void fail(const char* file, int line, const std::string& message) {
  ++failed_checks;
  std::printf("%s:%d: %s\n", file, line, message.c_str());
}

}  // namespace efiqa_test

int main(int argc, char** argv) {
#ifdef EFIQA_TESTS_NEED_GPU
  if (const int code = efiqa_test::without_device(); code != 0) return code;
#endif
  int passed = 0, failed = 0;
  for (const efiqa_test::Test& test : efiqa_test::tests()) {
    if (argc > 1 && std::strstr(test.name, argv[1]) == nullptr) continue;
    const int before = efiqa_test::failed_checks;
    try {
      test.body();
    } catch (const std::exception& error) {
      efiqa_test::fail(test.name, 0, std::string("threw ") + error.what());
    }
    const bool good = efiqa_test::failed_checks == before;
    if (!good) std::printf("FAILED %s\n", test.name);
    ++(good ? passed : failed);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 && passed > 0 ? 0 : 1;
}
