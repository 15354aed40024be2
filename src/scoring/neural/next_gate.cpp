#include "scoring/neural/layout_tensors.h"
#include "scoring/neural/state_scorer.h"
#include "scoring/products.h"
#include "scoring/scorers.h"

namespace foregate::scoring {
namespace {

/// score = W z
class NextGateScorer : public StateScorer {
 public:
  NextGateScorer(PredictorIdentity identity, const LayoutTensors& tensors)
      : StateScorer(std::move(identity)), router_(tensors["router"]) {}

  void score(std::span<const Sequence* const> sequences, int64_t layer,
             float* scores) const override {
    const float* router = router_ + row_of(layer) * num_experts() * hidden_size();
    const BatchRows out(scores, sequences.size(), num_experts());
    add_product(router, num_experts(), hidden_size(), states_for(sequences, layer), out.outs());
  }

 private:
  const float* router_;  // [L'][E][H]
};

}  // namespace

std::unique_ptr<Scorer> make_next_gate_scorer(PredictorIdentity identity, const Weights& weights) {
  const LayoutTensors tensors(weights, next_gate_layout(identity.geometry, identity.lead));
  return std::make_unique<NextGateScorer>(std::move(identity), tensors);
}

}  // namespace foregate::scoring
