#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "scoring/constants.h"
#include "scoring/counting/id_table.h"
#include "scoring/counting/mixture_scorer.h"
#include "scoring/counting/pair_table.h"
#include "scoring/counting/path_table.h"
#include "scoring/counting/text_memory.h"
#include "scoring/products.h"
#include "scoring/scorers.h"

namespace foregate::scoring {
namespace {

/// Probabilities of a layer's experts with their logs.
struct Known {
  const float* probability;  // [E]
  const float* log;          // [E]
};

/// The same with room to write to.
struct Estimate {
  float* probability;  // [E]
  float* log;          // [E]

  operator Known() const { return {probability, log}; }
};

/// out = log p - log prior, where p smooths counts over `tokens` tokens by pseudo-counts of the
/// prior: what the counts add to it, zero where nothing was counted. `estimate` holds the counts in
/// the place of the probabilities, and then p.
void counted_evidence(int64_t width, float tokens, const Known& prior, const Estimate& estimate,
                      float* out) {
  if (tokens == 0) {
    std::copy_n(prior.probability, width, estimate.probability);
    std::copy_n(prior.log, width, estimate.log);
    std::fill_n(out, width, 0.0F);
    return;
  }
  float* p = estimate.probability;
  for (int64_t e = 0; e < width; ++e) {
    p[e] = (p[e] + kTextPseudoCounts * prior.probability[e]) / (tokens + kTextPseudoCounts);
  }
  safe_log(p, width, estimate.log);
  for (int64_t e = 0; e < width; ++e) out[e] = estimate.log[e] - prior.log[e];
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

/// A mixture of what counting knows; see docs/c-api.md for the terms in their order.
class StatisticsScorer : public MixtureScorer {
 public:
  StatisticsScorer(PredictorIdentity identity, const Weights& weights)
      : MixtureScorer(std::move(identity)),
        by_id_(weights, geometry(), "id_tokens", "id_experts", "frequency"),
        first_by_id_(weights, geometry(), "id_tokens", "id_first", "first_frequency"),
        by_id_before_(weights, geometry(), "before_tokens", "before_experts", "frequency"),
        pairs_(weights, geometry()),
        previous_(weights.floats("previous", {num_layers(), num_experts(), num_experts()})),
        frequency_(weights.floats("frequency", {num_layers(), num_experts()})),
        log_frequency_(safe_logs(frequency_, num_layers() * num_experts())),
        first_frequency_(weights.floats("first_frequency", {num_layers(), num_experts()})),
        log_first_frequency_(safe_logs(first_frequency_, num_layers() * num_experts())) {
    const Lead& lead = this->identity().lead;
    if (lead.kind == Lead::Kind::kLayer) {
      window_ = weights.size("transitions", 4, 1);
      transitions_ =
          weights.floats("transitions", {num_layers(), window_, num_experts(), num_experts()});
      paths_.emplace(weights, geometry(), lead, window_);
    }
    set_mixture(weights, num_statistics_terms(geometry(), lead, window_));
  }

  Needs needs() const override {
    return {.token = true, .routing = true, .tokens_back = Needs::kAllTokens};
  }
  std::unique_ptr<Memory> make_memory() const override {
    return std::make_unique<StatisticsMemory>(geometry(), by_id_, pairs_);
  }

  void evidence(const Sequence& sequence, int64_t layer, float* out) const override {
    const auto& memory = static_cast<const StatisticsMemory&>(*sequence.memory);
    memory.require_complete(layer);
    add_token(sequence.history, memory, layer, out);
    if (paths_) add_layers(sequence.history, layer, out + kTokenTerms * num_experts());
  }

 private:
  Known frequency_of(int64_t layer) const {
    const int64_t begin = layer * num_experts();
    return {frequency_ + begin, log_frequency_.data() + begin};
  }

  void add_token(const History& history, const StatisticsMemory& memory, int64_t layer,
                 float* out) const {
    const int64_t width = num_experts();
    const auto row = [&](int64_t term) { return out + term * width; };
    const Known frequency = frequency_of(layer);
    const float* log_first = log_first_frequency_.data() + layer * width;
    const auto room = std::make_unique_for_overwrite<float[]>(static_cast<size_t>(6 * width));
    const auto estimate = [&](int64_t i) {
      return Estimate{room.get() + 2 * i * width, room.get() + (2 * i + 1) * width};
    };
    const Estimate given_id = estimate(0);
    const Estimate other = estimate(1);
    const Estimate pair = estimate(2);

    std::copy_n(frequency.log, width, row(0));
    id_evidence(by_id_, memory.slot, layer, frequency.log, given_id, row(1));
    id_evidence(first_by_id_, memory.slot, layer, log_first, other, row(2));
    id_evidence(by_id_before_, memory.before_slot, layer, frequency.log, other, row(3));
    const int64_t token = history.num_tokens() - 1;
    sum_rows(previous_ + layer * width * width,
             token > 0 ? history.routing(token - 1, layer) : std::span<const uint16_t>(), width,
             row(4));
    std::copy_n(memory.all_experts(layer).data(), width, other.probability);
    counted_evidence(width, memory.all_tokens(), frequency, other, row(5));
    // Each of these adds to what the one before it knows.
    int64_t tokens = memory.count_same_id(history, layer, other.probability);
    counted_evidence(width, static_cast<float>(tokens), given_id, other, row(6));
    tokens = memory.count_same_pair(history, layer, pair.probability);
    counted_evidence(width, static_cast<float>(tokens), other, pair, row(7));
    tokens = pairs_.count(memory.pair, layer, other.probability);
    counted_evidence(width, static_cast<float>(tokens), given_id, other, row(8));
  }

  /// out = log P(e | id) - log frequency(e); leaves the probability and its log.
  void id_evidence(const IdTable& table, int64_t slot, int64_t layer, const float* log_frequency,
                   const Estimate& estimate, float* out) const {
    table.probability(slot, layer, estimate.probability);
    if (slot < 0) {  // the frequency itself
      std::copy_n(log_frequency, num_experts(), estimate.log);
      std::fill_n(out, num_experts(), 0.0F);
      return;
    }
    safe_log(estimate.probability, num_experts(), estimate.log);
    for (int64_t e = 0; e < num_experts(); ++e) out[e] = estimate.log[e] - log_frequency[e];
  }

  void add_layers(const History& history, int64_t layer, float* out) const {
    const int64_t token = history.num_tokens() - 1;
    const int64_t width = num_experts();
    std::vector<int64_t> pairs;
    for (int64_t w = first_layer() - 1; w < window_; ++w, out += width) {
      const int64_t source = layer - 1 - w;
      if (source < 0) {
        std::fill_n(out, width, 0.0F);
        continue;
      }
      const auto known = history.routing(token, source);
      sum_rows(transitions_ + (layer * window_ + w) * width * width, known, width, out);
      pairs.push_back(paths_->paths().pair(known.data()));
    }
    paths_->evidence(layer, pairs, frequency_ + layer * width, out);
  }

  const IdTable by_id_;         // any choice, by the token's id
  const IdTable first_by_id_;   // first choice, by the token's id
  const IdTable by_id_before_;  // any choice, by the id before
  const PairTable pairs_;
  const float* previous_;   // [L][E][E]
  const float* frequency_;  // [L][E]
  const std::vector<float> log_frequency_;
  const float* first_frequency_;  // [L][E]
  const std::vector<float> log_first_frequency_;
  int64_t window_ = 0;
  const float* transitions_ = nullptr;  // [L][W][E][E]
  std::optional<PathTable> paths_;      // with transitions_
};

}  // namespace

std::unique_ptr<Scorer> make_statistics_scorer(PredictorIdentity identity, const Weights& weights) {
  return std::make_unique<StatisticsScorer>(std::move(identity), weights);
}

}  // namespace foregate::scoring
