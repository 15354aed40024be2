#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "predict/corpus.h"
#include "predict/lead.h"
#include "predict/routed_text.h"
#include "predict/token_history.h"

namespace foregate {

/// The recorded hidden states that the lead allows: for layer-h the router input of layer l-h, for
/// pre-attention the residual stream entering layer l. Its first L' layers belong to the
/// predictable layers in order. [n, L, H]; undefined if the text has no features.
const torch::Tensor& visible_states(const RoutedText& text, const Lead& lead);

/// x / sqrt(mean(x^2) + 1e-6), as float32, for the first `layers` layers; the predictors' input.
torch::Tensor normalised_states(
    const torch::Tensor& states,  // [n, L, H] float32, bfloat16, float16
    int64_t layers);              // -> [L', n, H] float32

/// What a state predictor looks at for some tokens.
struct StateInputs {
  torch::Tensor states;  ///< [L', n, H] float32, normalised
  TokenHistory history;
};
/// All tokens of a text, whose states must be defined.
StateInputs inputs_of(const RoutedText& text, const Lead& lead, const Geometry& geometry);

/// Every token of a split that has hidden states, for drawing batches at random. For training on
/// the CPU, states stay in the mapped files and 4 bytes an expert come into memory; for a GPU
/// everything is moved there, as far as it fits.
class StateRows {
 public:
  struct Batch {
    StateInputs inputs;
    torch::Tensor experts;  ///< [L', B, k] int64
  };

  StateRows(const Corpus& corpus, Split split, const Lead& lead,
            torch::Device device = torch::kCPU);

  int64_t num_tokens() const { return num_tokens_; }
  Batch gather(const std::vector<int64_t>& tokens) const;

 private:
  struct Piece {
    int64_t first;         // token number of its first row
    torch::Tensor states;  // [n, L, H], mapped
  };
  const Piece& piece_of(int64_t token) const;
  torch::Tensor gather_states(const std::vector<int64_t>& tokens) const;
  void move_states();

  Geometry geometry_;
  int64_t layers_;  // L'
  torch::Device device_;
  int64_t num_tokens_ = 0;
  std::vector<Piece> pieces_;
  torch::Tensor states_;  // [tokens, L', H] on a GPU; undefined if they stay in the files
  TokenRows rows_;
};

}  // namespace foregate
