#include "stats/expert_paths.h"

#include <algorithm>
#include <iterator>

namespace foregate::stats {
namespace {

trace::Trace beginning(const trace::Trace& trace, const trace::Geometry& geometry) {
  trace::Trace cut = trace;
  const auto tokens = static_cast<size_t>(std::min(trace.num_tokens(), ExpertPaths::kTokens));
  const size_t width = static_cast<size_t>(geometry.num_moe_layers) * geometry.top_k;
  cut.token_ids.resize(tokens);
  cut.experts.resize(tokens * width);
  if (!cut.gate_weights.empty()) cut.gate_weights.resize(tokens * width);
  cut.router_logits.clear();
  return cut;
}

}  // namespace

void ExpertPaths::add(const trace::Trace& trace, const trace::Geometry& geometry) {
  if (trace.num_tokens() == 0) return;
  const bool is_short = trace.num_tokens() < kWanted;
  const auto kept = texts_.find(trace.dataset);
  if (kept == texts_.end()) {
    if (texts_.size() >= kDatasets && trace.dataset > texts_.rbegin()->first) return;
  } else if (kept->second.size() >= kPerDataset &&
             std::pair(is_short, trace.sample) >= kept->second.rbegin()->first) {
    return;
  }
  keep(trace.dataset, is_short, beginning(trace, geometry));
  shrink();
}

void ExpertPaths::keep(const std::string& dataset, bool is_short, const trace::Trace& trace) {
  texts_[dataset].emplace(std::pair(is_short, trace.sample), trace);
}

void ExpertPaths::shrink() {
  while (texts_.size() > kDatasets) texts_.erase(std::prev(texts_.end()));
  for (auto& [dataset, texts] : texts_) {
    while (texts.size() > kPerDataset) texts.erase(std::prev(texts.end()));
  }
}

void ExpertPaths::merge(const ExpertPaths& other) {
  for (const auto& [dataset, texts] : other.texts_) {
    for (const auto& [key, trace] : texts) keep(dataset, key.first, trace);
  }
  shrink();
}

std::vector<const trace::Trace*> ExpertPaths::choose(size_t limit) const {
  std::vector<const trace::Trace*> chosen;
  for (size_t round = 0; round < kPerDataset; ++round) {
    for (const auto& [dataset, texts] : texts_) {
      if (round < texts.size() && chosen.size() < limit)
        chosen.push_back(&std::next(texts.begin(), static_cast<std::ptrdiff_t>(round))->second);
    }
  }
  return chosen;
}

}  // namespace foregate::stats
