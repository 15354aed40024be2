#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "trace/reader.h"

namespace foregate::stats {

/// Threads to scan a trace with: one a core and shard, few enough that their accumulators stay
/// small together.
int scan_threads(const trace::TraceDirectory& directory);

/// Calls `visit(thread, trace)` for every trace, the shards shared out over `threads`;
/// `on_progress` (may be empty) after each with the number done, by one thread at a time. The first
/// exception ends all threads and is thrown again.
void visit_shards(const trace::TraceDirectory& directory, const trace::TraceColumns& columns,
                  int threads,
                  const std::function<void(int thread, const trace::Trace& trace)>& visit,
                  const std::function<void(int64_t traces)>& on_progress);

/// An accumulator with add(Trace) and merge() over every trace of the directory, on all cores.
template <typename Accumulator, typename Make>
Accumulator scan_shards(const trace::TraceDirectory& directory, const trace::TraceColumns& columns,
                        const Make& make, const std::function<void(int64_t traces)>& on_progress) {
  const int threads = scan_threads(directory);
  std::vector<Accumulator> parts;
  for (int thread = 0; thread < threads; ++thread) parts.push_back(make());
  visit_shards(
      directory, columns, threads,
      [&](int thread, const trace::Trace& trace) { parts[static_cast<size_t>(thread)].add(trace); },
      on_progress);
  Accumulator whole = std::move(parts.front());
  for (size_t i = 1; i < parts.size(); ++i) whole.merge(parts[i]);
  return whole;
}

}  // namespace foregate::stats
