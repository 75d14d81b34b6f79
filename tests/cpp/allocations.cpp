#include "allocations.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <new>

namespace {

std::atomic<long> allocations{0};
std::atomic<long> last_allowed{std::numeric_limits<long>::max()};

void count_one() {
  const long number = allocations.fetch_add(1, std::memory_order_relaxed);
  if (number >= last_allowed.load(std::memory_order_relaxed)) throw std::bad_alloc();
}

void* allocate(std::size_t size) {
  count_one();
  if (void* memory = std::malloc(size > 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}

void* allocate_aligned(std::size_t size, std::align_val_t alignment) {
  count_one();
  const std::size_t step = static_cast<std::size_t>(alignment);
  if (void* memory = std::aligned_alloc(step, (size + step - 1) / step * step)) return memory;
  throw std::bad_alloc();
}

}  // namespace

namespace efiqa_test {
long allocations_so_far() noexcept { return allocations.load(std::memory_order_relaxed); }

OutOfMemory::OutOfMemory(long count) noexcept { last_allowed = allocations_so_far() + count; }

OutOfMemory::~OutOfMemory() { last_allowed = std::numeric_limits<long>::max(); }
}  // namespace efiqa_test

// The other forms of new and delete that the standard library declares call these.
void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate_aligned(size, alignment);
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return allocate_aligned(size, alignment);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
