// What CUDA's double refuses, as tests on it are worth what it notices.
#include <cstring>
#include <vector>

#include "check.h"
#include "cuda_launch.h"
#include "device_fixtures.h"

using efiqa::DeviceBuffer;
using efiqa::PinnedBuffer;
using efiqa_test::error_of;
using efiqa_test::reset_doubles;

namespace {

__global__ void add_one_kernel(int* values, int count) {
  const int i = efiqa::thread_x();
  if (i < count) values[i] += 1;
}

}  // namespace

TEST(double_copies_of_a_wrong_direction_or_size_are_refused) {
  reset_doubles();
  DeviceBuffer<int> device(4);
  int host[5] = {};
  const std::size_t bytes = 4 * sizeof(int);
  CHECK_EQ(cudaMemcpy(device.data(), host, bytes, cudaMemcpyHostToDevice), cudaSuccess);
  CHECK_EQ(cudaMemcpy(device.data(), host, bytes + 4, cudaMemcpyHostToDevice),
           cudaErrorInvalidValue);
  CHECK_EQ(cudaMemcpy(device.data() + 1, host, bytes, cudaMemcpyHostToDevice),
           cudaErrorInvalidValue);
  CHECK_EQ(cudaMemcpy(host, device.data(), bytes, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  CHECK_EQ(cudaMemcpy(host, host + 1, bytes, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  CHECK_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  CHECK_EQ(cudaGetLastError(), cudaSuccess);
}

TEST(double_memory_right_behind_a_device_block_is_the_hosts) {
  reset_doubles();
  DeviceBuffer<int> device(4);
  const int* end = device.data() + 4;
  CHECK(efiqa_double::on_device(end - 1, sizeof(int)));
  CHECK(!efiqa_double::on_host(end - 1));
  CHECK(efiqa_double::on_host(end));
}

TEST(double_recording_does_nothing_until_it_is_launched) {
  reset_doubles();
  const efiqa::StreamHandle stream;
  DeviceBuffer<int> device(3);
  PinnedBuffer<int> host(3);
  std::memset(host.data(), 0, 3 * sizeof(int));
  cudaMemcpy(device.data(), host.data(), 3 * sizeof(int), cudaMemcpyHostToDevice);
  efiqa::Graph graph;
  graph.capture(stream.get(), [&] {
    efiqa::launch_threads(add_one_kernel, "add_one_kernel", {3, 1}, {2, 1}, stream.get(),
                          device.data(), 3);
    cudaMemcpyAsync(host.data(), device.data(), 3 * sizeof(int), cudaMemcpyDeviceToHost,
                    stream.get());
  });
  CHECK_EQ(host.data()[2], 0);
  graph.launch(stream.get());
  graph.launch(stream.get());
  CHECK_EQ(host.data()[0], 2);
  CHECK_EQ(host.data()[2], 2);
}

TEST(double_recording_is_broken_by_what_cuda_forbids_in_it) {
  const efiqa::StreamHandle stream;
  DeviceBuffer<int> device(1);
  int pageable = 0;
  const std::function<void()> forbidden[] = {
      [&] { DeviceBuffer<int> more(1); },
      [&] { PinnedBuffer<int> more(1); },
      [&] { efiqa::check_cuda(cudaStreamSynchronize(stream.get()), "waiting"); },
      [&] {
        efiqa::check_cuda(cudaMemcpyAsync(device.data(), &pageable, sizeof(int),
                                          cudaMemcpyHostToDevice, stream.get()),
                          "copying");
      },
  };
  for (const auto& action : forbidden) {
    reset_doubles();
    const long before = efiqa_double::alive();
    efiqa::Graph graph;
    CHECK(error_of([&] {
            graph.capture(stream.get(), action);
          }).find("operation not permitted when stream is capturing (900)") != std::string::npos);
    CHECK(graph.empty());
    // Who hides the error is told at the end.
    CHECK(
        error_of([&] {
          graph.capture(stream.get(), [&] { error_of(action); });
        }).find("cudaStreamEndCapture: operation failed due to a previous error during capture") !=
        std::string::npos);
    CHECK_EQ(efiqa_double::alive(), before);
  }
}

TEST(double_deferred_work_waits_for_a_synchronise) {
  reset_doubles();
  efiqa_double::defer_work(true);
  const efiqa::StreamHandle stream;
  DeviceBuffer<int> device(1);
  PinnedBuffer<int> host(1);
  *host.data() = 5;
  cudaMemsetAsync(device.data(), 0, sizeof(int), stream.get());
  cudaMemcpyAsync(host.data(), device.data(), sizeof(int), cudaMemcpyDeviceToHost, stream.get());
  CHECK_EQ(*host.data(), 5);
  cudaStreamSynchronize(stream.get());
  CHECK_EQ(*host.data(), 0);
}
