#include "stats/journeys.h"

#include <algorithm>
#include <iterator>

namespace foregate {
namespace {

Trace beginning(const Trace& trace, const Geometry& geometry) {
  Trace cut = trace;
  const auto tokens = static_cast<size_t>(std::min(trace.num_tokens(), Journeys::kTokens));
  const size_t width = static_cast<size_t>(geometry.num_moe_layers) * geometry.top_k;
  cut.token_ids.resize(tokens);
  cut.experts.resize(tokens * width);
  if (!cut.gate_weights.empty()) cut.gate_weights.resize(tokens * width);
  cut.router_logits.clear();
  return cut;
}

}  // namespace

void Journeys::add(const Trace& trace, const Geometry& geometry) {
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

void Journeys::keep(const std::string& dataset, bool is_short, const Trace& trace) {
  texts_[dataset].emplace(std::pair(is_short, trace.sample), trace);
}

void Journeys::shrink() {
  while (texts_.size() > kDatasets) texts_.erase(std::prev(texts_.end()));
  for (auto& [dataset, texts] : texts_) {
    while (texts.size() > kPerDataset) texts.erase(std::prev(texts.end()));
  }
}

void Journeys::merge(const Journeys& other) {
  for (const auto& [dataset, texts] : other.texts_) {
    for (const auto& [key, trace] : texts) keep(dataset, key.first, trace);
  }
  shrink();
}

std::vector<const Trace*> Journeys::choose(size_t limit) const {
  std::vector<const Trace*> chosen;
  for (size_t round = 0; round < kPerDataset; ++round) {
    for (const auto& [dataset, texts] : texts_) {
      if (round < texts.size() && chosen.size() < limit)
        chosen.push_back(&std::next(texts.begin(), static_cast<std::ptrdiff_t>(round))->second);
    }
  }
  return chosen;
}

}  // namespace foregate
