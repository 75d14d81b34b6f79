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

}  // namespace efiqa_test
