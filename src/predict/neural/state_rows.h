#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "base/random.h"
#include "predict/neural/token_history.h"
#include "predict/texts/routed_text.h"
#include "predict/texts/routed_texts.h"
#include "predict/training/loss.h"
#include "predict/training/trainer_settings.h"
#include "scoring/lead.h"

namespace foregate::predict {

/// The recorded hidden states that the lead allows: for layer-h the router input of layer l-h, for
/// pre-attention the residual stream entering layer l. Its first L' layers belong to the
/// predictable layers in order. [n, L, H]; undefined if the text has no features.
const torch::Tensor& visible_states(const RoutedText& text, const scoring::Lead& lead);

/// x / sqrt(mean(x^2) + 1e-6), as float32, for the first `layers` layers; the predictors' input.
torch::Tensor normalized_states(
    const torch::Tensor& states,  // [n, L, H] float32, bfloat16, float16
    int64_t layers);              // -> [L', n, H] float32

/// What a state predictor looks at for some tokens.
struct StateInputs {
  torch::Tensor states;  ///< [L', n, H] normalised; float32, or what products are taken in
  TokenHistory history;  ///< undefined where it is not asked for
};
/// All tokens of a text, whose states must be defined.
StateInputs inputs_of(const RoutedText& text, const scoring::Lead& lead,
                      const trace::Geometry& geometry, bool history);

/// Every token of some texts that have hidden states, for drawing batches at random. For training
/// on the CPU, recorded states stay in the mapped files and 4 bytes an expert come into memory; for
/// a GPU everything is moved there, as far as it fits.
class StateRows {
 public:
  /// Tokens drawn, and the same where the rows are.
  struct BatchIndices {
    std::vector<int64_t> tokens;
    torch::Tensor index;  ///< [B] int64; stays in its place as long as B does
  };
  using Inputs = StateInputs;
  struct Batch {
    Inputs inputs;
    Decisions truth;  ///< of the predictable layers
  };
  struct Options {
    torch::Device device = torch::kCPU;
    bool gate_weights = false;  ///< whether they are kept, and given with batches
    bool history = false;       ///< the same
  };

  StateRows(const trace::Geometry& geometry, const scoring::Lead& lead, const Options& options);

  /// Takes a split's texts, or these, instead of those it had.
  void read(const RoutedTexts& corpus, trace::Split split);
  void set(const std::vector<RoutedText>& texts);

  int64_t num_tokens() const { return num_tokens_; }
  /// Whether everything lies on a GPU, so that gather() runs there alone.
  bool resident() const { return states_.defined(); }
  void stage(std::vector<int64_t> tokens, BatchIndices& indices) const;
  /// `dtype` is what resident states are rounded to; others stay in float32.
  Batch gather(const BatchIndices& indices, torch::ScalarType dtype) const;

  // For StreamedTask:
  bool repeats() const { return resident(); }
  void draw(const TrainerSettings& settings, Random& random, BatchIndices& indices) const;
  void for_each_spread_batch(
      const TrainerSettings& settings,
      const std::function<void(const BatchIndices& indices, int64_t tokens)>& visit) const;

 private:
  struct Piece {
    int64_t first;         // token number of its first row
    torch::Tensor states;  // [n, L, H], mapped
  };
  void clear();
  void add(const RoutedText& text);
  void finish();
  const Piece& piece_of(int64_t token) const;
  torch::Tensor gather_states(const std::vector<int64_t>& tokens) const;
  void move_states();

  trace::Geometry geometry_;
  scoring::Lead lead_;
  int64_t layers_;  // L'
  Options options_;
  int64_t num_tokens_ = 0;
  std::vector<Piece> pieces_;
  torch::Tensor states_;  // [tokens, L', H] on a GPU; undefined if they stay where they are
  std::vector<torch::Tensor> ids_;  // of each text, until they are joined to rows_
  std::vector<torch::Tensor> places_;
  std::vector<torch::Tensor> experts_;
  std::vector<torch::Tensor> text_gate_weights_;
  TokenRows rows_;
  torch::Tensor gate_weights_;  // [tokens, L', k] float16, or undefined
};

}  // namespace foregate::predict
