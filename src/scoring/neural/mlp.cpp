#include "scoring/neural/products.h"
#include "scoring/neural/state_scorer.h"
#include "scoring/scorers.h"

namespace foregate::scoring {
namespace {

/// score = V silu(U z + a) + b
class MlpScorer : public StateScorer {
 public:
  MlpScorer(PredictorIdentity identity, WeightFile& weights)
      : StateScorer(std::move(identity)),
        width_(weights.size("input", 3, 2)),
        input_(weights.floats("input", {num_rows(), hidden_size(), width_})),
        input_bias_(weights.floats("input_bias", {num_rows(), width_})),
        output_(weights.floats("output", {num_rows(), width_, num_experts()})),
        output_bias_(weights.floats("output_bias", {num_rows(), num_experts()})) {}

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

std::unique_ptr<Scorer> make_mlp_scorer(PredictorIdentity identity, WeightFile& weights) {
  return std::make_unique<MlpScorer>(std::move(identity), weights);
}

}  // namespace foregate::scoring
