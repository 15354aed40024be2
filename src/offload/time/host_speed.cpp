#include "offload/time/host_speed.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "base/error.h"

namespace foregate::offload {
namespace {

constexpr size_t kReadBytes = size_t{512} << 20;  // beyond any cache
constexpr size_t kCopyBytes = size_t{128} << 20;
constexpr int kRounds = 5;

using Clock = std::chrono::steady_clock;

std::unique_ptr<uint64_t[]> filled(size_t bytes) {
  std::unique_ptr<uint64_t[]> buffer(new uint64_t[bytes / sizeof(uint64_t)]);
  std::fill_n(buffer.get(), bytes / sizeof(uint64_t), uint64_t{1});
  return buffer;
}

/// Four sums: one would wait for its own additions.
uint64_t sum_of(const uint64_t* values, size_t count) {
  uint64_t sums[4] = {0, 0, 0, 0};
  for (size_t i = 0; i + 4 <= count; i += 4) {
    for (size_t j = 0; j < 4; ++j) sums[j] += values[i + j];
  }
  return sums[0] + sums[1] + sums[2] + sums[3];
}

/// The best of some rounds, in which all threads read their parts of the buffer.
double read_rate(const uint64_t* values, int threads, std::atomic<uint64_t>& sink) {
  const size_t part = kReadBytes / sizeof(uint64_t) / static_cast<size_t>(threads);
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    const auto begin = Clock::now();
    {
      std::vector<std::jthread> workers;
      for (int i = 0; i < threads; ++i)
        workers.emplace_back(
            [&, i] { sink += sum_of(values + part * static_cast<size_t>(i), part); });
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    best = std::max(best, static_cast<double>(part * sizeof(uint64_t)) * threads / seconds);
  }
  return best;
}

}  // namespace

HostSpeed measure_host(const RunContext& run) {
  HostSpeed speed;
  speed.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::atomic<uint64_t> sink = 0;
  try {
    const auto values = filled(kReadBytes);
    const auto from = filled(kCopyBytes);
    const auto to = filled(kCopyBytes);
    run.stop.check("nothing was written");
    speed.read_bytes_per_second = read_rate(values.get(), speed.threads, sink);
    run.stop.check("nothing was written");
    std::jthread copier([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) std::memcpy(to.get(), from.get(), kCopyBytes);
    });
    speed.read_bytes_per_second_beside_copy = read_rate(values.get(), speed.threads, sink);
  } catch (const std::bad_alloc&) {
    throw EnvironmentError("measuring the host's memory takes 1 GB of it; free some");
  }
  return speed;
}

}  // namespace foregate::offload
