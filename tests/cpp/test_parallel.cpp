#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "allocations.h"
#include "check.h"
#include "parallel.h"

using efiqa::ThreadPool;

namespace {

// How often each index of [0, count) was visited.
std::vector<int> visits(ThreadPool& pool, int count, int grain) {
  std::vector<std::atomic<int>> seen(static_cast<std::size_t>(count));
  pool.for_ranges(count, grain, [&](int begin, int end) {
    for (int i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
  });
  return std::vector<int>(seen.begin(), seen.end());
}

}  // namespace

TEST(parallel_thread_count_outside_the_range_is_refused) {
  CHECK_THROWS_WITH(ThreadPool(0), "threads is 0, expected 1 to 256");
  CHECK_THROWS_WITH(ThreadPool(-3), "threads is -3, expected 1 to 256");
  CHECK_THROWS_WITH(ThreadPool(257), "threads is 257, expected 1 to 256");
}

TEST(parallel_every_count_and_grain_visits_each_index_once) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    CHECK_EQ(pool.threads(), threads);
    for (const int count : {1, 2, 7, 64, 1000}) {
      for (const int grain : {1, 5, 64, 2000}) {
        const std::vector<int> seen = visits(pool, count, grain);
        CHECK(std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }));
      }
    }
  }
}

TEST(parallel_empty_count_calls_nothing) {
  ThreadPool pool(2);
  int calls = 0;
  pool.for_ranges(0, 1, [&](int, int) { ++calls; });
  pool.for_ranges(-5, 1, [&](int, int) { ++calls; });
  CHECK_EQ(calls, 0);
}

TEST(parallel_ranges_are_at_least_the_grain_long) {
  ThreadPool pool(4);
  for (const int count : {10, 33, 100, 999}) {
    for (const int grain : {3, 10, 40}) {
      std::atomic<int> shortest{count};
      pool.for_ranges(count, grain, [&](int begin, int end) {
        int current = shortest.load();
        while (end - begin < current && !shortest.compare_exchange_weak(current, end - begin)) {
        }
      });
      CHECK(shortest.load() >= std::min(grain, count));
    }
  }
}

TEST(parallel_short_loop_stays_on_the_calling_thread) {
  ThreadPool pool(4);
  std::thread::id worker;
  pool.for_ranges(7, 4, [&](int, int) { worker = std::this_thread::get_id(); });
  CHECK(worker == std::this_thread::get_id());
}

TEST(parallel_two_long_ranges_run_on_two_threads) {
  ThreadPool pool(2);
  std::atomic<int> arrived{0};
  std::atomic<bool> met{false};
  // Each range waits for the other, so this ends only when both are inside at once.
  pool.for_ranges(2, 1, [&](int, int) {
    ++arrived;
    for (long i = 0; i < 2'000'000'000L && arrived.load() < 2; ++i) std::this_thread::yield();
    if (arrived.load() == 2) met = true;
  });
  CHECK(met.load());
}

TEST(parallel_calls_from_several_threads_all_finish) {
  ThreadPool pool(3);
  std::atomic<long> total{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        pool.for_ranges(50, 1, [&](int begin, int end) { total += end - begin; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK_EQ(total.load(), 4L * 200 * 50);
}

TEST(parallel_loop_allocates_nothing) {
  ThreadPool pool(2);
  std::atomic<long> total{0};
  const auto loop = [&] {
    pool.for_ranges(100, 1, [&](int begin, int end) { total += end - begin; });
  };
  loop();
  const efiqa_test::AllocationCount count;
  for (int i = 0; i < 100; ++i) loop();
  CHECK_EQ(count.since_start(), 0L);
}

TEST(parallel_pool_made_and_dropped_at_once_shuts_down) {
  for (int i = 0; i < 50; ++i) ThreadPool pool(4);
  CHECK(true);  // reached: no thread was left waiting
}
