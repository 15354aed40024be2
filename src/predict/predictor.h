#pragma once

#include <torch/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "predict/settings.h"
#include "scoring/lead.h"
#include "trace/trace.h"

namespace foregate::predict {

struct FitInputs;        // predict/fit_inputs.h
struct RoutedText;       // predict/texts/routed_text.h
class RoutedTexts;       // predict/texts/routed_texts.h
struct TrainerSettings;  // predict/training/trainer_settings.h
class Training;          // predict/training/trainer.h

using NamedTensors = std::map<std::string, torch::Tensor>;

/// Scores every expert for each (token, MoE layer) of a text at one lead.
class Predictor {
 public:
  Predictor(std::string name, scoring::Lead lead, trace::Geometry geometry)
      : name_(std::move(name)), lead_(lead), geometry_(std::move(geometry)) {}
  virtual ~Predictor() = default;
  Predictor(const Predictor&) = delete;
  Predictor& operator=(const Predictor&) = delete;

  const std::string& name() const { return name_; }
  const scoring::Lead& lead() const { return lead_; }
  const trace::Geometry& geometry() const { return geometry_; }
  int first_layer() const { return lead_.first_layer(); }
  /// L', the number of MoE layers that can be predicted at this lead.
  int64_t num_layers() const { return geometry_.num_moe_layers - first_layer(); }

  /// Whether score() and fit() read hidden states.
  virtual bool needs_features() const { return false; }
  /// Whether fit() reads gate weights.
  virtual bool needs_gate_weights() const { return false; }
  /// Learns everything anew. Throws DataError if the trace lacks what is needed, InterruptedError.
  virtual void fit(const FitInputs& inputs) = 0;
  /// For predictors trained by gradient: fit() in parts, so that several can learn from one stream.
  /// Nothing for the others. The training refers to the predictor and the inputs.
  virtual std::unique_ptr<Training> start_training(const FitInputs& inputs);
  /// Takes over what a training that start_training() began has found.
  virtual void end_training(Training& training);
  /// Scores, the higher the likelier, for MoE layers first_layer() and up; a score depends on
  /// nothing later than the lead allows. -> [n, L', E] float32, CPU
  virtual torch::Tensor score(const RoutedText& text) const = 0;

  /// Where score() computes from now on. Only neural ones have anything to move there.
  virtual void run_on(const torch::Device& /*device*/) {}

  /// What fit() learned, for weights.safetensors.
  virtual NamedTensors weights() const = 0;
  /// The inverse. Throws DataError naming `where` and the tensor that is missing or of the wrong
  /// shape.
  virtual void set_weights(const NamedTensors& weights, const std::string& where) = 0;
  /// What the predictor was made with, for predictor.json.
  virtual Settings settings() const { return {}; }
  /// How it is trained by gradient; null if it learns otherwise or not at all.
  virtual const TrainerSettings* trainer_settings() const { return nullptr; }
  /// After how many steps of fit() by gradient the weights were found, 0: they are the initial
  /// ones. Nothing if it did not learn so, or elsewhere.
  virtual std::optional<int64_t> best_step() const { return std::nullopt; }

 private:
  std::string name_;
  scoring::Lead lead_;
  trace::Geometry geometry_;
};

/// Throws DataError if the texts lack what the predictor learns from.
void require_inputs(const Predictor& predictor, const RoutedTexts& texts);

/// weights[name], checked. Dimensions of -1 fit any size. Throws DataError.
torch::Tensor take_weight(const NamedTensors& weights, const std::string& name,
                          at::IntArrayRef shape, torch::ScalarType dtype, const std::string& where);

/// The logit of an expert of which nothing is known, log(k / (E - k)). Trained biases start there:
/// from zero they take hundreds of steps to arrive, and until then all else stands in for them.
double prior_logit(const trace::Geometry& geometry);

/// Multi-hot rows: 1 at each chosen expert.
torch::Tensor multi_hot(const torch::Tensor& experts,  // [..., k] int64
                        int64_t num_experts);          // -> [..., E] float32

}  // namespace foregate::predict
