// Structs of the C door that grow: programs of an older and of a later header.
#include <cstring>
#include <string>

#include "capi_support.h"
#include "check.h"
#include "fixtures.h"

namespace {

struct Grown {  // ended after `old` in its first version
  std::uint32_t struct_size;
  std::int32_t old;
  std::int32_t appended;
};

}  // namespace

template <>
inline constexpr std::size_t efiqa::kMinStructBytes<Grown> = 8;

using efiqa::read_struct;
using efiqa::write_struct;
using efiqa_test::contains;
using efiqa_test::error_of;

TEST(capi_struct_of_an_older_program_reads_as_zero_where_it_ends) {
  const Grown given{8, 7, 99};  // what follows is not the program's
  const Grown read = read_struct(&given, "grown", "efiqa_grown");
  CHECK_EQ(read.old, 7);
  CHECK_EQ(read.appended, 0);
}

TEST(capi_struct_of_an_older_program_is_written_as_far_as_it_goes) {
  Grown out{8, 0, 99};
  write_struct(Grown{0, 5, 6}, &out);
  CHECK_EQ(out.struct_size, 8u);
  CHECK_EQ(out.old, 5);
  CHECK_EQ(out.appended, 99);
}

TEST(capi_struct_smaller_than_its_first_version_is_refused) {
  const Grown given{7, 7, 7};
  CHECK_EQ(error_of([&] { read_struct(&given, "grown", "efiqa_grown"); }),
           std::string("invalid_argument: grown.struct_size is 7, expected at least 8; make the "
                       "efiqa_grown with EFIQA_INIT"));
  const Grown* null = nullptr;
  CHECK(contains(error_of([&] { read_struct(null, "grown", "efiqa_grown"); }), "grown is null"));
}

TEST(capi_struct_of_a_later_program_is_read_unless_it_sets_what_is_unknown) {
  unsigned char bytes[sizeof(Grown) + 4] = {sizeof(bytes), 0, 0, 0, 3};
  const Grown* given = reinterpret_cast<const Grown*>(bytes);
  CHECK_EQ(read_struct(given, "grown", "efiqa_grown").old, 3);
  bytes[14] = 1;
  CHECK(contains(error_of([&] { read_struct(given, "grown", "efiqa_grown"); }),
                 "invalid_argument: grown sets a field at byte 14 that this libefiqa does not"));
}

TEST(capi_plane_fits_exactly_and_never_overflows) {
  CHECK(efiqa::plane_fits(100 * 9 + 60, 100, 60, 10));
  CHECK(!efiqa::plane_fits(100 * 9 + 59, 100, 60, 10));
  CHECK(!efiqa::plane_fits(0, 100, 60, 1));
  CHECK(efiqa::plane_fits(60, 100, 60, 1));
  CHECK(!efiqa::plane_fits(~std::size_t{0} / 2, PTRDIFF_MAX, 60, 8192));
}
