// Counts what operator new hands out anywhere in the test program, by replacing it
// (allocations.cpp).
#pragma once

namespace efiqa_test {

long allocations_so_far() noexcept;

class AllocationCount {
 public:
  long since_start() const noexcept { return allocations_so_far() - start_; }

 private:
  long start_ = allocations_so_far();
};

// For as long as it lives, operator new throws std::bad_alloc after `count` more allocations,
// whichever thread asks.
class OutOfMemory {
 public:
  explicit OutOfMemory(long count) noexcept;
  ~OutOfMemory();
  OutOfMemory(const OutOfMemory&) = delete;
  OutOfMemory& operator=(const OutOfMemory&) = delete;
};

}  // namespace efiqa_test
