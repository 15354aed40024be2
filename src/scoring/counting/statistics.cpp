#include <algorithm>
#include <optional>
#include <vector>

#include "scoring/counting/id_table.h"
#include "scoring/counting/pair_table.h"
#include "scoring/counting/path_table.h"
#include "scoring/counting/text_memory.h"
#include "scoring/scorers.h"

namespace foregate::scoring {
namespace {

constexpr float kTextPseudoCounts = 2;
// Ingredients in front of the earlier layers'.
constexpr int64_t kTokenIngredients = 9;

/// Adds weight * (log p - log prior) to the scores, p being the counts smoothed by two
/// pseudo-counts of the prior; leaves p in `counts` and log p in `log_p`. Nothing counted: p is the
/// prior, and nothing is added.
void add_counted(float weight, int64_t width, float tokens, const float* prior,
                 const float* log_prior, float* counts, float* log_p, float* scores) {
  if (tokens == 0) {
    std::copy_n(prior, width, counts);
    std::copy_n(log_prior, width, log_p);
    return;
  }
  for (int64_t e = 0; e < width; ++e) {
    counts[e] = (counts[e] + kTextPseudoCounts * prior[e]) / (tokens + kTextPseudoCounts);
    log_p[e] = safe_log(counts[e]);
    scores[e] += weight * (log_p[e] - log_prior[e]);
  }
}

/// What of the tables belongs to the current token: looked up once, not at every layer.
struct StatisticsMemory : public TextMemory {
  StatisticsMemory(const trace::Geometry& geometry, const IdTable& ids, const PairTable& pairs)
      : TextMemory(geometry), ids_table(ids), pairs_table(pairs) {}

  void begin_token(const History& history) override {
    TextMemory::begin_token(history);
    const int64_t token = history.num_tokens() - 1;
    const int64_t id = history.id(token);
    before_slot = token > 0 ? slot : -1;
    slot = ids_table.slot(id);
    pair = token > 0 ? pairs_table.find(pair_id(history.id(token - 1), id)) : -1;
  }

  const IdTable& ids_table;
  const PairTable& pairs_table;
  int64_t slot = -1;         // of the token's id
  int64_t before_slot = -1;  // of the id before
  int64_t pair = -1;         // of the id after the id before
};

/// score(e) = sum over ingredients i: weight(layer, i) evidence(i, e); see docs/c-api.md for the
/// ingredients in their order.
class StatisticsScorer : public SingleScorer {
 public:
  StatisticsScorer(PredictorIdentity identity, WeightFile& weights)
      : SingleScorer(std::move(identity)),
        by_id_(weights, geometry(), "id_tokens", "id_experts", "frequency"),
        first_by_id_(weights, geometry(), "id_tokens", "id_first", "first_frequency"),
        by_id_before_(weights, geometry(), "before_tokens", "before_experts", "frequency"),
        pairs_(weights, geometry()),
        previous_(weights.floats("previous", {num_layers(), num_experts(), num_experts()})),
        frequency_(weights.floats("frequency", {num_layers(), num_experts()})),
        log_frequency_(logs_of(frequency_)),
        log_first_frequency_(
            logs_of(weights.floats("first_frequency", {num_layers(), num_experts()}))) {
    if (sees_layers()) {
      window_ = weights.size("transitions", 4, 1);
      transitions_ =
          weights.floats("transitions", {num_layers(), window_, num_experts(), num_experts()});
      paths_.emplace(weights, geometry(), this->identity().lead, window_);
      terms_ += paths_->paths().num_singles() + paths_->paths().num_paths();
    }
    mixture_ = weights.floats("mixture", {num_layers() - first_layer(), terms_});
  }

  Needs needs() const override {
    return {.token = true, .routing = true, .tokens_back = Needs::kAllTokens};
  }
  std::unique_ptr<Memory> make_memory() const override {
    return std::make_unique<StatisticsMemory>(geometry(), by_id_, pairs_);
  }

 private:
  bool sees_layers() const { return identity().lead.kind == Lead::Kind::kLayer; }

  std::vector<float> logs_of(const float* probabilities) const {
    std::vector<float> logs(static_cast<size_t>(num_layers() * num_experts()));
    std::transform(probabilities, probabilities + logs.size(), logs.begin(), safe_log);
    return logs;
  }

  void score_one(const Sequence& sequence, int64_t layer, float* scores) const override {
    const auto& memory = static_cast<const StatisticsMemory&>(*sequence.memory);
    memory.require_complete(layer);
    const float* weight = mixture_ + (layer - first_layer()) * terms_;
    const float* log_frequency = log_frequency_.data() + layer * num_experts();
    for (int64_t e = 0; e < num_experts(); ++e) scores[e] = weight[0] * log_frequency[e];
    add_token(sequence.history, memory, layer, weight, scores);
    if (sees_layers()) add_layers(sequence.history, layer, weight + kTokenIngredients, scores);
  }

