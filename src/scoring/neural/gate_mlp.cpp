#include <algorithm>
#include <vector>

#include "scoring/neural/scaled_router.h"
#include "scoring/neural/state_scorer.h"
#include "scoring/products.h"
#include "scoring/scorers.h"

namespace foregate::scoring {
namespace {

constexpr int64_t kIds = 1 + kTokensBefore;

/// score = W (g * z) + R e + S p + b + V silu(U z + P e + Q p + a), with e the embeddings of the
/// ids of the token and the two before it, and p what those two chose at the layer.
class GateMlpScorer : public StateScorer {
 public:
  GateMlpScorer(PredictorIdentity identity, const GateMlpSizes& sizes, const LayoutTensors& tensors)
      : StateScorer(std::move(identity)),
        router_(tensors, num_experts(), hidden_size()),
        width_(sizes.width),
        embedding_size_(sizes.embedding),
        state_in_(tensors["state_in"]),
        embedding_(tensors["embedding"]),
        ids_in_(tensors["ids_in"]),
        experts_in_(tensors["experts_in"]),
        inner_bias_(tensors["inner_bias"]),
        inner_out_(tensors["inner_out"]),
        bias_(tensors["bias"]) {}

  Needs needs() const override {
    return {.token = true, .routing = true, .state = true, .tokens_back = kTokensBefore};
  }

  void score(std::span<const Sequence* const> sequences, int64_t layer,
             float* scores) const override {
    const int64_t row = row_of(layer);
    const auto states = states_for(sequences, layer);
    // What reaches the scores directly, then what reaches the inner layer.
    const BatchRows sums(sequences.size(), both());
    add_ids(sequences, row, sums);
    for (size_t t = 0; t < sums.size(); ++t) add_experts(*sequences[t], layer, sums[t]);

    const BatchRows out(scores, sequences.size(), num_experts(), bias_ + row * num_experts());
    std::vector<float> inner_rows(sequences.size() * static_cast<size_t>(width_));
    const BatchRows inner(inner_rows.data(), sequences.size(), width_, inner_bias_ + row * width_);
    for (size_t t = 0; t < sums.size(); ++t) {
      for (int64_t e = 0; e < num_experts(); ++e) out[t][e] += sums[t][e];
      for (int64_t i = 0; i < width_; ++i) inner[t][i] += sums[t][num_experts() + i];
    }
    router_.add_logits(row, states, out.outs());
    add_transposed_product(state_in_ + row * hidden_size() * width_, hidden_size(), width_, states,
                           inner.outs());
    for (size_t t = 0; t < inner.size(); ++t) silu(inner[t], width_);
    add_transposed_product(inner_out_ + row * width_ * num_experts(), width_, num_experts(),
                           inner.vectors(), out.outs());
  }

 private:
  int64_t both() const { return num_experts() + width_; }
  /// The row of the embedding that stands for no token and for ids beyond the vocabulary.
  int64_t no_id() const { return geometry().vocab_size; }

  void add_ids(std::span<const Sequence* const> sequences, int64_t row,
               const BatchRows& sums) const {
    for (int64_t back = 0; back < kIds; ++back) {
      std::vector<const float*> embeddings;
      for (const Sequence* sequence : sequences) {
        const int64_t token = sequence->history.num_tokens() - 1 - back;
        const int64_t id = token < 0 ? no_id() : std::min(sequence->history.id(token), no_id());
        embeddings.push_back(embedding_ + id * embedding_size_);
      }
      const float* ids_in = ids_in_ + (row * kIds + back) * embedding_size_ * both();
      add_transposed_product(ids_in, embedding_size_, both(), embeddings, sums.outs());
    }
  }

  void add_experts(const Sequence& sequence, int64_t layer, float* sum) const {
    for (int64_t back = 1; back <= kTokensBefore; ++back) {
      const int64_t token = sequence.history.num_tokens() - 1 - back;
      if (token < 0) return;
      const float* table =
          experts_in_ + (row_of(layer) * kTokensBefore + back - 1) * num_experts() * both();
      for (const uint16_t expert : sequence.history.routing(token, layer)) {
        const float* in = table + expert * both();
        for (int64_t i = 0; i < both(); ++i) sum[i] += in[i];
      }
    }
  }

  ScaledRouter router_;
  const int64_t width_;           // D
  const int64_t embedding_size_;  // d
  const float* state_in_;         // [L'][H][D]
  const float* embedding_;        // [V + 1][d]
  const float* ids_in_;           // [L'][3 d][E + D]
  const float* experts_in_;       // [L'][2 E][E + D]
  const float* inner_bias_;       // [L'][D]
  const float* inner_out_;        // [L'][D][E]
  const float* bias_;             // [L'][E]
};

}  // namespace

std::unique_ptr<Scorer> make_gate_mlp_scorer(PredictorIdentity identity, const Weights& weights) {
  const GateMlpSizes sizes{.width = weights.size("state_in", 3, 2),
                           .embedding = weights.size("embedding", 2, 1)};
  const LayoutTensors tensors(weights, gate_mlp_layout(identity.geometry, identity.lead, sizes));
  return std::make_unique<GateMlpScorer>(std::move(identity), sizes, tensors);
}

}  // namespace foregate::scoring
