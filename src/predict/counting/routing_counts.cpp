#include "predict/counting/routing_counts.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <unordered_map>

#include "base/random.h"
#include "predict/counting/path_counts.h"
#include "predict/texts/routed_text.h"
#include "scoring/counting/pair_table.h"

namespace foregate::predict {
namespace {

constexpr int64_t kCountedPerThread = 256;

/// Accumulates RoutingCounts text by text. Ids get slots in order of appearance; finish() sorts
/// them.
class Counter {
 public:
  /// `kept` is the share of the texts whose decisions are kept.
  Counter(const trace::Geometry& geometry, double kept)
      : layers_(geometry.num_moe_layers),
        num_experts_(geometry.num_experts),
        k_(geometry.top_k),
        kept_(kept) {
    const int64_t pairs = layers_ * num_experts_ * num_experts_;
    experts_.resize(cells());
    first_.resize(cells());
    previous_.resize(static_cast<size_t>(pairs));
    transitions_.resize(static_cast<size_t>(pairs * RoutingCounts::kWindow));
  }

  void add(const RoutedText& text) {
    const torch::Tensor ids = text.token_ids.contiguous();
    const torch::Tensor experts = text.experts.contiguous();
    const int64_t* id = ids.const_data_ptr<int64_t>();
    std::vector<size_t> slots(static_cast<size_t>(text.num_tokens()));
    for (size_t t = 0; t < slots.size(); ++t) {
      slots[t] = slot_of(id[t]);
      ++id_tokens_[slots[t]];
      if (t > 0) ++before_tokens_[slots[t - 1]];
    }
    // Layers count into disjoint tables. Short texts are not worth waking threads for.
    const int64_t grain = 1 + kCountedPerThread / std::max<int64_t>(text.num_tokens(), 1);
    at::parallel_for(0, layers_, grain, [&](int64_t begin, int64_t end) {
      for (int64_t l = begin; l < end; ++l) add_layer(slots, experts.const_data_ptr<int64_t>(), l);
    });
    tokens_ += text.num_tokens();
    if (random_.uniform() < kept_) {
      const auto* chosen = experts.const_data_ptr<int64_t>();
      decisions_.insert(decisions_.end(), chosen, chosen + experts.numel());
    }
    for (int64_t t = 1; t < text.num_tokens(); ++t) {
      add_pair(scoring::pair_id(id[t - 1], id[t]),
               experts.const_data_ptr<int64_t>() + t * layers_ * k_);
    }
  }

  RoutingCounts finish() const {
    std::vector<int64_t> order(id_of_slot_.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return id_of_slot_[static_cast<size_t>(a)] < id_of_slot_[static_cast<size_t>(b)];
    });
    const torch::Tensor by_id = torch::tensor(order, torch::kInt64);
    const auto seen = static_cast<int64_t>(order.size());
    const auto whole = [](const std::vector<int32_t>& values, at::IntArrayRef shape) {
      return torch::from_blob(const_cast<int32_t*>(values.data()), shape, torch::kInt32).clone();
    };
    const auto sorted = [&](const std::vector<int32_t>& values, at::IntArrayRef shape) {
      return torch::from_blob(const_cast<int32_t*>(values.data()), shape, torch::kInt32)
          .index_select(0, by_id);
    };
    const int64_t window = RoutingCounts::kWindow;
    RoutingCounts counts;
    counts.tokens = tokens_;
    counts.experts = whole(experts_, {layers_, num_experts_});
    counts.first = whole(first_, {layers_, num_experts_});
    counts.ids = torch::tensor(id_of_slot_, torch::kInt64).index_select(0, by_id);
    counts.id_tokens = sorted(id_tokens_, {seen});
    counts.id_experts = sorted(id_experts_, {seen, layers_, num_experts_});
    counts.id_first = sorted(id_first_, {seen, layers_, num_experts_});
    counts.before_tokens = sorted(before_tokens_, {seen});
    counts.before_experts = sorted(before_experts_, {seen, layers_, num_experts_});
    counts.previous = whole(previous_, {layers_, num_experts_, num_experts_});
    counts.transitions = whole(transitions_, {layers_, window, num_experts_, num_experts_});
    sort_pairs(counts);
    const auto kept = static_cast<int64_t>(decisions_.size()) / (layers_ * k_);
    counts.decisions = torch::from_blob(const_cast<int16_t*>(decisions_.data()),
                                        {kept, layers_, k_}, torch::kInt16)
                           .clone();
    return counts;
  }

 private:
  size_t cells() const { return static_cast<size_t>(layers_ * num_experts_); }

  size_t slot_of(int64_t id) {
    const auto [found, is_new] = slots_.try_emplace(id, id_of_slot_.size());
    if (is_new) {
      id_of_slot_.push_back(id);
      id_tokens_.push_back(0);
      before_tokens_.push_back(0);
      for (auto* table : {&id_experts_, &id_first_, &before_experts_}) {
        table->resize(table->size() + cells());
      }
    }
    return found->second;
  }

