#pragma once

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "scoring/weights.h"
#include "trace/trace.h"

namespace foregate::testing {

/// Tensors written down in a test.
class MapWeights : public scoring::Weights {
 public:
  void add_floats(const std::string& name, std::vector<int64_t> shape, std::vector<float> values) {
    add(name, "F32", std::move(shape), values);
  }
  template <typename Value>
  void add(const std::string& name, const std::string& dtype, std::vector<int64_t> shape,
           const std::vector<Value>& values) {
    Tensor& tensor = tensors_[name];
    tensor.dtype = dtype;
    tensor.shape = std::move(shape);
    tensor.data.resize(values.size() * sizeof(Value));
    std::memcpy(tensor.data.data(), values.data(), tensor.data.size());
  }

  scoring::TensorView get(std::string_view name) const override {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) fail_missing(name);
    const Tensor& tensor = found->second;
    return {tensor.dtype, tensor.shape, tensor.data.data()};
  }
  std::string where() const override { return "test"; }

 private:
  struct Tensor {
    std::string dtype;
    std::vector<int64_t> shape;
    std::vector<std::byte> data;
  };
  std::map<std::string, Tensor, std::less<>> tensors_;
};

/// L layers of E experts, top-k, 10 ids.
inline trace::Geometry small_geometry(int layers, int experts, int top_k) {
  trace::Geometry geometry;
  geometry.num_moe_layers = layers;
  geometry.num_experts = experts;
  geometry.top_k = top_k;
  geometry.vocab_size = 10;
  for (int l = 0; l < layers; ++l) geometry.moe_layers.push_back(l);
  return geometry;
}

}  // namespace foregate::testing
