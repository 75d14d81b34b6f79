#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "status.h"

namespace efiqa {
namespace {

constexpr int kMaxThreads = 256;
// Ranges per thread: when another process takes a core, the rest of the work moves to the others.
constexpr int kRangesPerThread = 4;
// Polls before a thread sleeps: some 20 us, about what putting it to sleep and waking it costs.
constexpr int kSpinPolls = 2000;

void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

struct ThreadPool::State {
  struct Job {
    RangeFunction function = nullptr;
    void* context = nullptr;
    int count = 0;
    int ranges = 0;
  };

  explicit State(int thread_count) : threads(thread_count) {
    workers.reserve(static_cast<std::size_t>(threads - 1));
    try {
      for (int i = 1; i < threads; ++i) workers.emplace_back([this] { work(); });
    } catch (...) {
      stop_and_join();
      throw;
    }
  }
  ~State() { stop_and_join(); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void stop_and_join() {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      stopping = true;
      generation.fetch_add(1);
    }
    start.notify_all();
    for (std::thread& worker : workers) worker.join();
    workers.clear();
  }

  void take_ranges(const Job& current) {
    for (;;) {
      const int i = next_range.fetch_add(1);
      if (i >= current.ranges) return;
      const std::int64_t count = current.count;
      const int begin = static_cast<int>(count * i / current.ranges);
      const int end = static_cast<int>(count * (i + 1) / current.ranges);
      current.function(current.context, begin, end);
    }
  }

  void work() {
    std::uint64_t seen = 0;
    for (;;) {
      for (int i = 0; i < kSpinPolls && generation.load() == seen; ++i) pause_briefly();
      Job current;
      {
        std::unique_lock<std::mutex> lock(mutex);
        start.wait(lock, [&] { return generation.load() != seen; });
        seen = generation.load();
        if (stopping) return;
        if (!open) continue;  // woke up too late: the caller has finished without this thread
        current = job;
        active.fetch_add(1);
      }
      take_ranges(current);
      {
        const std::lock_guard<std::mutex> lock(mutex);
        active.fetch_sub(1);
      }
      done.notify_one();
    }
  }

  const int threads;
  std::mutex caller;  // one for_ranges at a time
  std::mutex mutex;   // guards job, open, stopping and every change of generation and active
  std::condition_variable start, done;
  Job job;
  bool open = false;
  bool stopping = false;
  std::atomic<std::uint64_t> generation{0};
  std::atomic<int> active{0};
  std::atomic<int> next_range{0};
  std::vector<std::thread> workers;  // last: they use all of the above
};

ThreadPool::ThreadPool(int threads) {
  if (threads < 1 || threads > kMaxThreads) {
    throw Error(StatusCode::kInvalidArgument, "threads is " + std::to_string(threads) +
                                                  ", expected 1 to " + std::to_string(kMaxThreads));
  }
  state_ = std::make_unique<State>(threads);
}

ThreadPool::~ThreadPool() = default;

int ThreadPool::threads() const noexcept { return state_->threads; }

void ThreadPool::run(int count, int grain, RangeFunction function, void* context) {
  if (count <= 0) return;
  State& state = *state_;
  const int ranges = std::min(state.threads * kRangesPerThread, count / std::max(grain, 1));
  if (state.threads == 1 || ranges <= 1) {
    function(context, 0, count);
    return;
  }
  const std::lock_guard<std::mutex> one_caller(state.caller);
  const State::Job job{function, context, count, ranges};
  {
    const std::lock_guard<std::mutex> lock(state.mutex);
    state.job = job;
    state.next_range.store(0);
    state.open = true;
    state.generation.fetch_add(1);
  }
  state.start.notify_all();
  state.take_ranges(job);
  for (int i = 0; i < kSpinPolls && state.active.load() != 0; ++i) pause_briefly();
  std::unique_lock<std::mutex> lock(state.mutex);
  state.open = false;
  state.done.wait(lock, [&] { return state.active.load() == 0; });
}

}  // namespace efiqa
