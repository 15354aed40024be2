#include <algorithm>

#include "scoring/scorers.h"

namespace foregate::scoring {
namespace {

/// score(e) = frequency(e)
class FrequencyScorer : public SingleScorer {
 public:
  FrequencyScorer(PredictorIdentity identity, const Weights& weights)
      : SingleScorer(std::move(identity)),
        frequency_(weights.floats("frequency", {num_layers(), num_experts()})) {}

  Needs needs() const override { return {}; }

 private:
  void score_one(const Sequence& /*sequence*/, int64_t layer, float* scores) const override {
    std::copy_n(frequency_ + layer * num_experts(), num_experts(), scores);
  }

  const float* frequency_;  // [L][E]
};

}  // namespace

std::unique_ptr<Scorer> make_frequency_scorer(PredictorIdentity identity, const Weights& weights) {
  return std::make_unique<FrequencyScorer>(std::move(identity), weights);
}

}  // namespace foregate::scoring
