#include "predict/predictor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/error.h"
#include "predict/fit_inputs.h"
#include "predict/texts/routed_texts.h"
#include "predict/training/trainer.h"

namespace foregate::predict {

std::unique_ptr<Training> Predictor::start_training(const FitInputs& /*inputs*/) {
  return nullptr;
}

void Predictor::end_training(Training& /*training*/) {
  throw std::logic_error("a predictor that learns by counting has no training to end");
}

void require_inputs(const Predictor& predictor, const RoutedTexts& texts) {
  if (predictor.needs_features()) texts.require_features(predictor.name());
  if (predictor.needs_gate_weights()) texts.require_gate_weights(predictor.name());
}

torch::Tensor take_weight(const NamedTensors& weights, const std::string& name,
                          at::IntArrayRef shape, torch::ScalarType dtype,
                          const std::string& where) {
  const auto found = weights.find(name);
  if (found == weights.end()) {
    throw DataError(
        fmt::format("{}: tensor \"{}\" is missing; train the predictor again", where, name));
  }
  const torch::Tensor& tensor = found->second;
  bool fits = tensor.scalar_type() == dtype && tensor.dim() == static_cast<int64_t>(shape.size());
  for (size_t i = 0; fits && i < shape.size(); ++i) {
    fits = shape[i] == -1 || shape[i] == tensor.size(static_cast<int64_t>(i));
  }
  if (fits) return tensor;
  throw DataError(fmt::format(
      "{}: tensor \"{}\" is {} [{}]; expected {} [{}] (-1: any); train the predictor again", where,
      name, c10::toString(tensor.scalar_type()), fmt::join(tensor.sizes(), ", "),
      c10::toString(dtype), fmt::join(shape, ", ")));
}

double prior_logit(const trace::Geometry& geometry) {
  const int64_t others = std::max<int64_t>(1, geometry.num_experts - geometry.top_k);
  return std::log(static_cast<double>(geometry.top_k) / static_cast<double>(others));
}

torch::Tensor multi_hot(const torch::Tensor& experts, int64_t num_experts) {
  std::vector<int64_t> shape = experts.sizes().vec();
  shape.back() = num_experts;
  return torch::zeros(shape, experts.options().dtype(torch::kFloat32)).scatter_(-1, experts, 1.0);
}

}  // namespace foregate::predict