  void add_token(const History& history, const StatisticsMemory& memory, int64_t layer,
                 const float* weight, float* scores) const {
    const int64_t width = num_experts();
    std::vector<float> buffer(static_cast<size_t>(6 * width));
    float* given_id = buffer.data();
    float* log_given_id = given_id + width;
    float* counts = log_given_id + width;
    float* log_counts = counts + width;
    float* pair = log_counts + width;
    float* log_pair = pair + width;
    const float* frequency = frequency_ + layer * width;
    const float* log_frequency = log_frequency_.data() + layer * width;

    add_id(by_id_, memory.slot, layer, weight[1], log_frequency_.data(), given_id, log_given_id,
           scores);
    add_id(first_by_id_, memory.slot, layer, weight[2], log_first_frequency_.data(), counts,
           log_counts, scores);
    add_id(by_id_before_, memory.before_slot, layer, weight[3], log_frequency_.data(), counts,
           log_counts, scores);
    const int64_t token = history.num_tokens() - 1;
    if (token > 0) {
      const float* table = previous_ + layer * width * width;
      add_rows(table, history.routing(token - 1, layer), weight[4], scores);
    }
    std::copy_n(memory.all_experts(layer).data(), width, counts);
    add_counted(weight[5], width, memory.all_tokens(), frequency, log_frequency, counts, log_counts,
                scores);
    // Each of these adds to what the one before it knows.
    auto tokens = static_cast<float>(memory.count_same_id(history, layer, counts));
    add_counted(weight[6], width, tokens, given_id, log_given_id, counts, log_counts, scores);
    tokens = static_cast<float>(memory.count_same_pair(history, layer, pair));
    add_counted(weight[7], width, tokens, counts, log_counts, pair, log_pair, scores);
    tokens = static_cast<float>(pairs_.count(memory.pair, layer, counts));
    add_counted(weight[8], width, tokens, given_id, log_given_id, counts, log_counts, scores);
  }

  /// Adds weight * (log P(e | id) - log frequency(e)); leaves both the probability and its log.
  void add_id(const IdTable& table, int64_t slot, int64_t layer, float weight, const float* logs,
              float* probability, float* log_probability, float* scores) const {
    const float* log_frequency = logs + layer * num_experts();
    table.probability(slot, layer, probability);
    if (slot < 0) {  // the frequency itself
      std::copy_n(log_frequency, num_experts(), log_probability);
      return;
    }
    for (int64_t e = 0; e < num_experts(); ++e) {
      log_probability[e] = safe_log(probability[e]);
      scores[e] += weight * (log_probability[e] - log_frequency[e]);
    }
  }

  void add_layers(const History& history, int64_t layer, const float* weight, float* scores) const {
    const int64_t token = history.num_tokens() - 1;
    const float* path_weight = weight + paths_->paths().num_singles();
    std::vector<int64_t> pairs;
    for (int64_t w = first_layer() - 1; w < window_ && layer - 1 - w >= 0; ++w) {
      const float* table = transitions_ + (layer * window_ + w) * num_experts() * num_experts();
      const auto known = history.routing(token, layer - 1 - w);
      add_rows(table, known, *weight++, scores);
      pairs.push_back(paths_->paths().pair(known.data()));
    }
    paths_->add(layer, pairs, frequency_ + layer * num_experts(), path_weight, scores);
  }

  void add_rows(const float* table, std::span<const uint16_t> experts, float weight,
                float* scores) const {
    for (const uint16_t expert : experts) {
      const float* row = table + expert * num_experts();
      for (int64_t e = 0; e < num_experts(); ++e) scores[e] += weight * row[e];
    }
  }

  IdTable by_id_;         // any choice, by the token's id
  IdTable first_by_id_;   // first choice, by the token's id
  IdTable by_id_before_;  // any choice, by the id before
  PairTable pairs_;
  const float* previous_;   // [L][E][E]
  const float* frequency_;  // [L][E]
  std::vector<float> log_frequency_;
  std::vector<float> log_first_frequency_;
  int64_t window_ = 0;
  const float* transitions_ = nullptr;  // [L][W][E][E]
  std::optional<PathTable> paths_;      // with transitions_
  int64_t terms_ = kTokenIngredients;
  const float* mixture_ = nullptr;  // [L'][F]
};

}  // namespace

std::unique_ptr<Scorer> make_statistics_scorer(PredictorIdentity identity, WeightFile& weights) {
  return std::make_unique<StatisticsScorer>(std::move(identity), weights);
}

}  // namespace foregate::scoring
