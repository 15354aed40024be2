#pragma once

#include <optional>

#include "predict/neural/token_windows.h"
#include "predict/predictor.h"
#include "predict/training/trainer_settings.h"

namespace foregate::predict {

/// `transformer`: a causal transformer over tokens that sees routing only. Its input at a token is
/// an embedding of the id plus a linear map of the whole routing of the token before; blocks are
/// pre-norm with rotary positions. next-token: a linear map of the last block gives the logits of
/// all layers. layer-h: for each layer, a linear map and a small network of that output and of what
/// the token chose at the latest known layers. next-token, layer-h; needs no hidden states.
class TransformerPredictor : public Predictor {
 public:
  /// Reads "width", "blocks", "heads", "context", "dropout", "layers_back" and "layer_width" beside
  /// the trainer's settings.
  TransformerPredictor(std::string name, scoring::Lead lead, trace::Geometry geometry,
                       const JsonReader& settings);

  bool needs_gate_weights() const override {
    return foregate::predict::needs_gate_weights(training_.loss);
  }
  void fit(const FitInputs& inputs) override;
  std::unique_ptr<Training> start_training(const FitInputs& inputs) override;
  void end_training(Training& training) override;
  torch::Tensor score(const RoutedText& text) const override;
  void run_on(const torch::Device& device) override;
  NamedTensors weights() const override;
  void set_weights(const NamedTensors& weights, const std::string& where) override;
  Json settings() const override;

  /// What fit() starts from, for a table of so many ids; deterministic in the seed.
  NamedTensors initial_parameters(int64_t num_ids, uint64_t seed) const;
  /// Logits of the predictable layers. Dropout applies if there is a generator to draw it from.
  torch::Tensor logits(const NamedTensors& parameters, const WindowBatch& batch,
                       torch::ScalarType dtype,
                       std::optional<at::Generator> dropout) const;  // -> [L', n, E] float32

 private:
  bool by_layer() const { return lead().kind == scoring::Lead::Kind::kLayer; }
  torch::Tensor context_of(const NamedTensors& parameters, const WindowBatch& batch,
                           const torch::Tensor& routed,  // [n, L, E]
                           torch::ScalarType dtype,
                           const std::optional<at::Generator>& dropout) const;  // -> [n, D]
  torch::Tensor known_layers(const torch::Tensor& routed) const;  // -> [L', n, layers_back * E]

  TrainerSettings training_;
  int64_t width_;  // D
  int64_t blocks_;
  int64_t heads_;
  int64_t context_;  // tokens of a window
  double dropout_;
  int64_t layers_back_;  // known layers that are looked at, layer-h
  int64_t layer_width_;  // of the small network, layer-h
  torch::Device device_ = torch::kCPU;
  NamedTensors parameters_;  // on device_
  torch::Tensor ids_;        // [S] int64, ascending: the ids seen in training
};

}  // namespace foregate::predict
