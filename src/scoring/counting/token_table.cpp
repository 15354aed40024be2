#include "scoring/counting/id_table.h"
#include "scoring/scorers.h"

namespace foregate::scoring {
namespace {

/// score(e) = P(e | id), see IdTable.
class TokenTableScorer : public SingleScorer {
 public:
  TokenTableScorer(PredictorIdentity identity, const Weights& weights)
      : SingleScorer(std::move(identity)),
        table_(weights, geometry(), "id_tokens", "id_experts", "frequency") {}

  Needs needs() const override { return {.token = true}; }

 private:
  void score_one(const Sequence& sequence, int64_t layer, float* scores) const override {
    const int64_t id = sequence.history.id(sequence.history.num_tokens() - 1);
    table_.probability(table_.slot(id), layer, scores);
  }

  IdTable table_;
};

}  // namespace

std::unique_ptr<Scorer> make_token_table_scorer(PredictorIdentity identity,
                                                const Weights& weights) {
  return std::make_unique<TokenTableScorer>(std::move(identity), weights);
}

}  // namespace foregate::scoring
