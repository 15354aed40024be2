#include <algorithm>
#include <vector>

#include "scoring/counting/id_table.h"
#include "scoring/counting/path_table.h"
#include "scoring/scorers.h"

namespace foregate::scoring {
namespace {

/// score(b) = v log frequency(b) + over the earlier layers j that the lead allows, at most W before
/// the layer: w(j) e(b | first choice at j) + u(j) sum over the other choices a: e(b | a)
///   + over paths p: x(p) log(1 + count(p, b) / (4 P(b)))
class TransitionScorer : public SingleScorer {
 public:
  TransitionScorer(PredictorIdentity identity, WeightFile& weights)
      : SingleScorer(std::move(identity)),
        window_(weights.size("evidence", 4, 1)),
        skipped_(first_layer() - 1),
        paths_(weights, geometry(), this->identity().lead, window_),
        singles_(1 + 2 * paths_.paths().num_singles()),
        terms_(singles_ + paths_.paths().num_paths()),
        evidence_(
            weights.floats("evidence", {num_layers(), window_, num_experts(), num_experts()})),
        mixture_(weights.floats("mixture", {num_layers() - first_layer(), terms_})),
        frequency_(weights.floats("frequency", {num_layers(), num_experts()})) {
    log_frequency_.resize(static_cast<size_t>(num_layers() * num_experts()));
    std::transform(frequency_, frequency_ + log_frequency_.size(), log_frequency_.begin(),
                   safe_log);
  }

  Needs needs() const override { return {.routing = true}; }

 private:
  void score_one(const Sequence& sequence, int64_t layer, float* scores) const override {
    const int64_t token = sequence.history.num_tokens() - 1;
    const float* weight = mixture_ + (layer - first_layer()) * terms_;
    const float* prior = log_frequency_.data() + layer * num_experts();
    for (int64_t e = 0; e < num_experts(); ++e) scores[e] = weight[0] * prior[e];
    const float* path_weight = weight + singles_;
    ++weight;
    std::vector<int64_t> pairs;
    for (int64_t w = skipped_; w < window_ && layer - 1 - w >= 0; ++w) {
      const float* table = evidence_ + (layer * window_ + w) * num_experts() * num_experts();
      const auto known = sequence.history.routing(token, layer - 1 - w);
      add_row(table, known[0], weight[0], scores);
      for (const uint16_t other : known.subspan(1)) add_row(table, other, weight[1], scores);
      weight += 2;
      pairs.push_back(paths_.paths().pair(known.data()));
    }
    paths_.add(layer, pairs, frequency_ + layer * num_experts(), path_weight, scores);
  }

  void add_row(const float* table, uint16_t row, float weight, float* scores) const {
    const float* evidence = table + row * num_experts();
    for (int64_t e = 0; e < num_experts(); ++e) scores[e] += weight * evidence[e];
  }

  const int64_t window_;   // W
  const int64_t skipped_;  // layers in front that the lead does not let see
  const PathTable paths_;
  const int64_t singles_;   // ingredients in front of the paths'
  const int64_t terms_;     // F
  const float* evidence_;   // [L][W][E][E]
  const float* mixture_;    // [L'][F]
  const float* frequency_;  // [L][E]
  std::vector<float> log_frequency_;
};

}  // namespace

std::unique_ptr<Scorer> make_transition_scorer(PredictorIdentity identity, WeightFile& weights) {
  return std::make_unique<TransitionScorer>(std::move(identity), weights);
}

}  // namespace foregate::scoring
