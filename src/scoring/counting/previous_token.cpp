#include "scoring/constants.h"
#include "scoring/scorers.h"

namespace foregate::scoring {
namespace {

/// score(e) = [the token before chose e] + 0.001 frequency(e)
class PreviousTokenScorer : public SingleScorer {
 public:
  PreviousTokenScorer(PredictorIdentity identity, const Weights& weights)
      : SingleScorer(std::move(identity)),
        frequency_(weights.floats("frequency", {num_layers(), num_experts()})) {}

  Needs needs() const override { return {.routing = true, .tokens_back = 1}; }

 private:
  void score_one(const Sequence& sequence, int64_t layer, float* scores) const override {
    const float* frequency = frequency_ + layer * num_experts();
    for (int64_t e = 0; e < num_experts(); ++e) scores[e] = kFrequencyWeight * frequency[e];
    const int64_t before = sequence.history.num_tokens() - 2;
    if (before < 0) return;
    for (const uint16_t expert : sequence.history.routing(before, layer)) scores[expert] += 1;
  }

  const float* frequency_;  // [L][E]
};

}  // namespace

std::unique_ptr<Scorer> make_previous_token_scorer(PredictorIdentity identity,
                                                   const Weights& weights) {
  return std::make_unique<PreviousTokenScorer>(std::move(identity), weights);
}

}  // namespace foregate::scoring
