#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "scoring/constants.h"
#include "scoring/lead.h"
#include "trace/trace.h"

namespace foregate::scoring {

/// Name and shape of a tensor of weights.safetensors; all of these are float32.
struct TensorSpec {
  std::string name;
  std::vector<int64_t> shape;
};

/// The tensors of a predictor that is a network. Training starts from them, loading checks them and
/// scorers read them: they are listed here and nowhere else. L' is the number of MoE layers that
/// can be predicted, E that of experts, H the hidden size, V that of the vocabulary.
class Layout {
 public:
  explicit Layout(std::vector<TensorSpec> tensors) : tensors_(std::move(tensors)) {}

  const std::vector<TensorSpec>& tensors() const { return tensors_; }
  /// Throws std::out_of_range if there is no tensor of this name.
  const std::vector<int64_t>& shape(std::string_view name) const;

 private:
  std::vector<TensorSpec> tensors_;
};

/// Which biases the routers have, that next-gate follows.
struct RouterBiasSet {
  bool logit = false;
  bool choice = false;
};
Layout next_gate_layout(const trace::Geometry& geometry, const Lead& lead,
                        const RouterBiasSet& biases);

Layout gate_adapter_layout(const trace::Geometry& geometry, const Lead& lead, int64_t rank);

struct GateMlpSizes {
  int64_t width;      ///< D, of the inner layer
  int64_t embedding;  ///< d, of a token id
};
Layout gate_mlp_layout(const trace::Geometry& geometry, const Lead& lead,
                       const GateMlpSizes& sizes);

Layout mlp_layout(const trace::Geometry& geometry, const Lead& lead, int64_t width);

struct TransformerSizes {
  int64_t width;  ///< D
  int64_t blocks;
  int64_t heads;
  int64_t context;      ///< tokens of a window
  int64_t layers_back;  ///< known layers that are looked at, layer-h
  int64_t layer_width;  ///< of the small network, layer-h
};
/// Beside these there is "ids", int64 [num_ids]: the ids that the embedding's rows stand for.
Layout transformer_layout(const trace::Geometry& geometry, const Lead& lead,
                          const TransformerSizes& sizes, int64_t num_ids);
/// Name of a tensor of one block.
std::string in_block(int64_t block, std::string_view name);

}  // namespace foregate::scoring
