#include "scoring/neural/scaled_router.h"
#include "scoring/neural/state_scorer.h"
#include "scoring/products.h"
#include "scoring/scorers.h"

namespace foregate::scoring {
namespace {

/// score = W (g * z) + B silu(A z) + b
class GateAdapterScorer : public StateScorer {
 public:
  GateAdapterScorer(PredictorIdentity identity, int64_t rank, const LayoutTensors& tensors)
      : StateScorer(std::move(identity)),
        router_(tensors, num_experts(), hidden_size()),
        rank_(rank),
        down_(tensors["down"]),
        up_(tensors["up"]),
        bias_(tensors["bias"]) {}

  void score(std::span<const Sequence* const> sequences, int64_t layer,
             float* scores) const override {
    const int64_t row = row_of(layer);
    const auto states = states_for(sequences, layer);
    const BatchRows out(scores, sequences.size(), num_experts(), bias_ + row * num_experts());
    router_.add_logits(row, states, out.outs());
    const BatchRows inner(sequences.size(), rank_);
    add_transposed_product(down_ + row * hidden_size() * rank_, hidden_size(), rank_, states,
                           inner.outs());
    for (size_t t = 0; t < inner.size(); ++t) silu(inner[t], rank_);
    add_transposed_product(up_ + row * rank_ * num_experts(), rank_, num_experts(), inner.vectors(),
                           out.outs());
  }

 private:
  ScaledRouter router_;
  const int64_t rank_;  // r
  const float* down_;   // [L'][H][r], A transposed
  const float* up_;     // [L'][r][E], B transposed
  const float* bias_;   // [L'][E]
};

}  // namespace

std::unique_ptr<Scorer> make_gate_adapter_scorer(PredictorIdentity identity,
                                                 const Weights& weights) {
  const int64_t rank = weights.size("down", 3, 2);
  const LayoutTensors tensors(weights, gate_adapter_layout(identity.geometry, identity.lead, rank));
  return std::make_unique<GateAdapterScorer>(std::move(identity), rank, tensors);
}

}  // namespace foregate::scoring
