// A small fixed thread pool for loops over rows. Threads are made once and sleep between calls.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

namespace efiqa {

class ThreadPool {
 public:
  // `threads` counts the caller: 1 makes no thread. Throws Error(kInvalidArgument) outside 1..256.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const noexcept;

  // Calls body(begin, end) on disjoint ranges that cover [0, count); returns when all are done.
  // Ranges are at least `grain` long, so short loops stay on the calling thread. Allocates
  // nothing. `body` must not throw. Calls from several threads wait for one another.
  template <typename Body>
  void for_ranges(int count, int grain, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run(
        count, grain,
        [](void* context, int begin, int end) { (*static_cast<Plain*>(context))(begin, end); },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  using RangeFunction = void (*)(void* context, int begin, int end);
  void run(int count, int grain, RangeFunction function, void* context);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace efiqa
