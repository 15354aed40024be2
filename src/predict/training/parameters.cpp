#include "predict/training/parameters.h"

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <torch/types.h>

#include <cmath>
#include <stdexcept>
#include <utility>

namespace foregate::predict {

namespace init {

Init zeros() {
  return [](at::IntArrayRef shape, InitSource& /*source*/) { return torch::zeros(shape); };
}

Init ones() {
  return [](at::IntArrayRef shape, InitSource& /*source*/) { return torch::ones(shape); };
}

Init filled_with(double value) {
  return [value](at::IntArrayRef shape, InitSource& /*source*/) {
    return torch::full(shape, value, torch::kFloat32);
  };
}

Init normal(double deviation) {
  return [deviation](at::IntArrayRef shape, InitSource& source) {
    return deviation * torch::randn(shape, source.generator);
  };
}

Init normal_of_inputs(int64_t inputs) {
  return
      [root = std::sqrt(static_cast<double>(inputs))](at::IntArrayRef shape, InitSource& source) {
        return torch::randn(shape, source.generator) / root;
      };
}

Init times(double factor, Init other) {
  return [factor, other = std::move(other)](at::IntArrayRef shape, InitSource& source) {
    return factor * other(shape, source);
  };
}

Init after_zeros(int64_t columns, Init other) {
  return [columns, other = std::move(other)](at::IntArrayRef shape, InitSource& source) {
    std::vector<int64_t> first = shape.vec();
    std::vector<int64_t> rest = shape.vec();
    first.back() = columns;
    rest.back() -= columns;
    return torch::cat({torch::zeros(first), other(rest, source)}, -1);
  };
}

}  // namespace init

std::vector<ParameterSpec> with_inits(const scoring::Layout& layout,
                                      const std::map<std::string, Init>& inits) {
  if (layout.tensors().size() != inits.size()) {
    throw std::logic_error(
        fmt::format("{} initial values for {} tensors", inits.size(), layout.tensors().size()));
  }
  std::vector<ParameterSpec> parameters;
  for (const scoring::TensorSpec& tensor : layout.tensors()) {
    parameters.push_back({tensor.name, tensor.shape, inits.at(tensor.name)});
  }
  return parameters;
}

NamedTensors initial_values(const std::vector<ParameterSpec>& parameters, uint64_t seed,
                            const RoutedTexts* texts) {
  InitSource source{at::make_generator<at::CPUGeneratorImpl>(seed), texts};
  NamedTensors values;
  for (const ParameterSpec& parameter : parameters) {
    values[parameter.name] = parameter.init(parameter.shape, source);
  }
  return values;
}

NamedTensors take_parameters(const std::vector<ParameterSpec>& parameters,
                             const NamedTensors& weights, const std::string& where) {
  NamedTensors values;
  for (const ParameterSpec& parameter : parameters) {
    values[parameter.name] =
        take_weight(weights, parameter.name, parameter.shape, torch::kFloat32, where);
  }
  return values;
}

}  // namespace foregate::predict
