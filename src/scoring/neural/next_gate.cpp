#include <optional>

#include "scoring/neural/layout_tensors.h"
#include "scoring/neural/router_choice.h"
#include "scoring/neural/state_scorer.h"
#include "scoring/products.h"
#include "scoring/scorers.h"
#include "trace/router_decision.h"

namespace foregate::scoring {
namespace {

/// score = W z, or the choice scores that the target's routers make of these logits
class NextGateScorer : public StateScorer {
 public:
  NextGateScorer(PredictorIdentity identity, const LayoutTensors& tensors,
                 const std::optional<RouterChoice>& choice)
      : StateScorer(std::move(identity)),
        router_(tensors["router"]),
        logit_bias_(choice && choice->biases.logit ? tensors["logit_bias"] : nullptr),
        choice_bias_(choice && choice->biases.choice ? tensors["choice_bias"] : nullptr),
        choice_(choice) {}

  void score(std::span<const Sequence* const> sequences, int64_t layer,
             float* scores) const override {
    const float* router = router_ + row_of(layer) * num_experts() * hidden_size();
    const BatchRows out(scores, sequences.size(), num_experts());
    add_product(router, num_experts(), hidden_size(), states_for(sequences, layer), out.outs());
    if (!choice_) return;
    const auto of_layer = [&](const float* bias) -> std::span<const float> {
      if (bias == nullptr) return {};
      return {bias + row_of(layer) * num_experts(), static_cast<size_t>(num_experts())};
    };
    trace::RouterDecision decision(choice_->spec, {of_layer(logit_bias_), of_layer(choice_bias_)},
                                   num_experts(), geometry().top_k);
    for (size_t i = 0; i < out.size(); ++i) decision.rank(out[i], out[i]);
  }

 private:
  const float* router_;       // [L'][E][H]
  const float* logit_bias_;   // [L'][E], or null
  const float* choice_bias_;  // [L'][E], or null
  std::optional<RouterChoice> choice_;
};

}  // namespace

std::unique_ptr<Scorer> make_next_gate_scorer(PredictorIdentity identity, const Weights& weights,
                                              const JsonReader& settings) {
  const std::optional<RouterChoice> choice = read_router_choice(settings, identity.geometry);
  const LayoutTensors tensors(weights, next_gate_layout(identity.geometry, identity.lead,
                                                        choice ? choice->biases : RouterBiasSet{}));
  return std::make_unique<NextGateScorer>(std::move(identity), tensors, choice);
}

}  // namespace foregate::scoring
