#include "scoring/neural/layout_tensors.h"
#include "scoring/neural/state_scorer.h"
#include "scoring/products.h"
#include "scoring/scorers.h"

namespace foregate::scoring {
namespace {

/// score = V silu(U z + a) + b
class MlpScorer : public StateScorer {
 public:
  MlpScorer(PredictorIdentity identity, int64_t width, const LayoutTensors& tensors)
      : StateScorer(std::move(identity)),
        width_(width),
        input_(tensors["input"]),
        input_bias_(tensors["input_bias"]),
        output_(tensors["output"]),
        output_bias_(tensors["output_bias"]) {}

  void score(std::span<const Sequence* const> sequences, int64_t layer,
             float* scores) const override {
    const int64_t row = row_of(layer);
    std::vector<float> rows(sequences.size() * static_cast<size_t>(width_));
    const BatchRows inner(rows.data(), sequences.size(), width_, input_bias_ + row * width_);
    add_transposed_product(input_ + row * hidden_size() * width_, hidden_size(), width_,
                           states_for(sequences, layer), inner.outs());
    for (size_t t = 0; t < inner.size(); ++t) silu(inner[t], width_);
    const BatchRows out(scores, sequences.size(), num_experts(),
                        output_bias_ + row * num_experts());
    add_transposed_product(output_ + row * width_ * num_experts(), width_, num_experts(),
                           inner.vectors(), out.outs());
  }

 private:
  const int64_t width_;       // D
  const float* input_;        // [L'][H][D], U transposed
  const float* input_bias_;   // [L'][D]
  const float* output_;       // [L'][D][E], V transposed
  const float* output_bias_;  // [L'][E]
};

}  // namespace

std::unique_ptr<Scorer> make_mlp_scorer(PredictorIdentity identity, const Weights& weights) {
  const int64_t width = weights.size("input", 3, 2);
  const LayoutTensors tensors(weights, mlp_layout(identity.geometry, identity.lead, width));
  return std::make_unique<MlpScorer>(std::move(identity), width, tensors);
}

}  // namespace foregate::scoring
