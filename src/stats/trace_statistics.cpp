#include "stats/routing_statistics.h"
#include "stats/shard_scan.h"

namespace foregate::stats {
namespace {

/// Token ids to follow; none if every token has an id of its own.
std::vector<int32_t> frequent_ids(const trace::TraceDirectory& directory) {
  if (directory.manifest().token_ids == trace::TokenIds::kUnique) return {};
  const TokenCounts counts =
      scan_shards<TokenCounts>(directory, {.experts = false}, [] { return TokenCounts(); }, {});
  return counts.most_frequent(TokenAffinity::room(directory.geometry()),
                              TokenAffinity::kLeastOccurrences);
}

}  // namespace

RoutingStatistics compute_statistics(const trace::TraceDirectory& directory,
                                     const std::function<void(int64_t traces)>& on_progress) {
  const std::vector<int32_t> followed = frequent_ids(directory);
  const auto empty = [&] {
    RoutingStatistics statistics(directory.geometry(), followed);
    for (const trace::DatasetEntry& entry : directory.manifest().datasets)
      statistics.dataset(entry.name);
    return statistics;
  };
  return scan_shards<RoutingStatistics>(
      directory, {.gate_weights = directory.manifest().gate_weights}, empty, on_progress);
}

}  // namespace foregate::stats
