#include "models/weights/random_weights.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "models/weights/assemble.h"

namespace foregate::models {
namespace {

constexpr double kDeviation = 0.02;
constexpr uint64_t kSeed = 1;

class RandomWeights {
 public:
  explicit RandomWeights(const LoadOptions& options)
      : options_(torch::TensorOptions().device(options.device).dtype(options.dtype)),
        quantization_(options.quantization) {}

  tensor::Weight make(const WeightSpec& spec) const {
    switch (spec.start) {
      case Start::kOnes:
        return torch::ones(spec.shape, options_);
      case Start::kZeros:
        return torch::zeros(
            spec.shape, spec.keep == Keep::kFloat32 ? options_.dtype(torch::kFloat32) : options_);
      case Start::kNormal:
        break;
    }
    switch (spec.keep) {
      case Keep::kQuantizable:
        return draw_matrix(spec.shape);
      case Keep::kComputeDtype:
        return draw(spec.shape);
      case Keep::kFloat32:  // as a checkpoint in the compute dtype would have it
        return draw(spec.shape).to(torch::kFloat32);
    }
    TORCH_CHECK(false, "a weight that is kept in no known way");
  }

 private:
  torch::Tensor draw(at::IntArrayRef shape) const {
    return torch::empty(shape, options_).normal_(0.0, kDeviation);
  }

  // Drawn one of the first dimension's at a time: a whole stack in float32 may not fit.
  tensor::Weight draw_matrix(at::IntArrayRef shape) const {
    if (quantization_ == tensor::Quantization::kNone) return draw(shape);
    tensor::Weight weight =
        tensor::Weight::empty(shape, quantization_, options_.device(), torch::kFloat32);
    if (shape.size() == 2) {
      weight.assign(draw(shape), "random weights");
      return weight;
    }
    for (int64_t i = 0; i < shape[0]; ++i) {
      weight[i].assign(draw(shape.slice(1)), "random weights");
    }
    return weight;
  }

  torch::TensorOptions options_;
  tensor::Quantization quantization_;
};

}  // namespace

DecoderWeights random_weights(const ModelConfig& config, const LoadOptions& options) {
  torch::manual_seed(kSeed);
  const RandomWeights source(options);
  const WeightNames unnamed;
  return assemble_weights(
      config, options, describe_outer_weights(config, unnamed),
      [&](int64_t layer) { return describe_layer(config, unnamed, layer); },
      [&](std::span<const WeightSpec> specs) {
        std::vector<tensor::Weight> weights;
        for (const WeightSpec& spec : specs) weights.push_back(source.make(spec));
        return weights;
      });
}

}  // namespace foregate::models
