#pragma once

#include <ATen/core/Generator.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "predict/predictor.h"
#include "scoring/neural/layout.h"

namespace foregate::predict {

/// What initial values are made from.
struct InitSource {
  at::Generator generator;             ///< parameters draw from it in the order they are listed in
  const RoutedTexts* texts = nullptr;  ///< whose routers may be taken over
};

/// The value of a parameter before training: float32, of the given shape, on the CPU.
using Init = std::function<torch::Tensor(at::IntArrayRef shape, InitSource& source)>;

namespace init {

Init zeros();
Init ones();
Init filled_with(double value);
/// Normally distributed around 0 with this standard deviation.
Init normal(double deviation);
/// The same with a deviation of 1 / sqrt(inputs), for what sums over so many inputs.
Init normal_of_inputs(int64_t inputs);
/// A factor times what `other` gives.
Init times(double factor, Init other);
/// Zero in the first so many columns of the last dimension, as `other` in the rest.
Init after_zeros(int64_t columns, Init other);

}  // namespace init

/// A tensor that a predictor learns: once listed, it is made, trained, saved and loaded.
struct ParameterSpec {
  std::string name;
  std::vector<int64_t> shape;
  Init init;
};

/// The tensors of a layout, in its order, with the initial value of each.
std::vector<ParameterSpec> with_inits(const scoring::Layout& layout,
                                      const std::map<std::string, Init>& inits);

/// Deterministic in the seed. Throws DataError if routers are needed and the texts have none.
NamedTensors initial_values(const std::vector<ParameterSpec>& parameters, uint64_t seed,
                            const RoutedTexts* texts = nullptr);

/// Each parameter's tensor out of `weights`. Throws DataError naming `where` and the tensor that is
/// missing, of another dtype or of the wrong shape.
NamedTensors take_parameters(const std::vector<ParameterSpec>& parameters,
                             const NamedTensors& weights, const std::string& where);

}  // namespace foregate::predict
