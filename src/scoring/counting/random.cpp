#include "base/random.h"

#include "scoring/scorers.h"

namespace foregate::scoring {
namespace {

/// score(e) is drawn by the seed, the token's id and its place in the text: what comes later cannot
/// change it.
class RandomScorer : public SingleScorer {
 public:
  RandomScorer(PredictorIdentity identity, const Weights& weights)
      : SingleScorer(std::move(identity)),
        seed_(static_cast<uint64_t>(*weights.long_integers("seed", {1}))) {}

  Needs needs() const override { return {.token = true}; }

 private:
  void score_one(const Sequence& sequence, int64_t layer, float* scores) const override {
    const int64_t token = sequence.history.num_tokens() - 1;
    const auto id = static_cast<uint64_t>(sequence.history.id(token));
    Random random = Random(seed_).fork(id << 32U | static_cast<uint64_t>(token));
    random.discard(static_cast<uint64_t>((layer - first_layer()) * num_experts()));
    for (int64_t e = 0; e < num_experts(); ++e) scores[e] = static_cast<float>(random.uniform());
  }

  uint64_t seed_;
};

}  // namespace

std::unique_ptr<Scorer> make_random_scorer(PredictorIdentity identity, const Weights& weights) {
  return std::make_unique<RandomScorer>(std::move(identity), weights);
}

}  // namespace foregate::scoring
