#include "trace/split/split.h"

namespace foregate::trace {

std::vector<Split> split_traces(const TraceDirectory& traces, const SplitOptions& options) {
  std::vector<SplitText> texts;
  const TraceColumns columns = {.token_ids = true, .experts = false};
  for (size_t shard = 0; shard < traces.manifest().shards.size(); ++shard) {
    ShardReader reader = traces.open_shard(shard, columns);
    Trace trace;
    while (reader.next(trace)) {
      texts.push_back({trace.dataset, trace.sample, trace.token_ids});
    }
  }
  return split_texts(texts, traces.manifest().seed, options);
}

}  // namespace foregate::trace