  void add_pair(int64_t pair, const int64_t* chosen) {
    if (static_cast<int64_t>(pair_of_.size()) == RoutingCounts::kMaxPairTokens) return;
    if (++pair_tokens_[pair] > RoutingCounts::kPairOccurrences) return;
    pair_of_.push_back(pair);
    pair_experts_.insert(pair_experts_.end(), chosen, chosen + layers_ * k_);
  }

  void sort_pairs(RoutingCounts& counts) const {
    const auto tokens = static_cast<int64_t>(pair_of_.size());
    const auto [pairs, order] =
        torch::tensor(pair_of_, torch::kInt64).sort(std::optional<bool>(true));
    const auto [ids, inverse, sizes] =
        torch::unique_consecutive(pairs, /*return_inverse=*/false, /*return_counts=*/true);
    counts.pair_ids = ids;
    counts.pair_begin = torch::cat({torch::zeros({1}, torch::kInt64), sizes.cumsum(0)});
    counts.pair_experts = torch::from_blob(const_cast<int16_t*>(pair_experts_.data()),
                                           {tokens, layers_, k_}, torch::kInt16)
                              .index_select(0, order);
  }

  // Adds one to [row of each expert of `from`][each expert of `to`].
  void add_pairs(int32_t* table, const int64_t* from, const int64_t* to) const {
    for (int64_t i = 0; i < k_; ++i) {
      for (int64_t j = 0; j < k_; ++j) ++table[from[i] * num_experts_ + to[j]];
    }
  }

  void add_layer(const std::vector<size_t>& slots, const int64_t* experts, int64_t layer) {
    const int64_t pair_cells = num_experts_ * num_experts_;
    const auto layer_cell = static_cast<size_t>(layer * num_experts_);
    int32_t* previous = previous_.data() + layer * pair_cells;
    int32_t* transitions = transitions_.data() + layer * RoutingCounts::kWindow * pair_cells;
    const int64_t sources = std::min<int64_t>(layer, RoutingCounts::kWindow);
    for (size_t t = 0; t < slots.size(); ++t) {
      const int64_t* token = experts + static_cast<int64_t>(t) * layers_ * k_;
      const int64_t* chosen = token + layer * k_;
      const size_t id_cell = slots[t] * cells() + layer_cell;
      for (int64_t i = 0; i < k_; ++i) {
        const auto expert = static_cast<size_t>(chosen[i]);
        ++experts_[layer_cell + expert];
        ++id_experts_[id_cell + expert];
        if (t > 0) ++before_experts_[slots[t - 1] * cells() + layer_cell + expert];
      }
      ++first_[layer_cell + static_cast<size_t>(chosen[0])];
      ++id_first_[id_cell + static_cast<size_t>(chosen[0])];
      if (t > 0) add_pairs(previous, chosen - layers_ * k_, chosen);
      for (int64_t w = 0; w < sources; ++w) {
        add_pairs(transitions + w * pair_cells, chosen - (1 + w) * k_, chosen);
      }
    }
  }

  const int64_t layers_;
  const int64_t num_experts_;
  const int64_t k_;
  const double kept_;
  Random random_{0};
  int64_t tokens_ = 0;
  std::vector<int16_t> decisions_;  // [N][L][k]
  std::map<int64_t, size_t> slots_;
  std::vector<int64_t> id_of_slot_;
  std::unordered_map<int64_t, int64_t> pair_tokens_;
  std::vector<int64_t> pair_of_;       // of each decision kept
  std::vector<int16_t> pair_experts_;  // [M][L][k]
  std::vector<int32_t> experts_, first_, id_tokens_, id_experts_, id_first_, before_tokens_,
      before_experts_, previous_, transitions_;
};

}  // namespace

RoutingCounts count_routing(const RoutedTexts& corpus) {
  const TextSelection training{.split = trace::Split::kTrain};
  const double decisions = corpus.mean_tokens() * static_cast<double>(corpus.count(training)) *
                           corpus.geometry().num_moe_layers * corpus.geometry().top_k;
  Counter counter(corpus.geometry(),
                  static_cast<double>(RoutingCounts::kMaxDecisions) / std::max(decisions, 1.0));
  corpus.for_each(training, [&](const RoutedText& text) { counter.add(text); });
  return counter.finish();
}

const RoutingCounts& SharedCounts::get() {
  if (!counts_) counts_ = std::make_unique<RoutingCounts>(count_routing(corpus_));
  return *counts_;
}

const std::map<std::string, torch::Tensor>& SharedCounts::paths(int distance) {
  const auto found = paths_.find(distance);
  if (found != paths_.end()) return found->second;
  return paths_[distance] = count_paths(get().decisions, corpus_.geometry(), distance);
}

}  // namespace foregate::predict
