#pragma once

#include "predict/neural/token_windows.h"
#include "predict/training/gradient_predictor.h"

namespace foregate::predict {

/// `transformer`: a causal transformer over tokens that sees routing only. Its input at a token is
/// an embedding of the id plus a linear map of the whole routing of the token before; blocks are
/// pre-norm with rotary positions. next-token: a linear map of the last block gives the logits of
/// all layers. layer-h: for each layer, a linear map and a small network of that output and of what
/// the token chose at the latest known layers. next-token, layer-h; needs no hidden states.
class TransformerPredictor : public GradientPredictor {
 public:
  /// Reads "width", "blocks", "heads", "context", "dropout", "layers_back" and "layer_width" beside
  /// the trainer's settings.
  TransformerPredictor(std::string name, scoring::Lead lead, trace::Geometry geometry,
                       const JsonReader& settings);

  const scoring::TransformerSizes& sizes() const { return sizes_; }
  /// For a table of as many ids as it has.
  std::vector<ParameterSpec> parameters() const override { return parameters(ids_.size(0)); }
  std::vector<ParameterSpec> parameters(int64_t num_ids) const;
  torch::Tensor score(const RoutedText& text) const override;
  NamedTensors weights() const override;
  void set_weights(const NamedTensors& weights, const std::string& where) override;
  Settings settings() const override;

  /// Logits of the predictable layers.
  torch::Tensor logits(const NamedTensors& parameters, const WindowBatch& batch,
                       torch::ScalarType dtype) const;  // -> [L', n, E] float32

 protected:
  std::unique_ptr<TrainingTask> make_task(const FitInputs& inputs) override;

 private:
  bool by_layer() const { return lead().kind == scoring::Lead::Kind::kLayer; }
  torch::Tensor context_of(const NamedTensors& parameters, const WindowBatch& batch,
                           const torch::Tensor& routed,           // [n, L, E]
                           torch::ScalarType dtype) const;        // -> [n, D]
  torch::Tensor known_layers(const torch::Tensor& routed) const;  // -> [L', n, layers_back * E]

  scoring::TransformerSizes sizes_;
  double dropout_;
  torch::Tensor ids_;  // [S] int64, ascending: the ids seen in training
};

}  // namespace foregate::predict
