#include "stats/token_affinity.h"

#include <algorithm>
#include <cmath>

#include "stats/sums.h"

namespace foregate::stats {
namespace {

constexpr size_t kCells = size_t{1} << 23;
constexpr size_t kMostIds = 2048;

double term(double observed, double expected) {
  return observed > 0 ? observed * std::log(observed / expected) : 0;
}

}  // namespace

void TokenCounts::add(const trace::Trace& trace) {
  for (const int32_t id : trace.token_ids) ++counts_[id];
}

void TokenCounts::merge(const TokenCounts& other) {
  for (const auto& [id, count] : other.counts_) counts_[id] += count;
}

std::vector<int32_t> TokenCounts::most_frequent(size_t limit, int64_t least) const {
  std::vector<std::pair<int64_t, int32_t>> order;
  for (const auto& [id, count] : counts_) {
    if (count >= least) order.emplace_back(-count, id);
  }
  std::sort(order.begin(), order.end());
  std::vector<int32_t> ids;
  for (size_t i = 0; i < std::min(limit, order.size()); ++i) ids.push_back(order[i].second);
  return ids;
}

size_t TokenAffinity::room(const trace::Geometry& geometry) {
  const size_t cells =
      static_cast<size_t>(geometry.num_moe_layers) * static_cast<size_t>(geometry.num_experts);
  return std::min(kMostIds, kCells / std::max<size_t>(1, cells));
}

TokenAffinity::TokenAffinity(const trace::Geometry& geometry, const std::vector<int32_t>& ids)
    : num_layers_(geometry.num_moe_layers),
      num_experts_(geometry.num_experts),
      top_k_(geometry.top_k),
      ids_(ids),
      tokens_(ids.size()),
      counts_(ids.size() * static_cast<size_t>(num_layers_) * num_experts_) {
  for (size_t i = 0; i < ids.size(); ++i) places_[ids[i]] = i;
}

void TokenAffinity::add(const trace::Trace& trace) {
  if (ids_.empty()) return;
  const size_t width = static_cast<size_t>(num_layers_) * num_experts_;
  const uint16_t* experts = trace.experts.data();
  const size_t decisions = static_cast<size_t>(num_layers_) * top_k_;
  for (const int32_t id : trace.token_ids) {
    const auto place = places_.find(id);
    if (place != places_.end()) {
      ++tokens_[place->second];
      uint32_t* counts = counts_.data() + place->second * width;
      const uint16_t* expert = experts;
      for (int layer = 0; layer < num_layers_; ++layer, counts += num_experts_) {
        for (int rank = 0; rank < top_k_; ++rank) ++counts[*expert++];
      }
    }
    experts += decisions;
  }
}

void TokenAffinity::merge(const TokenAffinity& other) {
  add_into(tokens_, other.tokens_);
  add_into(counts_, other.counts_);
}

std::vector<TypicalToken> TokenAffinity::typical(int layer, int expert, int64_t expert_tokens,
                                                 int64_t tokens, size_t limit) const {
  std::vector<TypicalToken> found;
  const size_t width = static_cast<size_t>(num_layers_) * num_experts_;
  const size_t cell = static_cast<size_t>(layer) * num_experts_ + expert;
  const auto total = static_cast<double>(tokens);
  const auto of_expert = static_cast<double>(expert_tokens);
  for (size_t i = 0; i < ids_.size(); ++i) {
    TypicalToken token{ids_[i], tokens_[i], counts_[i * width + cell]};
    if (token.chosen == 0) continue;
    const auto occurrences = static_cast<double>(token.tokens);
    token.probability = static_cast<double>(token.chosen) / occurrences;
    token.lift = token.probability * total / of_expert;
    if (token.lift <= 1) continue;
    token.g2 =
        log_likelihood_ratio(static_cast<double>(token.chosen), occurrences, of_expert, total);
    found.push_back(token);
  }
  std::sort(found.begin(), found.end(), [](const TypicalToken& a, const TypicalToken& b) {
    return a.g2 != b.g2 ? a.g2 > b.g2 : a.id < b.id;
  });
  found.resize(std::min(limit, found.size()));
  return found;
}

double log_likelihood_ratio(double both, double a, double b, double total) {
  return 2 * (term(both, a * b / total) + term(a - both, a * (total - b) / total) +
              term(b - both, (total - a) * b / total) +
              term(total - a - b + both, (total - a) * (total - b) / total));
}

}  // namespace foregate::stats
